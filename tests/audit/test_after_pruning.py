"""The application over a log whose beginning lives in an archive: pages, API and signer go on as before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.audit.archive_check import bodies as archived_bodies
from bot.audit.keys import load_signing_key
from bot.audit.signer import Signer
from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.storage import entries
from bot.storage.engine import Database
from tests.audit.examples import reader
from tests.audit.old_log import CALL, OldLog, old_log
from tests.conftest import CAROL
from tests.simulator.process import Simulator
from tests.web.bench import Bench, json_of
from tests.web.conftest import bench_of, document, password, prepare

BASE = 512


@pytest.fixture
def log(database: Database, database_url: str, tmp_path: Path) -> OldLog:
    log = old_log(database, database_url, tmp_path)
    prepare(database_url, password())
    assert log.archive("old", "--prune").exit_code == 0
    return log


@pytest.fixture
def bench(log: OldLog, simulator: Simulator, twilio: SimulatorClient) -> Iterator[Bench]:
    given = {name.lower(): value for name, value in log.env.items()}
    settings = Settings.read(_env_file=None, **given, twilio_api_base_url=simulator.url)
    with bench_of(settings, twilio, document()) as bench:
        yield bench


def test_pages_begin_where_the_log_begins_now(bench: Bench) -> None:
    carol = bench.signed_in(CAROL)
    seen: list[int] = []
    path: str | None = f"/review?call={CALL}&type=hold.opened"
    while path:
        page = carol.page(path).html
        seen += [int(one) for one in re.findall(r'id="entry-(\d+)"', page)]
        link = re.search(r'rel="next" href="([^"]+)"', page)
        path = link[1].replace("&amp;", "&") if link else None
    assert seen[-1] == BASE
    assert seen == sorted(seen, reverse=True)
    csv = carol.get(f"/review/entries.csv?call={CALL}&type=hold.opened").text.splitlines()
    assert csv[1].startswith(f"{BASE},")
    assert len(csv) == 1 + len(seen)
    story = carol.page(f"/review/calls/{CALL}").html
    assert re.findall(r'id="entry-(\d+)"', story)[0] == str(BASE)


def test_verify_now_says_what_lives_in_an_archive(bench: Bench) -> None:
    carol = bench.signed_in(CAROL)
    page = carol.post("/review/verify", carol.token("/review")).text
    assert "<h1>The log verifies</h1>" in page
    assert "(512 of them live in an archive and were not read)" in page


@pytest.mark.parametrize("after", ["", "0", "100", "511"])
def test_cursor_from_before_the_pruning_goes_on_with_the_first_that_is_there(bench: Bench, after: str) -> None:
    reply = json_of(bench.api("auditor").get(f"/entries?after={after}&limit=3" if after else "/entries?limit=3"))
    assert [one["position"] for one in reply["entries"]] == [BASE, BASE + 1, BASE + 2]


def test_call_is_paused_and_the_log_signed_as_before(bench: Bench, log: OldLog) -> None:
    call = bench.place_call()
    assert json_of(bench.api().pause(call))["safe_to_take_card"] is True
    assert "hold.opened" in bench.types(call)
    assert log.run("audit", "checkpoint").exit_code == 0
    assert log.verify("old").exit_code == 0
    with bench.services.database.read() as connection:
        assert entries.base(connection).size == BASE


@pytest.mark.parametrize("copy", ["none", "older"])
def test_signer_whose_state_is_from_before_the_pruning_says_what_to_put_back(log: OldLog, copy: str) -> None:
    state = log.folder / "signing-key.pem.state"
    kept = state.read_bytes()
    state.unlink()
    if copy == "older":
        older = list(archived_bodies(log.folder / "old"))[:100]
        signer = Signer("example.org/log", load_signing_key(log.folder / "signing-key.pem"), state, reader(older))
        signer.sign_up_to(100)
    reply = log.run("audit", "checkpoint")
    assert reply.exit_code == 2
    assert f"the signer's state {state} is lost or older: put back its last copy" in reply.stderr
    state.write_bytes(kept)
    assert log.run("audit", "checkpoint").exit_code == 0

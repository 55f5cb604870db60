"""A caller's number: in no entry, link or log line; searched for by digest, and erased with the proofs intact."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from werkzeug.test import TestResponse

from bot.audit.check import verify_database
from bot.audit.keys import create_signing_key, public_vkey
from bot.audit.signing import LogSigner
from bot.audit.verify import verify_bodies
from bot.cli import main
from bot.review.sentences import SENTENCES
from bot.storage import callers, calls, entries
from bot.telephony import numbers
from tests.conftest import ALICE, CAROL
from tests.simulator.process import ACCOUNT, TOKEN
from tests.web.bench import Bench, Browser

CUSTOMER = "+493012345678"
OTHER = "+447700900123"
BOTH = pytest.mark.parametrize("web_url", ["sqlite", "postgresql"], indirect=True)
NOWHERE = "CA" + "f" * 32


def number() -> str:
    """One that no other test's call has: the PostgreSQL database is shared."""
    return f"+4930{datetime.now(UTC):%H%M%S%f}"[:16]


def kept(bench: Bench, call: str) -> tuple[bytes | None, str | None] | None:
    with bench.services.database.read() as connection:
        query = text("SELECT digest, last_four FROM callers WHERE call = :call")
        row = connection.execute(query, {"call": call}).one_or_none()
    return None if row is None else (None if row.digest is None else bytes(row.digest), row.last_four)


def shown(bench: Bench, call: str) -> str | None:
    with bench.services.database.read() as connection:
        found = calls.find(connection, call)
    assert found is not None
    return found.caller


@pytest.fixture
def run(web_bench: Bench) -> Callable[..., Result]:
    """A command on the same database."""
    settings = web_bench.services.settings
    env = {
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "PUBLIC_BASE_URL": settings.public_base_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "AUDIT_ORIGIN": settings.audit_origin,
        "AUDIT_SIGNING_KEY_FILE": str(settings.audit_signing_key_file),
        "DATABASE_URL": settings.database_url,
    }
    return lambda *arguments, typed=None: CliRunner().invoke(main, list(arguments), input=typed, env=env)


def look_for(browser: Browser, typed: str) -> TestResponse:
    return browser.post("/review/number", browser.token("/review"), number=typed)


# Kept beside the log


@BOTH
def test_number_is_kept_as_digest_and_last_four(web_bench: Bench) -> None:
    wanted = number()
    call = web_bench.place_call(ALICE, customer=wanted)
    assert kept(web_bench, call) == (numbers.digest(b"a secret of the tests", wanted), f"…{wanted[-4:]}")
    assert shown(web_bench, call) == f"…{wanted[-4:]}"


def test_outbound_call_is_known_by_whom_it_rang(web_bench: Bench) -> None:
    call = web_bench.place_call(customer=CUSTOMER, direction="outbound-api")
    assert kept(web_bench, call) == (numbers.digest(b"a secret of the tests", CUSTOMER), "…5678")


@pytest.mark.parametrize("caller", ["client:alice", "anonymous", "sip:someone@example.org"])
def test_caller_without_a_number_is_not_kept(web_bench: Bench, caller: str) -> None:
    assert kept(web_bench, web_bench.place_call(customer=caller)) is None


@BOTH
def test_number_is_in_no_entry_of_whatever_a_call_goes_through(web_bench: Bench, web_log: io.StringIO) -> None:
    wanted = number()
    call = web_bench.place_call(ALICE, customer=wanted, conference="room", conference_recordings=1)
    api = web_bench.api()
    api.pause(call, reason=f"call back {wanted[:3]} {wanted[3:6]} {wanted[6:]}")
    api.resume(call)
    alice = web_bench.signed_in(ALICE)
    alice.press(call, "Pause")
    web_bench.api("reader").pause(call)
    carol = web_bench.signed_in(CAROL)
    look_for(carol, wanted)
    web_bench.twilio.hang_up(call)
    web_bench.deliver(call)
    web_bench.visitor().sign_in(wanted, "wrong")
    told = web_bench.entries()
    assert {entry["type"] for entry in told if entry["call"] == call} >= {
        "call.reported", "recording.found", "hold.opened", "command.sent", "command.confirmed", "hold.released",
        "leg.reported", "call.ended",
    }  # fmt: skip
    assert "[phone number removed]" in str(told)
    everything = re.sub(r"[^0-9]", "", re.sub(r"[A-Z]{2}[0-9a-f]{32}|[0-9a-f-]{32,}", " ", str(told)))
    assert wanted[1:] not in everything
    assert wanted[-8:] not in web_log.getvalue()


# Searched for


@BOTH
def test_reviewer_finds_the_calls_of_a_number(web_bench: Bench) -> None:
    wanted, elsewhere = number(), OTHER
    first, second = (web_bench.place_call(customer=wanted) for _ in range(2))
    other = web_bench.place_call(customer=elsewhere)
    carol = web_bench.signed_in(CAROL)
    reply = look_for(carol, f"00{wanted[1:3]} {wanted[3:5]} / {wanted[5:]}")
    assert reply.status_code == 303
    where = reply.headers["Location"]
    assert re.fullmatch(r"/review\?number=[a-p]{64}", where)
    page = carol.page(where).html
    assert (first in page, second in page, other in page) == (True, True, False)
    csv = carol.get(where.replace("/review?", "/review/entries.csv?")).text
    assert (first in csv, second in csv, other in csv) == (True, True, False)


def test_number_stays_with_other_filters_and_pages(web_bench: Bench) -> None:
    for _ in range(30):
        web_bench.place_call(customer=CUSTOMER)
    carol = web_bench.signed_in(CAROL)
    where = look_for(carol, CUSTOMER).headers["Location"]
    token = where.partition("number=")[2]
    page = carol.page(f"{where}&source=twilio").html
    assert f'<input type="hidden" name="number" value="{token}">' in page
    older = next(link for link in re.findall(r'href="([^"]+)"', page) if "before=" in link)
    assert f"number={token}" in older
    assert carol.page(unescape(older)).html.count('id="entry-') > 0


def test_log_notes_only_that_a_number_was_looked_for(web_bench: Bench) -> None:
    web_bench.place_call(customer=CUSTOMER)
    carol = web_bench.signed_in(CAROL)
    where = look_for(carol, CUSTOMER).headers["Location"]
    carol.page(where)
    carol.get(where.replace("/review?", "/review/entries.csv?"))
    read, exported = web_bench.entries(actor="carol")[-2:]
    assert (read["type"], read["detail"]["filter"]) == ("log.read", {"number": "given"})
    assert (exported["type"], exported["detail"]["filter"]) == ("log.exported", {"number": "given"})
    assert "(number given)" in carol.page("/review").html


def test_number_that_nobody_called_from_finds_nothing(web_bench: Bench) -> None:
    call = web_bench.place_call(customer=CUSTOMER)
    carol = web_bench.signed_in(CAROL)
    page = carol.page(look_for(carol, OTHER).headers["Location"]).html
    assert (call in page, "No entry fits this filter." in page) == (False, True)


@pytest.mark.parametrize("typed", ["", "030 12345678", "4111 1111 1111 1111", "alice", "+49"])
def test_what_is_no_number_is_refused_and_not_shown_again(web_bench: Bench, typed: str) -> None:
    reply = look_for(web_bench.signed_in(CAROL), typed)
    assert (reply.status_code, "A number is searched for with its country" in reply.text) == (400, True)
    assert not typed or typed not in reply.text.replace("+49 30 1234567", "").replace(
        "alice", "" if typed != "alice" else "alice"
    )


@pytest.mark.parametrize("token", ["+493012345678", "a" * 63, "0" * 64])
def test_link_with_another_number_is_refused(web_bench: Bench, token: str) -> None:
    carol = web_bench.signed_in(CAROL)
    reply = carol.get(f"/review?number={token}")
    assert (reply.status_code, token in reply.text) == (400, False)
    assert carol.get(f"/review/entries.csv?number={token}").status_code == 400


def test_agent_looks_for_no_number(web_bench: Bench) -> None:
    alice = web_bench.signed_in(ALICE)
    assert alice.post("/review/number", alice.token("/calls"), number=CUSTOMER).status_code == 403
    carol = web_bench.signed_in(CAROL)
    assert carol.post("/review/number", number=CUSTOMER).status_code == 400, "without the form's token"


# Erased


@BOTH
@pytest.mark.parametrize("by", ["number", "call"])
def test_erased_number_is_gone_and_the_log_is_as_it_was(web_bench: Bench, run: Callable[..., Result], by: str) -> None:
    wanted = number()
    call = web_bench.place_call(ALICE, customer=wanted)
    other = web_bench.place_call(customer=OTHER)
    (note, vkey), before = signed(web_bench), bodies(web_bench)
    reply = run("privacy", "erase", "--number", wanted) if by == "number" else run("privacy", "erase", "--call", call)
    assert (reply.exit_code, reply.stdout) == (0, "Erased what was kept of the caller's number in 1 call.\n")
    assert (kept(web_bench, call), shown(web_bench, call)) == ((None, None), None)
    assert (kept(web_bench, other) or (None, None))[1] == shown(web_bench, other) == "…0123"
    assert bodies(web_bench)[: len(before)] == before
    report = verify_bodies(bodies(web_bench), checkpoints=[note], vkey=vkey)
    assert (report.ok, report.checkpoints_checked) == (True, 1)
    assert verify_database(web_bench.services.database, None).ok is True
    told = [entry for entry in web_bench.entries(type="privacy.erased") if entry["detail"]["by"] == by][-1]
    assert (told["actor"], told["call"], told["detail"]) == ("operator", None, {"by": by, "calls": 1})
    assert call not in web_bench.signed_in(CAROL).page(found_by(wanted)).html


def test_erased_number_is_in_none_of_the_databases_files(web_bench: Bench, run: Callable[..., Result]) -> None:
    """SQLite would keep it in its write-ahead log while the bot runs."""
    wanted = number()
    web_bench.place_call(ALICE, customer=wanted)
    path = web_bench.services.database.path
    assert path is not None

    def files_with_it() -> list[str]:
        kept = (numbers.digest(b"a secret of the tests", wanted), f"…{wanted[-4:]}".encode())
        files = {one.name: one.read_bytes() for one in path.parent.glob(f"{path.name}*")}
        return [name for name, content in files.items() if any(one in content for one in kept)]

    assert files_with_it() != []
    with web_bench.services.database.snapshot() as reading:
        reading.execute(text("SELECT count(*) FROM callers")).one()
        reply = run("privacy", "erase", "--number", wanted)
        assert (reply.exit_code, "run this again later" in reply.stderr) == (0, True)
    reply = run("privacy", "erase", "--number", wanted)
    assert (reply.exit_code, reply.stderr) == (0, "")
    assert files_with_it() == []


def signed(bench: Bench) -> tuple[str, str]:
    """A checkpoint over the log as it is, and the key to verify it with."""
    settings, services = bench.services.settings, bench.services
    key = create_signing_key(settings.audit_signing_key_file)
    note = LogSigner(settings, services.database, services.journal).sign()
    return note, public_vkey(settings.audit_origin, key)


def bodies(bench: Bench) -> list[bytes]:
    with bench.services.database.read() as connection:
        return list(entries.bodies(connection, 0, 100_000))


def found_by(wanted: str) -> str:
    return f"/review?number={numbers.token(numbers.digest(b'a secret of the tests', wanted))}"


def test_erased_number_does_not_come_back_with_the_next_report(web_bench: Bench, run: Callable[..., Result]) -> None:
    call = web_bench.place_call(ALICE, customer=CUSTOMER)
    assert run("privacy", "erase", "--number", CUSTOMER).exit_code == 0
    web_bench.twilio.hang_up(call)
    web_bench.deliver(call)
    assert web_bench.api().call(call)["status"] == "completed"
    assert (kept(web_bench, call), shown(web_bench, call)) == ((None, None), None)


@BOTH
def test_all_numbers_from_before_a_day_are_erased(web_bench: Bench, run: Callable[..., Result]) -> None:
    old, new = (web_bench.place_call(customer=CUSTOMER) for _ in range(2))
    with web_bench.services.database.write() as connection:
        long_ago = text("UPDATE callers SET at = 1 WHERE call = :call")
        connection.execute(long_ago, {"call": old})
    reply = run("privacy", "erase", "--before", "2000-01-01")
    assert (reply.exit_code, "in 1 call." in reply.stdout) == (0, True)
    assert kept(web_bench, old) == (None, None)
    assert (kept(web_bench, new) or (None, None))[1] == "…5678"


def test_more_calls_than_one_batch_are_erased(web_bench: Bench, run: Callable[..., Result]) -> None:
    digest = numbers.digest(b"a secret of the tests", CUSTOMER)
    services = web_bench.services

    def fill(transaction: object) -> None:
        for index in range(450):
            callers.note(transaction, f"CA{index:032x}", digest, "…5678")  # type: ignore[arg-type]

    services.journal.write(fill)
    reply = run("privacy", "erase", "--number", CUSTOMER)
    assert "in 450 calls." in reply.stdout
    assert [entry["detail"]["calls"] for entry in web_bench.entries(type="privacy.erased")] == [200, 200, 50]


def test_erasing_what_is_not_there_says_so_and_is_told(web_bench: Bench, run: Callable[..., Result]) -> None:
    for arguments in (["--number", OTHER], ["--call", NOWHERE], ["--before", "2000-01-01"]):
        reply = run("privacy", "erase", *arguments)
        assert (reply.exit_code, "in 0 calls." in reply.stdout) == (0, True)
    assert [entry["detail"]["calls"] for entry in web_bench.entries(type="privacy.erased")] == [0, 0, 0]
    assert kept(web_bench, NOWHERE) is None


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--number", CUSTOMER, "--call", NOWHERE],
        ["--number", "030 1234"],
        ["--call", "CA1"],
        ["--before", "yesterday"],
    ],
)
def test_erasing_without_one_clear_wish_is_refused(
    web_bench: Bench, run: Callable[..., Result], arguments: list[str]
) -> None:
    assert run("privacy", "erase", *arguments).exit_code == 2
    assert web_bench.entries(type="privacy.erased") == []


def test_show_says_how_much_is_kept(web_bench: Bench, run: Callable[..., Result]) -> None:
    for _ in range(2):
        web_bench.place_call(customer=CUSTOMER)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    reply = run("privacy", "show", "--number", "-", typed="+49 30 12345678\n")
    assert (reply.exit_code, reply.stdout) == (
        0,
        f"Of 2 calls from {today} to {today} a digest and the last four digits are kept.\n",
    )
    assert run("privacy", "show", "--number", OTHER).stdout == "Nothing is kept of this number.\n"
    assert [entry["detail"] for entry in web_bench.entries(type="privacy.shown")] == [{"calls": 2}, {"calls": 0}]
    assert run("privacy", "show", "--number", "alice").exit_code == 2


def test_every_entry_about_numbers_has_its_sentence() -> None:
    assert {"privacy.erased", "privacy.shown"} <= set(SENTENCES)

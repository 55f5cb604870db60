"""A short soak on each database; the long one is `make soak`. And that what it relies on finds what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.api import Answer, Json
from tests.soak.ledger import Ledger
from tests.soak.plan import Plan, parse
from tests.soak.report import Report, table
from tests.soak.run import run
from tests.soak.truth import Truth

KILLS = 20
PLAN = Plan(kills=KILLS, kills_of_a_round=KILLS, pace_seconds=0.8, clients=6, seconds=60.0, settle_seconds=60.0, seed=7)
"""Settling has a generous limit here: that it takes at most 10 s is for `make soak` to say, on a machine of its own."""
HOLDER = "api:crm"
CALL = "CA" + "a" * 32
STATE: Json = {
    "safe_to_take_card": True,
    "holds": [{"id": "h1", "holder": HOLDER}],
    "recordings": [{"sid": "RE1", "state": "paused"}],
}
OPENED: Json = {"type": "hold.opened", "call": CALL, "detail": {"hold": "h1"}}
EXTENDED: Json = {"type": "hold.extended", "call": CALL, "detail": {"hold": "h1"}}
RELEASED: Json = {"type": "hold.released", "call": CALL, "detail": {"hold": "h1"}}
CONFIRMED: Json = {"type": "command.confirmed", "call": CALL, "recording": "RE1", "detail": {"wish": "paused"}}


@pytest.mark.timeout(240)  # it starts dozens of processes, perhaps beside other tests; alone it takes half a minute
def test_random_kills_under_load_lose_nothing(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "soak"
    folder.mkdir()
    report = run(PLAN, database_url.partition(":")[0].partition("+")[0], database_url, folder)
    print(table([report]))
    assert report.wrong == []
    assert (report.lost, report.unsafe, report.overlaps, report.verified, report.rests) == (0, 0, 0, True, 1)
    assert report.kills.total() == KILLS
    assert min(report.calls, report.commands, report.acknowledged) > 0


def paused_and_released() -> Ledger:
    """Two answered pauses with one hold, and its release."""
    ledger = Ledger()
    for answer in (Answer(504, {"call": STATE}), Answer(200, STATE)):
        assert ledger.paused(CALL, HOLDER, answer) == "h1"
    ledger.resumed(CALL, "h1", Answer(200, {}))
    return ledger


def test_ledger_with_every_entry_in_the_log_misses_nothing() -> None:
    ledger = paused_and_released()
    assert ledger.lost([OPENED, EXTENDED, RELEASED, CONFIRMED]) == []
    assert ledger.acknowledged == 4


@pytest.mark.parametrize("missing", [OPENED, EXTENDED, RELEASED, CONFIRMED], ids=lambda entry: str(entry["type"]))
def test_ledger_misses_each_entry_that_was_acknowledged(missing: Json) -> None:
    log = [entry for entry in (OPENED, EXTENDED, RELEASED, CONFIRMED) if entry is not missing]
    assert len(paused_and_released().lost(log)) == 1


def test_refused_request_acknowledges_nothing() -> None:
    ledger = Ledger()
    assert (
        ledger.paused(CALL, HOLDER, Answer(409, {"code": "call-over", "call": {"holds": [], "recordings": []}})) is None
    )
    ledger.resumed(CALL, "h1", Answer(504, {"call": STATE}))
    assert (ledger.acknowledged, ledger.lost([])) == (0, [])


def test_truth_names_the_recordings_that_run() -> None:
    truth = Truth(is_live=True, states={"RE1": "paused", "RE2": "in-progress", "RE3": "in-progress"})
    assert truth.running(frozenset({"RE1", "RE2", "RE9"})) == frozenset({"RE2"})


def test_plan_is_what_the_command_line_says() -> None:
    plan = parse(["--database", "sqlite", "--kills", "40", "--seed", "3"])
    assert (plan.databases, plan.kills, plan.seed) == (("sqlite",), 40, 3)
    assert plan.chance("a").random() == plan.chance("a").random() != plan.chance("b").random()


@pytest.mark.parametrize("wrong", [["--kills", "0"], ["--clients", "65"], ["--pace", "0"], ["--database", "oracle"]])
def test_plan_refuses_what_makes_no_sense(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(wrong)
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_table_says_what_was_wrong() -> None:
    shown = table([Report("sqlite", calls=1_200), Report("postgresql", wrong=["the log does not verify"])])
    lines = [line.split() for line in shown.splitlines()]
    assert lines[:2] == [["SQLite", "PostgreSQL"], ["calls", "1,200", "0"]]
    assert ["log", "verified", "NO", "NO"] in lines
    assert shown.endswith("  WRONG: the log does not verify")

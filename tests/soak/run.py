"""One run on one database: rounds of kills under load, a rest after each, and the reckoning at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bot.storage.engine import Database
from tests.soak.calls import Calls
from tests.soak.checks import Settling, all_entries
from tests.soak.killer import Killer
from tests.soak.ledger import Ledger
from tests.soak.load import Load
from tests.soak.plan import Plan
from tests.soak.report import Report
from tests.soak.stack import SoakStack, running_stack

CALLS_OF_A_CLIENT = 1.0
REPEATS = ("ok", "21220")


def run(plan: Plan, database: str, url: str, folder: Path, tell: Callable[[], object] = lambda: None) -> Report:
    """`url` is a new, empty database, `folder` a new, empty folder; `tell` is called after each kill."""
    with running_stack(folder, url, plan.clients) as stack:
        return _Run(plan, database, stack).all(tell)


class _Run:
    def __init__(self, plan: Plan, database: str, stack: SoakStack) -> None:
        self._plan = plan
        self._stack = stack
        self._report = Report(database)
        self._calls = Calls(stack.twilio, round(plan.clients * CALLS_OF_A_CLIENT))
        self._ledger = Ledger()
        self._load = Load(
            stack.clients, stack.twilio, self._calls, self._ledger, lambda name: plan.chance(database, name)
        )
        self._killer = Killer(stack.keeper, plan.chance(database, "kills"), plan.pace_seconds)
        self._database = Database(stack.environment["DATABASE_URL"])
        self._settling = Settling(self._database, stack.twilio, self._calls)

    def all(self, tell: Callable[[], object]) -> Report:
        chance, deadline = self._plan.chance("twilio"), time.monotonic() + self._plan.seconds
        left = self._plan.kills
        try:
            while left > 0 and time.monotonic() < deadline:
                self._stack.twilio.set(repeat=chance.choice(REPEATS))
                self._round(min(left, self._plan.kills_of_a_round), deadline, tell)
                left -= self._plan.kills_of_a_round
        finally:
            self._load.close()
            self._database.close()
        self._reckon()
        return self._report

    def _round(self, kills: int, deadline: float, tell: Callable[[], object]) -> None:
        self._load.go()
        self._killer.kill(kills, deadline, tell)
        self._load.rest()
        took, unsettled = self._settling.wait(time.monotonic(), self._plan.settle_seconds)
        self._load.wait_idle()
        report = self._report
        report.rests += 1
        report.slowest_settlement_seconds = max(took, report.slowest_settlement_seconds)
        report.wrong += [f"not settled after {took:.1f} s: {sentence}" for sentence in unsettled]
        if took > self._plan.settle_seconds and not unsettled:
            report.wrong.append(f"all settled, but only after {took:.1f} s")

    def _reckon(self) -> None:
        report, noted = self._report, self._load.noted
        counters = self._stack.twilio.counters()
        entries = all_entries(self._stack.auditor)
        lost = self._ledger.lost(entries)
        verified = self._stack.bot("audit", "verify")
        report.calls, report.commands, report.overlaps = self._calls.placed, counters["commands"], counters["overlaps"]
        report.answers, report.faults, report.looks = noted.answers, noted.faults, noted.looks
        report.kills = self._killer.done
        report.taken_over = sum(entry["type"] == "command.abandoned" for entry in entries)
        report.entries, report.acknowledged, report.lost = len(entries), self._ledger.acknowledged, len(lost)
        report.unsafe, report.verified = len(noted.unsafe), verified.returncode == 0
        report.wrong += [f"not paused: {one}" for one in noted.unsafe]
        report.wrong += [f"lost: {one}" for one in lost]
        report.wrong += noted.odd
        if report.overlaps:
            report.wrong.append(f"{report.overlaps} commands overlapped another one for the same call")
        if not report.verified:
            report.wrong.append(f"the log does not verify: {verified.stdout}{verified.stderr}")

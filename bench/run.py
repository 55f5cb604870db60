"""The whole run, in order; every line is printed as soon as it is known."""

from __future__ import annotations

import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import text

from bench import ledger, load, report, subjects
from bench.floor import Floor
from bench.plan import DELAY_SECONDS, Plan, parse
from bench.processes import Processes, StartError
from bot.storage.engine import Database, is_wal_safe, sqlite_module
from tests.support.missing import MissingPartError
from tests.support.postgres import Server, postgres_server

REQUESTS_OF_A_PAUSE = 2
"""The POST and the list of recordings beside it."""
SHARE_OF_CAPACITY_MAX = 0.5
"""Above this share of what the stand-in can do, it may be what is measured."""


BUSY = 0.7
"""A load average before the run above which other programs take part of what is measured."""


def main() -> int:
    plan = parse()
    signal.signal(signal.SIGTERM, _end)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            Run(plan, Path(folder)).all()
    except (StartError, MissingPartError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    return 0


def _end(*_: object) -> None:
    raise KeyboardInterrupt


class Run:
    """One run; what it starts is ended when it is over."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._naive_per_second = 0.0
        self._capacity_per_second = 0.0
        self._standin: subjects.StandIn

    def all(self) -> None:
        _say(f"Times are multiples of the {DELAY_SECONDS * 1000:.0f} ms after which the stand-in for Twilio answers.")
        _say(machine_words())
        if self._plan.is_quick:
            _say("A quick run: it shows that everything works, its figures mean little.")
        needs_server = "postgresql" in self._plan.databases
        with postgres_server() if needs_server else nullcontext() as server, Processes(self._folder) as processes:
            self._standin = subjects.start_standin(processes)
            self._measure_standin()
            self._measure_floor()
            self._measure_naive()
            for name in self._plan.databases:
                self._measure_bot(name, server)

    def _measure_standin(self) -> None:
        clients, seconds = self._plan.capacity_clients, min(3.0, self._plan.seconds)
        with self._cpu() as used:
            found = load.closed_loop(self._standin.target, clients, seconds)
        self._capacity_per_second = found.per_second
        pauses = found.per_second / REQUESTS_OF_A_PAUSE
        _say(f"\nThe stand-in alone, {clients:,} clients in a closed loop")
        _say(
            f"  at least {found.per_second:,.0f} requests a second, enough for {pauses:,.0f} pauses; "
            f"median {report.of_delay(found.times, 0.5):.2f} ×, p99 {report.of_delay(found.times, 0.99):.2f} ×"
        )
        _say(used())

    def _measure_floor(self) -> None:
        plan = self._plan
        _say("\nFloor: a bare urllib3 POST from a thread, no bot")
        floor = Floor(self._standin.port, subjects.ACCOUNT, max(plan.clients, plan.burst))
        try:
            loads = report.Loads(
                floor.one_at_a_time(plan.singles),
                floor.at_once(plan.burst, plan.rounds),
                floor.closed_loop(plan.clients, plan.seconds),
            )
        finally:
            floor.close()
        self._print(loads, plan.rounds)

    def _measure_naive(self) -> None:
        plan = self._plan
        _say("\nNaive: gunicorn sync × 2, Client() for each request, one INSERT as log (SQLite)")
        with subjects.naive(self._folder / "naive", self._standin) as target:
            loads = report.Loads(
                load.one_at_a_time(target, plan.singles),
                load.at_once(target, plan.burst, plan.naive_rounds, warm=False),
                load.closed_loop(target, plan.clients, plan.seconds),
            )
        self._naive_per_second = loads.loop.per_second
        self._print(loads, plan.naive_rounds)

    def _measure_bot(self, name: str, server: Server | None) -> None:
        plan, folder = self._plan, self._folder / name
        url = server.new_database() if server and name == "postgresql" else f"sqlite:///{folder / 'bot.sqlite3'}"
        web = f"WEB_CONCURRENCY={subjects.WEB_CONCURRENCY}"
        _say(f"\nThe bot on {database_words(url)}, both of Procfile's processes, {web}")
        with subjects.bot(folder, self._standin, url) as bot:
            singles = load.one_at_a_time(bot.target, plan.singles)
            burst = load.at_once(bot.target, plan.burst, plan.rounds)
            with self._cpu() as used:
                before = bot.cpu_seconds()
                loop = load.closed_loop(bot.target, plan.clients, plan.seconds)
                cpu = (bot.cpu_seconds() - before) / max(1, len(loop.calls))
        loads = report.Loads(singles, burst, loop)
        self._print(loads, plan.rounds, naive_per_second=self._naive_per_second)
        share = REQUESTS_OF_A_PAUSE * loop.per_second / self._capacity_per_second
        bottleneck = ": IT MAY BE THE BOTTLENECK" if share > SHARE_OF_CAPACITY_MAX else ""
        _say(f"{used()}, bot {cpu * 1000:.1f} ms a pause; the stand-in did {share:.0%} of what it can do{bottleneck}")
        answered = (*singles.calls, *burst.calls, *loop.calls)
        _say(report.ledger_line(ledger.read(url, bot.vkey, answered)))

    def _print(self, loads: report.Loads, rounds: int, *, naive_per_second: float | None = None) -> None:
        plan = self._plan
        words = (
            f"{plan.singles} one by one",
            f"{plan.burst} at once, {rounds} times",
            f"{plan.clients} clients, {plan.seconds:g} s",
        )
        for line in report.lines(loads, words, naive_per_second=naive_per_second):
            _say(line)

    @contextmanager
    def _cpu(self) -> Iterator[Callable[[], str]]:
        """What the stand-in and the load generator used of one core each, inside the block."""
        began, ours, theirs = time.perf_counter(), time.process_time(), self._standin.cpu_seconds()
        used: list[float] = []
        yield lambda: f"  CPU in that time: stand-in {used[0]:.0%} of a core, load generator {used[1]:.0%}"
        seconds = time.perf_counter() - began
        used += [(self._standin.cpu_seconds() - theirs) / seconds, (time.process_time() - ours) / seconds]


def machine_words() -> str:
    """What it is, and whether it is busy with something else."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load_average = os.getloadavg()[0]
    busy = ": BUSY WITH SOMETHING ELSE, so what follows is too slow" if load_average > BUSY else ""
    machine = f"{cores} cores, Python {platform.python_version()}, {platform.system()}"
    return f"This machine: {machine}, load average before the run {load_average:.2f}{busy}."


def database_words(url: str) -> str:
    """Product, version and how it commits."""
    if url.startswith("sqlite"):
        module = sqlite_module()
        mode = "WAL, FULL" if is_wal_safe(module.sqlite_version_info) else "rollback journal, EXTRA"
        return f"SQLite {module.sqlite_version} ({mode})"
    database = Database(url)
    try:
        with database.read() as connection:
            return f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"
    finally:
        database.close()


def _say(line: str) -> None:
    print(line, flush=True)

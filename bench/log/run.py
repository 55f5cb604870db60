"""The whole run, in order; every line is printed as soon as it is known."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.log import append, export, verify
from bench.processes import StartError
from bench.report import Figure
from bench.run import database_words, machine_words
from tests.support.missing import MissingPartError
from tests.support.postgres import postgres_server

APPEND_MAX = 1.25
VERIFY_SHARE_MIN = 0.5
TWO_JOBS_MIN = 1.8
EXPORT_MB_MAX = 100.0
MB = 1_000_000


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench log", description="What the log costs, as ratios in one run.")
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it works, not how fast it is")
    parser.add_argument("--entries", type=int, default=1_000_000, help="length of the long log (1000000)")
    given = parser.parse_args(arguments)
    if given.entries < 1:
        parser.error("--entries is at least 1")
    entries, appends = (2_000, 20) if given.quick else (given.entries, 2_000)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            _run(Path(folder), entries, appends)
    except (StartError, MissingPartError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    return 0


def _run(folder: Path, entries: int, appends: int) -> None:
    _say(machine_words())
    _say(f"\nAppending one entry, one writer, beside a bare INSERT of the same row with its commit ({appends:,} each)")
    _append(f"sqlite:///{folder / 'append.sqlite3'}", appends)
    with postgres_server() as server:
        _append(server.new_database(), appends)
    found = verify.measure(folder / "verified", entries)
    rate = found.bytes / MB / found.one_job
    _say(f"\nVerifying an export of {entries:,} entries, {found.bytes / MB:,.0f} MB, one core: {rate:,.0f} MB a second")
    _say(f"  of the rate of hashing the file as one     {_share(found.stream / found.one_job, VERIFY_SHARE_MIN)}")
    _say(f"  of the rate of hashing line by line        {_share(found.lines / found.one_job)}")
    _say(f"  with two jobs                              {_times(found.one_job / found.two_jobs, TWO_JOBS_MIN)}")
    memory = export.measure(folder / "exported", entries)
    _say(f"\nExporting {memory.entries:,} entries with `bot audit export`, peak of its memory")
    goal = "reached" if memory.peak < EXPORT_MB_MAX * MB else "NOT REACHED"
    one = f"for one entry {memory.peak_of_one / MB:.0f} MB"
    _say(f"  {memory.peak / MB:.0f} MB (goal < {EXPORT_MB_MAX:.0f}: {goal}); {one}")


def _append(url: str, count: int) -> None:
    found = append.measure(url, count)
    _say(f"  {database_words(url)}: a bare INSERT took {found.bare * 1e6:,.0f} µs")
    _say(f"    the entry and the tree's head            {Figure(found.entry / found.bare, '×', most=APPEND_MAX)}")
    _say(f"    with a row of state                      {Figure(found.with_state / found.bare, '×', most=APPEND_MAX)}")
    _say(f"    an entry where {append.WRITERS} write at once           {Figure(found.together / found.bare, '×')}")


def _share(value: float, least: float | None = None) -> str:
    goal = "" if least is None else f" (goal ≥ {least:g}: {'reached' if value >= least else 'NOT REACHED'})"
    return f"{value:.2f}{goal}"


def _times(value: float, least: float) -> str:
    return f"{value:.2f} × (goal ≥ {least:g}: {'reached' if value >= least else 'NOT REACHED'})"


def _say(line: str) -> None:
    print(line, flush=True)

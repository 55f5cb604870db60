"""A tiny run of the benchmark, with every process that a real one has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 170
LOAD = r"median [0-9.]+ ×.*, p99 [0-9.]+ ×.*, not 200: 0\n"
LOADS = (
    rf"  3 one by one +{LOAD}",
    rf"  10 at once, 1 times +{LOAD}",
    r"  10 clients, 0.5 s +median [0-9.]+ ×.*, not 200: [0-9]+.*\n",
    r" +[0-9,]+ a second.*\n",
)
LOG_GOAL = r"\(goal [≤≥<] [0-9.]+: (?:reached|NOT REACHED)\)"
GOAL = r"\(goal [≤≥] [0-9.]+: (?:reached|NOT REACHED)\)"


@pytest.mark.timeout(180)  # it starts a dozen processes, perhaps beside other tests; alone it takes 20 s
def test_quick_run_prints_every_row() -> None:
    done = run("--quick")
    assert (done.returncode, done.stderr) == (0, "")
    rows = done.stdout.split("\n\n")
    assert [row.split(" ")[0:2] for row in rows[1:]] == [
        ["The", "stand-in"],
        ["Floor:", "a"],
        ["Naive:", "gunicorn"],
        ["The", "bot"],
        ["The", "bot"],
    ]
    assert "cores, Python" in rows[0]
    for row in rows[2:]:
        assert re.search("".join(LOADS), f"{row}\n"), row
    assert [len(re.findall(GOAL, row)) for row in rows] == [0, 0, 0, 0, 5, 5]
    for row, database in zip(rows[4:], ("SQLite", "PostgreSQL"), strict=True):
        assert f"The bot on {database}" in row
        assert re.search(r"entries, verifies \(.*answered 200, all have hold.opened", row), row


@pytest.mark.timeout(120)
def test_quick_run_of_the_log_prints_every_figure() -> None:
    done = run("log", "--quick")
    assert (done.returncode, done.stderr) == (0, "")
    rows = done.stdout.split("\n\n")
    assert [row.split(" ")[0] for row in rows[1:]] == ["Appending", "Verifying", "Exporting"]
    assert [len(re.findall(LOG_GOAL, row)) for row in rows[1:]] == [4, 2, 1]


def test_run_refuses_a_length_of_nothing() -> None:
    done = run("--seconds", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--seconds is more than 0" in done.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )

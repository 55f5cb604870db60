"""The log's commands on a log that real processes wrote, and a checker that shares no code with the bot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.simulator.client import SimulatorClient
from tests.audit.independent_checker import check
from tests.conftest import ALICE, DATABASES
from tests.e2e.processes import ROOT
from tests.e2e.stack import Stack

pytestmark = pytest.mark.parametrize("stack", DATABASES, indirect=True)
FOREIGN_LINE = b'{"type":"hold.released"}\n'


@pytest.fixture
def export(stack: Stack, twilio: SimulatorClient, tmp_path: Path) -> Path:
    """An export of a log with at least one whole pause in it."""
    call = twilio.place_call(agent=ALICE.contact, recordings=2)
    twilio.settle()
    assert stack.api.pause(call.call).is_safe
    assert stack.api.resume(call.call).status == 200
    folder = tmp_path / "export"
    done = stack.bot("audit", "export", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_verify_finds_the_log_good(stack: Stack) -> None:
    done = stack.bot("audit", "verify")
    assert (done.returncode, done.stderr) == (0, "")


def test_checkpoint_prints_a_signed_note_that_extends_the_workers(stack: Stack) -> None:
    first = stack.bot("audit", "checkpoint").stdout.split("\n")
    assert first[0] == stack.environment["AUDIT_ORIGIN"]
    assert first[3:4] == [""]
    assert first[4].startswith(f"\N{EM DASH} {first[0]} ")
    assert int(stack.bot("audit", "checkpoint").stdout.split("\n")[1]) >= int(first[1])
    assert "checkpoint.failed" not in stack.worker.output()


def test_export_ends_at_its_checkpoint_and_verifies_twice(stack: Stack, export: Path) -> None:
    """By the bot's own command and, as a program of its own, by the independent checker."""
    lines = (export / "entries.jsonl").read_bytes().splitlines()
    assert int((export / "checkpoint").read_text(encoding="utf-8").split("\n")[1]) == len(lines)
    assert stack.bot("audit", "verify", str(export)).returncode == 0
    checker = ROOT / "tests" / "audit" / "independent_checker.py"
    done = subprocess.run(
        [sys.executable, str(checker), str(export)], cwd="/", check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


CHANGES: dict[str, Callable[[list[bytes], int], list[bytes]]] = {
    "changed": lambda lines, at: [*lines[:at], lines[at].replace(b'"v":1', b'"v":2'), *lines[at + 1 :]],
    "dropped": lambda lines, at: [*lines[:at], *lines[at + 1 :]],
    "swapped": lambda lines, at: [*lines[: at - 1], lines[at], lines[at - 1], *lines[at + 1 :]],
    "added": lambda lines, at: [*lines[:at], FOREIGN_LINE, *lines[at:]],
    "repeated": lambda lines, at: [*lines[:at], lines[at], *lines[at:]],
}


def test_export_with_any_single_line_tampered_with_is_found_out(stack: Stack, export: Path) -> None:
    """Every line, in every way, by the independent checker; the last of them by the bot's own verification too."""
    entries = export / "entries.jsonl"
    lines = entries.read_bytes().splitlines(keepends=True)
    missed = []
    for way, change in CHANGES.items():
        for at in range(1 if way == "swapped" else 0, len(lines)):
            entries.write_bytes(b"".join(change(lines, at)))
            missed += [] if check(export) else [f"line {at + 1} {way}"]
    assert missed == []
    assert stack.bot("audit", "verify", str(export)).returncode == 1

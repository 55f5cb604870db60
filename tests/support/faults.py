"""System calls that fail, or at which the process is killed: one at a time, each that a command makes on certain files.

With `strace -e inject` where it works: then it is the kernel's answer that is forged, whoever in the process asks.
`PythonCalls` serves everywhere else: it forges the answers of Python's own functions on files, and so misses what
happens inside libraries such as SQLite.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tests.support.missing import MissingPartError

Fault = Literal["EIO", "ENOSPC", "KILL"]
SECONDS = 50
_LINE = re.compile(r"^([0-9]+) +([a-z0-9_]+)\(")
_WRAPPER = Path(__file__).with_name("failing_python.py")


@dataclass(frozen=True, order=True)
class Place:
    """The so-and-so-many-th call of this name, from 1, in whichever thread comes to it."""

    call: str
    number: int


@dataclass(frozen=True)
class Done:
    output: str
    errors: str
    code: int
    was_hit: bool
    """Whether the place was reached at all."""


class Faults(Protocol):
    name: str

    def places(self, command: Sequence[str], paths: Sequence[Path]) -> list[Place]:
        """Run it undisturbed, and say which calls it made on these files."""

    def run(self, command: Sequence[str], paths: Sequence[Path], place: Place, fault: Fault) -> Done:
        """Run it with this one fault. `command` are arguments of Python."""


def faults() -> Faults:
    """The best that works here."""
    return Strace() if does_strace_work() else PythonCalls()


def find_strace() -> None:
    if not does_strace_work():
        raise MissingPartError("strace", "no strace, or it may not trace")


@functools.cache
def does_strace_work() -> bool:
    strace = shutil.which("strace")
    if strace is None:
        return False
    command = [strace, "-f", "-o", os.devnull, "-P", os.devnull, "-e", "inject=write:error=EIO:when=1000", "true"]
    return subprocess.run(command, capture_output=True, check=False, timeout=SECONDS).returncode == 0


class Strace:
    name = "strace"

    def places(self, command: Sequence[str], paths: Sequence[Path]) -> list[Place]:
        done, trace = _traced(command, paths, ())
        assert done.returncode == 0, done.stderr
        return _numbered([(found[1], found[2]) for line in trace.splitlines() if (found := _LINE.match(line))])

    def run(self, command: Sequence[str], paths: Sequence[Path], place: Place, fault: Fault) -> Done:
        what = "signal=KILL" if fault == "KILL" else f"error={fault}"
        done, trace = _traced(command, paths, ("-e", f"inject={place.call}:{what}:when={place.number}"))
        was_hit = "(INJECTED)" in trace or "killed by SIGKILL" in trace
        return Done(done.stdout, done.stderr, done.returncode, was_hit)


def _traced(
    command: Sequence[str], paths: Sequence[Path], inject: Sequence[str]
) -> tuple[subprocess.CompletedProcess[str], str]:
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as trace:
        on = [word for path in paths for word in ("-P", str(path))]
        whole = ["strace", "-f", "-qq", "-o", trace.name, *on, *inject, sys.executable, *command]
        done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=SECONDS)
        return done, trace.read()


def _numbered(calls: Sequence[tuple[str, str]]) -> list[Place]:
    """Of (thread, call); each place once, in the order in which they were come to first."""
    return list(dict.fromkeys(Place(call[1], calls[: at + 1].count(call)) for at, call in enumerate(calls)))


class PythonCalls:
    name = "Python's functions"

    def places(self, command: Sequence[str], paths: Sequence[Path]) -> list[Place]:
        done, seen = _wrapped(command, paths, None, None)
        assert done.returncode == 0, done.stderr
        return _numbered([("", call) for call in seen])

    def run(self, command: Sequence[str], paths: Sequence[Path], place: Place, fault: Fault) -> Done:
        done, seen = _wrapped(command, paths, place, fault)
        return Done(done.stdout, done.stderr, done.returncode, seen.count(place.call) >= place.number)


def _wrapped(
    command: Sequence[str], paths: Sequence[Path], place: Place | None, fault: Fault | None
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    with tempfile.NamedTemporaryFile("r", suffix=".calls") as calls:
        plan = {
            "calls": calls.name,
            "paths": [str(path) for path in paths],
            "call": place.call if place else None,
            "number": place.number if place else 0,
            "fault": fault,
        }
        whole = [sys.executable, str(_WRAPPER), json.dumps(plan), *command]
        done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=SECONDS)
        return done, calls.read().split()

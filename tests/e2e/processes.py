"""Processes that a test starts: each in a group of its own, its output in a file, ended by its own ids."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
END_SECONDS = 12.0
"""How long a process may take to end when it is asked to; then its whole group is killed."""
LOOK_SECONDS = 0.05
PER_PROJECT = (
    "SECRET_KEY", "PUBLIC_BASE_URL", "TWILIO_", "AUDIT_", "DATABASE_", "PAUSE_", "TRUSTED_", "REDIRECT_", "WEB_",
    "PORT", "HOST", "FLASK_", "GUNICORN_", "PAYMENT_", "VOICE_", "DTMF_",
)  # fmt: skip
"""Beginnings of what an environment may say to the bot: none of it reaches a test unless the test says it."""


@dataclass(frozen=True)
class Running:
    """A process that was started, and where its output goes."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def children(self) -> list[int]:
        """The ids of the processes that it started itself and that still run."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in listed.read_text(encoding="ascii").split()] if listed.exists() else []

    def signal_all(self, number: int) -> None:
        """A signal to the process and everything it started, as its group is its own."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def end(self) -> None:
        """Ask it to end, and kill what is left of its group."""
        self.signal_all(signal.SIGCONT)
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SECONDS)
        self.signal_all(signal.SIGKILL)
        self.process.wait()


def start(command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path = ROOT) -> Running:
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    return Running(process, log)


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path = ROOT
) -> Iterator[Running]:
    """The process for as long as the block runs."""
    started = start(command, environment, log, folder)
    try:
        yield started
    finally:
        started.end()


def clean_environment() -> dict[str, str]:
    """Ours, without what the bot would read from it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PER_PROJECT)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def until(look: Callable[[], T], within_seconds: float, what: str) -> T:
    """Look until there is something to be seen, and give that back. AssertionError, naming it, if it takes too long."""
    deadline = time.monotonic() + within_seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {within_seconds} s: {what}; last seen: {seen!r}"
        time.sleep(LOOK_SECONDS)
    return seen

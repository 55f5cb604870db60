"""Starting the simulator as a real process on a free port."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.simulator.client import SimulatorClient

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "token-of-the-simulated-account"
KEY_SID = "SK" + "fedcba9876543210" * 2
KEY_SECRET = "secret-of-the-simulated-key"
CREDENTIALS = {
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "TWILIO_API_KEY_SID": KEY_SID,
    "TWILIO_API_KEY_SECRET": KEY_SECRET,
}
_START_SECONDS = 20
_END_SECONDS = 10
_READY = "simulator listening on "


@dataclass(frozen=True)
class Simulator:
    """A running simulator."""

    url: str
    process: subprocess.Popen[str]
    client: SimulatorClient


def launch(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """``python -m bot.simulator`` with these arguments; the caller ends it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TWILIO_")}
    return subprocess.Popen(
        [sys.executable, "-m", "bot.simulator", *arguments],
        cwd=ROOT,
        env=kept | (CREDENTIALS if env is None else env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ready_url(process: subprocess.Popen[str]) -> str:
    """The address in the line the simulator prints when it is ready."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], _START_SECONDS)[0], "the simulator did not say that it is ready"
    line = process.stdout.readline().strip()
    assert line.startswith(_READY), line or process.communicate()[1]
    return line.removeprefix(_READY)


@contextmanager
def running(webhook_base: str = "http://127.0.0.1:1") -> Iterator[Simulator]:
    """A simulator for as long as the block runs; no thread of it may have died of an error."""
    process = launch("--port", "0", "--webhook-base", webhook_base)
    try:
        url = ready_url(process)
        yield Simulator(url, process, SimulatorClient(url))
    finally:
        process.terminate()
        _, complaints = process.communicate(timeout=_END_SECONDS)
    assert complaints == ""

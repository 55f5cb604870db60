"""The memory of `bot audit export`, which signs, writes and verifies a log of any length: the peak of its process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.log.fill import fill
from bench.processes import StartError, environment
from bot.storage.engine import Database

KIB = 1024


@dataclass(frozen=True, slots=True)
class Exported:
    """Peak of the resident set, in bytes: for a log of `entries`, and for one of a single entry."""

    entries: int
    peak: int
    peak_of_one: int


def measure(folder: Path, count: int) -> Exported:
    peaks = []
    for size in (1, count):
        place = folder / str(size)
        place.mkdir(parents=True)
        env = _settings(place)
        _bot(env, place, "init-db")
        database = Database(env["DATABASE_URL"])
        fill(database, size)
        database.close()
        peaks.append(_bot(env, place, "audit", "export", str(place / "export")))
    return Exported(count, peaks[1], peaks[0])


def _settings(folder: Path) -> dict[str, str]:
    return environment(
        SECRET_KEY="of no secret, for there is no web process",
        PUBLIC_BASE_URL="http://127.0.0.1:8000",
        TWILIO_ACCOUNT_SID="AC" + "0123456789abcdef" * 2,
        TWILIO_AUTH_TOKEN="none",
        AUDIT_ORIGIN="bench.invalid/log",
        AUDIT_SIGNING_KEY_FILE=str(folder / "key.pem"),
        DATABASE_URL=f"sqlite:///{folder / 'bot.sqlite3'}",
    )


def _bot(env: dict[str, str], folder: Path, *arguments: str) -> int:
    """The peak of its resident set in bytes, as the kernel counted it."""
    command = [sys.executable, "-m", "bench.log.peak", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(f"`bot {' '.join(arguments)}` ended with {done.returncode}: {done.stderr[-1000:]}")
    return int(done.stdout.split()[-1]) * KIB

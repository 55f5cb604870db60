"""The processes of a run: each started in a folder of its own, watched, and ended whatever happens."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 30.0
END_SECONDS = 10.0
OURS = ("TWILIO_", "DATABASE_", "AUDIT_", "PAUSE_", "PUBLIC_", "SECRET_", "WEB_", "GUNICORN_", "TRUSTED_", "REDIRECT_")


class StartError(Exception):
    """Something that the run needs could not be started; `str()` says what, in a sentence or two."""


def environment(**more: str) -> dict[str, str]:
    """This process's environment without any setting of a bot, and with the checkout importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Processes:
    """What was started inside the `with` block is ended at its end, the last one first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[tuple[subprocess.Popen[str], Path]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        while self._running:
            _end(self._running[-1][0])
            self._running.pop()

    def start(self, name: str, env: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
        """`python -m …` in a session of its own: Ctrl-C reaches it through us, and workers can be ended with it."""
        errors = self._folder / f"{name}.log"
        with errors.open("w", encoding="utf-8") as file:
            child = subprocess.Popen(
                (sys.executable, "-m", *arguments),
                cwd=self._folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if name == "standin" else file,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        self._running.append((child, errors))
        return child

    def cpu_seconds(self) -> float:
        """CPU time that all of them and their workers have used; not a number where there is no `/proc`."""
        sessions = {child.pid for child, _ in self._running}
        if not Path("/proc/self/stat").exists():
            return math.nan
        return sum(ticks for session, ticks in _sessions() if session in sessions) / os.sysconf("SC_CLK_TCK")

    def wait_ready(self, url: str) -> None:
        """Until a GET of `url` is answered 200. Raises `StartError` if that takes too long, or one process ended."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            for child, errors in self._running:
                if child.poll() is not None:
                    raise StartError(f"{errors.stem} ended with {child.returncode}: {_tail(errors)}")
            with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310 - http on loopback
                return
            time.sleep(0.05)
        raise StartError(f"{url} was not ready within {READY_SECONDS:g} s: {_tail(self._running[-1][1])}")


def _sessions() -> Iterator[tuple[int, int]]:
    """Session and CPU time in ticks of every process (proc(5), `stat`)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            yield int(fields[3]), int(fields[11]) + int(fields[12])


def _tail(errors: Path) -> str:
    return errors.read_text(encoding="utf-8", errors="replace").strip()[-1000:]


def _end(child: subprocess.Popen[str]) -> None:
    """TERM, and after a while KILL for its whole session; the leader is not reaped before, so its id is still its."""
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(END_SECONDS)
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.stdout is not None:
        child.stdout.close()

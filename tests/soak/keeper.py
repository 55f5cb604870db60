"""Processes as a platform keeps them: whatever ended is started again at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.e2e.processes import Running, start

LOOK_SECONDS = 0.1


class Keeper:
    """Runs the named commands from entering to leaving. What they print goes to the folder's `*.log`."""

    def __init__(self, commands: Mapping[str, Sequence[str]], environment: Mapping[str, str], folder: Path) -> None:
        self._commands = dict(commands)
        self._environment = dict(environment)
        self._folder = folder
        self._running: dict[str, Running] = {}
        self._orphans: list[int] = []
        self._lock = threading.Lock()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join()
        for one in self._running.values():
            one.end()
        for handle in self._orphans:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)

    def kill_child(self, name: str, chance: Random) -> bool:
        """SIGKILL to one of the processes that it started; False if there is none just now."""
        with self._lock:
            children = self._children(name)
            if not children:
                return False
            with suppress(ProcessLookupError):
                os.kill(chance.choice(children), signal.SIGKILL)
            return True

    def kill_leader(self, name: str) -> bool:
        """SIGKILL to the process itself; what it started lives on as orphans, for as long as it likes."""
        with self._lock:
            if not self._lives(name):
                return False
            for child in self._children(name):
                with suppress(ProcessLookupError):
                    self._orphans.append(os.pidfd_open(child))
            os.kill(self._running[name].pid, signal.SIGKILL)
            return True

    def kill_all(self, name: str) -> bool:
        """SIGKILL to the process and everything it started, in one instant."""
        with self._lock:
            if not self._lives(name):
                return False
            self._running[name].signal_all(signal.SIGKILL)
            return True

    def _lives(self, name: str) -> bool:
        return name in self._running and self._running[name].process.poll() is None

    def _children(self, name: str) -> list[int]:
        return self._running[name].children() if self._lives(name) else []

    def _keep(self) -> None:
        while not self._leaving.is_set():
            with self._lock:
                for name, command in self._commands.items():
                    if not self._lives(name):
                        self._running[name] = start(command, self._environment, self._folder / f"{name}.log")
            self._leaving.wait(LOOK_SECONDS)

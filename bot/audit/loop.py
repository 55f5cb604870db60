"""The signer's loop: in the worker, or as a process of its own. Each part has its own thread, so that none waits for
another: the rounds of the signer, and each anchor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

STOP_SECONDS = 3.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Part:
    """Something to do every so many seconds, the first time at once."""

    name: str
    seconds: float
    do: Callable[[], object]


class Loop:
    """Runs its parts from `start` to `stop`."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        for part in self._parts:
            thread = threading.Thread(target=self._run, args=(part,), name=part.name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let what was begun come to its end, but wait no longer than `STOP_SECONDS`: whatever is cut off there is done
        again by the next.
        """
        self._stopping.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, part: Part) -> None:
        while not self._stopping.is_set():
            try:
                part.do()
            except Exception:
                log.exception("signer.failed", part=part.name)
            self._stopping.wait(part.seconds)

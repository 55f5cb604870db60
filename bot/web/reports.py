"""Twilio's reports, taken in at once; those that the database's absence turned away, once it is back.

They were answered with 503, but by default Twilio sends a report again only if it could not connect. A new recording
would then stay unknown, and its call would go on reading *Paused*. They wait in memory: if the process dies, they are
lost.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import structlog

from bot.control import CallControl
from bot.errors import DatabaseUnavailable
from bot.telephony.webhooks import Report

AGAIN_SECONDS = 0.5
WAITING_MAX = 10_000

log = structlog.get_logger(__name__)


class Reports:
    """Safe for any number of threads. A report may be taken in late, twice or out of order, as from Twilio itself."""

    def __init__(self, control: CallControl) -> None:
        self._control = control
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_retrying = False
        self._closing = threading.Event()

    @property
    def are_waiting(self) -> bool:
        """Whether Twilio said something that we do not know yet."""
        return bool(self._waiting)

    def take_in(self, report: Report, digest: bytes) -> None:
        """Raises `DatabaseUnavailable` if that is left for later."""
        try:
            self._control.receive(report, digest)
        except DatabaseUnavailable:
            self.keep(lambda: self._control.receive(report, digest))
            raise

    def close(self) -> None:
        """Give up what still waits."""
        self._closing.set()

    def keep(self, what: Callable[[], object]) -> None:
        """Take this in once the database is back."""
        with self._lock:
            if len(self._waiting) >= WAITING_MAX:
                log.error("report.lost")
                return
            self._waiting.append(what)
            if not self._is_retrying:
                self._is_retrying = True
                threading.Thread(target=self._retry, name="reports", daemon=True).start()

    def _retry(self) -> None:
        """The oldest first, until none waits any more."""
        while not self._closing.wait(AGAIN_SECONDS):
            with suppress(DatabaseUnavailable):
                while self._waiting:
                    self._receive_late(self._waiting[0])
                    self._waiting.popleft()
            with self._lock:
                self._is_retrying = bool(self._waiting)
                if not self._is_retrying:
                    return

    def _receive_late(self, what: Callable[[], object]) -> None:
        try:
            what()
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("report.failed")

"""Whether the database works, as this process last saw it. The process's log says once that it went, and once that it
is back, however many requests failed in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

QUIET_SECONDS = 1.0
"""It is back once it works and nothing has failed for so long: a database that is busy fails some and not others."""

log = structlog.get_logger(__name__)


class Gap(NamedTuple):
    """When it did not work, by this process's clock, the driver's name for why, and what was turned away meanwhile."""

    since: datetime
    until: datetime
    why: str
    turned_away: int


class Watch:
    """`doing` is what is watched: "reading" or "writing". `on_back` is told of each gap once it is over.

    Safe for any number of threads.
    """

    def __init__(self, doing: str, on_back: Callable[[Gap], None] = lambda _: None) -> None:
        self._doing = doing
        self._on_back = on_back
        self._lock = threading.Lock()
        self._is_away = False
        self._worked_at = self._failed_at = float("-inf")
        self._since = datetime.now(UTC)
        self._why = ""
        self._turned_away = 0

    def worked(self) -> None:
        self._worked_at = time.monotonic()
        if self._is_away:
            self._come_back()

    def _come_back(self) -> None:
        with self._lock:
            if not self._is_away or self._worked_at - self._failed_at < QUIET_SECONDS:
                return
            self._is_away = False
            log.info("database.back", doing=self._doing)
            gap = Gap(self._since, datetime.now(UTC), self._why, self._turned_away)
        self._on_back(gap)

    def failed(self, error: BaseException, turned_away: int = 0) -> None:
        """`turned_away` is how much will not happen because of it."""
        with self._lock:
            self._failed_at = time.monotonic()
            if not self._is_away:
                self._is_away = True
                self._since, self._why, self._turned_away = datetime.now(UTC), _in_short(error), 0
                log.error("database.away", doing=self._doing, why=self._why)
            self._turned_away += turned_away

    def last_seen(self, within_seconds: float) -> bool | None:
        """Whether it worked when it was last tried; None if that is longer ago."""
        worked_at, failed_at = self._worked_at, self._failed_at
        if time.monotonic() - max(worked_at, failed_at) > within_seconds:
            return None
        return worked_at > failed_at


def _in_short(error: BaseException) -> str:
    """The driver's name for it. Its text may hold what a statement was about."""
    cause = error.__cause__ or error
    original = getattr(cause, "orig", None) or cause
    code = getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None)
    return f"{type(original).__name__} {code}" if code else type(original).__name__

"""Token buckets in this process: they keep a runaway client from taking all threads. Sign-ins are counted in the
database.
"""

from __future__ import annotations

import threading
import time

KEYS_MAX = 10_000


class Buckets:
    """For each key `burst` tokens, refilled at `per_second`. Each process counts for itself."""

    def __init__(self, *, burst: float, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[float, float]] = {}

    def has_room(self, key: str, *, burst: float | None = None, per_second: float | None = None) -> bool:
        """Take a token if there is one."""
        top = self._burst if burst is None else burst
        rate = self._per_second if per_second is None else per_second
        now = time.monotonic()
        with self._lock:
            if len(self._levels) > KEYS_MAX:
                self._levels.clear()
            level, at = self._levels.get(key, (top, now))
            level = min(top, level + (now - at) * rate)
            has_room = level >= 1
            self._levels[key] = (level - 1 if has_room else level, now)
        return has_room

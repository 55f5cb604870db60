"""The world's clock. It runs like a real one until a test freezes it, and then moves only when told to.

It dates everything in the world (recorded stretches, durations, timestamps). Delays of faults and callbacks, and the
request log, are in real time: they are about the wire.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime


class Clock:
    """Seconds since 1970. Not locked itself: it belongs to the world, and is used under the world's lock."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._frozen_at: float | None = None

    @property
    def frozen(self) -> bool:
        return self._frozen_at is not None

    def now(self) -> float:
        return time.time() + self._offset if self._frozen_at is None else self._frozen_at

    def freeze(self) -> None:
        self._frozen_at = self.now()

    def thaw(self) -> None:
        """Run on from where it stands: time never jumps back."""
        if self._frozen_at is not None:
            self._offset = self._frozen_at - time.time()
            self._frozen_at = None

    def advance(self, seconds: float) -> None:
        if self._frozen_at is None:
            self._offset += seconds
        else:
            self._frozen_at += seconds


def rfc2822(at: float) -> str:
    """As Twilio writes dates: ``Fri, 14 Oct 2016 21:56:34 +0000``."""
    return format_datetime(datetime.fromtimestamp(int(at), UTC))

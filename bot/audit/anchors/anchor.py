"""What an anchor is."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from bot.errors import LogError


class AnchorFailed(LogError):
    """The anchor did not take the note; the message says why, without addresses or secrets."""


class Anchor(Protocol):
    """A place that keeps notes. `every` is the least time between two of them."""

    @property
    def name(self) -> str:
        """How logs and findings call it: free of secrets, at most 200 characters, the same at every start."""

    @property
    def every(self) -> timedelta: ...

    def keep(self, note: str) -> bytes | None:
        """Send the note; the receipt, where the anchor gives one. Bounded in time. Raises `AnchorFailed`.

        The same note may come again: after a crash nobody knows whether it arrived.
        """

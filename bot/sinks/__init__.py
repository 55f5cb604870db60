"""The second copy of the log (PCI DSS 10.3.3), outside the reach of the database's owner.

Each entry is sent at least once, and never before all entries before it were received. `address` says where to, `file`,
`syslog` and `http` send one batch, `stream` keeps the cursor and decides which worker sends.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from bot.errors import BotError


class Batch(NamedTuple):
    """Entries in the order of the log, as their exact bytes; `first` is the position of the first."""

    first: int
    bodies: tuple[bytes, ...]


class SinkFailed(BotError):
    """Not received, or not known to be. `str()` says why in a few words, without anything of an entry."""


class TooLarge(SinkFailed):
    """The receiver takes less at once."""


class Sink(Protocol):
    """One destination. Used by one thread at a time."""

    def send(self, batch: Batch, seconds: float) -> None:
        """Return once the batch was received. Raises `SinkFailed`, at the latest after `seconds` on the wall clock."""

    def close(self) -> None: ...

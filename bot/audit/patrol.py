"""The whole log read again, a piece at a time, and compared with what was signed.

A signer goes on from its last entry, so it would not see that an earlier one was changed in the database. The patrol
does: it starts at the first entry, takes a piece in each of the signer's rounds, and ends at the size that was signed
when it began.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.signer import LogDoesNotExtend, ReadBodies

PIECE_ENTRIES = 20_000
"""A tenth of a second or so: one round is never long, and a million entries are seen within ten minutes."""

REST_SECONDS = 60.0


class Patrol:
    """`signed()` gives the tree that was signed last, `start()` that of what is in the database no more, such as an
    archived prefix. For one thread.
    """

    def __init__(
        self,
        read: ReadBodies,
        signed: Callable[[], Frontier],
        *,
        start: Callable[[], Frontier] = Frontier,
        piece_entries: int = PIECE_ENTRIES,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self._read = read
        self._signed = signed
        self._start = start
        self._piece = piece_entries
        self._rest = rest_seconds
        self._target: Frontier | None = None
        self._seen = Frontier()
        self._next_at = 0.0

    def step(self) -> bool:
        """Read on; whether a whole pass came to its end and found nothing. Raises `LogDoesNotExtend`: then the next
        step begins anew.
        """
        if self._target is None:
            if time.monotonic() < self._next_at:
                return False
            self._target, self._seen = self._signed(), self._start()
        try:
            return self._advance(self._target)
        except BaseException:
            self._target = None
            raise

    def _advance(self, target: Frontier) -> bool:
        start, stop = self._seen.size, min(self._seen.size + self._piece, target.size)
        bodies = islice(self._read(start, stop), self._piece)
        self._seen = self._seen.extend(leaf_hash(body) for body in bodies)
        if self._seen.size != stop:
            if self._start().size > start:  # it went to an archive meanwhile: the next step begins anew
                self._target = None
                return False
            missing = f"{stop - self._seen.size} of the entries {start} to {stop - 1}"
            raise LogDoesNotExtend(f"{missing} are missing, which were signed")
        if stop < target.size:
            return False
        if self._seen != target:
            raise LogDoesNotExtend(f"an entry among the first {target.size} is not what it was when it was signed")
        self._target, self._next_at = None, time.monotonic() + self._rest
        return True

"""PURE. Whether the database's clock, which the entries' times come from, goes as fast as time itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

JUMP_SECONDS = 2.0
DRIFT_SHARE = 0.001
"""A clock that is being set right gains or loses half of that at most."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The database's time, which was read between two readings of a clock that nobody sets (monotonic seconds)."""

    earliest: float
    at: datetime
    latest: float


def jump_seconds(before: Sample, now: Sample) -> float | None:
    """By how much the database's clock jumped between the two, forward or (negative) back; None if it did not.

    How long a reading took is in its favour. A machine that was asleep counts as a jump: nothing ran in that time.
    """
    passed = (now.at - before.at).total_seconds()
    least, most = now.earliest - before.latest, now.latest - before.earliest
    allowed = JUMP_SECONDS + DRIFT_SHARE * max(0.0, most)
    if passed > most + allowed:
        return passed - most
    return passed - least if passed < least - allowed else None

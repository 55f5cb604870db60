"""PURE. When to try again: later each time, a little by chance; one recording never keeps the others waiting."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.call import Call

RETRY_FIRST = timedelta(seconds=0.25)
RETRY_MAX = timedelta(seconds=7)
"""With its jitter under ten seconds: that is how soon a call is settled once Twilio is back."""


def put_off(call: Call, target: str | None, now: datetime, jitter: float) -> Call:
    """Try this target again later; one recording that cannot be commanded must not keep the others from it."""
    found = call.touched_by(target)
    known = found[0] if len(found) == 1 else None
    if known is None or len(call.live) < 2:
        return later(call, now, jitter)
    waiting = replace(known, failures=known.failures + 1, next_at=now + delay_after(known.failures, jitter))
    return replace(call.with_recording(waiting), next_at=None)


def later(call: Call, now: datetime, jitter: float, at_least: timedelta = timedelta(0)) -> Call:
    """Try again later."""
    delay = max(delay_after(call.failures, jitter), at_least)
    return replace(call, failures=call.failures + 1, next_at=now + delay)


def delay_after(failures: int, jitter: float) -> timedelta:
    """0.25 s doubled for each failure in a row, at most 15 s, a quarter up or down by chance."""
    doubled: timedelta = RETRY_FIRST * 2 ** min(failures, 6)
    return min(doubled, RETRY_MAX) * (0.75 + 0.5 * jitter)

"""What a call may be shown as, once it is proven. A call is safe only while we can write: a report of a new recording
that we had to turn away would leave the database saying safe.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bot.call import Call, is_safe
from bot.errors import DatabaseUnavailable
from bot.web import present
from bot.web.present import Shown
from bot.web.services import services

PROOF_SECONDS = 1.0
"""How long a write proves that we can write: it costs at most one small write a second for each process."""


def show(call: Call, now: datetime) -> Shown:
    """As `present.show`. Raises `DatabaseUnavailable` instead of saying safe where that is not proven."""
    _prove_if_safe(call, now)
    return present.show(call, now)


def as_json(call: Call, now: datetime) -> dict[str, Any]:
    """As `present.as_json`, with the same proof."""
    _prove_if_safe(call, now)
    return present.as_json(call, now)


def _prove_if_safe(call: Call, now: datetime) -> None:
    if not is_safe(call, now):
        return
    if services().reports.are_waiting:
        raise DatabaseUnavailable
    services().journal.prove(PROOF_SECONDS)

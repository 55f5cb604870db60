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
    """As `present.show`. Raises `DatabaseUnavailable` where nothing can be written, whatever the call's state: an agent
    who presses Pause must not see the page fall back to a calm word that knows nothing of it.
    """
    if not call.over:
        _prove()
    return present.show(call, now)


def as_json(call: Call, now: datetime) -> dict[str, Any]:
    """As `present.as_json`. Raises `DatabaseUnavailable` instead of saying safe where that is not proven."""
    if is_safe(call, now):
        _prove()
    return present.as_json(call, now)


def _prove() -> None:
    if services().reports.are_waiting:
        raise DatabaseUnavailable
    services().journal.prove(PROOF_SECONDS)

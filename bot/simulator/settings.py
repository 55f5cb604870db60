"""What a test or a person may turn while the simulator runs. Names, values and units are those of ``/sim/settings``."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from bot.simulator.connector import OUTCOMES
from bot.simulator.errors import ControlError

_MAX_SECONDS = 600.0
_MAX_COPIES = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """One consistent set; a change makes another one."""

    webhook_base: str = "http://127.0.0.1:5000"
    """Where signed callbacks go, without a slash at the end. It is also what their signature covers."""
    repeat: str = "ok"
    """What pausing what is paused, or resuming what runs, gets: ``ok`` (200) or ``21220``. Open at Twilio."""
    parent_events: str = "all"
    """``completed``: an inbound parent leg reports only its end, as a number's own status callback does."""
    callbacks: str = "send"
    """``send``, ``hold`` (until released) or ``drop``."""
    callback_copies: int = 1
    """How often each callback is sent, with the same idempotency token every time."""
    callback_delay_seconds: float = 0.0
    """How long each callback waits before it is sent. Real seconds; those of one call stay in order."""
    callback_retry_5xx: bool = False
    """Also repeat what was answered with a 5xx. Twilio by itself repeats only what could not connect."""
    completion_seconds: float = 0.0
    """How long a finished recording still lists as ``processing``, and its callback waits. Real seconds."""
    tempo: float = 1.0
    """How many times faster than in life TwiML is said and waited for. Keys and HTTP limits stay as they are."""
    connector: str = "ok"
    """What the payment connector makes of a card: ``ok``, ``payment-connector-error`` or ``internal-error``."""
    results: str = "accept"
    """What the system that wants payments' results does with them: ``accept`` or ``refuse`` (500)."""
    pay_action: str = "send"
    """How a <Pay>'s action is requested: ``send``, ``drop`` (never: the call hangs up) or ``repeat`` (twice)."""


_CHOICES = {
    "repeat": ("ok", "21220"),
    "parent_events": ("all", "completed"),
    "callbacks": ("send", "hold", "drop"),
    "connector": OUTCOMES,
    "results": ("accept", "refuse"),
    "pay_action": ("send", "drop", "repeat"),
}
_RANGES = {
    "callback_delay_seconds": (0.0, _MAX_SECONDS),
    "completion_seconds": (0.0, _MAX_SECONDS),
    "tempo": (0.1, 1000.0),
}


def changed(settings: Settings, wanted: dict[str, Any]) -> Settings:
    """The settings with some of them changed; ControlError 400 names what does not exist or does not fit."""
    known = {field.name for field in fields(Settings)}
    for name, value in wanted.items():
        if name not in known:
            raise ControlError(400, f"unknown setting {name!r}; there are {', '.join(sorted(known))}")
        _check(name, value)
    if "webhook_base" in wanted:
        wanted = wanted | {"webhook_base": wanted["webhook_base"].rstrip("/")}
    return replace(settings, **wanted)


def _check(name: str, value: Any) -> None:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ControlError(400, f"{name} must be one of {', '.join(_CHOICES[name])}")
    elif name == "webhook_base":
        if not is_http_url(value):
            raise ControlError(400, "webhook_base must be an http or https URL")
    elif name == "callback_retry_5xx":
        if not isinstance(value, bool):
            raise ControlError(400, f"{name} must be true or false")
    elif name == "callback_copies":
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_COPIES:
            raise ControlError(400, f"{name} must be a whole number from 1 to {_MAX_COPIES}")
    else:
        least, most = _RANGES[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ControlError(400, f"{name} must be a number from {least:g} to {most:g}")


def is_http_url(value: Any) -> bool:
    """Whether callbacks could be sent there."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False

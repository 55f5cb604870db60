"""The noun of agent-assisted payments: one session on one leg, and what it still needs. No digit is kept here."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.simulator.cards import CODE, DEFAULT_BRANDS, EXPIRY, NUMBER, POSTAL, Brand
from bot.simulator.model import Listener

IN_PROGRESS = "in-progress"


@dataclass(frozen=True, slots=True)
class PaymentPlan:
    """What is to be asked for, and what is to become of it."""

    connector: str = "Default"
    token_type: str = "reusable"  # noqa: S105 (a kind of token, not one)
    charge: str | None = None
    """The amount; None: no charge, a token."""
    currency: str = "usd"
    security_code: bool = True
    postal_code: bool = True
    postal_least: int | None = None
    brands: tuple[str, ...] = DEFAULT_BRANDS
    timeout_seconds: float = 5.0
    """How long to wait for the next key, once there was a first one."""

    @property
    def fields(self) -> tuple[str, ...]:
        """What must be captured."""
        wanted = {CODE: self.security_code, POSTAL: self.postal_code}
        return tuple(one for one in (NUMBER, EXPIRY, CODE, POSTAL) if wanted.get(one, True))


@dataclass(slots=True)
class Payment:
    """A session. ``state``: in-progress, cancelled, or the result it ended with, in Twilio's words."""

    sid: str
    call: str
    """The leg whose keys are listened to."""
    plan: PaymentPlan
    callback_url: str
    """Where its events go: as the last request for it said."""
    created_at: float
    updated_at: float
    state: str = IN_PROGRESS
    captured: dict[str, dict[str, str]] = field(default_factory=dict)
    """What was captured, and the parameters that tell of it, masked."""
    brand: Brand | None = None
    attempts: dict[str, int] = field(default_factory=dict)
    """How often each piece was asked for."""
    capturing: str | None = None
    listener: Listener | None = None
    """Who takes the keys while something is captured."""

    @property
    def required(self) -> tuple[str, ...]:
        """What is still missing."""
        return tuple(one for one in self.plan.fields if one not in self.captured)

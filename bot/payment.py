"""PURE. A card payment by keypad: the noun, and what can happen to it.

Twilio keeps the digits. Here stands which field was asked for and whether it was entered; of the card number at most
the last four, while the payment is open, so that the agent can read them back. Nothing of it is left once it is over.

The life of one: opening (its hold is open, the pause not proven yet, or Twilio's session not there yet), open,
completing (Twilio was told to charge or tokenise), delivering (Twilio's success is on its way to the system that wants
it), then paid, failed or cancelled. A phone flow's payment has no session: Twilio's `<Pay>` drives it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bot.actors import TWILIO, By

LAST_DIGITS = 4


class Via(StrEnum):
    """Who leads the caller through it."""

    AGENT = "agent"
    FLOW = "ivr"


class Field(StrEnum):
    """What the caller keys in, in Twilio's names (Payments subresource, `Capture`)."""

    CARD_NUMBER = "payment-card-number"
    EXPIRATION_DATE = "expiration-date"
    SECURITY_CODE = "security-code"
    POSTAL_CODE = "postal-code"


class Stage(StrEnum):
    OPENING = "opening"
    OPEN = "open"
    COMPLETING = "completing"
    DELIVERING = "delivering"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Progress(StrEnum):
    """How far one field is."""

    WAITING = "waiting"
    ASKED = "asked"
    ENTERING = "entering"
    ENTERED = "entered"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One field. `ask` numbers the requests for it, so that news of an earlier one is known as such; `keys` counts what
    was keyed in so far; `why` is Twilio's ErrorType, or ours.
    """

    field: Field
    progress: Progress = Progress.WAITING
    ask: int = 0
    keys: int = 0
    last_four: str | None = None
    brand: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """`id` is ours, and keys what is sent to Twilio (idempotency); `hold` is the id of its hold; `leg` is the one whose
    keys count; `sid` is Twilio's session (PK…). `result` is Twilio's `Result`, `why` says why it failed. `until`: what
    is not delivered by then is lost. `close_at`: when to tell Twilio (again) that its session is over.
    """

    id: str
    via: Via
    hold: str
    leg: str
    agent: str | None = None
    sid: str | None = None
    stage: Stage = Stage.OPENING
    amount: str | None = None
    currency: str = "usd"
    captures: tuple[Capture, ...] = ()
    asks: int = 0
    result: str | None = None
    why: str | None = None
    until: datetime | None = None
    close_at: datetime | None = None
    close_tries: int = 0

    @property
    def is_open(self) -> bool:
        """Whether a card may still come, or Twilio's result."""
        return self.stage in {Stage.OPENING, Stage.OPEN, Stage.COMPLETING}

    @property
    def is_whole(self) -> bool:
        """Whether every field was entered."""
        return all(one.progress is Progress.ENTERED for one in self.captures)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be done for it any more, and no news can change it."""
        return self.result is not None and self.stage is not Stage.DELIVERING and self.close_at is None

    def capture(self, field: Field) -> Capture | None:
        return next((one for one in self.captures if one.field is field), None)

    def with_capture(self, capture: Capture) -> Payment:
        captures = tuple(capture if one.field is capture.field else one for one in self.captures)
        return replace(self, captures=captures)


# What people, programs and Twilio say of it


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPayment:
    """Open the payment's hold. `fields` are those that an agent will ask for; none where `<Pay>` asks."""

    by: By
    id: str
    hold_id: str
    via: Via
    leg: str | None = None
    fields: tuple[Field, ...] = ()
    amount: str | None = None
    currency: str = "usd"
    max_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """Twilio has opened the payment's session; `sid` None: it has not, and `why` says why."""

    by: By
    id: str
    sid: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskField:
    by: By
    id: str
    field: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletePayment:
    by: By
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRefused:
    """Twilio did not take up what the session was told: to ask for `field`, or to complete (None)."""

    by: By
    id: str
    why: str
    field: Field | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndPayment:
    """End it without a card: cancelled by a person, or not proven, or the flow moved on without a result. `is_closed`:
    its session is over at Twilio.
    """

    by: By
    id: str
    why: str
    is_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReported:
    """A callback of Twilio's about a payment, without a single digit but the last four. With `result` it is the last
    one. `keys`: how many were keyed in so far.
    """

    id: str
    sid: str | None = None
    ask: int | None = None
    field: Field | None = None
    attempt: int | None = None
    is_partial: bool = False
    is_entered: bool = False
    keys: int = 0
    last_four: str | None = None
    brand: str | None = None
    error: str | None = None
    result: str | None = None
    code: str | None = None
    by: By = TWILIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Whether the result reached the system that wants it."""

    id: str
    ok: bool
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClosed:
    """Whether Twilio has taken up that its session is over; if not, it is told again."""

    id: str
    ok: bool


PaymentMessage = (
    OpenPayment
    | SessionOpened
    | AskField
    | CompletePayment
    | SessionRefused
    | EndPayment
    | PaymentReported
    | Delivered
    | SessionClosed
)

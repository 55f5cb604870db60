"""PURE. What can happen to a call (messages), what is to be done about it (effects), and what the log says of it
(facts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from bot.actors import SYSTEM, TWILIO, By
from bot.call import Call, Of, Participant, Problem, Wish
from bot.payment import (
    AskField,
    CompletePayment,
    Delivered,
    EndPayment,
    OpenPayment,
    PaymentReported,
    SessionClosed,
    SessionOpened,
    SessionRefused,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The few settings that decisions depend on."""

    node: str = "node"
    claim: timedelta = timedelta(seconds=5)
    late: timedelta = timedelta(seconds=15)
    pause_max: timedelta = timedelta(seconds=300)
    hard_max: timedelta = timedelta(seconds=900)
    warning: timedelta = timedelta(seconds=10)
    """Between the end of *safe* and the resume that follows it."""
    expiry: Literal["resume", "alert"] = "resume"
    stop_after: timedelta | None = None
    """How long a pause may stay unproven before the recording is stopped instead; None: never."""


# What people and programs ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Open a hold, or prolong the holder's own."""

    by: By
    hold_id: str
    holder: str
    reason: str | None = None
    max_seconds: int | None = None
    legs: tuple[str, ...] = ()
    conference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Release the holder's own hold; for the call's agent, also those of agents who have handed the call over."""

    by: By
    holder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A supervisor ends one hold, whoever it belongs to."""

    by: By
    hold: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A payment step or form is still open: prolong the holder's hold, up to the hard limit."""

    by: By
    holder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The step goes on without a card: the pause was not proven in time. `wish` is the `hold_id` of its `Pause`: a hold
    that was wanted again since is another step's.
    """

    by: By
    wish: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End the call's recordings for good; Twilio cannot undo it."""

    by: By


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """An agent claims a call whose legs name no agent."""

    by: By
    agent: str


# What Twilio reports


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReported:
    """A call-status callback. `agent` is the agent whose contact is on this leg, `staff` whether anybody of ours is;
    `dialled_by` is the agent at its other end. `caller` is masked. `at` is Twilio's own time of the event.
    """

    sid: str
    status: str
    parent: str | None = None
    sequence: int | None = None
    at: datetime | None = None
    agent: str | None = None
    dialled_by: str | None = None
    staff: bool = False
    caller: str | None = None
    by: By = TWILIO


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingReported:
    """A recording-status callback: in-progress, completed, absent, failed; paused and resumed are only noted."""

    sid: str
    status: str
    of: Of
    owner: str
    duration_seconds: int | None = None
    by: By = TWILIO


@dataclass(frozen=True, slots=True, kw_only=True)
class ConferenceReported:
    """A participant joined or left, or the conference ended. `present`: who was in it already, as other calls know;
    `staff`: which of those known in it are ours.
    """

    conference: str
    event: str
    participant: str | None = None
    sequence: int | None = None
    at: datetime | None = None
    present: tuple[Participant, ...] = ()
    staff: frozenset[str] = frozenset()
    by: By = TWILIO


# What the control says to the call


@dataclass(frozen=True, slots=True, kw_only=True)
class Converge:
    """Ask what is to be done now, and claim the right to do it. `token` also seeds the back-off's jitter."""

    token: str


class Kind(StrEnum):
    """The three outcomes of a command. `UNSENT` is an unanswered one that cannot arrive late: nothing left us."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one POST."""

    kind: Kind
    http_status: int | None = None
    code: int | None = None
    recording: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Twilio's list of one resource's recordings, all pages; `ok` is false when it could not be had whole; `missing`:
    404; `barred`: 401 or 403.
    """

    of: Of
    owner: str
    ok: bool
    missing: bool = False
    barred: bool = False
    items: tuple[tuple[str, str], ...] = ()
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSeen:
    """The call resource as fetched. `ok` is false when Twilio did not say; `status` None means 404."""

    ok: bool
    status: str | None = None
    parent: str | None = None
    http_status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of the effect that was claimed with `token`."""

    token: str
    reply: Reply | None = None
    listings: tuple[Listing, ...] = ()
    seen: CallSeen | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Another call of the same conference has a hold open: this recording of it is not ours to resume."""

    recording: str


Message = (
    Pause | Resume | Release | Beat | GiveUp | Stop | Take
    | CallReported | RecordingReported | ConferenceReported
    | Converge | Answered | Shared
    | OpenPayment | SessionOpened | AskField | CompletePayment | SessionRefused | EndPayment
    | PaymentReported | Delivered | SessionClosed
)  # fmt: skip


# What is to be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a command goes: a recording by its SID, `Twilio.CURRENT` or `new`, at its call, leg or conference."""

    of: Of
    owner: str
    recording: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """POST `wish` to `target`, or begin a new recording there; list `lists` beside it."""

    token: str
    wish: Wish
    target: Target
    lists: tuple[tuple[Of, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Only ask Twilio: the lists, and the call, or a leg of it, that is named by `asks`."""

    token: str
    lists: tuple[tuple[Of, str], ...] = ()
    asks: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Somebody else holds the claim until then; look again soon."""

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """The call turned out to be a leg of `parent`: unite the two in one transaction."""

    parent: str


Effect = Command | Look | Wait | Merge


class Denial(StrEnum):
    """Why a wish was turned down although the call is alive."""

    NOT_YOURS = "not-yours"
    HELD_BY_OTHERS = "held-by-others"
    OWNED = "owned"
    STOPPED = "stopped"
    CONFERENCE_STOP = "conference-stop"
    PAYMENT_OPEN = "payment-open"
    PAYMENT_OVER = "payment-over"
    PAYMENT_INCOMPLETE = "payment-incomplete"
    SESSION_REFUSED = "session-refused"
    SESSION_UNANSWERED = "session-unanswered"


class Finding(StrEnum):
    """What compliance has to look at."""

    NEVER_PROVEN = "pause-never-proven"
    PAYMENT_STILL_OPEN = "payment-still-open"
    LONG_HOLD = "long-hold"
    DRIFT = "drift"
    NOT_RESTARTED = "recording-not-restarted"
    CREDENTIALS = "twilio-credentials"
    OUTAGE = "twilio-outage"
    RESULT_LOST = "payment-result-lost"
    LOG_DOES_NOT_EXTEND = "log-does-not-extend"
    LOG_NOT_SIGNED = "log-not-signed"
    LOG_NOT_ANCHORED = "log-not-anchored"
    SINK_AWAY = "sink-away"
    SINK_AHEAD = "sink-ahead"


# What the log says


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that happened, in the past tense; the log makes an entry of it.

    Where others will refer to it, `id` is the hold's id or the claim's token; `cause` is the `id` of what led to it.
    """

    type: str
    id: str | None = None
    cause: str | None = None
    by: By = SYSTEM
    recording: str | None = None
    outcome: Literal["success", "failure", "unknown"] = "success"
    reason: str | None = None
    before: str | None = None
    after: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


def finding(
    kind: Finding,
    *,
    by: By = SYSTEM,
    cause: str | None = None,
    recording: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> Fact:
    """The entry by which compliance is told."""
    return Fact(
        type="finding.raised",
        by=by,
        cause=cause,
        recording=recording,
        outcome="failure",
        reason=kind.value,
        detail=detail or {},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The call as it is now, what to log, what to do, and why the wish was turned down, if it was."""

    call: Call
    facts: tuple[Fact, ...] = ()
    effect: Effect | None = None
    refused: Problem | Denial | None = None

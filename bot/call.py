"""PURE. The nouns of a call, and everything that follows from them: desired, observed, safe.

A pause is a *hold*, not a switch: a call is wanted paused while any hold is open. Nothing here does I/O or reads a
clock; `now` is always handed in, and it is the database's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bot.payment import Payment

CURRENT = "Twilio.CURRENT"
"""Twilio's name for "the one recording now running on this call"."""

NEW = "new"
"""The target of a command that begins a recording."""

CALL_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled", "unknown-to-twilio", "merged"})
"""Call states after which nothing can be recorded any more. The last two are ours."""


class Wish(StrEnum):
    """What a call should be; also what a command asks Twilio for."""

    PAUSED = "paused"
    RECORDING = "recording"
    STOPPED = "stopped"


class State(StrEnum):
    """What is known of one recording. The first three are live."""

    RECORDING = "recording"
    PAUSED = "paused"
    UNKNOWN = "unknown"
    STOPPED = "stopped"
    ENDED = "ended"
    ABSENT = "absent"
    FAILED = "failed"


LIVE = frozenset({State.RECORDING, State.PAUSED, State.UNKNOWN})


class Of(StrEnum):
    """What a recording is attached to; a conference has an endpoint of its own at Twilio."""

    CALL = "call"
    LEG = "leg"
    CONFERENCE = "conference"


class Problem(StrEnum):
    """Why a call is not what is wanted. The page, the API and the log each have words for it."""

    STARTING = "starting"
    NOTHING_RECORDING = "nothing-recording"
    CALL_OVER = "call-over"
    UNKNOWN_CALL = "unknown-call"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    BUSY = "busy"
    CREDENTIALS = "credentials"
    TWILIO_ERROR = "twilio-error"
    UNANSWERED = "unanswered"
    UNREACHABLE = "unreachable"
    LIST_FAILED = "list-failed"
    NOT_ALL_PAUSED = "not-all-paused"
    LATE_RESUME = "late-resume"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One reason why the call must be paused now. `holder` is `agent:alice`, `ivr`, `payment:PK…` or `api:crm`.

    A card may be taken until `expires_at`; the hold itself goes on until `ends_at`, so that nobody is still reading out
    a card when the recording resumes. `overdue`: it ran out and stays all the same. `beats`: a program keeps it alive.
    `warned`: the log has that its end is near. `proven`: it was safe at least once. `is_long`: its length was reported.
    `wish`: the `Pause` that wanted it last, by its `hold_id`.
    """

    id: str
    holder: str
    reason: str | None
    opened_at: datetime
    expires_at: datetime
    ends_at: datetime | None = None
    overdue: bool = False
    beats: bool = False
    warned: bool = False
    proven: bool = False
    is_long: bool = False
    wish: str | None = None

    @property
    def closes_at(self) -> datetime | None:
        """When it ends by itself; None if it stays."""
        return None if self.overdue else self.ends_at or self.expires_at

    @property
    def is_payment(self) -> bool:
        return self.holder.startswith("payment:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One leg of the call. `agent` is the agent whose contact Twilio named on it, if any; `staff`: it is anybody's of
    ours, an agent's or a supervisor's. `at` and `sequence` are Twilio's, of the last report believed.
    """

    sid: str
    status: str
    sequence: int = -1
    at: datetime | None = None
    agent: str | None = None
    staff: bool = False
    since: datetime | None = None

    @property
    def live(self) -> bool:
        return self.status == "in-progress"

    @property
    def over(self) -> bool:
        return self.status in CALL_OVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A leg, this call's or another's, in one of the call's conferences, as last reported."""

    conference: str
    leg: str
    present: bool
    sequence: int = -1
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One Twilio recording. `owner` is the SID of the call, leg or conference it belongs to.

    `doubt`: a command of ours may have changed it without our knowing. `retried`: a command in this direction went
    unanswered before. `toggle`: Twilio refuses the wanted command as if it were done already, so the opposite goes
    first.
    """

    sid: str
    of: Of
    owner: str
    state: State = State.UNKNOWN
    confirmed_at: datetime | None = None
    commanded: bool = False
    resumed_at: datetime | None = None
    doubt: bool = False
    unanswered: Wish | None = None
    toggle: bool = False
    failures: int = 0
    next_at: datetime | None = None

    @property
    def live(self) -> bool:
        return self.state in LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to send this call's commands until `until`, and what is being sent."""

    token: str
    node: str
    taken_at: datetime
    until: datetime
    wish: Wish | None
    target: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One phone call, read and written whole. `sid` is its parent leg's.

    `left` are conferences that the call was in: their recordings are not the call's any more, and are resumed if they
    were left paused. `orphaned`: the parent leg is over and the customer's goes on in a conference. `heard_at`: when
    Twilio last spoke of it. `stop_at`: what is not proven paused by then is stopped instead. `gap_since`: it was, and a
    new recording is due after the last hold. `payment` is the latest; `earlier` are those before it of which news may
    still come.
    """

    sid: str
    account: str
    status: str = "unknown"
    started_at: datetime | None = None
    taken_by: str | None = None
    agent: str | None = None
    caller: str | None = None
    legs: tuple[Leg, ...] = ()
    conferences: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    participants: tuple[Participant, ...] = ()
    orphaned: bool = False
    heard_at: datetime | None = None
    holds: tuple[Hold, ...] = ()
    recordings: tuple[Recording, ...] = ()

    stop_wanted: bool = False
    stop_at: datetime | None = None
    gap_since: datetime | None = None
    resume_wanted: bool = False
    paused_since: datetime | None = None
    joined_at: datetime | None = None
    listed_at: datetime | None = None
    nothing_on_call_at: datetime | None = None

    payment: Payment | None = None
    earlier: tuple[Payment, ...] = ()
    claim: Claim | None = None
    doubt: bool = False
    unanswered: Wish | None = None
    told: tuple[str, ...] = ()
    nothing_said: Wish | None = None
    nothing_said_of: str | None = None
    look_first: bool = False
    ask_call: bool = False
    late_pause_until: datetime | None = None
    late_resume_until: datetime | None = None
    reconfirm_at: tuple[datetime, ...] = ()

    failures: int = 0
    next_at: datetime | None = None
    problem: Problem | None = None

    @property
    def over(self) -> bool:
        return self.status in CALL_OVER

    @property
    def live(self) -> tuple[Recording, ...]:
        """What may be recording this call now."""
        return tuple(recording for recording in self.recordings if recording.live and recording.owner not in self.left)

    @property
    def live_on_call(self) -> tuple[Recording, ...]:
        return tuple(recording for recording in self.live if recording.of is Of.CALL)

    @property
    def left_behind(self) -> tuple[Recording, ...]:
        """Recordings of conferences that the call has left, which our pause may still keep silent."""
        gone = (recording for recording in self.recordings if recording.live and recording.owner in self.left)
        return tuple(recording for recording in gone if recording.state is State.PAUSED or recording.doubt)

    @property
    def leg_agent(self) -> str | None:
        """The agent on the live leg joined last: the one the call belongs to."""
        named = [leg for leg in self.legs if leg.live and leg.agent]
        return max(named, key=lambda leg: (leg.since is not None, leg.since), default=None).agent if named else None  # type: ignore[union-attr]

    @property
    def agents(self) -> frozenset[str]:
        """Who may act on it: its agent, and any other on a live leg, as in a consultation."""
        on_legs = (leg.agent for leg in self.legs if leg.live)
        return frozenset(agent for agent in (self.agent, *on_legs) if agent)

    @property
    def customer(self) -> Leg | None:
        """The customer's leg: the parent, or where that is known to be one of ours, the first that is not; None if it
        is not known.
        """
        parent = self.leg(self.sid)
        if parent is None or not parent.staff:
            return parent
        others = [leg for leg in self.legs if not leg.staff]
        return next((leg for leg in others if not leg.over), others[-1] if others else None)

    @property
    def payments(self) -> tuple[Payment, ...]:
        """The latest first."""
        return self.earlier if self.payment is None else (self.payment, *self.earlier)

    def payment_of(self, payment_id: str) -> Payment | None:
        return next((one for one in self.payments if one.id == payment_id), None)

    @property
    def names(self) -> frozenset[str]:
        """Every SID under which Twilio may speak of this call."""
        return frozenset({leg.sid for leg in self.legs} | {*self.conferences, *self.left}) - {self.sid}

    def leg(self, sid: str) -> Leg | None:
        return next((leg for leg in self.legs if leg.sid == sid), None)

    def recording(self, sid: str) -> Recording | None:
        return next((recording for recording in self.recordings if recording.sid == sid), None)

    def touched_by(self, target: str | None) -> tuple[Recording, ...]:
        """The recordings that a command to this target reaches."""
        if target == CURRENT:
            return self.live_on_call
        return tuple(recording for recording in self.recordings if recording.live and recording.sid == target)

    def hold_of(self, holder: str) -> Hold | None:
        return next((hold for hold in self.holds if hold.holder == holder), None)

    def with_recording(self, recording: Recording) -> Call:
        """The call with this recording added, or in the place of the one with its SID."""
        if self.recording(recording.sid) is None:
            return replace(self, recordings=(*self.recordings, recording))
        return replace(self, recordings=tuple(recording if r.sid == recording.sid else r for r in self.recordings))

    def with_leg(self, leg: Leg) -> Call:
        if all(known.sid != leg.sid for known in self.legs):
            return replace(self, legs=(*self.legs, leg))
        return replace(self, legs=tuple(leg if known.sid == leg.sid else known for known in self.legs))


def desired(call: Call) -> Wish:
    """`stopped` once somebody had it stopped, else `paused` while any hold is open, else `recording`."""
    if call.stop_wanted:
        return Wish.STOPPED
    return Wish.PAUSED if call.holds else Wish.RECORDING


def observed(call: Call) -> str:
    """What Twilio last confirmed, over all live recordings; `unknown` unless it is certain."""
    states = {recording.state for recording in call.live}
    if State.RECORDING in states:
        return "recording"
    if states == {State.PAUSED}:
        return "paused"
    if states:
        return "unknown"
    final = {recording.state for recording in call.recordings}
    if final and final <= {State.ABSENT, State.FAILED}:
        return "absent"
    if call.over:
        return "ended"
    if State.STOPPED in final or (call.stop_wanted and final):
        return "stopped"
    return "unknown"


def is_listed(call: Call, now: datetime) -> bool:
    """Whether Twilio's own list was asked for during this pause, after the last leg or conference joined.

    If nothing is live: also after the last moment at which a recording whose start was never answered could have begun.
    """
    if call.listed_at is None or call.paused_since is None or call.listed_at < call.paused_since:
        return False
    late = call.late_resume_until
    if late is not None and late <= now and call.listed_at < late and not call.live:
        return False
    return call.joined_at is None or call.listed_at >= call.joined_at


def why_not_safe(call: Call, now: datetime) -> Problem | None:
    """None exactly when a card may be taken (invariant 2); otherwise the reason that matters most.

    Nothing live is not safe, except where we stopped it ourselves and the list shows nothing else.

    After a resume that was left unanswered, nothing counts until it can no longer arrive *and* a pause was confirmed
    after that moment: one confirmed before could still be undone by it.
    """
    if call.over:
        return Problem.UNKNOWN_CALL if call.status == "unknown-to-twilio" else Problem.CALL_OVER
    if desired(call) is not Wish.PAUSED:
        return Problem.SUPERSEDED
    if all(hold.expires_at <= now and not hold.overdue for hold in call.holds):
        return Problem.EXPIRED
    live = call.live
    if not live and not is_stopped_instead(call):
        return call.problem or Problem.STARTING
    if any(recording.state is not State.PAUSED for recording in live):
        return call.problem or (Problem.NOT_ALL_PAUSED if observed(call) == "recording" else Problem.STARTING)
    if _may_still_resume(call, now):
        return Problem.LATE_RESUME
    if not is_listed(call, now):
        return call.problem or Problem.STARTING
    return Problem.STARTING if call.claim is not None and call.claim.wish is Wish.RECORDING else None


def _may_still_resume(call: Call, now: datetime) -> bool:
    """Whether a resume that was never answered may arrive yet, or may have arrived since the pause was confirmed."""
    late = call.late_resume_until
    if late is None:
        return False
    return late > now if not call.live else any(r.confirmed_at is None or r.confirmed_at < late for r in call.live)


def is_stopped_instead(call: Call) -> bool:
    """Whether nothing runs because our own stop, in place of a pause, was confirmed."""
    return call.gap_since is not None and not call.doubt and any(r.state is State.STOPPED for r in call.recordings)


def is_safe(call: Call, now: datetime) -> bool:
    """`safe_to_take_card`."""
    return why_not_safe(call, now) is None

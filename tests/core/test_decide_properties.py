"""What holds for every call after any messages in any order, however late, repeated or contradictory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.call import CURRENT, NEW, Call, Of, State, Wish, desired, is_safe, observed
from bot.messages import (
    Answered,
    Beat,
    CallReported,
    CallSeen,
    Command,
    ConferenceReported,
    Converge,
    GiveUp,
    Kind,
    Listing,
    Look,
    Message,
    Pause,
    Policy,
    RecordingReported,
    Release,
    Reply,
    Resume,
    Stop,
    Take,
    Wait,
)
from bot.payment import (
    AskField,
    CompletePayment,
    Delivered,
    EndPayment,
    Field,
    OpenPayment,
    PaymentReported,
    SessionClosed,
    SessionOpened,
    SessionRefused,
    Stage,
    Via,
)
from bot.recording import decide, due, next_effect
from tests.core.examples import ALICE, BOB, CONFERENCE, CRM, GUEST, IVR, LEG, PARENT, RE1, RE2, RE3, SAM, SID, START

RECORDINGS = (RE1, RE2, RE3)
LONGEST_WAIT = timedelta(seconds=10)
"""The longest back-off with its jitter."""


def owner_of(sid: str) -> tuple[Of, str]:
    return (Of.CONFERENCE, CONFERENCE) if sid == RE3 else (Of.CALL, SID)


@dataclass(frozen=True)
class Came:
    """What Twilio said to the effect that is out; it is fitted to what was asked. `is_stale`: to an earlier claim."""

    reply: Reply
    items: tuple[tuple[str, str], ...]
    is_whole: bool
    seen: CallSeen
    is_stale: bool = False


class Chance:
    """Steps by chance, from a seed: many more in a second than drawn one by one, and a failure is cut to length."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret

    def seconds(self) -> float:
        return self._random.choice([0.0, 0.0, 0.0, 0.1, 0.1, 1.0, 6.0, 20.0])

    def step(self) -> object:
        """A message, `Came`, or a word for `Walk`."""
        kinds: list[tuple[float, Callable[[], object]]] = [
            (2, lambda: "goes well"),
            (9, lambda: "converge"),
            (8, self._came),
            (4, self._wish),
            (3, self._recording),
            (3, self._call),
            (1, self._conference),
            (2, self._payment),
            (
                0.3,
                lambda: self._random.choice([Stop(by=CRM), Take(by=ALICE, agent="alice"), Take(by=BOB, agent="bob")]),
            ),
        ]
        return self._random.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0]()

    def _wish(self) -> Pause | Resume | Beat | GiveUp | Release:
        by, holder = self._random.choice([(CRM, "api:crm"), (ALICE, "agent:alice"), (BOB, "agent:bob"), (IVR, "ivr")])
        if self._random.random() < 0.35:
            return Resume(by=by, holder=holder)
        if self._random.random() < 0.2:
            others: list[Beat | GiveUp | Release] = [
                Beat(by=by, holder=holder),
                GiveUp(by=by, wish="h" + holder),
                Release(by=SAM, hold="h" + holder),
            ]
            return self._random.choice(others)
        return Pause(by=by, hold_id="h" + holder, holder=holder, max_seconds=self._random.choice([None, 1, 20, 300]))

    def _recording(self) -> RecordingReported:
        sid = self._random.choice(RECORDINGS)
        statuses = ["in-progress"] * 4 + ["completed", "absent", "failed", "paused", "resumed"]
        of, owner = owner_of(sid)
        return RecordingReported(sid=sid, status=self._random.choice(statuses), of=of, owner=owner)

    def _call(self) -> CallReported:
        sid = self._random.choice([SID, LEG, LEG])
        is_end = self._random.random() < 0.15
        return CallReported(
            sid=sid,
            status="completed" if is_end else self._random.choice(["ringing", "in-progress"]),
            sequence=self._random.choice([None, 0, 1, 2, 3]),
            agent=self._random.choice([None, "alice", "bob"]),
            staff=self._random.random() < 0.2,
        )

    def _conference(self) -> ConferenceReported:
        event = self._random.choice(["participant-join", "participant-leave", "conference-end"])
        participant = self._random.choice([SID, LEG, GUEST])
        return ConferenceReported(conference=CONFERENCE, event=event, participant=participant)

    def _payment(self) -> Message:
        payment = self._random.choice(["p1", "p2"])
        by = self._random.choice([ALICE, BOB, IVR])
        field = self._random.choice([Field.CARD_NUMBER, Field.SECURITY_CODE])
        via = self._random.choice([Via.AGENT, Via.FLOW])
        fields = (Field.CARD_NUMBER, Field.SECURITY_CODE) if via is Via.AGENT else ()
        makes: list[Callable[[], Message]] = [
            lambda: OpenPayment(by=by, id=payment, hold_id=f"h{payment}", via=via, fields=fields, max_seconds=40),
            lambda: SessionOpened(by=by, id=payment, sid=self._random.choice(["PK1", "PK1", None])),
            lambda: AskField(by=by, id=payment, field=field),
            lambda: PaymentReported(id=payment, field=field, ask=self._random.randint(1, 3), is_entered=True),
            lambda: PaymentReported(id=payment, field=field, ask=1, error="timeout"),
            lambda: CompletePayment(by=by, id=payment),
            lambda: SessionRefused(by=by, id=payment, why="late", field=self._random.choice([field, None])),
            lambda: PaymentReported(id=payment, sid="PK1", result=self._random.choice(["success", "internal-error"])),
            lambda: EndPayment(by=by, id=payment, why=self._random.choice(["cancelled", "not-proven"])),
            lambda: Delivered(id=payment, ok=self._random.random() < 0.5),
            lambda: SessionClosed(id=payment, ok=self._random.random() < 0.5),
        ]
        return self._random.choice(makes)()

    def _came(self) -> Came:
        sids = self._random.sample(RECORDINGS, self._random.randint(0, 3))
        statuses = ["processing"] * 6 + ["in-progress", "completed", "absent", "odd"]
        return Came(
            reply=self._random.choice(REPLIES),
            items=tuple((sid, self._random.choice(statuses)) for sid in sids),
            is_whole=self._random.random() < 0.75,
            seen=self._random.choice(SEEN),
            is_stale=self._random.random() < 0.1,
        )


REPLIES = (
    *(Reply(kind=Kind.CONFIRMED, http_status=200, recording=sid) for sid in (RE1, RE2, RE3)),
    Reply(kind=Kind.UNANSWERED),
    Reply(kind=Kind.UNANSWERED, http_status=503),
    Reply(kind=Kind.UNSENT),
    *(Reply(kind=Kind.REFUSED, http_status=400, code=code) for code in (21220, 21220, 16108, 16114, 20001)),
    Reply(kind=Kind.REFUSED, http_status=404, code=20404),
    Reply(kind=Kind.REFUSED, http_status=401, code=20003),
    Reply(kind=Kind.REFUSED, http_status=429, code=20429),
)
SEEN = (
    CallSeen(ok=False),
    CallSeen(ok=True, status="in-progress"),
    CallSeen(ok=True, status="in-progress"),
    CallSeen(ok=True, status="completed"),
    CallSeen(ok=True),
    CallSeen(ok=True, status="in-progress", parent=PARENT),
)


@dataclass
class Known:
    """One recording, as told by the messages alone."""

    is_live: bool = True
    confirmed_at: datetime | None = None
    """When Twilio last confirmed it paused; None once anything was sent or said that may have ended that."""
    resumed_at: datetime | None = None
    is_stopped: bool = False
    """By a stop of ours that was confirmed, or that was not answered before it ended."""


@dataclass
class History:
    """Invariant 2 worked out once more from what came and what was sent, without looking at the call."""

    policy: Policy
    recordings: dict[str, Known] = field(default_factory=dict)
    pausing_since: datetime | None = None
    joined_at: datetime | None = None
    listed_at: datetime | None = None
    resumed_until: datetime | None = None
    has_left: bool = False
    """Whether the call has left its conference."""

    def proves(self, call: Call) -> bool:
        """Whether a card may be taken."""
        here = {sid: known for sid, known in self.recordings.items() if not (self.has_left and sid == RE3)}
        live = [known for known in here.values() if known.is_live]
        is_stopped = not live and any(known.is_stopped for known in here.values())
        if call.over or self.pausing_since is None or any(one.confirmed_at is None for one in live):
            return False
        if not live and not is_stopped:
            return False
        if self.listed_at is None or self.listed_at < self.pausing_since:
            return False
        if self.joined_at is not None and self.listed_at < self.joined_at:
            return False
        if call.claim is not None and call.claim.wish is Wish.RECORDING:
            return False
        return self.resumed_until is None or all(
            one.confirmed_at is not None and one.confirmed_at >= self.resumed_until for one in live
        )

    def learn(self, sid: str, *, is_live: bool) -> None:
        known = self.recordings.setdefault(sid, Known(is_live=is_live))
        known.is_live = known.is_live and is_live

    def sent(self, command: Command) -> None:
        if command.wish is not Wish.PAUSED:
            for sid in self._touched(command.target.recording):
                self.recordings[sid].confirmed_at = None

    def unanswered(self, command: Command, until: datetime) -> None:
        for sid in self._touched(command.target.recording):
            self.recordings[sid].confirmed_at = None
            self.recordings[sid].is_stopped = command.wish is Wish.STOPPED
        if command.wish is Wish.RECORDING:
            self.resumed_until = max(self.resumed_until or until, until)

    def answered(self, command: Command, reply: Reply, now: datetime) -> None:
        if reply.kind is Kind.UNANSWERED:
            self.unanswered(command, now + self.policy.late)
        if reply.kind is Kind.CONFIRMED:
            sid = reply.recording or ""
            self.learn(sid, is_live=True)
            self.recordings[sid].confirmed_at = now if command.wish is Wish.PAUSED else None
            self.recordings[sid].is_stopped = command.wish is Wish.STOPPED
            if command.wish is Wish.RECORDING:
                self.recordings[sid].resumed_at = now
            if command.wish is Wish.STOPPED:
                self.recordings[sid].is_live = False

    def listed(self, listing: Listing, taken_at: datetime) -> None:
        for sid, status in listing.items:
            if status in {"processing", "in-progress", "paused"}:
                self.learn(sid, is_live=True)
                confirmed_at = self.recordings[sid].confirmed_at
                if status == "in-progress" and confirmed_at is not None and confirmed_at < taken_at:
                    self.recordings[sid].confirmed_at = None
            elif status != "odd":
                self.learn(sid, is_live=False)

    def reported(self, message: Message, before: Call, now: datetime) -> None:
        match message:
            case RecordingReported(sid=sid, status="in-progress"):
                self.learn(sid, is_live=not before.over)
            case RecordingReported(sid=sid, status="completed" | "absent" | "failed"):
                self.learn(sid, is_live=False)
            case RecordingReported(sid=sid, status="resumed") if sid in self.recordings:
                resumed_at = self.recordings[sid].resumed_at
                if resumed_at is None or now - resumed_at >= timedelta(seconds=60):
                    self.recordings[sid].confirmed_at = None
            case ConferenceReported():
                self._conference(message, before, now)

    def _conference(self, message: ConferenceReported, before: Call, now: datetime) -> None:
        match message:
            case ConferenceReported(event="participant-join", participant=leg) if not before.over:
                is_back = leg in {SID, *before.names}
                if is_back or CONFERENCE not in before.left:
                    self.joined_at, self.has_left = now, False
            case ConferenceReported(event="participant-leave", participant=leg) if CONFERENCE in before.conferences:
                customer = before.customer
                if leg == (SID if customer is None else customer.sid):
                    self.has_left = True
            case ConferenceReported(event="conference-end") if CONFERENCE in {*before.conferences, *before.left}:
                self.has_left = True
                if RE3 in self.recordings:
                    self.recordings[RE3].is_live = False

    def _touched(self, target: str) -> list[str]:
        on_call = [sid for sid in self.recordings if owner_of(sid)[0] is Of.CALL]
        return [sid for sid in (on_call if target == CURRENT else [target]) if sid in self.recordings]


class Walk:
    """One call under a sequence of steps, checked after each of them."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now = START
        self.call = Call(sid=SID, account="AC" + "0" * 32, agent="alice")
        self.history = History(policy)
        self.out: Command | Look | None = None
        self.claims = 0

    def take(self, seconds: float, step: object) -> None:
        self.now += timedelta(seconds=seconds)
        if step == "goes well":
            self._round()
        elif isinstance(step, Came):
            self._decide(self._fit(step))
        elif step == "converge":
            self._converge()
        else:
            self._decide(step)  # type: ignore[arg-type]

    def _round(self) -> None:
        self._converge()
        for _ in range(8):
            if self.out is None or self.call.claim is None or self.call.claim.token != self.out.token:
                return
            live = [one for one in self.call.live if self._is_meant(one.sid)]
            named = live[0].sid if live else RE1
            reply = Reply(kind=Kind.CONFIRMED, http_status=200, recording=named)
            items = tuple((one.sid, "processing") for one in self.call.live)
            self._decide(self._fit(Came(reply, items, True, CallSeen(ok=True, status="in-progress"), is_stale=False)))
            self._converge()

    def _is_meant(self, sid: str) -> bool:
        assert self.out is not None
        target = self.out.target.recording if isinstance(self.out, Command) else CURRENT
        return sid == target if target != CURRENT else owner_of(sid)[0] is Of.CALL

    def _converge(self) -> None:
        self.claims += 1
        before = self.call
        token = f"{self.claims % 0x10000:04x}" + "0" * 28
        decision = self._decide(Converge(token=token))
        if before.claim is not None and before.claim.until > self.now:
            assert isinstance(decision, Wait), "a claim was given while another was live"
        elif before.claim is not None and isinstance(self.out, Command) and before.claim.token == self.out.token:
            self.history.unanswered(self.out, before.claim.until + self.policy.late)
        if isinstance(decision, Command | Look):
            self.out = decision
            if isinstance(decision, Command):
                self.history.sent(decision)

    def _fit(self, what: Came) -> Answered:
        """What a gateway makes of it: a reply names the recording that was addressed, lists are those asked for."""
        effect = self.out
        token = "f" * 32 if effect is None or what.is_stale else effect.token
        if effect is None:
            return Answered(token=token, reply=what.reply)
        reply = None
        if isinstance(effect, Command):
            reply = what.reply
            target = effect.target.recording
            if reply.kind is Kind.CONFIRMED and target == NEW:
                reply = Reply(kind=Kind.CONFIRMED, http_status=201, recording=f"RE{self.claims:032d}")
            elif reply.kind is Kind.CONFIRMED and target != CURRENT:
                reply = Reply(kind=Kind.CONFIRMED, http_status=200, recording=target)
            elif reply.kind is Kind.CONFIRMED and owner_of(reply.recording or RE1)[0] is not Of.CALL:
                reply = Reply(kind=Kind.CONFIRMED, http_status=200, recording=RE1)
        listings = tuple(
            Listing(
                of=of,
                owner=owner,
                ok=what.is_whole,
                items=tuple(item for item in what.items if owner_of(item[0]) == (of, owner)) if what.is_whole else (),
            )
            for of, owner in effect.lists
        )
        asks = isinstance(effect, Look) and effect.asks is not None
        return Answered(token=token, reply=reply, listings=listings, seen=what.seen if asks else None)

    def _decide(self, message: Message) -> object:
        before = self.call
        claim = before.claim
        decision = decide(before, message, self.now, self.policy)
        self.call = decision.call
        if isinstance(message, Answered) and claim is not None and claim.token == message.token:
            self._note_answer(message, claim.taken_at, before)
        self.history.reported(message, before, self.now)
        if desired(self.call) is not desired(before):
            self.history.pausing_since = self.now if desired(self.call) is Wish.PAUSED else None
        began = isinstance(message, CallReported) and message.sid == LEG and self._leg_began(before)
        if began:
            self.history.joined_at = self.now
        self._check(before, message, decision.facts != (), decision.effect)
        return decision.effect

    def _leg_began(self, before: Call) -> bool:
        was = any(leg.sid == LEG and leg.live for leg in before.legs)
        return not was and any(leg.sid == LEG and leg.live for leg in self.call.legs)

    def _note_answer(self, message: Answered, taken_at: datetime, before: Call) -> None:
        if before.over:
            return
        if message.reply is not None and isinstance(self.out, Command):
            self.history.answered(self.out, message.reply, self.now)
        for listing in message.listings:
            self.history.listed(listing, taken_at)
        if message.listings and all(one.ok for one in message.listings):
            self.history.listed_at = taken_at

    def _check(self, before: Call, message: Message, has_facts: bool, effect: object) -> None:
        call, now = self.call, self.now
        if is_safe(call, now):
            assert self.history.proves(call), f"safe without proof after {message}"
            assert all(one.state is State.PAUSED for one in call.live)
        self._check_payment(before, message)
        if call.over:
            assert call.holds == ()
            assert call.live == (), f"a recording lives on after {message}"
            is_delivering = call.payment is not None and call.payment.stage is Stage.DELIVERING
            assert call.claim is not None or call.left_behind or is_delivering or due(call, now) is None
            assert not isinstance(effect, Look)
            if isinstance(effect, Command):
                assert (effect.wish, effect.target.owner in call.left) == (Wish.RECORDING, True)
        if before.over and before.status != "unknown-to-twilio":
            assert call.over, f"a call that was over came back with {message}"
        if next_effect(call, "0" * 32, now) is not None:
            assert due(call, now) is not None
        if desired(call) is Wish.PAUSED and not is_safe(call, now) and not call.over:
            falls_due = due(call, now)
            assert falls_due is not None, f"a pause was forgotten after {message}"
            is_late_resume = call.late_resume_until is not None and falls_due <= call.late_resume_until
            is_put_off = falls_due > now + LONGEST_WAIT and not call.reconfirm_at and not is_late_resume
            assert not is_put_off, f"a pause was put off after {message}"
        changed = (desired(before), observed(before), before.agent) != (desired(call), observed(call), call.agent)
        assert has_facts or not changed, f"a change without a fact after {message}"

    def _check_payment(self, before: Call, message: Message) -> None:
        """Open exactly as long as its hold; a field is asked for only where it is safe; nothing of it is forgotten."""
        payment = self.call.payment
        if payment is None:
            return
        assert not payment.is_open or any(hold.id == payment.hold for hold in self.call.holds)
        assert payment.is_open or payment.captures == ()
        if isinstance(message, AskField) and before.payment is not None and payment.asks > before.payment.asks:
            assert is_safe(before, self.now), "a card was asked for without proof"
        if payment.close_at is not None:
            falls_due = due(self.call, self.now)
            assert falls_due is not None
            assert falls_due <= payment.close_at
            assert not self.call.over
        if payment.stage is Stage.DELIVERING:
            assert due(self.call, self.now) is not None


def walk(seed: int, steps: int, expiry: Literal["resume", "alert"]) -> Walk:
    chance, stop_after = Chance(seed), timedelta(seconds=5) if seed % 3 == 0 else None
    taken = Walk(Policy(node="node-1", expiry=expiry, stop_after=stop_after))
    for _ in range(steps):
        taken.take(chance.seconds(), chance.step())
    return taken


seeds = st.integers(0, 2**32)
lengths = st.integers(1, 60)
expiries = st.sampled_from(["resume", "alert"])


@settings(max_examples=500, deadline=None, derandomize=True)
@given(seed=seeds, steps=lengths, expiry=expiries)
def test_invariants_hold_after_any_messages(seed: int, steps: int, expiry: Literal["resume", "alert"]) -> None:
    walk(seed, steps, expiry)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=seeds, steps=lengths)
def test_pause_becomes_safe_once_everything_goes_well_again(seed: int, steps: int) -> None:
    """Whatever happened before: a call that goes on and has something recording ends up safe."""
    taken = walk(seed, steps, "resume")
    taken.take(0.0, RecordingReported(sid=RE1, status="in-progress", of=Of.CALL, owner=SID))
    taken.take(0.0, Pause(by=CRM, hold_id="last", holder="api:crm", max_seconds=300))
    for _ in range(12):
        taken.take(6.0, "goes well")
    has_something = any(one.of is Of.CALL for one in taken.call.live)
    assert is_safe(taken.call, taken.now) or taken.call.over or taken.call.stop_wanted or not has_something


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=seeds, steps=lengths)
def test_nothing_stays_paused_once_everything_goes_well_again(seed: int, steps: int) -> None:
    """Whatever happened before: without holds nothing is left paused, and nothing in doubt."""
    taken = walk(seed, steps, "resume")
    for hold in taken.call.holds:
        taken.take(0.0, Release(by=SAM, hold=hold.id))
    for _ in range(12):
        taken.take(30.0, "goes well")
    assert taken.call.holds == ()
    assert taken.call.left_behind == ()
    if not taken.call.stop_wanted:
        assert [one.sid for one in taken.call.live if one.state is State.PAUSED or one.doubt] == []

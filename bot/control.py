"""CallControl: pause, resume, stop, receive, converge. The only place that commands Twilio.

Every round is the same: one transaction decides and claims (`recording.decide`), one effect is carried out outside any
transaction, and one transaction saves its outcome and decides on the next. A pause that goes well is two commits and
one round trip, with the lists beside it. Who finds the claim taken waits for its outcome, which is theirs too.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog

from bot.audit.journal import Journal, Transaction
from bot.call import Call, Of, Problem, Recording, State, Wish, desired, observed, why_not_safe
from bot.errors import DatabaseUnavailable
from bot.messages import (
    Answered,
    By,
    CallReported,
    Command,
    Converge,
    Decision,
    Denial,
    Effect,
    Fact,
    Kind,
    Listing,
    Look,
    Merge,
    Message,
    Pause,
    Policy,
    Reply,
    Resume,
    Shared,
    Stop,
    Take,
    Target,
    Wait,
)
from bot.recording import decide, next_effect, unite
from bot.storage import calls, deliveries, users
from bot.storage.calls import Loaded
from bot.storage.engine import Database
from bot.telephony.gateway import RecordingGateway
from bot.telephony.webhooks import Report

PATIENCE_SECONDS = {"agent": 8.0, "api": 8.0, "ivr": 10.0, "payment": 10.0, "system": 8.0}
TOO_EARLY_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.025
LOOK_AGAIN_SECONDS_MAX = 0.25
PLACE_SECONDS = 6.0
CLAIM_RESERVE_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The call as it is now, and why the wish was not met; `problem` is None when it was."""

    call: Call
    now: datetime
    problem: Problem | Denial | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """What a transaction left to do. `taken` is the monotonic time before it began: its claim is no younger."""

    call: Call
    now: datetime
    taken: float
    effect: Effect | None = None
    refused: Problem | Denial | None = None

    @property
    def is_claimed(self) -> bool:
        return isinstance(self.effect, Command | Look | Merge)


_Result = Callable[[_Step, float], Outcome | None]
"""What came of a step, given the seconds waited so far; None to go on."""


class CallControl:
    """Safe for any number of threads.

    At most `commanding_max` requests command Twilio at once: more would only slow each other down. Up to `admitted_max`
    wait for their turn; of the others only the wish is saved, and the worker sees to it.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        gateway: RecordingGateway,
        policy: Policy,
        account: str,
        *,
        admitted_max: int,
        commanding_max: int,
        patience_seconds: Mapping[str, float] = PATIENCE_SECONDS,
        background: Executor | None = None,
    ) -> None:
        """`background` runs what follows from a report; by default a few threads of our own."""
        self._database = database
        self._journal = journal
        self._gateway = gateway
        self._policy = policy
        self._account = account
        self._admitted = threading.BoundedSemaphore(admitted_max)
        self._places = threading.BoundedSemaphore(commanding_max)
        self._lists = ThreadPoolExecutor(2 * commanding_max, thread_name_prefix="lists")
        self._patience_seconds = patience_seconds
        self._background = background or ThreadPoolExecutor(16, thread_name_prefix="converge")

    # What people and programs ask

    def pause(
        self,
        sid: str,
        by: By,
        holder: str,
        *,
        reason: str | None = None,
        max_seconds: int | None = None,
        legs: tuple[str, ...] = (),
        conference: str | None = None,
    ) -> Outcome:
        """Open the holder's hold and pause every recording of the call. `problem` is None only when it is safe."""
        message = Pause(
            by=by,
            hold_id=secrets.token_hex(16),
            holder=holder,
            reason=reason,
            max_seconds=max_seconds,
            legs=legs,
            conference=conference,
        )
        return self._in_turn(sid, message, by, lambda _: _PauseResult(holder))

    def resume(self, sid: str, by: By, holder: str) -> Outcome:
        """Release the holder's own hold; what no other hold keeps paused records again."""
        return self._in_turn(sid, Resume(by=by, holder=holder), by, _ResumeResult)

    def stop(self, sid: str, by: By) -> Outcome:
        """End the call's recordings for good."""
        return self._in_turn(sid, Stop(by=by), by, lambda _: _stop_result)

    def take(self, sid: str, by: By, agent: str) -> Outcome:
        """An agent claims a call whose legs name no agent."""
        step = self._write(sid, Take(by=by, agent=agent))
        return Outcome(step.call, step.now, step.refused)

    # What Twilio reports

    def receive(self, report: Report, digest: bytes) -> bool:
        """Take in a status callback, once; False if it was a repeat. What follows from it is done beside."""
        touched: list[str] = []

        def change(transaction: Transaction) -> bool:
            touched.clear()
            if deliveries.is_repeat(transaction, digest):
                return False
            touched.extend(self._report(transaction, sid, report) for sid in _sids_of(transaction, report))
            return True

        is_new = self._journal.write(change, report.call or report.conference or "")
        for sid in touched:
            self.converge_soon(sid)
        return is_new

    def _report(self, transaction: Transaction, sid: str, report: Report) -> str:
        loaded = calls.load(transaction, sid, report.account or self._account)
        call = loaded.call
        facts: tuple[Fact, ...] = ()
        message = report.message
        if isinstance(message, CallReported):
            message = replace(message, agent=users.agent_at(transaction.connection, *report.contacts))
            if message.parent is not None and call.sid == message.parent:
                call, facts = self._absorb(transaction, call, message.sid, loaded.now)
        decision = decide(call, message, loaded.now, self._policy)
        facts = (*facts, *decision.facts)
        if not (loaded.is_new and not facts):
            calls.save(transaction, loaded, decision.call, facts)
        return decision.call.sid

    def _absorb(self, transaction: Transaction, parent: Call, leg: str, now: datetime) -> tuple[Call, tuple[Fact, ...]]:
        """If the leg was taken for a call of its own until now, its holds and recordings move to the parent."""
        known = calls.load(transaction, leg, parent.account)
        if known.is_new or known.call.sid != leg or known.call.over:
            return parent, ()
        united, emptied, facts = unite(parent, known.call, now, self._policy)
        calls.save(transaction, known, emptied, ())
        return united, facts

    # Converging

    def converge(self, sid: str, patience_seconds: float | None = None) -> Outcome:
        """Bring the call to what is desired, as far as it goes within the patience."""
        patience = self._patience_seconds["system"] if patience_seconds is None else patience_seconds
        return self._until(sid, None, patience, lambda _: _as_it_is)

    def converge_soon(self, sid: str) -> None:
        """The same beside the request; the worker takes over what this process does not get to."""
        self._background.submit(self._converge_quietly, sid)

    def _converge_quietly(self, sid: str) -> None:
        try:
            if self._is_due(sid):
                self.converge(sid)
        except DatabaseUnavailable:
            log.warning("converge.deferred", call=sid)
        except Exception:
            log.exception("converge.failed", call=sid)

    def _is_due(self, sid: str) -> bool:
        call = self.find(sid)
        return call is not None and (call.claim is not None or next_effect(call, "", datetime.now(UTC)) is not None)

    def close(self) -> None:
        """Let what is under way come to its end."""
        self._background.shutdown(wait=True, cancel_futures=True)
        self._lists.shutdown(wait=True, cancel_futures=True)

    def find(self, sid: str) -> Call | None:
        with self._database.read() as connection:
            return calls.find(connection, sid)

    # The loop

    def _in_turn(self, sid: str, message: Message, by: By, judge: Callable[[_Step], _Result]) -> Outcome:
        """Command when it is our turn. The wish itself never waits for one: without a turn the worker sees to it.

        Turns are capped, so that webhooks and health checks always find a thread.
        """
        patience = self._patience_seconds[by.source]
        if self._places.acquire(blocking=False):
            return self._with_place(sid, message, patience, judge)
        began = time.monotonic()
        step = self._write(sid, message)
        outcome = judge(step)(step, 0.0)
        if outcome is not None:
            return outcome
        if self._admitted.acquire(blocking=False):
            try:
                if self._places.acquire(timeout=PLACE_SECONDS):
                    left = patience - (time.monotonic() - began)
                    return self._with_place(step.call.sid, None, left, lambda _: judge(step))
            finally:
                self._admitted.release()
        problem = why_not_safe(step.call, step.now) if desired(step.call) is Wish.PAUSED else Problem.STARTING
        return Outcome(step.call, step.now, problem)

    def _with_place(
        self, sid: str, message: Message | None, patience_seconds: float, judge: Callable[[_Step], _Result]
    ) -> Outcome:
        try:
            return self._until(sid, message, patience_seconds, judge)
        finally:
            self._places.release()

    def _until(
        self, sid: str, message: Message | None, patience_seconds: float, judge: Callable[[_Step], _Result]
    ) -> Outcome:
        """Go round until it is said what came of it, or the patience is over; what was claimed is always carried out.

        `judge` is given the first step and returns the judge of all the others.
        """
        began = time.monotonic()
        deadline = began + patience_seconds
        step = self._write(sid, *([message] if message else []), converge=True)
        result = judge(step)
        while True:
            if step.is_claimed:
                step = self._advance(step, deadline)
                continue
            outcome = result(step, time.monotonic() - began)
            if outcome is not None:
                return outcome
            if time.monotonic() >= deadline:
                problem = why_not_safe(step.call, step.now) if desired(step.call) is Wish.PAUSED else step.call.problem
                return Outcome(step.call, step.now, problem or Problem.UNANSWERED)
            step = self._advance(step, deadline)

    def _advance(self, step: _Step, deadline: float) -> _Step:
        """One round: carry out what was claimed, or wait for whoever holds the claim, or until the next try is due."""
        match step.effect:
            case Command() | Look():
                answered = self._perform(step, step.effect)
                return self._write(step.call.sid, answered, converge=self._may_claim(deadline))
            case Merge(parent=parent):
                self._merge(step.call, parent)
                return self._write(parent, converge=self._may_claim(deadline))
            case Wait() | None:
                time.sleep(max(0.0, min(_pause_before_looking(step), deadline - time.monotonic())))
                return self._look_again(step, may_claim=self._may_claim(deadline))

    def _may_claim(self, deadline: float) -> bool:
        """Whether a whole attempt still fits into the patience: the last one is included in it."""
        return time.monotonic() + self._gateway.timeout_seconds < deadline

    def _look_again(self, step: _Step, *, may_claim: bool) -> _Step:
        """Read without a lock; only when something can be done is a transaction worth it."""
        call = self.find(step.call.sid) or step.call
        looked = time.monotonic()
        now = step.now + timedelta(seconds=looked - step.taken)
        is_free = call.claim is None or call.claim.until <= now
        if may_claim and is_free and (call.claim is not None or next_effect(call, "", now) is not None):
            return self._write(call.sid, converge=True)
        return _Step(call, now, looked)

    def _write(self, sid: str, *messages: Message, converge: bool = False) -> _Step:
        """One transaction: the messages, then the next effect claimed."""
        taken = time.monotonic()
        token = secrets.token_hex(16)

        def change(transaction: Transaction) -> _Step:
            loaded = calls.load(transaction, sid, self._account)
            decision = Decision(call=loaded.call)
            facts: tuple[Fact, ...] = ()
            for message in messages:
                decision = decide(decision.call, message, loaded.now, self._policy)
                facts += decision.facts
            if converge and not decision.refused and not isinstance(decision.effect, Merge):
                decision = self._claimed(transaction, decision.call, token, loaded.now)
                facts += decision.facts
            if not (loaded.is_new and not facts):
                calls.save(transaction, loaded, decision.call, facts)
            self._tell_peers(transaction, loaded.call, decision)
            return _Step(decision.call, loaded.now, taken, decision.effect, decision.refused)

        return self._journal.write(change, sid)

    def _claimed(self, transaction: Transaction, call: Call, token: str, now: datetime) -> Decision:
        """The next effect. What another call of the same conference needs or does comes first: the recording is one."""
        peers = self._peers(transaction, call)
        claims = [peer.call.claim for peer in peers if peer.call.claim is not None]
        resuming = [claim.until for claim in claims if claim.wish is Wish.RECORDING]
        if desired(call) is Wish.PAUSED and any(until > now for until in resuming):
            return Decision(call=call, effect=Wait(until=max(resuming)))
        if desired(call) is Wish.PAUSED:
            call = _with_late_resumes(call, [peer.call for peer in peers], self._policy)
        decision = decide(call, Converge(token=token), now, self._policy)
        effect = decision.effect
        if not isinstance(effect, Command) or effect.wish is Wish.PAUSED or effect.target.of is not Of.CONFERENCE:
            return decision
        holding = [peer for peer in peers if desired(peer.call) is Wish.PAUSED and not peer.call.over]
        if not holding:
            return decision
        for peer in holding:
            _leave_to(transaction, peer, effect.target)
        return decide(call, Shared(recording=effect.target.recording), now, self._policy)

    def _tell_peers(self, transaction: Transaction, before: Call, decision: Decision) -> None:
        """A resume of a conference's recording undoes what other calls believe of it, also if it arrives late."""
        call, effect = decision.call, decision.effect
        resumes = isinstance(effect, Command) and effect.wish is Wish.RECORDING and effect.target.of is Of.CONFERENCE
        late = call.late_resume_until if call.late_resume_until != before.late_resume_until else None
        if not call.conferences or not (resumes or late):
            return
        for loaded in self._peers(transaction, call):
            peer = loaded.call
            known = peer.recording(effect.target.recording) if resumes and isinstance(effect, Command) else None
            if known is not None and known.state is State.PAUSED:
                peer = peer.with_recording(replace(known, state=State.UNKNOWN, confirmed_at=None))
            if late is not None and (peer.late_resume_until is None or peer.late_resume_until < late):
                peer = replace(peer, late_resume_until=late)
            calls.save(transaction, loaded, peer, ())

    def _peers(self, transaction: Transaction, call: Call) -> list[Loaded]:
        """The other calls known in this call's conferences, locked in the order of their SIDs."""
        sids = {sid for one in call.conferences for sid in calls.of_conference(transaction.connection, one)} - {
            call.sid
        }
        loaded = [calls.load(transaction, sid, call.account) for sid in sorted(sids)]
        return [one for one in loaded if not one.is_new and one.call.sid != call.sid]

    def _merge(self, child: Call, parent_sid: str) -> None:
        def change(transaction: Transaction) -> None:
            first = calls.load(transaction, min(child.sid, parent_sid), child.account)
            second = calls.load(transaction, max(child.sid, parent_sid), child.account)
            parent, leg = (first, second) if first.call.sid == parent_sid else (second, first)
            if leg.call.over or leg.call.sid == parent.call.sid:
                return
            united, emptied, facts = unite(parent.call, leg.call, parent.now, self._policy)
            calls.save(transaction, leg, emptied, ())
            calls.save(transaction, parent, united, facts)

        self._journal.write(change, min(child.sid, parent_sid))

    # Carrying out one effect, outside any transaction

    def _perform(self, step: _Step, effect: Command | Look) -> Answered:
        account = step.call.account
        left = self._policy.claim.total_seconds() - (time.monotonic() - step.taken)
        if left < self._gateway.timeout_seconds + CLAIM_RESERVE_SECONDS:
            reply = (
                Reply(kind=Kind.UNSENT, why="too little was left of the claim") if isinstance(effect, Command) else None
            )
            return Answered(token=effect.token, reply=reply)
        deadline = time.monotonic() + self._gateway.timeout_seconds
        lists = [self._lists.submit(self._gateway.list_recordings, account, of, owner) for of, owner in effect.lists]
        if isinstance(effect, Look):
            seen = self._gateway.fetch_call(account, step.call.sid) if effect.ask_call else None
            return Answered(token=effect.token, listings=_gather(effect, lists, deadline), seen=seen)
        reply = self._gateway.command(account, effect.target, effect.wish)
        return Answered(token=effect.token, reply=reply, listings=_gather(effect, lists, deadline))


def _gather(effect: Command | Look, lists: list[Future[Listing]], deadline: float) -> tuple[Listing, ...]:
    """The lists; one that did not come by the deadline was not had."""
    wait(lists, timeout=max(0.0, deadline - time.monotonic()))
    return tuple(
        Listing(of=of, owner=owner, ok=False, why="no reply in time")
        if future.cancel() or not future.done()
        else future.result()
        for future, (of, owner) in zip(lists, effect.lists, strict=True)
    )


def _with_late_resumes(call: Call, peers: list[Call], policy: Policy) -> Call:
    """A resume that another call of the conference left unanswered, or whose sender died, may undo our pause too."""
    times = [peer.late_resume_until for peer in peers]
    times += [peer.claim.until + policy.late for peer in peers if peer.claim and peer.claim.wish is Wish.RECORDING]
    late = max((at for at in (*times, call.late_resume_until) if at is not None), default=None)
    return replace(call, late_resume_until=late)


def _leave_to(transaction: Transaction, peer: Loaded, target: Target) -> None:
    """The recording may be paused, and it is now for this call to resume it, also if its own pause never came about."""
    known = peer.call.recording(target.recording)
    if known is not None and (known.state is State.PAUSED or not known.live):
        return
    left = known or Recording(sid=target.recording, of=target.of, owner=target.owner)
    found = Fact(type="recording.found", recording=left.sid, after=State.UNKNOWN, detail={"of": left.of})
    after = peer.call.with_recording(replace(left, doubt=True))
    calls.save(transaction, peer, after, () if known else (found,))


def _pause_before_looking(step: _Step) -> float:
    """Seconds: short while somebody else commands; until the next try otherwise, but soon enough to see a new wish."""
    if step.effect is not None or step.call.next_at is None:
        return LOOK_AGAIN_SECONDS
    until_next = (step.call.next_at - step.now).total_seconds()
    return min(max(until_next, LOOK_AGAIN_SECONDS), LOOK_AGAIN_SECONDS_MAX)


# What came of it


@dataclass(frozen=True, slots=True)
class _PauseResult:
    """Done when it is safe, when our hold is gone, or when going on cannot help the one who waits."""

    holder: str

    def __call__(self, step: _Step, waited_seconds: float) -> Outcome | None:
        call = step.call
        why = step.refused or why_not_safe(call, step.now)
        if why is None or step.refused is not None:
            return Outcome(call, step.now, why)
        if call.hold_of(self.holder) is None:
            return Outcome(call, step.now, why if call.over else Problem.SUPERSEDED)
        is_hopeless = why in {Problem.LATE_RESUME, Problem.CREDENTIALS}
        is_settled = why is Problem.NOTHING_RECORDING and waited_seconds >= TOO_EARLY_SECONDS
        return Outcome(call, step.now, why) if is_hopeless or is_settled else None


class _ResumeResult:
    """Done when nothing is left to resume, or when other holds keep the call paused, as they may."""

    def __init__(self, first: _Step) -> None:
        self._is_held_by_others = desired(first.call) is Wish.PAUSED

    def __call__(self, step: _Step, waited_seconds: float) -> Outcome | None:  # noqa: ARG002 - one shape for all results
        call = step.call
        if step.refused is not None or desired(call) is Wish.PAUSED:
            superseded = None if self._is_held_by_others else Problem.SUPERSEDED
            return Outcome(call, step.now, step.refused or superseded)
        if call.over:
            return Outcome(call, step.now, call.problem or Problem.CALL_OVER)
        if call.problem is Problem.CREDENTIALS:
            return Outcome(call, step.now, call.problem)
        is_met = call.claim is None and next_effect(replace(call, next_at=None), "", step.now) is None
        return Outcome(call, step.now) if is_met or call.problem is Problem.NOTHING_RECORDING else None


def _stop_result(step: _Step, waited_seconds: float) -> Outcome | None:
    call = step.call
    if step.refused is not None or call.over:
        return Outcome(call, step.now, step.refused or call.problem)
    if observed(call) == "stopped":
        return Outcome(call, step.now)
    is_settled = call.problem is Problem.NOTHING_RECORDING and waited_seconds >= TOO_EARLY_SECONDS
    return Outcome(call, step.now, call.problem) if is_settled or call.problem is Problem.CREDENTIALS else None


def _as_it_is(step: _Step, waited_seconds: float) -> Outcome:  # noqa: ARG001 - one shape for all results
    return Outcome(step.call, step.now)


def _sids_of(transaction: Transaction, report: Report) -> tuple[str, ...]:
    """The calls that a report speaks of: one, or all that are known to be in the conference, in lock order."""
    named = (report.call,) if report.call else ()
    if report.conference is not None and not isinstance(report.message, CallReported):
        named = (*calls.of_conference(transaction.connection, report.conference), *named)
    found = (calls.find(transaction.connection, sid) for sid in named)
    return tuple(sorted({call.sid if call else sid for call, sid in zip(found, named, strict=True)}))

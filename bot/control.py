"""CallControl: pause, resume, stop, receive, converge. The only place that commands Twilio.

Every round is the same: one transaction decides and claims (`recording.decide`), one effect is carried out outside any
transaction, and one transaction saves its outcome and decides on the next. A pause that goes well is two commits and
one round trip, with the lists beside it. Who finds the claim taken waits for its outcome, which is theirs too.

From top to bottom: what people and programs ask (a wish is saved first, then its turn to command is waited for, and the
worker sees to what does not get one); what Twilio reports (saved first, what follows is done beside); converging, which
the worker asks for whatever falls due; the loop (claim, carry out, save, until a judge of `results` is content or the
patience is over); one effect, sent by its deadline or not at all. A process that ends claims nothing more and finishes
what it has claimed. An IVR's or payment's hold ends at once when its pause was not proven.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from bot import intake, peers
from bot.actors import By
from bot.audit.journal import Journal, Transaction
from bot.call import NEW, Call, Problem, Wish, desired, why_not_safe
from bot.errors import DatabaseUnavailable
from bot.messages import (
    Answered,
    Beat,
    Command,
    Decision,
    Fact,
    Finding,
    GiveUp,
    Kind,
    Listing,
    Look,
    Merge,
    Message,
    Pause,
    Policy,
    Release,
    Reply,
    Resume,
    Stop,
    Take,
    Wait,
)
from bot.outage import Outage
from bot.recording import decide, next_effect, unite
from bot.results import Judge, Outcome, PauseJudge, ResumeJudge, Step, as_it_is, stop_judge
from bot.storage import calls
from bot.storage.engine import Database
from bot.telephony.gateway import RecordingGateway
from bot.telephony.webhooks import Report

PATIENCE_SECONDS = {"agent": 8.0, "api": 8.0, "ivr": 10.0, "payment": 10.0, "system": 8.0}
LOOK_AGAIN_SECONDS = 0.025
LOOK_AGAIN_SECONDS_MAX = 0.25
PLACE_SECONDS = 6.0
FAIL_CLOSED = frozenset({"ivr", "payment"})
"""Whose hold ends at once when the pause was not proven: they go on without a card (invariant 3)."""
CLAIM_RESERVE_SECONDS = 1.0
NO_CALL = "CA" + "0" * 32

log = structlog.get_logger(__name__)


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
        self.outage = Outage(database, journal, self.beside)
        self._is_ending = False

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
        in_vain_after: float = math.inf,
    ) -> Outcome:
        """Open the holder's hold and pause every recording of the call. `problem` is None only when it is safe. An IVR
        that was not told so by `in_vain_after` (monotonic) has gone on without a card.
        """
        message = Pause(
            by=by,
            hold_id=secrets.token_hex(16),
            holder=holder,
            reason=reason,
            max_seconds=max_seconds,
            legs=legs,
            conference=conference,
        )
        outcome = self.until_safe(sid, message, by, holder)
        is_in_time = time.monotonic() <= in_vain_after
        if (outcome.problem is None and is_in_time) or by.source not in FAIL_CLOSED:
            return outcome
        step = self.tell(outcome.call.sid, GiveUp(by=by, wish=message.hold_id))
        return Outcome(step.call, step.now, outcome.problem or Problem.UNANSWERED)

    def beat(self, sid: str, by: By, holder: str) -> Outcome:
        """A payment step or form is still open: its hold goes on, up to the hard limit."""
        step = self._write(sid, Beat(by=by, holder=holder))
        return Outcome(step.call, step.now, why_not_safe(step.call, step.now))

    def resume(self, sid: str, by: By, holder: str) -> Outcome:
        """Release the holder's own hold; what no other hold keeps paused records again."""
        return self.until_resumed(sid, Resume(by=by, holder=holder), by)

    def release(self, sid: str, by: By, hold: str) -> Outcome:
        """A supervisor ends one hold, whoever it belongs to."""
        return self.until_resumed(sid, Release(by=by, hold=hold), by)

    def stop(self, sid: str, by: By) -> Outcome:
        """End the call's recordings for good."""
        return self._in_turn(sid, Stop(by=by), by, lambda _: stop_judge)

    def take(self, sid: str, by: By, agent: str) -> Outcome:
        """An agent claims a call whose legs name no agent."""
        step = self._write(sid, Take(by=by, agent=agent))
        return Outcome(step.call, step.now, step.refused)

    # What `keypad` builds on

    def until_safe(self, sid: str, message: Message, by: By, holder: str) -> Outcome:
        """Tell the call what opens this holder's hold, and wait until it is safe or that cannot be had in time."""
        return self._in_turn(sid, message, by, lambda _: PauseJudge(holder))

    def until_resumed(self, sid: str, message: Message, by: By) -> Outcome:
        """Tell the call what ends a hold, and wait until nothing is left to resume, as far as patience goes."""
        return self._in_turn(sid, message, by, ResumeJudge)

    def tell(self, sid: str, *messages: Message) -> Step:
        """Only save what is told; what follows from it is done beside."""
        step = self._write(sid, *messages)
        self.converge_soon(step.call.sid)
        return step

    # What Twilio reports

    def receive(self, report: Report, digest: bytes) -> bool:
        """Take in a status callback, once; False if it was a repeat. What follows from it is done beside."""

        def change(transaction: Transaction) -> list[str] | None:
            return intake.take_in(transaction, report, digest, self._account, self._policy)

        told = self._journal.write(change, report.call or report.conference or "")
        for sid in dict.fromkeys(told or ()):
            self.converge_soon(sid)
        return told is not None

    # Converging

    def converge(self, sid: str, patience_seconds: float | None = None) -> Outcome:
        """Bring the call to what is desired, as far as it goes without waiting, within the patience."""
        patience = self._patience_seconds["system"] if patience_seconds is None else patience_seconds
        return self._until(sid, None, patience, lambda _: as_it_is)

    def converge_soon(self, sid: str) -> None:
        """The same beside the request; the worker takes over what this process does not get to."""
        self.beside(lambda: self._converge_quietly(sid))

    def beside(self, what: Callable[[], None]) -> None:
        """In a thread of our own, unless the process ends: others see to it then."""
        if not self._is_ending:
            with suppress(RuntimeError):  # it began to end just now
                self._background.submit(what)

    def _converge_quietly(self, sid: str) -> None:
        try:
            if self._is_due(sid):
                self.converge(sid)
        except DatabaseUnavailable:
            log.debug("converge.deferred", call=sid)
        except Exception:
            log.exception("converge.failed", call=sid)

    def _is_due(self, sid: str) -> bool:
        call = self.find(sid)
        return call is not None and (call.claim is not None or next_effect(call, "", datetime.now(UTC)) is not None)

    def probe(self) -> None:
        """While Twilio is known to be away, ask it anything: its next answer ends that, also when no call is paused."""
        if Finding.OUTAGE in self.outage.known():
            seen = self._gateway.fetch_call(self._account, NO_CALL)
            self.outage.heard(Answered(token="", seen=seen))

    def wind_down(self) -> None:
        """From now on claim nothing more; what is claimed is still carried out and saved. Others do the rest."""
        self._is_ending = True

    def close(self) -> None:
        """Let what is under way come to its end: at most the Twilio time limit, and one write for its outcome."""
        self.wind_down()
        self._background.shutdown(wait=True, cancel_futures=True)
        self._lists.shutdown(wait=True, cancel_futures=True)

    def find(self, sid: str) -> Call | None:
        with self._database.read() as connection:
            return calls.find(connection, sid)

    # The loop

    def _in_turn(self, sid: str, message: Message, by: By, judge: Callable[[Step], Judge]) -> Outcome:
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
        self, sid: str, message: Message | None, patience_seconds: float, judge: Callable[[Step], Judge]
    ) -> Outcome:
        try:
            return self._until(sid, message, patience_seconds, judge)
        finally:
            self._places.release()

    def _until(
        self, sid: str, message: Message | None, patience_seconds: float, judge: Callable[[Step], Judge]
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

    def _advance(self, step: Step, deadline: float) -> Step:
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
        return not self._is_ending and time.monotonic() + self._gateway.timeout_seconds < deadline

    def _look_again(self, step: Step, *, may_claim: bool) -> Step:
        """Read without a lock; only when something can be done is a transaction worth it."""
        call = self.find(step.call.sid) or step.call
        looked = time.monotonic()
        now = step.now + timedelta(seconds=looked - step.taken)
        is_free = call.claim is None or call.claim.until <= now
        if may_claim and is_free and (call.claim is not None or next_effect(call, "", now) is not None):
            return self._write(call.sid, converge=True)
        return Step(call, now, looked)

    def _write(self, sid: str, *messages: Message, converge: bool = False) -> Step:
        """One transaction: the messages, then the next effect claimed."""
        taken = time.monotonic()
        token = secrets.token_hex(16)

        def change(transaction: Transaction) -> Step:
            loaded = calls.load(transaction, sid, self._account)
            decision = Decision(call=loaded.call)
            facts: tuple[Fact, ...] = ()
            for message in messages:
                decision = decide(decision.call, message, loaded.now, self._policy)
                facts += decision.facts
            if converge and not decision.refused and not isinstance(decision.effect, Merge):
                decision = peers.claim(transaction, decision.call, token, loaded.now, self._policy)
                facts += decision.facts
            if not (loaded.is_new and not facts):
                calls.save(transaction, loaded, decision.call, facts)
            peers.tell(transaction, loaded.call, decision)
            return Step(decision.call, loaded.now, taken, decision.effect, decision.refused)

        return self._journal.write(change, sid)

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

    def _perform(self, step: Step, effect: Command | Look) -> Answered:
        account = step.call.account
        now = time.monotonic()
        left = self._policy.claim.total_seconds() - (now - step.taken)
        if left < self._gateway.timeout_seconds + CLAIM_RESERVE_SECONDS:
            reply = (
                Reply(kind=Kind.UNSENT, why="too little was left of the claim") if isinstance(effect, Command) else None
            )
            return Answered(token=effect.token, reply=reply)
        deadline = now + self._gateway.timeout_seconds
        lists = [self._lists.submit(self._gateway.list_recordings, account, of, owner) for of, owner in effect.lists]
        if isinstance(effect, Look):
            seen = self._gateway.fetch_call(account, effect.asks) if effect.asks else None
            answered = Answered(token=effect.token, listings=_gather(effect, lists, deadline), seen=seen)
        elif effect.target.recording == NEW:
            reply = self._gateway.start_recording(account, effect.target.owner, deadline)
            answered = Answered(token=effect.token, reply=reply)
        else:
            reply = self._gateway.command(account, effect.target, effect.wish, deadline)
            answered = Answered(token=effect.token, reply=reply, listings=_gather(effect, lists, deadline))
        self.outage.heard(answered)
        return answered


def _gather(effect: Command | Look, lists: list[Future[Listing]], deadline: float) -> tuple[Listing, ...]:
    """The lists; one that did not come by the deadline was not had."""
    wait(lists, timeout=max(0.0, deadline - time.monotonic()))
    return tuple(
        Listing(of=of, owner=owner, ok=False, why="no reply in time")
        if future.cancel() or not future.done()
        else future.result()
        for future, (of, owner) in zip(lists, effect.lists, strict=True)
    )


def _pause_before_looking(step: Step) -> float:
    """Seconds: short while somebody else commands; until the next try otherwise, but soon enough to see a new wish."""
    if step.effect is not None or step.call.next_at is None:
        return LOOK_AGAIN_SECONDS
    until_next = (step.call.next_at - step.now).total_seconds()
    return min(max(until_next, LOOK_AGAIN_SECONDS), LOOK_AGAIN_SECONDS_MAX)

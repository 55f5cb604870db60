"""PURE. decide(call, message, now) -> Decision: what a message does to a call, what the log says of it, what to do
next.

Level-triggered (invariant 7): `next_effect` derives what is to be done from desired and observed alone, never from
having seen an event. So it does not matter which process asks, how often, or what got lost on the way.

The rules, in the order of this file:

1. *Wishes* open, prolong and release holds (`holds`); the last one wins. Desired is `paused` while any hold is open.
2. What Twilio *reports* (`reports`) adds legs, conferences and recordings, and ends them. A report never makes a call
   safe; a new recording or participant makes it unsafe until it is proven again.
3. *Converge* lets holds run out, takes over what a dead process left, chooses the next effect and claims it.
4. `next_effect`, in this order: nothing before the back-off is over; Twilio's lists after anything that nobody
   noted; the wanted command for whatever needs it; the lists, if they are not from this pause or half a minute old; a
   new recording, if ours was stopped instead of paused; the call itself, if nothing was heard of it for long.
5. To *pause*: `Twilio.CURRENT` while at most one live recording is known on the call, else each by its SID, with the
   lists beside. What is not proven by `stop_at` is stopped instead, where the operator chose so (never a conference's).
   To *resume*: only what was confirmed paused or is in doubt. What an unanswered command of the other direction may
   have undone since is commanded again (`_stale_before`).
6. A recording of a conference that the call has left is not the call's any more; if our pause still holds it, it is
   resumed, even after the call is over. Nothing else is ever sent for a call that is over.
7. *Outcomes* (`outcomes`): only a reply that names the wanted status confirms. An unanswered command leaves a doubt,
   and for `Policy.late` it may still arrive.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from bot import capture, holds, outcomes, reports, settling
from bot.call import (
    CURRENT,
    NEW,
    Call,
    Claim,
    Of,
    Problem,
    Recording,
    State,
    Wish,
    desired,
    is_listed,
    is_safe,
    is_stopped_instead,
    observed,
)
from bot.messages import (
    Answered,
    Beat,
    CallReported,
    Command,
    ConferenceReported,
    Converge,
    Decision,
    Denial,
    Effect,
    Fact,
    GiveUp,
    Look,
    Message,
    Pause,
    Policy,
    RecordingReported,
    Release,
    Resume,
    Shared,
    Stop,
    Take,
    Target,
    Wait,
)
from bot.outcomes import OPPOSITE
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

LIST_AGAIN = timedelta(seconds=30)
"""During a pause the lists are asked for again: the callback of a recording that began meanwhile may have been lost."""

QUIET = timedelta(minutes=5)
"""A call of which nothing was heard for so long is asked about: the callback of its end may have been lost."""


def decide(call: Call, message: Message, now: datetime, policy: Policy) -> Decision:
    """Total over every state and message. `now` is the database's clock."""
    decision = _dispatch(call, message, now, policy)
    settled, facts = settling.settle(decision.call, now)
    after = _after_a_change_of_wish(call, settled, now)
    return replace(decision, call=noted(call, after, now, policy), facts=(*decision.facts, *facts))


def _dispatch(call: Call, message: Message, now: datetime, policy: Policy) -> Decision:  # noqa: C901 - one line a case
    match message:
        case Pause():
            return holds.pause(call, message, now, policy)
        case Resume():
            return holds.resume(call, message, now)
        case Release():
            return holds.release(call, message, now)
        case Beat():
            return holds.beat(call, message, now, policy)
        case GiveUp():
            return holds.give_up(call, message, now)
        case Stop():
            return _stop(call, message)
        case Take():
            return _take(call, message)
        case Converge():
            return _converge(call, message, now, policy)
        case Answered():
            return outcomes.answered(call, message, now, policy)
        case CallReported():
            return reports.call_reported(call, message, now)
        case RecordingReported():
            return reports.recording_reported(call, message, now)
        case ConferenceReported():
            return reports.conference_reported(call, message, now)
        case Shared():
            return _shared(call, message, now, policy)
        case (
            OpenPayment()
            | SessionOpened()
            | AskField()
            | CompletePayment()
            | SessionRefused()
            | EndPayment()
            | PaymentReported()
            | Delivered()
            | SessionClosed()
        ):
            return capture.decide(call, message, now, policy)
        case _:
            assert_never(message)


def _after_a_change_of_wish(before: Call, after: Call, now: datetime) -> Call:
    """A new wish is tried at once, and nothing planned for the old one is kept."""
    wish = desired(after)
    if wish is desired(before):
        return after
    return replace(
        after,
        paused_since=now if wish is Wish.PAUSED else None,
        reconfirm_at=(),
        nothing_on_call_at=None,
        resume_wanted=after.resume_wanted and wish is Wish.RECORDING,
        stop_at=None,
        recordings=tuple(replace(one, toggle=False, failures=0, next_at=None) for one in after.recordings),
        failures=0,
        next_at=None,
        problem=None if not after.over else after.problem,
    )


def noted(before: Call, after: Call, now: datetime, policy: Policy) -> Call:
    """What every change leaves behind: when it was, whether the holds were ever proven, how long that may take."""
    if after == before:
        return after
    heard = replace(after, heard_at=now)
    if desired(after) is not Wish.PAUSED or after.over:
        return heard
    if is_safe(after, now):
        return replace(heard, stop_at=None, holds=tuple(replace(hold, proven=True) for hold in after.holds))
    if policy.stop_after is None or after.stop_at is not None:
        return heard
    return replace(heard, stop_at=now + policy.stop_after)


def unite(parent: Call, child: Call, now: datetime, policy: Policy) -> tuple[Call, Call, tuple[Fact, ...]]:
    """The call and what we took for another, which is a leg of it: the call with all that was wished, the emptied
    leg.
    """
    united, emptied, facts = reports.merge(parent, child, now, policy)
    united, more = settling.settle(united, now)
    facts = (*facts, *more)
    united = _after_a_change_of_wish(parent, united, now)
    return noted(parent, united, now, policy), emptied, facts


# 1. Wishes; those about holds are in `holds`


def _stop(call: Call, message: Stop) -> Decision:
    if call.over:
        return holds.refuse(call, message, Problem.CALL_OVER)
    if call.conferences or any(recording.of is Of.CONFERENCE for recording in call.live):
        return holds.refuse(call, message, Denial.CONFERENCE_STOP)
    fact = Fact(type="stop.requested", by=message.by, before=desired(call), after=Wish.STOPPED)
    return Decision(call=replace(call, stop_wanted=True, gap_since=None, next_at=None, failures=0), facts=(fact,))


def _take(call: Call, message: Take) -> Decision:
    if call.over:
        return holds.refuse(call, message, Problem.CALL_OVER)
    if message.agent == call.agent:
        return Decision(call=call)
    if call.leg_agent is not None or call.taken_by is not None:
        return holds.refuse(call, message, Denial.OWNED)
    fact = Fact(type="call.claimed", by=message.by, before=call.agent, after=message.agent)
    return Decision(call=replace(call, taken_by=message.agent, agent=message.agent), facts=(fact,))


# 3. Converge: holds that ran out, claims of the dead, and the next effect


def _converge(call: Call, message: Converge, now: datetime, policy: Policy) -> Decision:
    after, facts = holds.run_out(call, now, policy)
    after = _after_a_change_of_wish(call, after, now)
    if after.claim is not None:
        if after.claim.until > now:
            return Decision(call=after, facts=facts, effect=Wait(until=after.claim.until))
        after, abandoned = outcomes.abandoned(after, after.claim, policy)
        facts = (*facts, *abandoned)
    effect = next_effect(after, message.token, now)
    if not isinstance(effect, Command | Look):
        return Decision(call=after, facts=facts)
    after, sent = _claim(after, effect, now, policy)
    return Decision(call=after, facts=(*facts, *sent), effect=effect)


def _shared(call: Call, message: Shared, now: datetime, policy: Policy) -> Decision:
    """Stands in for a converge: the holds that ran out end here too."""
    after, facts = holds.run_out(call, now, policy)
    decision = outcomes.shared(_after_a_change_of_wish(call, after, now), message)
    return replace(decision, facts=(*facts, *decision.facts))


def _claim(call: Call, effect: Command | Look, now: datetime, policy: Policy) -> tuple[Call, tuple[Fact, ...]]:
    command = effect if isinstance(effect, Command) else None
    claim = Claim(
        token=effect.token,
        node=policy.node,
        taken_at=now,
        until=now + policy.claim,
        wish=command.wish if command else None,
        target=command.target.recording if command else None,
    )
    before = observed(call)
    call = replace(call, claim=claim)
    if command is None:
        return call, ()
    if command.wish is not Wish.PAUSED and command.target.recording != NEW:
        call = outcomes.in_doubt(call, command.target)
    if command.wish is Wish.STOPPED and not call.stop_wanted:
        call = replace(call, gap_since=call.gap_since or now)
    fact = Fact(
        type="command.sent",
        id=effect.token,
        cause=call.holds[-1].id if call.holds else None,
        recording=None if command.target.recording in {CURRENT, NEW} else command.target.recording,
        outcome="unknown",
        before=before,
        after=command.wish,
        detail={"wish": command.wish, "target": command.target.recording, "of": command.target.of},
    )
    return call, (fact,)


# 4. What is to be done


def next_effect(call: Call, token: str, now: datetime) -> Effect | None:
    """What should be sent or asked now; None when all is as wanted, or it is too early to try again.

    While the next try waits, what the call left behind in a conference has its turn.
    """
    if call.over or (call.next_at is not None and call.next_at > now):
        return _let_go(call, token, now)
    if call.look_first:
        return Look(token=token, lists=lists_of(call), asks=_asked_about(call) if call.ask_call else None)
    if call.ask_call:
        return Look(token=token, asks=_asked_about(call))
    wish = desired(call)
    chosen = _choose(call, now)
    if chosen is not None:
        command, target = chosen
        is_paused_by_it = command is Wish.PAUSED or (wish is Wish.PAUSED and command is Wish.STOPPED)
        return Command(token=token, wish=command, target=target, lists=lists_of(call) if is_paused_by_it else ())
    if wish is Wish.PAUSED and not (is_listed(call, now) and _listed_lately(call, now)):
        return Look(token=token, lists=lists_of(call))
    if wish is Wish.RECORDING and call.gap_since is not None and not call.live_on_call and not call.orphaned:
        return Command(token=token, wish=Wish.RECORDING, target=Target(of=Of.CALL, owner=call.sid, recording=NEW))
    freed = _let_go(call, token, now)
    if freed is None and call.heard_at is not None and call.heard_at + QUIET <= now:
        return Look(token=token, asks=_asked_about(call))
    return freed


def _listed_lately(call: Call, now: datetime) -> bool:
    return call.listed_at is not None and now < call.listed_at + LIST_AGAIN


def due(call: Call, now: datetime) -> datetime | None:
    """When the worker has to look at this call next; None when nothing will ever fall due."""
    if call.claim is not None:
        return min(at for at in (call.claim.until, settling.due(call)) if at is not None)
    times = [recording.next_at for recording in (*call.live, *call.left_behind)]
    if not call.over:
        times += [*call.reconfirm_at, call.late_resume_until, call.stop_at]
        times += [None if call.heard_at is None else call.heard_at + QUIET]
        times += [call.listed_at + LIST_AGAIN] if call.listed_at and desired(call) is Wish.PAUSED else []
    waits = [max(at, call.next_at or at) for at in times if at is not None]
    ahead = [at for at in waits if at > now and next_effect(call, "", at) is not None]
    if not call.over:
        ahead += [at for at in map(holds.falls_due, call.holds) if at is not None and at > now]
    if any(at is not None and at <= now for at in map(holds.falls_due, call.holds)):
        ahead.append(now)
    if next_effect(call, "", now) is not None:
        ahead.append(now)
    if next_effect(replace(call, next_at=None), "", now) is not None:
        ahead.append(call.next_at or now)
    payment = settling.due(call)
    return min([*ahead, *([payment] if payment else [])], default=None)


def lists_of(call: Call) -> tuple[tuple[Of, str], ...]:
    """Every resource of which Twilio can list recordings: the call, its legs that are not over, its conferences."""
    legs = tuple((Of.LEG, leg.sid) for leg in call.legs if leg.sid != call.sid and not leg.over)
    return ((Of.CALL, call.sid), *legs, *((Of.CONFERENCE, sid) for sid in call.conferences))


def _asked_about(call: Call) -> str:
    """The parent; once that is over and the customer goes on in a conference, the customer's leg."""
    customer = call.customer
    return customer.sid if call.orphaned and customer is not None else call.sid


def _let_go(call: Call, token: str, now: datetime) -> Command | None:
    """The next recording that our pause still holds although the call has left its conference."""
    ready = (one for one in call.left_behind if one.next_at is None or one.next_at <= now)
    recording = next(ready, None)
    return None if recording is None else Command(token=token, wish=Wish.RECORDING, target=_by_sid(recording))


# 5. Which command goes where


def _choose(call: Call, now: datetime) -> tuple[Wish, Target] | None:
    stale_before = _stale_before(call, now)
    needy = [
        recording
        for recording in call.live
        if _needs(call, recording, stale_before) and (recording.next_at is None or recording.next_at <= now)
    ]
    toggled = next((recording for recording in needy if recording.toggle), None)
    if toggled is not None and _wish_of(call, toggled.of, now) in OPPOSITE:
        return OPPOSITE[_wish_of(call, toggled.of, now)], _by_sid(toggled)
    on_call = call.live_on_call
    current = Target(of=Of.CALL, owner=call.sid, recording=CURRENT)
    if not on_call and not call.orphaned and _tries_current_unseen(call):
        wish = desired(call)
        return _wish_of(call, Of.CALL, now) if wish is Wish.PAUSED and call.doubt else wish, current
    if len(on_call) == 1 and on_call[0] in needy and on_call[0].owner == call.sid:
        return _wish_of(call, Of.CALL, now), current
    return (_wish_of(call, needy[0].of, now), _by_sid(needy[0])) if needy else None


def _wish_of(call: Call, of: Of, now: datetime) -> Wish:
    """What is commanded: a stop in place of a pause that could not be proven in time. Twilio stops no conference's."""
    wish = desired(call)
    is_out_of_time = call.stop_at is not None and call.stop_at <= now
    return Wish.STOPPED if wish is Wish.PAUSED and is_out_of_time and of is not Of.CONFERENCE else wish


def _stale_before(call: Call, now: datetime) -> datetime | None:
    """What was confirmed before this moment must be confirmed anew: a late command may have undone it meanwhile."""
    times = [at for at in call.reconfirm_at if at <= now]
    late = call.late_resume_until
    if desired(call) is Wish.PAUSED and late is not None and late <= now:
        times.append(late)
    return max(times, default=None)


def _tries_current_unseen(call: Call) -> bool:
    """Whether `Twilio.CURRENT` is worth a try although no live recording is known on the call itself."""
    wish = desired(call)
    match wish:
        case Wish.PAUSED:
            return not is_stopped_instead(call) and (call.nothing_on_call_at is None or not call.live)
        case Wish.RECORDING:
            return call.doubt or (call.resume_wanted and not call.live)
        case Wish.STOPPED:
            return not call.recordings
        case _:
            assert_never(wish)


def _needs(call: Call, recording: Recording, stale_before: datetime | None) -> bool:
    confirmed_at = recording.confirmed_at
    stale = stale_before is not None and (confirmed_at is None or confirmed_at < stale_before)
    wish = desired(call)
    match wish:
        case Wish.PAUSED:
            return recording.state is not State.PAUSED or stale
        case Wish.RECORDING:
            asked = call.resume_wanted and recording.state is not State.RECORDING
            return recording.state is State.PAUSED or recording.doubt or asked or stale
        case Wish.STOPPED:
            return recording.of is not Of.CONFERENCE
        case _:
            assert_never(wish)


def _by_sid(recording: Recording) -> Target:
    return Target(of=recording.of, owner=recording.owner, recording=recording.sid)

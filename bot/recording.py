"""PURE. decide(call, message, now) -> Decision: what a message does to a call, what the log says of it, what to do
next.

Level-triggered (invariant 7): `next_effect` derives what is to be done from desired and observed alone, never from
having seen an event. So it does not matter which process asks, how often, or what got lost on the way.

The rules, in the order of this file:

1. *Wishes* open and release holds; the last one wins.
2. *Converge* lets holds run out, takes over from dead processes, and claims the next effect.
3. `next_effect`: to pause, `Twilio.CURRENT` while at most one live recording is known on the call, else each by its
   SID, with the lists beside; to resume, only what was confirmed paused or is in doubt.

What came of an effect is in `outcomes`, what Twilio reports on its own in `reports`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from bot import outcomes, reports
from bot.call import (
    CALL_OVER,
    CURRENT,
    Call,
    Claim,
    Hold,
    Leg,
    Of,
    Problem,
    Recording,
    State,
    Wish,
    desired,
    is_listed,
    observed,
)
from bot.messages import (
    Answered,
    CallReported,
    Command,
    ConferenceReported,
    Converge,
    Decision,
    Denial,
    Effect,
    Fact,
    Look,
    Message,
    Pause,
    Policy,
    RecordingReported,
    Resume,
    Shared,
    Stop,
    Take,
    Target,
    Wait,
)

OPPOSITE = {Wish.PAUSED: Wish.RECORDING, Wish.RECORDING: Wish.PAUSED}


def decide(call: Call, message: Message, now: datetime, policy: Policy) -> Decision:
    """Total over every state and message. `now` is the database's clock."""
    decision = _dispatch(call, message, now, policy)
    return replace(decision, call=_after_a_change_of_wish(call, decision.call, now))


def _dispatch(call: Call, message: Message, now: datetime, policy: Policy) -> Decision:  # noqa: C901 - one line a case
    match message:
        case Pause():
            return _pause(call, message, now, policy)
        case Resume():
            return _resume(call, message)
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
        recordings=tuple(replace(one, toggle=False, failures=0, next_at=None) for one in after.recordings),
        failures=0,
        next_at=None,
        problem=None if not after.over else after.problem,
        problem_status=None,
        problem_code=None,
    )


def unite(parent: Call, child: Call, now: datetime, policy: Policy) -> tuple[Call, Call, tuple[Fact, ...]]:
    """The call and what we took for another, which is a leg of it: the call with all that was wished, the emptied
    leg.
    """
    united, emptied, facts = reports.merge(parent, child, now, policy)
    return _after_a_change_of_wish(parent, united, now), emptied, facts


# 1. Wishes


def _pause(call: Call, message: Pause, now: datetime, policy: Policy) -> Decision:
    if message.by.source == "agent" and call.agent != message.by.actor:
        return _refuse(call, message, "pause.refused", Denial.NOT_YOURS)
    if call.status == "unknown-to-twilio":
        call = replace(call, status="unknown")
    if call.over:
        return _refuse(call, message, "pause.refused", Problem.CALL_OVER)
    if call.stop_wanted:
        return _refuse(call, message, "pause.refused", Denial.STOPPED)
    call, facts = _with_names(call, message, now)
    wanted = policy.pause_max if message.max_seconds is None else timedelta(seconds=message.max_seconds)
    expires_at = now + min(max(wanted, timedelta(seconds=1)), policy.pause_max)
    own = call.hold_of(message.holder)
    if own is None:
        hold = Hold(
            id=message.hold_id, holder=message.holder, reason=message.reason, opened_at=now, expires_at=expires_at
        )
        holds: tuple[Hold, ...] = (*call.holds, hold)
    else:
        hold = replace(
            own, expires_at=max(own.expires_at, expires_at), reason=message.reason or own.reason, overdue=False
        )
        holds = tuple(hold if known.id == hold.id else known for known in call.holds)
    fact = Fact(
        type="hold.opened" if own is None else "hold.extended",
        id=hold.id if own is None else None,
        cause=None if own is None else hold.id,
        by=message.by,
        reason=hold.reason,
        before=desired(call),
        after=Wish.PAUSED,
        detail={"hold": hold.id, "holder": hold.holder, "expires_at": hold.expires_at.isoformat()},
    )
    return Decision(call=replace(call, holds=holds, next_at=None, failures=0), facts=(*facts, fact))


def _with_names(call: Call, message: Pause, now: datetime) -> tuple[Call, tuple[Fact, ...]]:
    """Legs and conferences that the caller knows of, where no callback told us (Flex links two legs by the
    conference).
    """
    known = call.names | {call.sid}
    legs = tuple(Leg(sid=sid, status="in-progress", since=now) for sid in message.legs if sid not in known)
    conference = message.conference if message.conference and message.conference not in call.conferences else None
    if not legs and conference is None:
        return call, ()
    conferences = (*call.conferences, conference) if conference else call.conferences
    fact = Fact(
        type="call.joined",
        by=message.by,
        detail={"legs": [leg.sid for leg in legs], "conference": conference},
    )
    told = (*call.told, *(leg.sid for leg in legs), *((conference,) if conference else ()))
    return replace(call, legs=(*call.legs, *legs), conferences=conferences, told=told, joined_at=now), (fact,)


def _resume(call: Call, message: Resume) -> Decision:
    """Ends the holder's own hold. Without one, an unknown call is resumed once, because somebody asked for it."""
    if message.by.source == "agent" and call.agent != message.by.actor and call.hold_of(message.holder) is None:
        return _refuse(call, message, "resume.refused", Denial.NOT_YOURS)
    own = call.hold_of(message.holder)
    if own is not None:
        holds = tuple(hold for hold in call.holds if hold.id != own.id)
        after = replace(call, holds=holds, next_at=None, failures=0)
        fact = Fact(
            type="hold.released",
            cause=own.id,
            by=message.by,
            reason=own.reason,
            before=desired(call),
            after=desired(after),
            detail={"hold": own.id, "holder": own.holder},
        )
        return Decision(call=after, facts=(fact,))
    if call.holds:
        return _refuse(call, message, "resume.refused", Denial.HELD_BY_OTHERS)
    if call.over and call.status != "unknown-to-twilio":
        return _refuse(call, message, "resume.refused", Problem.CALL_OVER)
    if observed(call) == "recording" or call.stop_wanted:
        return Decision(call=call)
    status = "unknown" if call.status == "unknown-to-twilio" else call.status
    return Decision(
        call=replace(call, status=status, resume_wanted=True, next_at=None, failures=0, problem=None),
        facts=(Fact(type="resume.requested", by=message.by, before=observed(call)),),
    )


def _stop(call: Call, message: Stop) -> Decision:
    if call.over:
        return _refuse(call, message, "stop.refused", Problem.CALL_OVER)
    if any(recording.of is Of.CONFERENCE for recording in call.live):
        return _refuse(call, message, "stop.refused", Denial.CONFERENCE_STOP)
    fact = Fact(type="stop.requested", by=message.by, before=desired(call), after=Wish.STOPPED)
    return Decision(call=replace(call, stop_wanted=True, next_at=None, failures=0), facts=(fact,))


def _take(call: Call, message: Take) -> Decision:
    if call.over:
        return _refuse(call, message, "call.claim_refused", Problem.CALL_OVER)
    if message.agent == call.agent:
        return Decision(call=call)
    if call.leg_agent is not None or call.taken_by is not None:
        return _refuse(call, message, "call.claim_refused", Denial.OWNED)
    fact = Fact(type="call.claimed", by=message.by, before=call.agent, after=message.agent)
    return Decision(call=replace(call, taken_by=message.agent, agent=message.agent), facts=(fact,))


def _refuse(call: Call, message: Pause | Resume | Stop | Take, type_: str, why: Problem | Denial) -> Decision:
    fact = Fact(type=type_, by=message.by, outcome="failure", reason=why.value)
    return Decision(call=call, facts=(fact,), refused=why)


# 2. Converge: holds that ran out, claims of the dead, and the next effect


def _converge(call: Call, message: Converge, now: datetime, policy: Policy) -> Decision:
    after, facts = _expire(call, now, policy)
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
    after, facts = _expire(call, now, policy)
    decision = outcomes.shared(_after_a_change_of_wish(call, after, now), message)
    return replace(decision, facts=(*facts, *decision.facts))


def _expire(call: Call, now: datetime, policy: Policy) -> tuple[Call, tuple[Fact, ...]]:
    due = tuple(hold for hold in call.holds if hold.expires_at <= now and not hold.overdue)
    if not due or call.over:
        return call, ()
    ends = policy.expiry == "resume"
    if ends:
        holds = tuple(hold for hold in call.holds if hold not in due)
    else:
        holds = tuple(replace(hold, overdue=True) if hold in due else hold for hold in call.holds)
    after = replace(call, holds=holds)
    facts = tuple(
        Fact(
            type="hold.expired" if ends else "hold.overdue",
            cause=hold.id,
            outcome="success" if ends else "failure",
            reason=hold.reason,
            before=desired(call),
            after=desired(after),
            detail={"hold": hold.id, "holder": hold.holder, "expires_at": hold.expires_at.isoformat()},
        )
        for hold in due
    )
    return after, facts


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
    if command.wish is not Wish.PAUSED:
        call = outcomes.in_doubt(call, command.target)
    fact = Fact(
        type="command.sent",
        id=effect.token,
        cause=call.holds[-1].id if call.holds else None,
        recording=None if command.target.recording == CURRENT else command.target.recording,
        outcome="unknown",
        before=before,
        after=command.wish,
        detail={"wish": command.wish, "target": command.target.recording, "of": command.target.of},
    )
    return call, (fact,)


# 3. What is to be done


def next_effect(call: Call, token: str, now: datetime) -> Effect | None:
    """What should be sent or asked now; None when all is as wanted, or it is too early to try again."""
    if call.over or (call.next_at is not None and call.next_at > now):
        return None
    if call.look_first:
        return Look(token=token, lists=lists_of(call), ask_call=call.ask_call)
    if call.ask_call:
        return Look(token=token, ask_call=True)
    wish = desired(call)
    chosen = _choose(call, wish, _stale_before(call, wish, now), now)
    if chosen is not None:
        wish, target = chosen
        return Command(token=token, wish=wish, target=target, lists=lists_of(call) if wish is Wish.PAUSED else ())
    if wish is Wish.PAUSED and not is_listed(call):
        return Look(token=token, lists=lists_of(call))
    return None


def _stale_before(call: Call, wish: Wish, now: datetime) -> datetime | None:
    """What was confirmed before this moment must be confirmed anew: a late command may have undone it meanwhile."""
    times = [at for at in call.reconfirm_at if at <= now]
    late = call.late_resume_until
    if wish is Wish.PAUSED and late is not None and late <= now:
        times.append(late)
    return max(times, default=None)


def due(call: Call, now: datetime) -> datetime | None:
    """When the worker has to look at this call next; None when nothing will ever fall due."""
    if call.over:
        return None
    if call.claim is not None:
        return call.claim.until
    times = [hold.expires_at for hold in call.holds if not hold.overdue]
    times += [at for at in (*call.reconfirm_at, call.late_resume_until) if at is not None and at > now]
    times += [at for at in (recording.next_at for recording in call.live) if at is not None and at > now]
    if next_effect(replace(call, next_at=None), "", now) is not None:
        times.append(call.next_at or now)
    return min(times, default=None)


def lists_of(call: Call) -> tuple[tuple[Of, str], ...]:
    """Every resource of which Twilio can list recordings: the call, its legs that are not over, its conferences."""
    legs = tuple((Of.LEG, leg.sid) for leg in call.legs if leg.sid != call.sid and leg.status not in CALL_OVER)
    return ((Of.CALL, call.sid), *legs, *((Of.CONFERENCE, sid) for sid in call.conferences))


def _choose(call: Call, wish: Wish, stale_before: datetime | None, now: datetime) -> tuple[Wish, Target] | None:
    needy = [
        recording
        for recording in call.live
        if _needs(call, recording, wish, stale_before) and (recording.next_at is None or recording.next_at <= now)
    ]
    toggled = next((recording for recording in needy if recording.toggle), None)
    if toggled is not None and wish in OPPOSITE:
        return OPPOSITE[wish], _by_sid(toggled)
    on_call = call.live_on_call
    current = Target(of=Of.CALL, owner=call.sid, recording=CURRENT)
    if not on_call and _tries_current_unseen(call, wish):
        return wish, current
    if len(on_call) == 1 and on_call[0] in needy and on_call[0].owner == call.sid:
        return wish, current
    return (wish, _by_sid(needy[0])) if needy else None


def _tries_current_unseen(call: Call, wish: Wish) -> bool:
    """Whether `Twilio.CURRENT` is worth a try although no live recording is known on the call itself."""
    match wish:
        case Wish.PAUSED:
            return call.nothing_on_call_at is None or not call.live
        case Wish.RECORDING:
            return call.doubt or (call.resume_wanted and not call.live)
        case Wish.STOPPED:
            return not call.recordings
        case _:
            assert_never(wish)


def _needs(call: Call, recording: Recording, wish: Wish, stale_before: datetime | None) -> bool:
    confirmed_at = recording.confirmed_at
    stale = stale_before is not None and (confirmed_at is None or confirmed_at < stale_before)
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

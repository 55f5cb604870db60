"""PURE. Holds: who opens one, who prolongs it, who may end it, and when it ends by itself.

A card may be taken until `expires_at`. Then the call is not safe any more, in words, for `Policy.warning`; only after
that does the hold end and the recording resume: a time limit never resumes into a card. Programs keep their hold alive
by asking again, up to `Policy.hard_max`; who still does so then has a payment open, so the pause stays and compliance
is told. People may prolong without end, but not unnoticed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.actors import By
from bot.call import Call, Hold, Leg, Problem, Wish, desired, observed
from bot.messages import (
    Beat,
    Decision,
    Denial,
    Fact,
    Finding,
    GiveUp,
    Pause,
    Policy,
    Release,
    Resume,
    Stop,
    Take,
    finding,
)

UNPROVEN_REPORTED_AFTER = timedelta(seconds=5)
"""A pause taken back sooner than that is nobody's concern; a longer one that was never proven is compliance's."""


# Opening and prolonging


def pause(call: Call, message: Pause, now: datetime, policy: Policy) -> Decision:
    """Open the holder's hold, or prolong it. Where nothing was found to pause before, it is tried anew."""
    if message.by.source == "agent" and message.by.actor not in call.agents:
        return refuse(call, message, Denial.NOT_YOURS)
    if call.status == "unknown-to-twilio":
        call = replace(call, status="unknown")
    if call.over:
        return refuse(call, message, Problem.CALL_OVER)
    if call.stop_wanted:
        return refuse(call, message, Denial.STOPPED)
    call, facts = _with_names(call, message, now)
    own = call.hold_of(message.holder)
    expires_at = now + _length(message.max_seconds, policy)
    more: tuple[Fact, ...] = ()
    if own is None:
        hold = _opened(message, now, expires_at, policy)
    else:
        hold, more = _prolonged(own, message.by, expires_at, policy)
        hold = replace(hold, reason=message.reason or own.reason)
    hold = replace(hold, wish=message.hold_id)
    after = _with_hold(call, hold)
    fact = _fact("hold.opened" if own is None else "hold.extended", hold, message.by, desired(call), desired(after))
    anew = replace(after, next_at=None, failures=0, ask_call=call.ask_call and bool(call.live))
    return Decision(call=anew, facts=(*facts, fact, *more))


def beat(call: Call, message: Beat, now: datetime, policy: Policy) -> Decision:
    """A payment step or form is still open. Without its hold nothing happens: it may have been released meanwhile."""
    own = call.hold_of(message.holder)
    if own is None or call.over:
        return Decision(call=call)
    hold, more = _prolonged(own, message.by, now + policy.pause_max, policy)
    return Decision(
        call=_with_hold(call, hold),
        facts=(_fact("hold.extended", hold, message.by, Wish.PAUSED, Wish.PAUSED), *more),
    )


def _length(max_seconds: int | None, policy: Policy) -> timedelta:
    wanted = policy.pause_max if max_seconds is None else timedelta(seconds=max_seconds)
    return min(max(wanted, timedelta(seconds=1)), policy.pause_max)


def _opened(message: Pause, now: datetime, expires_at: datetime, policy: Policy) -> Hold:
    return Hold(
        id=message.hold_id,
        holder=message.holder,
        reason=message.reason,
        opened_at=now,
        expires_at=expires_at,
        ends_at=expires_at + policy.warning,
    )


def _prolonged(hold: Hold, by: By, expires_at: datetime, policy: Policy) -> tuple[Hold, tuple[Fact, ...]]:
    """A program's hold up to the hard limit, a person's without one: compliance is told of that, once."""
    limit = hold.opened_at + policy.hard_max
    is_person = by.source == "agent"
    expires_at = max(hold.expires_at, expires_at if is_person else min(expires_at, limit))
    is_longer = expires_at > hold.expires_at
    longer = replace(
        hold,
        expires_at=expires_at,
        ends_at=expires_at + policy.warning,
        beats=not is_person,
        overdue=hold.overdue and not is_longer,
        warned=hold.warned and not is_longer,
        is_long=hold.is_long or expires_at > limit,
    )
    if hold.is_long or not longer.is_long:
        return longer, ()
    return longer, (finding(Finding.LONG_HOLD, by=by, cause=hold.id, detail={"holder": hold.holder}),)


def _with_hold(call: Call, hold: Hold) -> Call:
    if all(known.id != hold.id for known in call.holds):
        return replace(call, holds=(*call.holds, hold))
    return replace(call, holds=tuple(hold if known.id == hold.id else known for known in call.holds))


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
    left = tuple(sid for sid in call.left if sid != conference)
    return replace(
        call, legs=(*call.legs, *legs), conferences=conferences, left=left, told=told, joined_at=now
    ), (fact,)  # fmt: skip


# Ending


def resume(call: Call, message: Resume, now: datetime) -> Decision:
    """Ends the holder's own hold, and those that its agent inherited. Without any, an unknown call is resumed once,
    because somebody asked for it.
    """
    mine = tuple(hold for hold in call.holds if _may_end(call, message, hold))
    if message.by.source == "agent" and message.by.actor not in call.agents and not mine:
        return refuse(call, message, Denial.NOT_YOURS)
    if mine:
        return released(call, mine, message.by, message.holder, now)
    if call.holds:
        return refuse(call, message, Denial.HELD_BY_OTHERS)
    if call.over and call.status != "unknown-to-twilio":
        return refuse(call, message, Problem.CALL_OVER)
    if observed(call) == "recording" or call.stop_wanted or call.gap_since is not None:
        return Decision(call=call)
    status = "unknown" if call.status == "unknown-to-twilio" else call.status
    return Decision(
        call=replace(call, status=status, resume_wanted=True, next_at=None, failures=0, problem=None),
        facts=(Fact(type="resume.requested", by=message.by, before=observed(call)),),
    )


def _may_end(call: Call, message: Resume, hold: Hold) -> bool:
    """One's own; and the call's agent those of agents who are not on it any more (a transfer)."""
    kind, _, name = hold.holder.partition(":")
    is_inherited = kind == "agent" and message.by.actor == call.agent and name not in call.agents
    return hold.holder == message.holder or (message.by.source == "agent" and is_inherited)


def release(call: Call, message: Release, now: datetime) -> Decision:
    """A supervisor ends one hold. One that is gone already is no error."""
    hold = next((hold for hold in call.holds if hold.id == message.hold), None)
    return Decision(call=call) if hold is None else released(call, (hold,), message.by, None, now)


def released(
    call: Call, holds: tuple[Hold, ...], by: By, holder: str | None, now: datetime, *, at_once: bool = False
) -> Decision:
    """These holds end; on whose behalf is noted where it is not `holder` who ends them. `at_once`: one that was never
    proven is told, however short it was.
    """
    after = replace(call, holds=tuple(hold for hold in call.holds if hold not in holds), next_at=None, failures=0)
    facts = tuple(
        replace(
            _fact("hold.released", hold, by, desired(call), desired(after)),
            detail={
                "hold": hold.id,
                "holder": hold.holder,
                "on_behalf_of": None if hold.holder == holder else hold.holder,
            },
        )
        for hold in holds
    )
    return Decision(call=after, facts=(*facts, *_unproven(holds, now, at_once=at_once)))


def give_up(call: Call, message: GiveUp, now: datetime) -> Decision:
    """An IVR's hold ends at once if the pause was not proven in time: no card will come (invariant 3)."""
    own = next((hold for hold in call.holds if hold.wish == message.wish), None)
    if own is None:
        return Decision(call=call)
    after = replace(call, holds=tuple(hold for hold in call.holds if hold.id != own.id), next_at=None, failures=0)
    why = "too late" if own.proven else "not proven"
    fact = replace(_fact("hold.closed", own, message.by, desired(call), desired(after)), outcome="failure", reason=why)
    return Decision(call=after, facts=(fact, *_unproven((own,), now, at_once=True)))


def run_down(call: Call, hold: Hold, by: By, now: datetime, policy: Policy) -> tuple[Call, Fact]:
    """No card may come any more, and the hold ends by itself after the warning: until then something may yet listen."""
    ending = replace(hold, expires_at=now, ends_at=now + policy.warning, warned=True)
    return _with_hold(call, ending), _fact("hold.cut_short", ending, by, Wish.PAUSED, Wish.PAUSED)


def close_all(call: Call, why: str, now: datetime) -> tuple[Call, tuple[Fact, ...]]:
    """No card can come any more: every hold closes."""
    facts = tuple(
        Fact(
            type="hold.closed",
            cause=hold.id,
            reason=why,
            before=Wish.PAUSED,
            detail={"hold": hold.id, "holder": hold.holder},
        )
        for hold in call.holds
    )
    return replace(call, holds=()), (*facts, *_unproven(call.holds, now))


def run_out(call: Call, now: datetime, policy: Policy) -> tuple[Call, tuple[Fact, ...]]:
    """What the clock does to holds: they stop being safe, then they end; or they stay, and it is told."""
    facts: list[Fact] = []
    before = desired(call)
    for hold in () if call.over else call.holds:
        if hold.overdue or hold.expires_at > now:
            continue
        stays = _is_still_open(hold, policy)
        if stays or policy.expiry == "alert":
            call = _with_hold(call, replace(hold, overdue=True, is_long=hold.is_long or stays))
            facts.append(replace(_fact("hold.overdue", hold, None, before, before), outcome="failure"))
            if stays:
                facts.append(finding(Finding.PAYMENT_STILL_OPEN, cause=hold.id, detail={"holder": hold.holder}))
        elif hold.closes_at is not None and hold.closes_at <= now:
            call = replace(call, holds=tuple(known for known in call.holds if known.id != hold.id))
            facts += [_fact("hold.expired", hold, None, before, desired(call)), *_unproven((hold,), now)]
        elif not hold.warned:
            call = _with_hold(call, replace(hold, warned=True))
            facts.append(_fact("hold.running_out", hold, None, before, before))
    return call, tuple(facts)


def _is_still_open(hold: Hold, policy: Policy) -> bool:
    """A payment step, or a program that kept its hold alive, at the hard limit: a card may still be coming."""
    return (hold.is_payment or hold.beats) and hold.expires_at >= hold.opened_at + policy.hard_max


def falls_due(hold: Hold) -> datetime | None:
    """When the clock does something to it next."""
    if hold.overdue:
        return None
    return hold.closes_at if hold.warned else hold.expires_at


# What the log says


def refuse(call: Call, message: Pause | Resume | Stop | Take, why: Problem | Denial) -> Decision:
    """The wish is turned down, and the attempt is an entry."""
    names = {Pause: "pause.refused", Resume: "resume.refused", Stop: "stop.refused", Take: "call.claim_refused"}
    fact = Fact(type=names[type(message)], by=message.by, outcome="failure", reason=why.value)
    return Decision(call=call, facts=(fact,), refused=why)


def _fact(type_: str, hold: Hold, by: By | None, before: Wish, after: Wish) -> Fact:
    is_new = type_ == "hold.opened"
    fact = Fact(
        type=type_,
        id=hold.id if is_new else None,
        cause=None if is_new else hold.id,
        reason=hold.reason,
        before=before,
        after=after,
        detail={"hold": hold.id, "holder": hold.holder, "expires_at": hold.expires_at.isoformat()},
    )
    return fact if by is None else replace(fact, by=by)


def _unproven(holds: tuple[Hold, ...], now: datetime, *, at_once: bool = False) -> tuple[Fact, ...]:
    """A pause that never was safe while its hold lasted: somebody may have given a card all the same."""
    return tuple(
        finding(Finding.NEVER_PROVEN, cause=hold.id, detail={"holder": hold.holder})
        for hold in holds
        if not hold.proven and (at_once or now - hold.opened_at >= UNPROVEN_REPORTED_AFTER)
    )

"""PURE. What came of an effect: a command confirmed, refused or unanswered. What Twilio showed is in `looks`.

Only a reply that names the wanted status confirms. A reply that never came is neither success nor failure: the
recording is in doubt, and for `late` seconds the command may still arrive (invariant 2).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.actors import SYSTEM, TWILIO
from bot.backoff import RETRY_MAX, delay_after, later, put_off
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
    is_safe,
    observed,
)
from bot.endings import close_gap
from bot.looks import is_whole, listed, seen_call
from bot.messages import Answered, Decision, Fact, Finding, Kind, Policy, Reply, Shared, Target, finding

RECONFIRM_AFTER = (timedelta(seconds=5), timedelta(seconds=15))
FAILED_STARTS_REPORTED = 3

NOTHING_THERE = frozenset({21220, 20404, 404})
SEVERAL = 16108
STATE_OF = {Wish.PAUSED: State.PAUSED, Wish.RECORDING: State.RECORDING, Wish.STOPPED: State.STOPPED}
OPPOSITE = {Wish.PAUSED: Wish.RECORDING, Wish.RECORDING: Wish.PAUSED}


def answered(call: Call, message: Answered, now: datetime, policy: Policy) -> Decision:
    """Save an outcome. If the claim is no longer ours, whoever took over has noted it as unknown: change nothing."""
    claim = call.claim
    if claim is None or claim.token != message.token:
        return Decision(call=call)
    before = call
    call = replace(call, claim=None)
    jitter = int(message.token[:4] or "0", 16) / 0xFFFF
    if message.reply is not None and _is_left_behind(call, claim):
        call = _let_go(call, claim, message.reply, now, jitter)
        return Decision(call=call, facts=_outcome_facts(before, call, claim, message.reply, now))
    if call.over:
        return Decision(call=call, facts=_outcome_facts(before, call, claim, message.reply, now))
    if message.reply is not None and claim.target == NEW:
        call, began = _began(call, message.reply, now, policy, jitter)
        return Decision(call=call, facts=(*_outcome_facts(before, call, claim, message.reply, now), *began))
    if message.reply is not None and claim.wish is not None:
        call = _replied(call, claim.wish, claim, message.reply, now, policy, jitter)
    call, found = listed(call, message, claim, now, jitter)
    if call.nothing_said is not None and is_whole(message.listings, call.told):
        call = _nothing_there(call, call.nothing_said, now, jitter)
    if call.problem is Problem.NOT_ALL_PAUSED and not call.look_first and len(call.live_on_call) < 2:
        call = later(replace(call, problem=Problem.REFUSED), now, jitter)
    call, seen, merge = seen_call(call, message.seen, now, jitter)
    facts = _outcome_facts(before, call, claim, message.reply, now)
    return Decision(call=call, facts=(*facts, *found, *seen), effect=merge)


def shared(call: Call, message: Shared) -> Decision:
    """Another call of the conference has a hold open: it will resume the recording, when its own holds end."""
    known = call.recording(message.recording)
    if known is None:
        return Decision(call=call)
    fact = Fact(type="recording.left_to_others", recording=known.sid, before=known.state, after=State.UNKNOWN)
    left = replace(known, state=State.UNKNOWN, doubt=False, toggle=False, unanswered=None)
    return Decision(call=replace(call.with_recording(left), resume_wanted=False), facts=(fact,))


def abandoned(call: Call, claim: Claim, policy: Policy) -> tuple[Call, tuple[Fact, ...]]:
    """The claim's owner is dead or frozen. Its command may have been applied, or may still be: look before the next
    one.
    """
    call = replace(call, claim=None)
    if claim.wish is None:
        return call, ()
    call = _unanswered(call, claim, claim.until + policy.late)
    fact = Fact(
        type="command.abandoned",
        cause=claim.token,
        outcome="unknown",
        reason=f"node {claim.node} did not report in time",
        before=observed(call),
        detail={"wish": claim.wish, "target": claim.target or CURRENT},
    )
    return replace(call, look_first=True), (fact,)


def in_doubt(call: Call, target: Target) -> Call:
    """Before a resume or stop is sent: what it touches no longer counts as paused."""
    found = call.touched_by(target.recording)
    for recording in found:
        call = call.with_recording(replace(recording, state=State.UNKNOWN, doubt=True))
    return call if found else replace(call, doubt=True)


# The reply to a command


def _replied(
    call: Call, wish: Wish, claim: Claim, reply: Reply, now: datetime, policy: Policy, jitter: float
) -> Call:  # fmt: skip
    match reply.kind:
        case Kind.CONFIRMED:
            return _confirmed(call, wish, claim, reply, now)
        case Kind.UNSENT:
            return put_off(replace(call, problem=Problem.UNREACHABLE), claim.target, now, jitter)
        case Kind.UNANSWERED:
            call = _unanswered(call, claim, now + policy.late)
            is_error = reply.http_status is not None and reply.http_status >= 500
            why = Problem.TWILIO_ERROR if is_error else Problem.UNANSWERED
            return put_off(replace(call, problem=why), claim.target, now, jitter)
        case Kind.REFUSED:
            return _refused(call, claim, reply, now, jitter)


def _confirmed(call: Call, wish: Wish, claim: Claim, reply: Reply, now: datetime) -> Call:
    sid = reply.recording or claim.target or CURRENT
    known = call.recording(sid) or Recording(sid=sid, of=Of.CALL, owner=call.sid)
    if known.live:
        state = STATE_OF[wish]
        known = replace(
            known, state=state, confirmed_at=now, commanded=True, toggle=False, unanswered=None, doubt=False,
            failures=0, next_at=None, resumed_at=now if wish is Wish.RECORDING else known.resumed_at,
        )  # fmt: skip
    call = replace(
        call.with_recording(known), failures=0, next_at=None, problem=None, nothing_said=None, ask_call=False
    )  # fmt: skip
    if claim.target == CURRENT:
        others = tuple(replace(r, doubt=False) if r.of is Of.CALL and r.sid != sid else r for r in call.recordings)
        call = replace(call, doubt=False, unanswered=None, recordings=others)
        call = replace(call, resume_wanted=call.resume_wanted and wish is not Wish.RECORDING)
    if all(recording.state is State.RECORDING for recording in call.live):
        call = replace(call, resume_wanted=False, gap_since=None if call.live_on_call else call.gap_since)
    return _plan_reconfirmation(call, wish, now)


def _plan_reconfirmation(call: Call, wish: Wish, now: datetime) -> Call:
    """An unanswered command of the other direction may still arrive and undo this one: send it again, 5 s and 15 s
    later. (A pause is sent once more when nothing can arrive any longer, for only a confirmation after that is proof.)
    """
    still = tuple(at for at in call.reconfirm_at if any((r.confirmed_at or at) < at for r in call.live) or at > now)
    late = call.late_resume_until if wish is Wish.PAUSED else call.late_pause_until
    if still or wish is not desired(call) or late is None or late <= now:
        return replace(call, reconfirm_at=still)
    return replace(call, reconfirm_at=tuple(now + after for after in RECONFIRM_AFTER))


def _unanswered(call: Call, claim: Claim, until: datetime) -> Call:
    """The command may have been applied, or may be until then."""
    if claim.target == NEW:
        return replace(call, look_first=True, late_resume_until=_latest(call.late_resume_until, until))
    found = call.touched_by(claim.target)
    for recording in found:
        call = call.with_recording(
            replace(recording, state=State.UNKNOWN, doubt=True, unanswered=claim.wish, toggle=False, commanded=True)
        )
    if not found:
        call = replace(call, doubt=True, unanswered=claim.wish)
    if claim.wish is Wish.PAUSED:
        return replace(call, late_pause_until=_latest(call.late_pause_until, until))
    if claim.wish is Wish.RECORDING:
        return replace(call, late_resume_until=_latest(call.late_resume_until, until))
    return call


def _refused(call: Call, claim: Claim, reply: Reply, now: datetime, jitter: float) -> Call:
    if claim.wish is Wish.STOPPED and not _may_be_stopped(call):
        call = replace(call, gap_since=None)
    if reply.code in NOTHING_THERE or reply.http_status == 404:
        return replace(call, nothing_said=claim.wish, nothing_said_of=claim.target, look_first=True)
    if reply.code == SEVERAL:
        return replace(call, look_first=True, problem=Problem.NOT_ALL_PAUSED)
    if reply.http_status in {401, 403}:
        return later(replace(call, problem=Problem.CREDENTIALS), now, jitter, at_least=RETRY_MAX)
    is_passing = reply.http_status in {408, 429} or reply.code in {16114, 20429}
    why = Problem.BUSY if is_passing else Problem.REFUSED
    return put_off(replace(call, problem=why), claim.target, now, jitter)


def _began(
    call: Call, reply: Reply, now: datetime, policy: Policy, jitter: float
) -> tuple[Call, tuple[Fact, ...]]:  # fmt: skip
    """A new recording after ours was stopped: it runs, or is tried again for as long as the call lasts.

    One that was never answered may have begun: the list says so, before there are two.
    """
    if reply.kind is Kind.CONFIRMED and reply.recording is not None:
        new = Recording(
            sid=reply.recording, of=Of.CALL, owner=call.sid, state=State.RECORDING, confirmed_at=now, commanded=True,
            resumed_at=now,
        )  # fmt: skip
        after, facts = close_gap(replace(call.with_recording(new), failures=0, next_at=None, problem=None), now)
        return after, (Fact(type="recording.started", recording=new.sid, after=State.RECORDING), *facts)
    if reply.kind is Kind.UNANSWERED:
        late = _latest(call.late_resume_until, now + policy.late)
        call = replace(call, look_first=True, late_resume_until=late)
    asks = reply.code in NOTHING_THERE
    call = later(replace(call, ask_call=call.ask_call or asks), now, jitter)
    is_told = call.failures == FAILED_STARTS_REPORTED
    return call, (finding(Finding.NOT_RESTARTED, detail={"http": reply.http_status, "code": reply.code}),) * is_told


def _is_left_behind(call: Call, claim: Claim) -> bool:
    known = call.recording(claim.target or "")
    return known is not None and known.owner in call.left


def _let_go(call: Call, claim: Claim, reply: Reply, now: datetime, jitter: float) -> Call:
    """A conference's recording that is not the call's any more: it runs, is over with its conference, or is tried
    again. After an unanswered pause, which may still arrive, it is resumed once more.
    """
    known = call.recording(claim.target or "")
    if known is None:
        return call
    is_over = reply.kind is Kind.REFUSED and (reply.code in NOTHING_THERE or reply.http_status == 404)
    late = call.late_pause_until
    if is_over:
        known = replace(known, state=State.ENDED, doubt=False)
    elif reply.kind is Kind.CONFIRMED and claim.wish is Wish.PAUSED:
        known = replace(known, state=State.PAUSED, doubt=False)
    elif reply.kind is not Kind.CONFIRMED:
        delay = delay_after(known.failures, jitter)
        known = replace(known, state=State.UNKNOWN, doubt=True, failures=known.failures + 1, next_at=now + delay)
    elif late is not None and late > now:
        known = replace(known, state=State.RECORDING, doubt=True, confirmed_at=now, next_at=late)
    else:
        known = replace(known, state=State.RECORDING, doubt=False, confirmed_at=now, next_at=None)
    return call.with_recording(known)


def _may_be_stopped(call: Call) -> bool:
    """Whether a stop of ours was confirmed, or may have been applied unanswered."""
    stopped = any(one.state is State.STOPPED or one.unanswered is Wish.STOPPED for one in call.recordings)
    return stopped or call.unanswered is Wish.STOPPED


def _nothing_there(call: Call, wish: Wish, now: datetime, jitter: float) -> Call:
    """Twilio said "nothing to command here", and the lists are in: already done, on another resource, or nothing.

    A refusal after an unanswered command may mean that it is done already: one in this direction that was applied, or
    one in the other that was not. Where that would matter, the opposite is sent by SID first, and then the wanted one,
    whose reply can be believed.
    """
    target = call.nothing_said_of
    call = replace(call, nothing_said=None, nothing_said_of=None)
    found = call.touched_by(target)
    if wish is not desired(call) and any(recording.toggle for recording in found):
        for recording in found:  # the opposite, sent first, is so already: the wanted one can be believed now
            call = call.with_recording(replace(recording, toggle=False, unanswered=None))
        return replace(call, next_at=None)
    done_already = [recording for recording in found if _may_be_done(call, recording, wish)]
    if done_already and wish in OPPOSITE:
        for recording in done_already:
            call = call.with_recording(replace(recording, toggle=True, unanswered=None, doubt=True))
        return replace(call, next_at=None)
    was_known = call.nothing_on_call_at is not None
    call = replace(call, reconfirm_at=tuple(at for at in call.reconfirm_at if at > now))
    if not call.live_on_call:
        call = replace(call, doubt=False, nothing_on_call_at=now)
    if not call.live and wish is Wish.STOPPED and call.recordings:
        return replace(call, next_at=None, problem=None)
    if not call.live:
        return replace(call, ask_call=True, next_at=None)
    if call.live_on_call or was_known:
        asked = replace(call, problem=Problem.REFUSED, ask_call=bool(call.live_on_call))
        return put_off(asked, target, now, jitter)
    return replace(call, next_at=None)


def _may_be_done(call: Call, recording: Recording, wish: Wish) -> bool:
    if recording.unanswered is not None:
        return True
    late = call.late_resume_until
    unproven = late is not None and (recording.confirmed_at is None or recording.confirmed_at < late)
    return wish is Wish.PAUSED and recording.state is State.PAUSED and unproven


# The log's words


def _outcome_facts(before: Call, after: Call, claim: Claim, reply: Reply | None, now: datetime) -> tuple[Fact, ...]:
    safe = is_safe(after, now)
    if reply is None or claim.wish is None:
        turned = safe and not is_safe(before, now)
        return (Fact(type="pause.proven", after=observed(after), detail={"safe": True}),) if turned else ()
    outcome = {Kind.CONFIRMED: "confirmed", Kind.REFUSED: "refused"}.get(reply.kind, "unanswered")
    return (
        Fact(
            type=f"command.{outcome}",
            cause=claim.token,
            by=TWILIO if reply.kind in {Kind.CONFIRMED, Kind.REFUSED} else SYSTEM,
            recording=reply.recording or (claim.target if claim.target not in {CURRENT, NEW} else None),
            outcome="success" if outcome == "confirmed" else "failure" if outcome == "refused" else "unknown",
            reason=reply.why,
            before=observed(before),
            after=observed(after),
            detail={
                "wish": claim.wish,
                "target": claim.target or CURRENT,
                "http": reply.http_status,
                "code": reply.code,
                "safe": safe,
            },
        ),
    )


def _latest(a: datetime | None, b: datetime) -> datetime:
    return b if a is None else max(a, b)

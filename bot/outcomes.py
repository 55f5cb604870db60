"""PURE. What came of an effect: a command confirmed, refused or unanswered; lists; the call as Twilio sees it.

Only a reply that names the wanted status confirms. A reply that never came is neither success nor failure: the
recording is in doubt, and for `late` seconds the command may still arrive (invariant 2).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.call import CALL_OVER, CURRENT, Call, Claim, Of, Problem, Recording, State, Wish, desired, is_safe, observed
from bot.messages import (
    SYSTEM,
    TWILIO,
    Answered,
    By,
    CallSeen,
    Decision,
    Fact,
    Kind,
    Listing,
    Merge,
    Policy,
    Reply,
    Shared,
    Target,
)

RETRY_FIRST = timedelta(seconds=0.25)
RETRY_MAX = timedelta(seconds=15)
RECONFIRM_AFTER = (timedelta(seconds=5), timedelta(seconds=15))

NOTHING_THERE = frozenset({21220, 20404, 404})
SEVERAL = 16108
STATE_OF = {Wish.PAUSED: State.PAUSED, Wish.RECORDING: State.RECORDING, Wish.STOPPED: State.STOPPED}
OPPOSITE = {Wish.PAUSED: Wish.RECORDING, Wish.RECORDING: Wish.PAUSED}

LISTED_LIVE = frozenset({"in-progress", "paused", "processing"})
LISTED_FINAL = {
    "completed": State.ENDED,
    "stopped": State.STOPPED,
    "absent": State.ABSENT,
    "failed": State.FAILED,
    "deleted": State.ENDED,
}


def answered(call: Call, message: Answered, now: datetime, policy: Policy) -> Decision:
    """Save an outcome. If the claim is no longer ours, whoever took over has noted it as unknown: change nothing."""
    claim = call.claim
    if claim is None or claim.token != message.token:
        return Decision(call=call)
    before = call
    call = replace(call, claim=None)
    if call.over:
        return Decision(call=call, facts=_outcome_facts(before, call, claim, message.reply, now))
    jitter = int(message.token[:4] or "0", 16) / 0xFFFF
    if message.reply is not None and claim.wish is not None:
        call = _replied(call, claim.wish, claim, message.reply, now, policy, jitter)
    call, found = _listed(call, message, claim, now, jitter)
    if call.nothing_said is not None and is_whole(message.listings, call.told):
        call = _nothing_there(call, call.nothing_said, now, jitter)
    if call.problem is Problem.NOT_ALL_PAUSED and not call.look_first and len(call.live_on_call) < 2:
        call = _later(replace(call, problem=Problem.REFUSED), now, jitter)
    call, seen, merge = _seen(call, message.seen, now, jitter)
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
    touched = _touched(call, target.recording)
    for recording in touched:
        call = call.with_recording(replace(recording, state=State.UNKNOWN, doubt=True))
    return call if touched else replace(call, doubt=True)


def is_whole(listings: tuple[Listing, ...], told: tuple[str, ...] = ()) -> bool:
    """Whether every list that was asked for came, the call's own among them.

    A leg or conference that only an API client named, and that Twilio does not know, has no recordings to list.
    """
    came = all(one.ok or (one.missing and one.owner in told) for one in listings)
    return any(one.of is Of.CALL for one in listings) and came


def end(call: Call, status: str, by: By = TWILIO) -> tuple[Call, tuple[Fact, ...]]:
    """The call is over: its holds close, what was still paused is told, nothing is sent any more."""
    closed = close_holds(call, "the call ended")[1]
    left = tuple(
        Fact(type="recording.left_paused", recording=recording.sid, before=State.PAUSED, after=State.ENDED)
        for recording in call.live
        if recording.state is State.PAUSED
    )
    fact = Fact(type="call.ended", by=by, before=call.status, after=status)
    recordings = tuple(replace(r, state=State.ENDED, doubt=False) if r.live else r for r in call.recordings)
    problem = Problem.UNKNOWN_CALL if status == "unknown-to-twilio" else Problem.CALL_OVER
    over = replace(
        call, status=status, holds=(), recordings=recordings, resume_wanted=False, reconfirm_at=(), next_at=None,
        look_first=False, ask_call=False, doubt=False, problem=problem, problem_status=None, problem_code=None,
    )  # fmt: skip
    return over, (fact, *closed, *left)


def close_holds(call: Call, why: str) -> tuple[Call, tuple[Fact, ...]]:
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
    return replace(call, holds=()), facts


def _touched(call: Call, target: str | None) -> tuple[Recording, ...]:
    if target == CURRENT:
        return call.live_on_call
    return tuple(recording for recording in call.live if recording.sid == target)


# The reply to a command


def _replied(
    call: Call, wish: Wish, claim: Claim, reply: Reply, now: datetime, policy: Policy, jitter: float
) -> Call:  # fmt: skip
    call = replace(call, problem_status=reply.http_status, problem_code=reply.code)
    match reply.kind:
        case Kind.CONFIRMED:
            return _confirmed(call, wish, claim, reply, now)
        case Kind.UNSENT:
            return _put_off(replace(call, problem=Problem.UNREACHABLE), claim.target, now, jitter)
        case Kind.UNANSWERED:
            call = _unanswered(call, claim, now + policy.late)
            is_error = reply.http_status is not None and reply.http_status >= 500
            why = Problem.TWILIO_ERROR if is_error else Problem.UNANSWERED
            return _put_off(replace(call, problem=why), claim.target, now, jitter)
        case Kind.REFUSED:
            return _refused(call, claim, reply, now, jitter)


def _confirmed(call: Call, wish: Wish, claim: Claim, reply: Reply, now: datetime) -> Call:
    sid = reply.recording or claim.target or CURRENT
    known = call.recording(sid) or Recording(sid=sid, of=Of.CALL, owner=call.sid)
    if known.live:
        state = STATE_OF[wish]
        known = replace(
            known, state=state, confirmed_at=now, commanded=True, toggle=False, unanswered=None, doubt=False,
            failures=0, next_at=None,
        )  # fmt: skip
    call = replace(
        call.with_recording(known), failures=0, next_at=None, problem=None, problem_status=None, problem_code=None,
        nothing_said=None, ask_call=False,
    )  # fmt: skip
    if claim.target == CURRENT:
        others = tuple(replace(r, doubt=False) if r.of is Of.CALL and r.sid != sid else r for r in call.recordings)
        call = replace(call, doubt=False, unanswered=None, recordings=others)
        call = replace(call, resume_wanted=call.resume_wanted and wish is not Wish.RECORDING)
    if all(recording.state is State.RECORDING for recording in call.live):
        call = replace(call, resume_wanted=False)
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
    touched = _touched(call, claim.target)
    for recording in touched:
        call = call.with_recording(
            replace(recording, state=State.UNKNOWN, doubt=True, unanswered=claim.wish, toggle=False, commanded=True)
        )
    if not touched:
        call = replace(call, doubt=True, unanswered=claim.wish)
    if claim.wish is Wish.PAUSED:
        return replace(call, late_pause_until=_latest(call.late_pause_until, until))
    if claim.wish is Wish.RECORDING:
        return replace(call, late_resume_until=_latest(call.late_resume_until, until))
    return call


def _refused(call: Call, claim: Claim, reply: Reply, now: datetime, jitter: float) -> Call:
    if reply.code in NOTHING_THERE or reply.http_status == 404:
        return replace(call, nothing_said=claim.wish, nothing_said_of=claim.target, look_first=True)
    if reply.code == SEVERAL:
        return replace(call, look_first=True, problem=Problem.NOT_ALL_PAUSED)
    if reply.http_status in {401, 403}:
        return _later(replace(call, problem=Problem.CREDENTIALS), now, jitter, at_least=RETRY_MAX)
    is_passing = reply.http_status in {408, 429} or reply.code in {16114, 20429}
    why = Problem.BUSY if is_passing else Problem.REFUSED
    return _put_off(replace(call, problem=why), claim.target, now, jitter)


def _nothing_there(call: Call, wish: Wish, now: datetime, jitter: float) -> Call:
    """Twilio said "nothing to command here", and the lists are in: already done, on another resource, or nothing.

    A refusal after an unanswered command may mean that it is done already: one in this direction that was applied, or
    one in the other that was not. Where that would matter, the opposite is sent by SID first, and then the wanted one,
    whose reply can be believed.
    """
    target = call.nothing_said_of
    call = replace(call, nothing_said=None, nothing_said_of=None)
    touched = _touched(call, target)
    if wish is not desired(call) and any(recording.toggle for recording in touched):
        for recording in touched:  # the opposite, sent first, is so already: the wanted one can be believed now
            call = call.with_recording(replace(recording, toggle=False, unanswered=None))
        return replace(call, next_at=None)
    done_already = [recording for recording in touched if _may_be_done(call, recording, wish)]
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
        return _put_off(asked, target, now, jitter)
    return replace(call, next_at=None)


def _may_be_done(call: Call, recording: Recording, wish: Wish) -> bool:
    if recording.unanswered is not None:
        return True
    late = call.late_resume_until
    unproven = late is not None and (recording.confirmed_at is None or recording.confirmed_at < late)
    return wish is Wish.PAUSED and recording.state is State.PAUSED and unproven


# Lists


def _listed(call: Call, message: Answered, claim: Claim, now: datetime, jitter: float) -> tuple[Call, tuple[Fact, ...]]:
    if not message.listings:
        return call, ()
    facts: list[Fact] = []
    doubt = call.doubt or call.look_first
    for listing in message.listings:
        for sid, status in listing.items:
            call, fact = _listed_one(call, listing, sid, status, doubt=doubt)
            facts.extend(fact)
    if not is_whole(message.listings, call.told):
        why = next((one.why for one in message.listings if not one.ok), None)
        facts.append(Fact(type="list.failed", outcome="failure", reason=why))
        is_unknown = any(one.missing for one in message.listings if one.of is Of.CALL)
        if is_unknown and call.nothing_said is not None:
            asks = replace(call, nothing_said=None, look_first=False, ask_call=True, next_at=None)
            return asks, tuple(facts)
        call = _later(replace(call, problem=call.problem or Problem.LIST_FAILED), now, jitter)
        return call, tuple(facts)
    call, dropped = _without_unknown_names(call, message.listings)
    facts.extend(dropped)
    call = replace(call, listed_at=claim.taken_at, look_first=False)
    if call.problem is Problem.LIST_FAILED:
        call = replace(call, problem=None, next_at=None, failures=0)
    return (replace(call, doubt=False, unanswered=None) if call.live_on_call else call), tuple(facts)


def _without_unknown_names(call: Call, listings: tuple[Listing, ...]) -> tuple[Call, tuple[Fact, ...]]:
    """A mistyped name must not keep the call from ever being safe."""
    unknown = frozenset(one.owner for one in listings if one.missing and one.owner in call.told)
    if not unknown:
        return call, ()
    call = replace(
        call,
        told=tuple(sid for sid in call.told if sid not in unknown),
        legs=tuple(leg for leg in call.legs if leg.sid not in unknown),
        conferences=tuple(sid for sid in call.conferences if sid not in unknown),
    )
    return call, (Fact(type="call.name_dropped", outcome="failure", detail={"names": sorted(unknown)}),)


def _listed_one(
    call: Call, listing: Listing, sid: str, status: str, *, doubt: bool
) -> tuple[Call, tuple[Fact, ...]]:  # fmt: skip
    known = call.recording(sid)
    if status in LISTED_LIVE:
        if known is not None:
            return call, ()
        new = Recording(sid=sid, of=listing.of, owner=listing.owner, doubt=doubt, unanswered=call.unanswered)
        fact = Fact(type="recording.found", recording=sid, after=State.UNKNOWN, detail={"of": listing.of})
        return call.with_recording(new), (fact,)
    state = LISTED_FINAL.get(status)
    if state is None or (known is not None and not known.live):
        return call, ()
    before = known.state if known else None
    ended = known or Recording(sid=sid, of=listing.of, owner=listing.owner)
    fact = Fact(type="recording.ended", recording=sid, before=before, after=state, detail={"seen": "list"})
    return call.with_recording(replace(ended, state=state, doubt=False)), (fact,)


# The call itself


def _seen(
    call: Call, seen: CallSeen | None, now: datetime, jitter: float
) -> tuple[Call, tuple[Fact, ...], Merge | None]:
    if seen is None:
        return call, (), None
    if not seen.ok:
        return _later(replace(call, problem=call.problem or Problem.UNANSWERED), now, jitter), (), None
    call = replace(call, ask_call=False)
    if seen.status is None:
        return *end(call, "unknown-to-twilio", SYSTEM), None
    if seen.parent is not None and seen.parent != call.sid:
        return replace(call, ask_call=True), (), Merge(parent=seen.parent)
    if seen.status in CALL_OVER:
        return *end(call, seen.status, SYSTEM), None
    if call.live:
        return replace(call, status=seen.status), (), None
    call = replace(
        call, status=seen.status, nothing_on_call_at=None, resume_wanted=False, problem=Problem.NOTHING_RECORDING
    )
    return _later(call, now, jitter), (), None


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
            recording=reply.recording or (claim.target if claim.target != CURRENT else None),
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


def _put_off(call: Call, target: str | None, now: datetime, jitter: float) -> Call:
    """Try this target again later; one recording that cannot be commanded must not keep the others from it."""
    known = call.recording(target) if target and target != CURRENT else None
    if known is None or len(call.live) < 2:
        return _later(call, now, jitter)
    delay = min(RETRY_FIRST * 2 ** min(known.failures, 6), RETRY_MAX) * (0.75 + 0.5 * jitter)
    return replace(
        call.with_recording(replace(known, failures=known.failures + 1, next_at=now + delay)), next_at=None
    )  # fmt: skip


def _later(call: Call, now: datetime, jitter: float, at_least: timedelta = timedelta(0)) -> Call:
    """Try again later: 0.25 s doubled for each failure in a row, at most 15 s, a quarter up or down by chance."""
    doubled = RETRY_FIRST * 2 ** min(call.failures, 6)
    delay = max(min(doubled, RETRY_MAX) * (0.75 + 0.5 * jitter), at_least)
    return replace(call, failures=call.failures + 1, next_at=now + delay)


def _latest(a: datetime | None, b: datetime) -> datetime:
    return b if a is None else max(a, b)

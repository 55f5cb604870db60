"""PURE. What Twilio showed when it was asked: its lists of recordings, and the call itself.

A list never confirms a pause: a live recording says `processing`, whatever it is doing. It shows what nobody told us
of, and what is over.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.actors import SYSTEM
from bot.backoff import later
from bot.call import CALL_OVER, Call, Claim, Of, Problem, Recording, State, Wish
from bot.endings import close_gap, drift, end
from bot.messages import Answered, CallSeen, Fact, Listing, Merge

LISTED_LIVE = frozenset({"in-progress", "paused", "processing"})
LISTED_FINAL = {
    "completed": State.ENDED,
    "stopped": State.STOPPED,
    "absent": State.ABSENT,
    "failed": State.FAILED,
    "deleted": State.ENDED,
}


# Lists


def is_whole(listings: tuple[Listing, ...], told: tuple[str, ...] = ()) -> bool:
    """Whether every list that was asked for came, the call's own among them.

    A leg or conference that only an API client named, and that Twilio does not know, has no recordings to list.
    """
    came = all(one.ok or (one.missing and one.owner in told) for one in listings)
    return any(one.of is Of.CALL for one in listings) and came


def listed(call: Call, message: Answered, claim: Claim, now: datetime, jitter: float) -> tuple[Call, tuple[Fact, ...]]:
    if not message.listings:
        return call, ()
    facts: list[Fact] = []
    before, doubt = call, call.doubt or call.look_first
    for listing in message.listings:
        for sid, status in listing.items:
            call, fact = _listed_one(call, listing, sid, status, claim, doubt=doubt)
            facts.extend(fact)
    if any(one.live and one.of is Of.CALL and before.recording(one.sid) is None for one in call.recordings):
        call, gap = close_gap(call, now)
        facts.extend(gap)
    if not is_whole(message.listings, call.told):
        why = next((one.why for one in message.listings if not one.ok), None)
        facts.append(Fact(type="list.failed", outcome="failure", reason=why))
        is_unknown = any(one.missing for one in message.listings if one.of is Of.CALL)
        if is_unknown and call.nothing_said is not None:
            asks = replace(call, nothing_said=None, look_first=False, ask_call=True, next_at=None)
            return asks, tuple(facts)
        is_barred = any(one.barred for one in message.listings)
        why_not = Problem.CREDENTIALS if is_barred else call.problem or Problem.LIST_FAILED
        return later(replace(call, problem=why_not), now, jitter), tuple(facts)
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
    call: Call, listing: Listing, sid: str, status: str, claim: Claim, *, doubt: bool
) -> tuple[Call, tuple[Fact, ...]]:
    known = call.recording(sid)
    if status in LISTED_LIVE:
        if known is not None:
            return _drifted(call, known, status, claim)
        if listing.of is Of.CONFERENCE:  # only by its SID can a command have reached it
            new = Recording(sid=sid, of=listing.of, owner=listing.owner)
        else:
            new = Recording(sid=sid, of=listing.of, owner=listing.owner, doubt=doubt, unanswered=call.unanswered)
        fact = Fact(type="recording.found", recording=sid, after=State.UNKNOWN, detail={"of": listing.of})
        return call.with_recording(new), (fact,)
    state = LISTED_FINAL.get(status)
    if state is None or (known is not None and not known.live):
        return call, ()
    before = known.state if known else None
    ended = known or Recording(sid=sid, of=listing.of, owner=listing.owner)
    state = State.STOPPED if ended.unanswered is Wish.STOPPED else state
    fact = Fact(type="recording.ended", recording=sid, before=before, after=state, detail={"seen": "list"})
    return call.with_recording(replace(ended, state=state, doubt=False)), (fact,)


def _drifted(call: Call, known: Recording, status: str, claim: Claim) -> tuple[Call, tuple[Fact, ...]]:
    """A list asked for after the pause was confirmed says that it runs: it is paused again, and compliance told."""
    is_newer = known.confirmed_at is not None and claim.taken_at > known.confirmed_at
    if status != "in-progress" or known.state is not State.PAUSED or not is_newer:
        return call, ()
    return drift(call, known)


# The call itself


def seen_call(
    call: Call, seen: CallSeen | None, now: datetime, jitter: float
) -> tuple[Call, tuple[Fact, ...], Merge | None]:
    """`call.ask_call`: something depends on the answer. Else it was only asked because nothing was heard for long.

    A stop that found nothing is withdrawn: what begins later is another recording.
    """
    if seen is None:
        return call, (), None
    is_needed = call.ask_call
    if not seen.ok:
        put_off = later(replace(call, problem=call.problem or Problem.UNANSWERED), now, jitter)
        return put_off if is_needed else call, (), None
    call = replace(call, ask_call=False)
    if seen.status is None:
        return *end(call, "unknown-to-twilio", now, SYSTEM), None
    if seen.parent is not None and seen.parent != call.sid and not call.orphaned:
        return replace(call, ask_call=True), (), Merge(parent=seen.parent)
    if seen.status in CALL_OVER:
        return *end(call, seen.status, now, SYSTEM), None
    if call.live or not is_needed:
        return replace(call, status=seen.status), (), None
    withdrawn: tuple[Fact, ...] = ()
    if call.stop_wanted and not call.recordings:
        call = replace(call, stop_wanted=False)
        withdrawn = (Fact(type="stop.refused", outcome="failure", reason=Problem.NOTHING_RECORDING.value),)
    call = replace(
        call, status=seen.status, nothing_on_call_at=None, resume_wanted=False, problem=Problem.NOTHING_RECORDING
    )
    return later(call, now, jitter), withdrawn, None

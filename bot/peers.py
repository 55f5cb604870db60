"""Calls that share a conference: its recording is one, and none of them may undo what another needs.

All of it runs inside the caller's transaction, and locks the peers in the order of their SIDs.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.audit.journal import Transaction
from bot.call import Call, Of, Recording, State, Wish, desired
from bot.messages import Command, Converge, Decision, Fact, Policy, Shared, Target, Wait
from bot.recording import decide, noted
from bot.storage import calls
from bot.storage.calls import Loaded


def claim(transaction: Transaction, call: Call, token: str, now: datetime, policy: Policy) -> Decision:
    """The next effect, claimed. What another call of the same conference needs or does comes first."""
    peers = _peers(transaction, call)
    claims = [peer.call.claim for peer in peers if peer.call.claim is not None]
    resuming = [claim.until for claim in claims if claim.wish is Wish.RECORDING]
    if desired(call) is Wish.PAUSED and any(until > now for until in resuming):
        return Decision(call=call, effect=Wait(until=max(resuming)))
    if desired(call) is Wish.PAUSED:
        call = _with_late_resumes(call, [peer.call for peer in peers], policy)
    before = call
    call, adopted = _with_pauses_of(call, [peer.call for peer in peers])
    call = noted(before, call, now, policy)
    decision = decide(call, Converge(token=token), now, policy)
    decision = replace(decision, facts=(*adopted, *decision.facts))
    effect = decision.effect
    if not isinstance(effect, Command) or effect.wish is Wish.PAUSED or effect.target.of is not Of.CONFERENCE:
        return decision
    holding = [peer for peer in peers if _wants_it_paused(peer.call, effect.target.owner)]
    if not holding:
        return decision
    for peer in holding:
        _leave_to(transaction, peer, effect.target)
    shared = decide(call, Shared(recording=effect.target.recording), now, policy)
    return replace(shared, facts=(*adopted, *shared.facts))


def tell(transaction: Transaction, before: Call, decision: Decision) -> None:
    """A resume of a conference's recording undoes what other calls believe of it, also if it arrives late."""
    call, effect = decision.call, decision.effect
    resumes = isinstance(effect, Command) and effect.wish is Wish.RECORDING and effect.target.of is Of.CONFERENCE
    late = call.late_resume_until if call.late_resume_until != before.late_resume_until else None
    if not (resumes or late):
        return
    for loaded in _peers(transaction, call):
        peer = loaded.call
        known = peer.recording(effect.target.recording) if resumes and isinstance(effect, Command) else None
        facts: tuple[Fact, ...] = ()
        if known is not None and known.state is State.PAUSED:
            peer = peer.with_recording(replace(known, state=State.UNKNOWN, confirmed_at=None))
            facts = (_fact("recording.doubted", known, call, State.PAUSED, State.UNKNOWN),)
        if late is not None and (peer.late_resume_until is None or peer.late_resume_until < late):
            peer = replace(peer, late_resume_until=late)
        calls.save(transaction, loaded, peer, facts)


def _with_late_resumes(call: Call, peers: list[Call], policy: Policy) -> Call:
    """A resume that another call of the conference left unanswered, or whose sender died, may undo our pause too."""
    times = [peer.late_resume_until for peer in peers]
    times += [peer.claim.until + policy.late for peer in peers if peer.claim and peer.claim.wish is Wish.RECORDING]
    late = max((at for at in (*times, call.late_resume_until) if at is not None), default=None)
    return replace(call, late_resume_until=late)


def _with_pauses_of(call: Call, peers: list[Call]) -> tuple[Call, tuple[Fact, ...]]:
    """What a peer had confirmed paused, and nobody has resumed since, is paused for this call too: it is one recording,
    and Twilio may refuse to pause it twice.
    """
    facts: list[Fact] = []
    for peer in peers if desired(call) is Wish.PAUSED else ():
        for theirs in peer.live:
            own = call.recording(theirs.sid)
            is_theirs = theirs.state is State.PAUSED and not theirs.doubt and _wants_it_paused(peer, theirs.owner)
            is_open = own is None or (own.live and own.state is not State.PAUSED and not own.doubt)
            if is_theirs and is_open and theirs.owner in call.conferences and not _is_resuming(peer):
                call = call.with_recording(replace(theirs, failures=0, next_at=None))
                facts.append(_fact("recording.paused_with", theirs, peer, own.state if own else None, State.PAUSED))
    return call, tuple(facts)


def _is_resuming(peer: Call) -> bool:
    return peer.claim is not None and peer.claim.wish is Wish.RECORDING


def _fact(type_: str, recording: Recording, other: Call, before: State | None, after: State) -> Fact:
    return Fact(type=type_, recording=recording.sid, before=before, after=after, detail={"other": other.sid})


def _leave_to(transaction: Transaction, peer: Loaded, target: Target) -> None:
    """The recording may be paused, and it is now for this call to resume it, also if its own pause never came about.
    Twilio may refuse that pause, as it is so already.
    """
    known = peer.call.recording(target.recording)
    if known is not None and (known.state is State.PAUSED or not known.live):
        return
    left = known or Recording(sid=target.recording, of=target.of, owner=target.owner)
    found = Fact(type="recording.found", recording=left.sid, after=State.UNKNOWN, detail={"of": left.of})
    after = peer.call.with_recording(replace(left, doubt=True, unanswered=Wish.PAUSED))
    calls.save(transaction, peer, after, () if known else (found,))


def _wants_it_paused(peer: Call, conference: str) -> bool:
    return desired(peer) is Wish.PAUSED and not peer.over and conference in peer.conferences


def _peers(transaction: Transaction, call: Call) -> list[Loaded]:
    """The other calls known in the conferences that this call is or was in."""
    known = {*call.conferences, *(one.owner for one in call.left_behind)}
    sids = {sid for one in known for sid in calls.of_conference(transaction.connection, one)} - {call.sid}
    loaded = [calls.load(transaction, sid, call.account) for sid in sorted(sids)]
    return [one for one in loaded if not one.is_new and one.call.sid != call.sid]

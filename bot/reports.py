"""PURE. What Twilio reports on its own: calls, legs, recordings, conferences. It may come late, twice or out of order.

`completed` is final. A recording that was already commanded is not made "recording" again by an old callback; one that
is new is live, and the hold that is open will pause it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.call import CALL_OVER, Call, Hold, Leg, Of, Recording, State
from bot.messages import CallReported, ConferenceReported, Decision, Fact, Policy, RecordingReported
from bot.outcomes import abandoned, close_holds, end

RANKS = {"unknown": -1, "queued": 0, "ringing": 1, "in-progress": 2}
FINAL_RANK = 3
FINAL_STATES = {"completed": State.ENDED, "absent": State.ABSENT, "failed": State.FAILED}


def call_reported(call: Call, message: CallReported, now: datetime) -> Decision:
    original, call = call, _known_again(call, is_over=message.status in CALL_OVER)
    known = next((leg for leg in call.legs if leg.sid == message.sid), Leg(sid=message.sid, status="unknown"))
    stale = _is_stale(known, message)
    if (
        call.over
        or known.status in CALL_OVER
        or stale
        or (message.status == known.status and known.agent == message.agent)
    ):
        return Decision(call=original)
    is_parent = message.sid == call.sid
    began = message.status == "in-progress" and not known.live
    leg = replace(
        known,
        status=message.status,
        sequence=known.sequence if message.sequence is None else message.sequence,
        agent=message.agent if message.status == "in-progress" else known.agent,
        since=now if began else known.since,
    )
    after = replace(
        call.with_leg(leg),
        caller=call.caller or message.caller,
        started_at=call.started_at or now,
        joined_at=now if began and not is_parent else call.joined_at,
        next_at=None if began else call.next_at,
        told=tuple(sid for sid in call.told if sid != message.sid),
    )
    fact = Fact(
        type="call.reported" if is_parent else "leg.reported",
        by=message.by,
        before=known.status,
        after=message.status,
        detail={} if is_parent else {"leg": message.sid},
    )
    after, owner = _with_owner(after)
    if not is_parent:
        return Decision(call=after, facts=(fact, *owner))
    if message.status in CALL_OVER:
        after, ended = end(after, message.status, message.by)
        return Decision(call=after, facts=(*owner, *ended))
    return Decision(call=replace(after, status=message.status), facts=(fact, *owner))


def _is_stale(known: Leg, message: CallReported) -> bool:
    """Older than what is known: by Twilio's sequence where it gives one, else because a call never goes back."""
    if message.sequence is not None:
        return message.sequence <= known.sequence
    return RANKS.get(message.status, FINAL_RANK) < RANKS.get(known.status, FINAL_RANK)


def _known_again(call: Call, *, is_over: bool) -> Call:
    """Twilio did not know the call when it was asked too early; now it speaks of it."""
    if call.status != "unknown-to-twilio" or is_over:
        return call
    return replace(call, status="unknown", problem=None)


def _with_owner(call: Call) -> tuple[Call, tuple[Fact, ...]]:
    """A call belongs to the agent on its live leg; while no leg names one it stays where it was."""
    agent = call.leg_agent
    if agent is None or agent == call.agent:
        return call, ()
    fact = Fact(type="call.owner_changed", before=call.agent, after=agent)
    return replace(call, agent=agent, taken_by=None), (fact,)


def recording_reported(call: Call, message: RecordingReported, now: datetime) -> Decision:
    known = call.recording(message.sid)
    final = FINAL_STATES.get(message.status)
    if final is not None:
        return _recording_ended(call, message, known, final)
    if message.status == "in-progress":
        return _recording_started(call, message, known, now)
    fact = Fact(type="recording.noted", by=message.by, recording=message.sid, after=message.status)
    return Decision(call=call, facts=(fact,))


def _recording_started(
    call: Call, message: RecordingReported, known: Recording | None, now: datetime
) -> Decision:  # fmt: skip
    if known is not None and (known.commanded or known.state is not State.UNKNOWN or known.doubt):
        return Decision(call=call)
    call = _known_again(call, is_over=False)
    message = _with_owner_s_kind(call, message)
    state = State.ENDED if call.over else State.RECORDING
    recording = (
        replace(known, state=state)
        if known
        else Recording(sid=message.sid, of=message.of, owner=message.owner, state=state)
    )
    before = known.state if known else None
    fact = Fact(type="recording.started", by=message.by, recording=message.sid, before=before, after="recording")
    after = replace(call.with_recording(recording), next_at=None, problem=call.problem if call.over else None)
    if message.of is Of.CONFERENCE and message.owner not in call.conferences:
        after = replace(after, conferences=(*call.conferences, message.owner), joined_at=now)
    return Decision(call=after, facts=(fact,))


def _with_owner_s_kind(call: Call, message: RecordingReported) -> RecordingReported:
    """Twilio names a leg's own SID for a recording that is addressed at that leg."""
    is_leg = message.of is Of.CALL and message.owner != call.sid
    return replace(message, of=Of.LEG) if is_leg else message


def _recording_ended(call: Call, message: RecordingReported, known: Recording | None, final: State) -> Decision:
    if known is not None and known.state is final:
        return Decision(call=call)
    before = known.state if known else None
    recording = replace(known, state=final, doubt=False, toggle=False) if known else Recording(
        sid=message.sid, of=message.of, owner=message.owner, state=final
    )  # fmt: skip
    fact = Fact(
        type="recording.ended",
        by=message.by,
        recording=message.sid,
        before=before,
        after=final,
        detail={"duration_seconds": message.duration_seconds},
    )
    return Decision(call=replace(call.with_recording(recording), next_at=None), facts=(fact,))


def conference_reported(call: Call, message: ConferenceReported, now: datetime) -> Decision:
    joins = message.event == "participant-join"
    known = message.conference in call.conferences
    if call.over or not (joins or known):
        return Decision(call=call)
    detail = {"conference": message.conference, "event": message.event, "participant": message.participant}
    fact = Fact(type="conference.reported", by=message.by, after=message.event, detail=detail)
    after = call if known else replace(call, conferences=(*call.conferences, message.conference))
    after = replace(after, told=tuple(sid for sid in call.told if sid != message.conference))
    after = replace(after, joined_at=now, next_at=None) if joins else after
    return Decision(call=after, facts=(fact,))


def merge(parent: Call, child: Call, now: datetime, policy: Policy) -> tuple[Call, Call, tuple[Fact, ...]]:
    """Unite a call with the leg of it that we took for a call: its holds, recordings and owner move to the parent.

    Returns the parent, the emptied child, and what to log of the parent. The child's commands may have touched the
    parent's recordings, so its doubt, its late commands and the one in flight move too.
    """
    if parent.over:
        return parent, _emptied(child), (_merged(child, ()), *close_holds(child, "the call had ended")[1])
    known = {hold.holder for hold in parent.holds}
    moved = tuple(hold for hold in child.holds if hold.holder not in known)
    united = parent.with_leg(Leg(sid=child.sid, status="in-progress", agent=child.leg_agent, since=now))
    for leg in child.legs:
        if leg.sid not in {parent.sid, child.sid}:
            united = united.with_leg(leg)
    for recording in child.recordings:
        if united.recording(recording.sid) is None:
            is_leg_s = recording.of is Of.CALL and recording.owner != parent.sid
            united = united.with_recording(replace(recording, of=Of.LEG) if is_leg_s else recording)
    united = replace(
        united,
        holds=(*parent.holds, *moved),
        conferences=tuple(dict.fromkeys((*parent.conferences, *child.conferences))),
        agent=parent.agent or child.agent,
        taken_by=parent.taken_by or child.taken_by,
        resume_wanted=parent.resume_wanted or child.resume_wanted,
        stop_wanted=parent.stop_wanted or child.stop_wanted,
        doubt=parent.doubt or child.doubt,
        unanswered=parent.unanswered or child.unanswered,
        look_first=parent.look_first or child.look_first,
        joined_at=now,
        late_pause_until=_latest(parent.late_pause_until, child.late_pause_until),
        late_resume_until=_latest(parent.late_resume_until, child.late_resume_until),
        claim=parent.claim or child.claim,
        next_at=None,
        failures=0,
        problem=None,
    )
    if parent.claim is None or child.claim is None:
        return united, _emptied(child), (_merged(child, moved),)
    united, abandoned_facts = abandoned(united, child.claim, policy)
    return replace(united, claim=parent.claim), _emptied(child), (_merged(child, moved), *abandoned_facts)


def _merged(child: Call, moved: tuple[Hold, ...]) -> Fact:
    return Fact(type="call.merged", detail={"leg": child.sid, "holds": [hold.id for hold in moved]})


def _emptied(child: Call) -> Call:
    return replace(
        child, status="merged", holds=(), recordings=(), claim=None, next_at=None, ask_call=False, look_first=False
    )  # fmt: skip


def _latest(a: datetime | None, b: datetime | None) -> datetime | None:
    return max((at for at in (a, b) if at is not None), default=None)

"""PURE. What Twilio reports on its own: calls, legs, recordings, conferences. It may come late, twice or out of order.

`completed` is final. A recording that was already commanded is not made "recording" again by an old callback; one that
is new is live, and the hold that is open will pause it. Where Twilio gives a sequence number or a time, an older report
changes nothing.

The end of the *customer's* leg closes the holds, whatever stays connected: no card can come any more. The customer's
leg is the parent, or the first that is nobody's of ours; on a call that is all ours (an agent who sits in a conference
while customers come and go) it is the last guest in its conferences.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot import holds
from bot.call import CALL_OVER, Call, Hold, Leg, Of, Participant, Recording, State, Wish, desired
from bot.endings import close_gap, drift, end, end_recordings
from bot.messages import CallReported, ConferenceReported, Decision, Fact, Policy, RecordingReported
from bot.outcomes import abandoned

RANKS = {"unknown": -1, "queued": 0, "ringing": 1, "in-progress": 2}
FINAL_RANK = 3
FINAL_STATES = {"completed": State.ENDED, "absent": State.ABSENT, "failed": State.FAILED}
OWN_RESUME_IS_OLD_NEWS = timedelta(seconds=60)
PARTICIPANTS_KEPT = 40


# Calls and their legs


def call_reported(call: Call, message: CallReported, now: datetime) -> Decision:
    original, call = call, _known_again(call, is_over=message.status in CALL_OVER)
    known = call.leg(message.sid) or Leg(sid=message.sid, status="unknown")
    is_old = _is_stale(known, message) or (message.status == known.status and known.agent == message.agent)
    if call.over or known.over or is_old:
        return Decision(call=original)
    is_parent = message.sid == call.sid
    began = message.status == "in-progress" and not known.live
    leg = replace(
        known,
        status=message.status,
        sequence=known.sequence if message.sequence is None else message.sequence,
        at=message.at or known.at,
        agent=message.agent if message.status == "in-progress" else known.agent,
        staff=known.staff or message.staff or message.agent is not None,
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
    after, owner = _with_owner(after, message.dialled_by)
    if leg.over:
        after, ended = _leg_over(call, after, message, now)
        replaced = bool(ended) and ended[0].type == "call.ended"
        return Decision(call=after, facts=(*(() if is_parent and replaced else (fact,)), *owner, *ended))
    if is_parent:
        after = replace(after, status=message.status)
    return Decision(call=after, facts=(fact, *owner))


def _leg_over(
    before: Call, call: Call, message: CallReported, now: datetime
) -> tuple[Call, tuple[Fact, ...]]:  # fmt: skip
    """What the end of this leg means for the call."""
    customer = before.customer or call.customer
    was_customer = customer is not None and customer.sid == message.sid
    was_answered = message.status == "completed" or (customer is not None and customer.live)
    if message.sid == call.sid:
        if not _goes_on_without_parent(call):
            return end(call, message.status, now, message.by)
        call, left = end_recordings(call)
        return replace(call, orphaned=True, next_at=None), left
    if call.orphaned and was_customer:
        return end(call, message.status, now, message.by)
    if was_customer and was_answered:
        return holds.close_all(call, "the customer's leg ended", now)
    return call, ()


def _goes_on_without_parent(call: Call) -> bool:
    """An agent who dialled out has left, and the customer's leg goes on in a conference (a transfer)."""
    parent, customer = call.leg(call.sid), call.customer
    if parent is None or not parent.staff or customer is None or not customer.live:
        return False
    return any(one.present and one.leg == customer.sid and one.conference in call.conferences for one in
               call.participants)  # fmt: skip


def _is_stale(known: Leg, message: CallReported) -> bool:
    """Older than what is known: by Twilio's sequence or time where it gives one, else because a call never goes
    back.
    """
    if message.sequence is not None:
        return message.sequence <= known.sequence
    if message.at is not None and known.at is not None and message.at != known.at:
        return message.at < known.at
    return RANKS.get(message.status, FINAL_RANK) < RANKS.get(known.status, FINAL_RANK)


def _known_again(call: Call, *, is_over: bool) -> Call:
    """Twilio did not know the call when it was asked too early; now it speaks of it."""
    if call.status != "unknown-to-twilio" or is_over:
        return call
    return replace(call, status="unknown", problem=None)


def _with_owner(call: Call, dialled_by: str | None) -> tuple[Call, tuple[Fact, ...]]:
    """A call belongs to the agent on its live leg; while no leg names one it stays where it was. One that is nobody's,
    as its parent is never reported, belongs to the agent who dialled this leg.
    """
    agent = call.leg_agent or (dialled_by if call.agent is None else None)
    if agent is None or agent == call.agent:
        return call, ()
    fact = Fact(type="call.owner_changed", before=call.agent, after=agent)
    return replace(call, agent=agent, taken_by=None), (fact,)


# Recordings


def recording_reported(call: Call, message: RecordingReported, now: datetime) -> Decision:
    known = call.recording(message.sid)
    final = FINAL_STATES.get(message.status)
    if final is not None:
        return _recording_ended(call, message, known, final)
    if message.status == "in-progress":
        return _recording_started(call, message, known, now)
    fact = Fact(type="recording.noted", by=message.by, recording=message.sid, after=message.status)
    if message.status == "resumed" and known is not None and _has_drifted(call, known, now):
        call, drifted = drift(call, known)
        return Decision(call=call, facts=(fact, *drifted))
    return Decision(call=call, facts=(fact,))


def _has_drifted(call: Call, known: Recording, now: datetime) -> bool:
    """Somebody else resumed what should be paused. The echo of a resume of our own, come late, is no news."""
    is_echo = known.resumed_at is not None and now - known.resumed_at < OWN_RESUME_IS_OLD_NEWS
    return desired(call) is Wish.PAUSED and known in call.live and known.state is State.PAUSED and not is_echo


def _recording_started(
    call: Call, message: RecordingReported, known: Recording | None, now: datetime
) -> Decision:  # fmt: skip
    if known is not None and (known.commanded or known.state is not State.UNKNOWN or known.doubt):
        return Decision(call=call)
    call = _known_again(call, is_over=False)
    message = _with_owner_s_kind(call, message)
    is_past = call.over and message.of is not Of.CONFERENCE
    state = State.ENDED if is_past else State.RECORDING
    recording = (
        replace(known, state=state)
        if known
        else Recording(sid=message.sid, of=message.of, owner=message.owner, state=state)
    )
    before = known.state if known else None
    fact = Fact(type="recording.started", by=message.by, recording=message.sid, before=before, after="recording")
    after = replace(call.with_recording(recording), next_at=None, problem=call.problem if call.over else None)
    if message.of is Of.CONFERENCE and message.owner not in {*call.conferences, *call.left}:
        after = (
            replace(after, left=(*call.left, message.owner))
            if call.over
            else replace(after, conferences=(*call.conferences, message.owner), joined_at=now)
        )
    after, gap = close_gap(after, now) if recording.of is Of.CALL else (after, ())
    return Decision(call=after, facts=(fact, *gap))


def _with_owner_s_kind(call: Call, message: RecordingReported) -> RecordingReported:
    """Twilio names a leg's own SID for a recording that is addressed at that leg."""
    is_leg = message.of is Of.CALL and message.owner != call.sid
    return replace(message, of=Of.LEG) if is_leg else message


def _recording_ended(call: Call, message: RecordingReported, known: Recording | None, final: State) -> Decision:
    """One that we stopped stays *stopped*: its end was our doing."""
    if known is not None and (known.state is State.STOPPED or known.unanswered is Wish.STOPPED):
        final = State.STOPPED
    if known is not None and known.state is final and final is not State.STOPPED:
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


# Conferences


def conference_reported(call: Call, message: ConferenceReported, now: datetime) -> Decision:
    joins, leaves = message.event == "participant-join", message.event == "participant-leave"
    is_known = message.conference in {*call.conferences, *call.left}
    if not (joins and not call.over) and not is_known:
        return Decision(call=call)
    if _is_stale_participant(call, message):
        return Decision(call=call)
    detail = {"conference": message.conference, "event": message.event, "participant": message.participant}
    fact = Fact(type="conference.reported", by=message.by, after=message.event, detail=detail)
    after = _with_participant(_with_those_present(call, message), message) if joins or leaves else call
    if message.event == "conference-end":
        after, more = _conference_over(after, message.conference)
    elif joins and not call.over:
        after, more = _joined(after, message, now), ()
    elif leaves and _is_principal(call, message.participant):
        after, more = _left(after, message.conference), ()
    else:
        more = ()
    if _last_guest_gone(call, after, message.staff):
        after, closed = holds.close_all(after, "the customer left the conference", now)
        more = (*more, *closed)
    return Decision(call=after, facts=(fact, *more))


def _is_stale_participant(call: Call, message: ConferenceReported) -> bool:
    known = _participant(call, message.conference, message.participant)
    if known is None:
        return False
    if message.sequence is not None:
        return message.sequence <= known.sequence
    return message.at is not None and known.at is not None and message.at < known.at


def _participant(call: Call, conference: str, leg: str | None) -> Participant | None:
    return next((one for one in call.participants if (one.conference, one.leg) == (conference, leg)), None)


def _with_participant(call: Call, message: ConferenceReported) -> Call:
    """Those who left long ago are forgotten: an agent may sit in one conference all day."""
    if message.participant is None:
        return call
    known = _participant(call, message.conference, message.participant)
    new = Participant(
        conference=message.conference,
        leg=message.participant,
        present=message.event == "participant-join",
        sequence=message.sequence if message.sequence is not None else known.sequence if known else -1,
        at=message.at or (known.at if known else None),
    )
    others = tuple(one for one in call.participants if one is not known)
    gone = [one for one in others if not one.present]
    kept = tuple(one for one in others if one.present or one in gone[-PARTICIPANTS_KEPT:])
    return replace(call, participants=(*kept, new))


def _with_those_present(call: Call, message: ConferenceReported) -> Call:
    """Who was in the conference before the call came: nobody told the call when they joined."""
    unknown = tuple(one for one in message.present if _participant(call, one.conference, one.leg) is None)
    return replace(call, participants=(*call.participants, *unknown)) if unknown else call


def _joined(call: Call, message: ConferenceReported, now: datetime) -> Call:
    """Somebody joined: Twilio's lists have to be asked for again. Our own leg brings the conference back, too."""
    conference = message.conference
    is_ours = message.participant is None or message.participant in {call.sid, *call.names}
    if conference in call.left and not is_ours:
        return call
    return replace(
        call,
        conferences=tuple(dict.fromkeys((*call.conferences, conference))),
        left=tuple(sid for sid in call.left if sid != conference),
        told=tuple(sid for sid in call.told if sid != conference),
        joined_at=now,
        next_at=None,
    )


def _is_principal(call: Call, leg: str | None) -> bool:
    """Whether the call is where this leg is: the customer's, or the parent where all are ours."""
    customer = call.customer
    return leg == (call.sid if customer is None else customer.sid)


def _left(call: Call, conference: str) -> Call:
    """The conference's recording is not the call's any more, also while its hold goes on."""
    return replace(
        call,
        conferences=tuple(sid for sid in call.conferences if sid != conference),
        left=tuple(dict.fromkeys((*call.left, conference))),
        next_at=None,
    )


def _conference_over(call: Call, conference: str) -> tuple[Call, tuple[Fact, ...]]:
    participants = tuple(
        replace(one, present=False) if one.conference == conference else one for one in call.participants
    )
    call, left = end_recordings(replace(call, participants=participants), conference)
    return (call if call.over else _left(call, conference)), left


def _last_guest_gone(before: Call, after: Call, staff: frozenset[str]) -> bool:
    """On a call that is all ours, the customer is whoever else is in its conferences."""
    parent = before.leg(before.sid)
    if parent is None or not parent.staff or before.customer is not None:
        return False
    return bool(_guests(before, staff)) and not _guests(after, staff)


def _guests(call: Call, staff: frozenset[str]) -> set[str]:
    ours = {call.sid, *call.names, *staff}
    return {one.leg for one in call.participants if one.present and one.leg not in ours}


# A leg that was taken for a call


def merge(parent: Call, child: Call, now: datetime, policy: Policy) -> tuple[Call, Call, tuple[Fact, ...]]:
    """Unite a call with the leg of it that we took for a call: its holds, recordings and owner move to the parent.

    Returns the parent, the emptied child, and what to log of the parent. The child's commands may have touched the
    parent's recordings, so its doubt, its late commands and the one in flight move too.
    """
    parent = _with_payments_of(parent, child)
    if parent.over:
        closed = holds.close_all(child, "the call had ended", now)[1]
        return parent, _emptied(child), (_merged(child, ()), *closed)
    known = {hold.holder for hold in parent.holds}
    moved = tuple(hold for hold in child.holds if hold.holder not in known)
    as_leg = child.leg(child.sid) or Leg(sid=child.sid, status="in-progress", agent=child.leg_agent, since=now)
    united = parent if parent.leg(child.sid) else parent.with_leg(as_leg)
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
        left=tuple(sid for sid in dict.fromkeys((*parent.left, *child.left)) if sid not in child.conferences),
        participants=(*parent.participants, *(one for one in child.participants if one not in parent.participants)),
        agent=parent.agent or child.agent,
        taken_by=parent.taken_by or child.taken_by,
        resume_wanted=parent.resume_wanted or child.resume_wanted,
        stop_wanted=parent.stop_wanted or child.stop_wanted,
        gap_since=parent.gap_since or child.gap_since,
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


def _with_payments_of(parent: Call, child: Call) -> Call:
    """The latest is an open one, if either has one."""
    is_child_s = child.payment is not None and child.payment.is_open
    payments = (*child.payments, *parent.payments) if is_child_s else (*parent.payments, *child.payments)
    return replace(parent, payment=payments[0], earlier=payments[1:]) if payments else parent


def _merged(child: Call, moved: tuple[Hold, ...]) -> Fact:
    return Fact(type="call.merged", detail={"leg": child.sid, "holds": [hold.id for hold in moved]})


def _emptied(child: Call) -> Call:
    return replace(
        child,
        status="merged",
        holds=(),
        recordings=(),
        payment=None,
        earlier=(),
        claim=None,
        next_at=None,
        ask_call=False,
        look_first=False,
    )


def _latest(a: datetime | None, b: datetime | None) -> datetime | None:
    return max((at for at in (a, b) if at is not None), default=None)

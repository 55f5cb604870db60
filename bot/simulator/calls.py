"""Calls: placing, dialling further legs, answering, hanging up. Called under the world's lock."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.simulator import conferences, recordings
from bot.simulator.errors import ControlError
from bot.simulator.model import Call, FlowState, RecordingPlan, ScriptStep, new_sid
from bot.simulator.world import World

NUMBER = "+15005550001"
CUSTOMER = "+15005550006"


@dataclass(frozen=True, slots=True)
class CallPlan:
    """A call to be placed: see the control API for each field."""

    customer: str = CUSTOMER
    number: str = NUMBER
    agent: str | None = None
    direction: str = "inbound"
    answered: bool = True
    linked: bool = True
    recordings: int = 1
    conference: str | None = None
    conference_recordings: int = 0
    recording: RecordingPlan = field(default_factory=RecordingPlan)
    voice_url: str | None = None
    """Where its TwiML comes from. None: nothing but the control API moves the call."""
    script: tuple[ScriptStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """The SIDs of what a placed call consists of."""

    call: str
    agent_leg: str | None
    conference: str | None
    recordings: list[str]
    conference_recordings: list[str]


def place(world: World, plan: CallPlan) -> Placed:
    """A customer's call, with the agent's leg, the conference and the recordings that were asked for.

    One with a ``voice_url`` still rings: its TwiML answers it.
    """
    ends = (plan.customer, plan.number) if plan.direction == "inbound" else (plan.number, plan.customer)
    root = _dial(world, None, plan.direction, *ends)
    conference = conferences.open_(world, plan.conference, root.sid) if plan.conference else None
    leg = root
    root.joins = conference.sid if conference else None
    if plan.agent is not None:
        answer(world, root)
        leg = add_leg(world, root, plan.agent, answered=False, linked=plan.linked)
        leg.joins = root.joins
    leg.waiting = [(root.sid, plan.recording)] * plan.recordings
    if plan.voice_url:
        root.flow = FlowState(plan.voice_url, list(plan.script))
    elif plan.answered:
        answer(world, leg)
    if conference:
        for _ in range(plan.conference_recordings):
            recordings.begin_of_conference(world, conference.sid, _conference_plan(plan))
    return Placed(
        root.sid,
        leg.sid if leg is not root else None,
        conference.sid if conference else None,
        [recording.sid for recording in world.recordings_at(root.sid)],
        [recording.sid for recording in world.recordings_at(conference.sid)] if conference else [],
    )


def _conference_plan(plan: CallPlan) -> RecordingPlan:
    return RecordingPlan(announced=plan.recording.announced, channels=1, source="Conference")


def _dial(world: World, parent: str | None, direction: str, from_: str, to: str) -> Call:
    now = world.clock.now()
    call = Call(new_sid("CA"), parent, direction, from_, to, "queued", created_at=now, updated_at=now)
    world.calls[call.sid] = call
    if parent:
        world.children.setdefault(parent, []).append(call.sid)
    if direction != "inbound":
        world.tell_call(call, "initiated")
    call.status = "ringing"
    world.tell_call(call)
    return call


def add_leg(world: World, root: Call, to: str, *, answered: bool, linked: bool, caller_id: str | None = None) -> Call:
    """Dial a further leg. One that is not linked has no parent: only a conference shows what it belongs to."""
    if root.over:
        raise ControlError(409, f"call {root.sid} is over")
    if linked:
        leg = _dial(world, root.sid, "outbound-dial", caller_id or root.from_, to)
    else:
        leg = _dial(world, None, "outbound-api", NUMBER, to)
    if answered:
        answer(world, leg)
    return leg


def answer(world: World, call: Call) -> None:
    """A ringing leg is answered: the recordings that waited for it begin, and it joins its conference."""
    if call.status != "ringing":
        raise ControlError(409, f"call {call.sid} is {call.status}, not ringing")
    call.status = "in-progress"
    call.answered_at = call.updated_at = world.clock.now()
    world.tell_call(call)
    waiting, call.waiting = call.waiting, []
    for root, plan in waiting:
        if not world.calls[root].over:
            recordings.begin_of_call(world, root, plan)
    if call.joins and world.conferences[call.joins].status != "completed":
        conferences.join(world, world.conferences[call.joins], call.sid)


def hang_up(world: World, call: Call, unanswered: str | None = None) -> None:
    """End one leg. A parent's end is the end of the call's recordings and of every leg it dialled, but for one that was
    moved into a conference, which goes on there.

    ``unanswered``: what it ends as if it was never answered; None for what is usual. A leg that loses its conference by
    this ends too, but for one with TwiML of its own, which goes on there.
    """
    if call.over:
        raise ControlError(409, f"call {call.sid} is already over")
    for child in [] if call.parent else world.legs(call.sid)[1:]:
        if not child.over and not conferences.keeps(world, child.sid, call.sid):
            hang_up(world, child)
    answered = call.answered_at is not None
    call.status = "completed" if answered else unanswered or ("no-answer" if call.parent else "canceled")
    call.ended_at = call.updated_at = world.clock.now()
    world.tell_call(call)
    if not call.parent:
        recordings.end_all(world, call.sid)
    for leg in conferences.hang_up(world, call.sid):
        stranded = world.calls[leg]
        if not stranded.over and (stranded.flow is None or stranded.flow.over):
            hang_up(world, stranded)

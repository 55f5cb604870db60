"""Conferences: opening, joining, leaving, ending. Called under the world's lock."""

from __future__ import annotations

from bot.simulator import recordings
from bot.simulator.errors import ControlError
from bot.simulator.model import Conference, Visit, new_sid
from bot.simulator.world import World


def open_(world: World, name: str, owner: str | None) -> Conference:
    """A new conference without anybody in it yet."""
    now = world.clock.now()
    conference = Conference(new_sid("CF"), name, owner, created_at=now, updated_at=now)
    world.conferences[conference.sid] = conference
    return conference


def join(world: World, conference: Conference, leg: str) -> None:
    """A connected leg comes in. The conference starts with the second one; ControlError 409 if that cannot be."""
    call = world.call(leg)
    if conference.status == "completed":
        raise ControlError(409, f"conference {conference.sid} is over")
    if call.status != "in-progress":
        raise ControlError(409, f"call {leg} is {call.status}")
    if leg in conference.participants:
        raise ControlError(409, f"call {leg} is already in the conference")
    conference.participants[leg] = conference.updated_at = world.clock.now()
    world.tell_conference(conference, "participant-join", leg)
    if conference.status == "init" and len(conference.participants) > 1:
        conference.status = "in-progress"
        world.tell_conference(conference, "conference-start", leg)


def leave(world: World, conference: Conference, leg: str) -> None:
    """A leg goes out; the last one to do so ends the conference."""
    if leg not in conference.participants:
        raise ControlError(404, f"call {leg} is not in conference {conference.sid}")
    _go_out(conference, leg, world.clock.now())
    world.tell_conference(conference, "participant-leave", leg)
    if not conference.participants:
        end(world, conference, leg)


def _go_out(conference: Conference, leg: str, now: float) -> None:
    conference.visits.append(Visit(leg, conference.participants.pop(leg), now))
    conference.updated_at = now


def end(world: World, conference: Conference, ended_by: str | None) -> None:
    """Everybody is out, and its recordings are over."""
    for other in list(conference.participants):
        _go_out(conference, other, world.clock.now())
        world.tell_conference(conference, "participant-leave", other)
    conference.status = "completed"
    conference.ended_at = conference.updated_at = world.clock.now()
    conference.ended_by = ended_by
    recordings.end_all(world, conference.sid)
    world.tell_conference(conference, "conference-end", ended_by)


def hang_up(world: World, leg: str) -> list[str]:
    """A leg that was hung up leaves its conferences. The legs that lose their conference by it, for they end too."""
    stranded: list[str] = []
    for conference in list(world.conferences.values()):
        if leg not in conference.participants:
            continue
        leave(world, conference, leg)
        if leg == conference.owner and conference.status != "completed":
            stranded += list(conference.participants)
            end(world, conference, leg)
    return stranded


def keeps(world: World, leg: str, parent: str) -> bool:
    """Whether a leg stays connected by a conference when its parent, which may own the conference, hangs up."""
    live = (one for one in world.conferences.values() if one.status != "completed" and one.owner != parent)
    return any(leg in one.participants for one in live)

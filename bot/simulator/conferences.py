"""Conferences: opening, joining, leaving, ending. Called under the world's lock."""

from __future__ import annotations

from bot.simulator import recordings
from bot.simulator.errors import ControlError
from bot.simulator.model import Conference, new_sid
from bot.simulator.world import World


def open_(world: World, name: str, owner: str | None, *, owner_ends: bool = True) -> Conference:
    """A new conference without anybody in it yet; when the call it is for hangs up, it ends if ``owner_ends``."""
    now = world.clock.now()
    enders = {owner} if owner and owner_ends else set()
    conference = Conference(new_sid("CF"), name, owner, created_at=now, updated_at=now, enders=enders)
    world.conferences[conference.sid] = conference
    return conference


def join(world: World, conference: Conference, leg: str, *, starts: bool = True, ends: bool = False) -> None:
    """A connected leg comes in; ControlError 409 if that cannot be.

    The conference starts when two are in it and one of them ``starts`` it. It ends when one that ``ends`` it hangs up.
    """
    call = world.call(leg)
    if conference.status == "completed":
        raise ControlError(409, f"conference {conference.sid} is over")
    if call.status != "in-progress":
        raise ControlError(409, f"call {leg} is {call.status}")
    if leg in conference.participants:
        raise ControlError(409, f"call {leg} is already in the conference")
    conference.participants[leg] = conference.updated_at = world.clock.now()
    if not starts:
        conference.patient.add(leg)
    if ends:
        conference.enders.add(leg)
    world.tell_conference(conference, "participant-join", leg)
    ready = len(conference.participants) > 1 and conference.participants.keys() - conference.patient
    if conference.status == "init" and ready:
        conference.status = "in-progress"
        world.tell_conference(conference, "conference-start", leg)
        if conference.plan:
            recordings.begin_of_conference(world, conference.sid, conference.plan)


def leave(world: World, conference: Conference, leg: str) -> None:
    """A leg goes out; the last one to do so ends the conference."""
    if conference.participants.pop(leg, None) is None:
        raise ControlError(404, f"call {leg} is not in conference {conference.sid}")
    conference.updated_at = world.clock.now()
    world.tell_conference(conference, "participant-leave", leg)
    if not conference.participants:
        end(world, conference, leg)


def end(world: World, conference: Conference, ended_by: str | None) -> None:
    """Everybody is out, and its recordings are over."""
    for other in list(conference.participants):
        del conference.participants[other]
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
        if leg in conference.enders and conference.status != "completed":
            stranded += list(conference.participants)
            end(world, conference, leg)
    return stranded


def keeps(world: World, leg: str, parent: str) -> bool:
    """Whether a leg stays connected by a conference when its parent, which may end the conference, hangs up."""
    live = (one for one in world.conferences.values() if one.status != "completed" and parent not in one.enders)
    return any(leg in one.participants for one in live)

"""Recordings: how they begin, what commands do to them, how they end. Called under the world's lock."""

from __future__ import annotations

import time
from dataclasses import replace

from bot.simulator.errors import TwilioError, invalid_parameter, not_eligible, not_found
from bot.simulator.model import RECORDED, SILENT, SKIPPED, Recording, RecordingPlan, new_sid
from bot.simulator.world import World

CURRENT = "Twilio.CURRENT"
STATUSES = ("paused", "in-progress", "stopped")
BEHAVIORS = ("skip", "silence")


def begin_of_call(world: World, root: str, plan: RecordingPlan) -> Recording:
    """Start recording a call. Whoever asks, it belongs to the parent leg."""
    return _begin(world, root, None, world.calls[root].created_at, plan)


def begin_of_conference(world: World, conference: str, plan: RecordingPlan) -> Recording:
    """Start recording a conference. Its call is the one the conference was opened for, if any."""
    found = world.conferences[conference]
    owner = world.calls.get(found.owner or "")
    root = world.calls[owner.root] if owner else None
    return _begin(world, root.sid if root else None, conference, (root or found).created_at, plan)


def _begin(world: World, call: str | None, conference: str | None, origin: float, plan: RecordingPlan) -> Recording:
    names = {name for name in (call, conference) if name}
    if world.faults.hides(names):
        plan = replace(plan, announced=False)
    now = world.clock.now()
    recording = Recording(new_sid("RE"), call, conference, plan, origin, started_at=now, updated_at=now)
    recording.turn(RECORDED, now)
    world.recordings[recording.sid] = recording
    world.recordings_of.setdefault(recording.owner, []).append(recording.sid)
    world.tell_recording(recording)
    return recording


def command(world: World, owner: str, target: str, status: str | None, behavior: str | None) -> Recording:
    """What the update endpoint does, for a parent call or a conference; TwilioError as Twilio refuses it."""
    if status not in STATUSES:
        raise invalid_parameter("Status")
    if behavior is not None and behavior not in BEHAVIORS:
        raise invalid_parameter("PauseBehavior")
    recording = pick(world, owner, target)
    wanted = "paused" if status == "paused" else "in-progress"
    if status == "stopped":
        if recording.conference:
            raise TwilioError(400, 20001, "Conference recordings cannot be stopped")
        end(world, recording, "completed")
    elif recording.state == wanted:
        if world.settings.repeat == "21220":
            raise not_eligible()
    else:
        turn(world, recording, wanted, behavior)
    return recording


def pick(world: World, owner: str, target: str) -> Recording:
    """The recording a command means: by its SID, or the only live one there."""
    there = world.recordings_at(owner)
    if target == CURRENT:
        live = [recording for recording in there if recording.live]
        if not live:
            raise not_eligible()
        if len(live) > 1:
            raise TwilioError(400, 16108, "Multiple active recordings: a recording SID is needed")
        return live[0]
    for recording in there:
        if recording.sid == target:
            if not recording.live:
                raise not_eligible()
            return recording
    raise not_found(f"Recordings/{target}")


def turn(world: World, recording: Recording, state: str, behavior: str | None) -> None:
    """Pause or resume a live recording. Without a behaviour a pause is silent, not skipped: Twilio's default."""
    recording.state = state
    if state == "in-progress":
        recording.turn(RECORDED, world.clock.now())
    else:
        recording.turn(SKIPPED if behavior == "skip" else SILENT, world.clock.now())


def end(world: World, recording: Recording, state: str, error_code: int | None = None) -> None:
    """End a live recording, as ``completed`` or ``absent``; the callback may follow later."""
    now = world.clock.now()
    recording.state = state
    recording.error_code = error_code
    recording.ended_at = recording.updated_at = now
    recording.listed_done_at = time.monotonic() + world.settings.completion_seconds
    world.tell_recording(recording)


def end_all(world: World, owner: str) -> None:
    for recording in world.recordings_at(owner):
        if recording.live:
            end(world, recording, "completed")

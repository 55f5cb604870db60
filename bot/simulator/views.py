"""The world as the control API and the page show it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bot.simulator.model import Call, Conference, FlowState, Recording
from bot.simulator.world import World


def recording(world: World, found: Recording) -> dict[str, Any]:
    """A recording with its stretches, in seconds of call time."""
    now = world.clock.now()
    return {
        "sid": found.sid,
        "call": found.call,
        "conference": found.conference,
        "state": found.state,
        "listed": found.listed_status,
        "announced": found.plan.announced,
        "source": found.plan.source,
        "channels": found.plan.channels,
        "track": found.plan.track,
        "started_at": found.started_at,
        "ended_at": found.ended_at,
        "seconds": round(found.seconds(now), 3),
        "stretches": [{"state": one.state, "from": one.start, "to": one.end} for one in found.stretches(now)],
    }


def leg(found: Call) -> dict[str, Any]:
    return {
        "sid": found.sid,
        "parent": found.parent,
        "status": found.status,
        "direction": found.direction,
        "from": found.from_,
        "to": found.to,
        "created_at": found.created_at,
        "answered_at": found.answered_at,
        "ended_at": found.ended_at,
        "listening": bool(found.listeners),
        "keypad": found.status == "in-progress" and bool(found.listeners or (found.flow and not found.flow.over)),
        "keys_pressed": len(found.keys),
    }


def flow(found: FlowState) -> dict[str, Any]:
    """What a call's TwiML is at; ``script``: how many of its steps are still to come."""
    return {"at": found.at, "url": found.url, "over": found.over, "script": len(found.script)}


def conference(world: World, found: Conference) -> dict[str, Any]:
    return {
        "sid": found.sid,
        "name": found.name,
        "owner": found.owner,
        "status": found.status,
        "participants": list(found.participants),
        "recordings": [recording(world, one) for one in world.recordings_at(found.sid)],
    }


def call(world: World, root: Call) -> dict[str, Any]:
    """A parent call: its own leg's facts, its TwiML, all legs (itself first), its conferences, its recordings."""
    until = world.clock.now() if root.ended_at is None else root.ended_at
    return {
        **leg(root),
        "seconds": round(until - root.created_at, 3),
        "flow": flow(root.flow) if root.flow else None,
        "heard": [words for _, words in root.heard],
        "legs": [leg(one) for one in world.legs(root.sid)],
        "conferences": [conference(world, one) for one in world.conferences_with(root.sid)],
        "recordings": [recording(world, one) for one in world.recordings_at(root.sid)],
    }


def clock(world: World) -> dict[str, Any]:
    return {"now": world.clock.now(), "frozen": world.clock.frozen}


def state(world: World) -> dict[str, Any]:
    """Everything but the two logs."""
    return {
        "account": world.account,
        "clock": clock(world),
        "settings": asdict(world.settings),
        "calls": [call(world, one) for one in world.calls.values() if one.parent is None],
        "conferences": [conference(world, one) for one in world.conferences.values()],
        "faults": world.faults.listing(),
        "counters": world.journal.counters(),
        "callbacks": world.sender.counts(),
    }

"""The rest of the control API: the whole state, reset, faults, clock, settings and the two logs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, request

from bot.simulator import views
from bot.simulator.body import Body
from bot.simulator.errors import ControlError
from bot.simulator.exchange import concerned, the_world
from bot.simulator.faults import KINDS, TARGETS
from bot.simulator.settings import changed

tools = Blueprint("tools", __name__, url_prefix="/sim")

Json = dict[str, Any]


@tools.get("/state")
def state() -> Json:
    world = the_world()
    with world.lock:
        return views.state(world)


@tools.post("/reset")
def reset() -> Json:
    world = the_world()
    with world.lock:
        world.reset()
    return {}


@tools.get("/faults")
def show_faults() -> Json:
    world = the_world()
    with world.lock:
        return {"faults": world.faults.listing(), "kinds": KINDS, "on": TARGETS}


@tools.post("/faults")
def add_fault() -> tuple[Json, int]:
    world, wanted = the_world(), Body().everything()
    with world.lock:
        return asdict(world.faults.add(wanted)), 201


@tools.delete("/faults")
def clear_faults() -> Json:
    world = the_world()
    with world.lock:
        world.faults.clear()
    return {}


@tools.delete("/faults/<int:fault_id>")
def remove_fault(fault_id: int) -> Json:
    world = the_world()
    with world.lock:
        world.faults.remove(fault_id)
    return {}


@tools.get("/clock")
def show_clock() -> Json:
    world = the_world()
    with world.lock:
        return views.clock(world)


@tools.post("/clock/<any(freeze, thaw, advance):how>")
def set_clock(how: str) -> Json:
    world, body = the_world(), Body()
    seconds = body.seconds("seconds") if how == "advance" else 0.0
    body.done()
    with world.lock:
        if how == "freeze":
            world.clock.freeze()
        elif how == "thaw":
            world.clock.thaw()
        else:
            world.clock.advance(seconds)
        return views.clock(world)


@tools.get("/settings")
def show_settings() -> Json:
    return asdict(the_world().settings)


@tools.patch("/settings")
def change_settings() -> Json:
    world, wanted = the_world(), Body().everything()
    with world.lock:
        world.settings = changed(world.settings, wanted)
        return asdict(world.settings)


@tools.get("/requests")
def show_requests() -> Json:
    world = the_world()
    after, limit = _query_number("after", 0, 10**9), _query_number("limit", 1000, 20_000)
    with world.lock:
        names = concerned(world, request.args["call"])[0] if "call" in request.args else None
        found = world.journal.listing(after=after, limit=limit, names=names, kind=request.args.get("kind"))
        return {"requests": found, "counters": world.journal.counters()}


@tools.delete("/requests")
def clear_requests() -> Json:
    the_world().journal.clear()
    return {}


@tools.get("/debugger")
def show_debugger() -> Json:
    world = the_world()
    with world.lock:
        return {"debugger": list(world.debugger)}


@tools.get("/callbacks")
def show_callbacks() -> Json:
    sender, wanted, call = the_world().sender, request.args.get("state"), request.args.get("call")
    found = [
        one
        for one in sender.listing()
        if (wanted is None or one["state"] == wanted)
        and (call is None or call in (one["params"].get("CallSid"), one["params"].get("ParentCallSid")))
    ]
    return {"callbacks": found, "counts": sender.counts()}


@tools.post("/callbacks/release")
def release_callbacks() -> Json:
    body = Body()
    order = body.choice("order", ("forward", "reverse"), "forward")
    body.done()
    return {"released": the_world().sender.release(backward=order == "reverse")}


def _query_number(name: str, default: int, most: int) -> int:
    value = request.args.get(name, str(default))
    if not value.isascii() or not value.isdigit() or len(value) > 9 or int(value) > most:
        raise ControlError(400, f"{name} must be a whole number up to {most}")
    return int(value)

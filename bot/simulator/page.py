"""The page at ``/``: place a call, hang up, watch recordings, switch faults. Plain forms; a script only refreshes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from bot.simulator import calls, flow, inbox, keypad, views
from bot.simulator.errors import ControlError
from bot.simulator.exchange import the_world
from bot.simulator.faults import KINDS, TARGETS
from bot.simulator.model import RecordingPlan

page = Blueprint("page", __name__)

_CALLS_SHOWN = 20
_REQUESTS_SHOWN = 25
_DEBUGGER_SHOWN = 10
_RESULTS_SHOWN = 5
_HEARD_SHOWN = 3
_BAR_WIDTH = 1000
_TEXT_MAX = 200


@page.get("/")
def show() -> str:
    return render_template("page.html", kinds=KINDS, targets=TARGETS, **_live())


@page.get("/live")
def live() -> str:
    """The part of the page that changes; the script puts it in place of the old one."""
    return render_template("_live.html", **_live())


@page.post("/calls")
def place_call() -> Response:
    world, form = the_world(), request.form
    plan = calls.CallPlan(
        customer=_text("customer") or calls.CUSTOMER,
        agent=_text("agent"),
        answered="ringing" not in form,
        recordings=_number("recordings", 10),
        conference=_text("conference"),
        conference_recordings=1 if "conference_recorded" in form and _text("conference") else 0,
        recording=RecordingPlan(announced="unannounced" not in form),
    )
    if "voice" in form:
        plan = calls.CallPlan(plan.customer, recordings=0, voice_url=f"{world.settings.webhook_base}/twilio/voice")
    with world.lock:
        placed = calls.place(world, plan)
        flow.start(world, world.call(placed.call))
    return _back()


@page.post("/calls/<sid>/<any(answer, hangup):what>")
def change_call(sid: str, what: str) -> Response:
    world = the_world()
    with world.lock:
        act = calls.answer if what == "answer" else calls.hang_up
        act(world, world.call(sid))
    return _back()


@page.post("/calls/<sid>/keys")
def press(sid: str) -> Response:
    keypad.press(the_world(), sid, _text("keys") or "")
    return _back()


@page.post("/faults")
def add_fault() -> Response:
    world = the_world()
    wanted: dict[str, Any] = {"kind": _text("kind"), "on": _text("on") or "any", "call": _text("call")}
    if times := _text("times"):
        wanted["times"] = int(times) if times.isdigit() else times
    if seconds := _text("seconds"):
        wanted["seconds"] = _decimal(seconds)
    with world.lock:
        world.faults.add(wanted)
    return _back()


@page.post("/faults/<int:fault_id>/remove")
def remove_fault(fault_id: int) -> Response:
    world = the_world()
    with world.lock:
        world.faults.remove(fault_id)
    return _back()


def _back() -> Response:
    return redirect("/", 303)


def _text(name: str) -> str | None:
    """What was filled in, None for nothing."""
    value = request.form.get(name, "").strip()
    if len(value) > _TEXT_MAX or not value.isprintable():
        raise ControlError(400, f"{name} must be a text of at most {_TEXT_MAX} printable characters")
    return value or None


def _number(name: str, most: int) -> int:
    value = _text(name) or "0"
    if not value.isascii() or not value.isdigit() or int(value) > most:
        raise ControlError(400, f"{name} must be a whole number up to {most}")
    return int(value)


def _decimal(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _live() -> dict[str, Any]:
    world = the_world()
    with world.lock:
        roots = [one for one in world.calls.values() if one.parent is None]
        return {
            "calls": [_with_bars(views.call(world, one)) for one in reversed(roots[-_CALLS_SHOWN:])],
            "hidden": max(len(roots) - _CALLS_SHOWN, 0),
            "faults": world.faults.listing(),
            "requests": [_timed(one) for one in reversed(world.journal.listing(limit=_REQUESTS_SHOWN))],
            "counters": world.journal.counters(),
            "callbacks": world.sender.counts(),
            "frozen": world.clock.frozen,
            "webhook_base": world.settings.webhook_base,
            "keys": keypad.KEYS,
            "results": [inbox.shown(one) for one in reversed(world.results)][:_RESULTS_SHOWN],
            "debugger": list(reversed(world.debugger))[:_DEBUGGER_SHOWN],
        }


def _with_bars(call: dict[str, Any]) -> dict[str, Any]:
    """Add to each recording the rectangles of its bar, call time from left to right; only what was heard last."""
    length = max(call["seconds"], 1.0)
    call["heard"] = call["heard"][-_HEARD_SHOWN:]
    call["bars"] = [_bar(one, length) for one in call["recordings"]]
    for conference in call["conferences"]:
        call["bars"] += [_bar(one, length) for one in conference["recordings"]]
    return call


def _bar(recording: dict[str, Any], length: float) -> dict[str, Any]:
    scale = _BAR_WIDTH / length
    pieces = [
        {
            "state": one["state"],
            "x": round(one["from"] * scale, 1),
            "width": round((one["to"] - one["from"]) * scale, 1),
            "from": f"{one['from']:.1f}",
            "to": f"{one['to']:.1f}",
        }
        for one in recording["stretches"]
    ]
    return {**recording, "pieces": pieces}


def _timed(entry: dict[str, Any]) -> dict[str, Any]:
    """Add how a person reads an entry's times."""
    end = entry["answered_at"] or (time.time() if entry["outcome"] == "open" else None)
    took = None if end is None else round((end - entry["received_at"]) * 1000)
    return {**entry, "at": f"{datetime.fromtimestamp(entry['received_at'], UTC):%H:%M:%S}", "took": took}

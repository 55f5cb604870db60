"""The control API under ``/sim/``: calls, recordings, conferences. The package's docstring describes each route."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint

from bot.simulator import calls, conferences, flow, keypad, recordings, script, views
from bot.simulator.body import Body
from bot.simulator.errors import ControlError
from bot.simulator.exchange import the_world
from bot.simulator.model import RecordingPlan
from bot.simulator.settings import is_http_url

control = Blueprint("control", __name__, url_prefix="/sim")

_SOURCES = (
    "DialVerb", "Conference", "OutboundAPI", "Trunking", "RecordVerb", "StartCallRecordingAPI",
    "StartConferenceRecordingAPI",
)  # fmt: skip
_TRACKS = ("inbound", "outbound", "both")
_RECORDINGS_MAX = 20
Json = dict[str, Any]


@control.post("/calls")
def place_call() -> tuple[Json, int]:
    world = the_world()
    plan = call_plan(Body(), world.settings.webhook_base)
    with world.lock:
        placed = calls.place(world, plan)
        flow.start(world, world.call(placed.call))
        return asdict(placed), 201


def call_plan(body: Body, webhook_base: str) -> calls.CallPlan:
    """The call that the control API's fields describe."""
    voice_url = _voice_url(body, webhook_base)
    plan = calls.CallPlan(
        customer=body.text("customer", calls.CUSTOMER),
        number=body.text("number", calls.NUMBER),
        agent=body.text_or_none("agent"),
        direction=body.choice("direction", ("inbound", "outbound-api"), "inbound"),
        answered=body.flag("answered", True),
        linked=body.flag("linked", True),
        recordings=body.whole("recordings", 0 if voice_url else 1, 0, _RECORDINGS_MAX),
        conference=body.text_or_none("conference"),
        conference_recordings=body.whole("conference_recordings", 0, 0, _RECORDINGS_MAX),
        recording=_recording_plan(body, "DialVerb"),
        voice_url=voice_url,
        script=script.parse(body.left("script", [])),
    )
    body.done()
    if plan.voice_url and (plan.agent or plan.conference or plan.direction != "inbound"):
        raise ControlError(400, "a call with TwiML is inbound, and its TwiML dials whom it wants")
    if plan.script and not plan.voice_url:
        raise ControlError(400, "a script needs voice or voice_url")
    if plan.conference_recordings and not plan.conference:
        raise ControlError(400, "conference_recordings needs a conference")
    return plan


def _voice_url(body: Body, webhook_base: str) -> str | None:
    """Where the call's TwiML comes from, if it has any."""
    voice, url = body.flag("voice", False), body.text_or_none("voice_url")
    if url is not None and (voice or not is_http_url(url)):
        raise ControlError(400, "voice_url must be an http or https URL, given without voice")
    return f"{webhook_base}/twilio/voice" if voice else url


def _recording_plan(body: Body, source: str, channels: int = 2) -> RecordingPlan:
    return RecordingPlan(
        announced=body.flag("announced", True),
        channels=body.whole("channels", channels, 1, 2),
        track=body.choice("track", _TRACKS, "both"),
        source=body.choice("source", _SOURCES, source),
    )


@control.get("/calls/<sid>")
def show_call(sid: str) -> Json:
    world = the_world()
    with world.lock:
        return views.call(world, world.call(world.call(sid).root))


@control.get("/calls/<sid>/steps")
def show_steps(sid: str) -> Json:
    world = the_world()
    with world.lock:
        state = world.call(world.call(sid).root).flow
        return {"steps": list(state.steps) if state else []}


@control.post("/calls/<sid>/legs")
def add_leg(sid: str) -> tuple[Json, int]:
    world, body = the_world(), Body()
    to, answered, linked = body.text("to", "client:alice"), body.flag("answered", True), body.flag("linked", True)
    body.done()
    with world.lock:
        root = world.call(world.call(sid).root)
        return {"leg": calls.add_leg(world, root, to, answered=answered, linked=linked).sid}, 201


@control.post("/calls/<sid>/answer")
def answer(sid: str) -> Json:
    world = the_world()
    with world.lock:
        found = world.call(sid)
        calls.answer(world, found)
        return views.leg(found)


@control.post("/calls/<sid>/hangup")
def hang_up(sid: str) -> Json:
    world, body = the_world(), Body()
    unanswered = body.choice("unanswered", ("busy", "failed", "no-answer", "canceled", ""), "")
    body.done()
    with world.lock:
        found = world.call(sid)
        calls.hang_up(world, found, unanswered or None)
        return views.leg(found)


@control.post("/calls/<sid>/keys")
def press(sid: str) -> Json:
    body = Body()
    keys = body.text("keys")
    body.done()
    return {"pressed": keypad.press(the_world(), sid, keys)}


@control.post("/calls/<sid>/recordings")
def record_call(sid: str) -> tuple[Json, int]:
    world, body = the_world(), Body()
    plan = _recording_plan(body, "StartCallRecordingAPI")
    body.done()
    with world.lock:
        root = world.call(world.call(sid).root)
        if root.status != "in-progress":
            raise ControlError(409, f"call {root.sid} is {root.status}")
        return {"recording": recordings.begin_of_call(world, root.sid, plan).sid}, 201


@control.post("/recordings/<sid>/state")
def change_recording(sid: str) -> Json:
    world, body = the_world(), Body()
    wanted = body.choice("state", ("in-progress", "paused", "completed", "absent"), "")
    behavior = body.choice("behavior", recordings.BEHAVIORS, "silence")
    error_code = body.whole("error_code", 0, 0, 99_999) or None
    body.done()
    with world.lock:
        found = world.recording(sid)
        if not found.live:
            raise ControlError(409, f"recording {sid} is {found.state}")
        if wanted in ("completed", "absent"):
            recordings.end(world, found, wanted, error_code)
        elif wanted != found.state:
            recordings.turn(world, found, wanted, behavior)
        return views.recording(world, found)


@control.post("/conferences")
def open_conference() -> tuple[Json, int]:
    world, body = the_world(), Body()
    name, owner = body.text("name", "conference"), body.text_or_none("call")
    body.done()
    with world.lock:
        owner = world.call(owner).sid if owner else None
        return {"conference": conferences.open_(world, name, owner).sid}, 201


@control.post("/conferences/<sid>/participants")
def join(sid: str) -> tuple[Json, int]:
    world, body = the_world(), Body()
    leg = body.text("call")
    body.done()
    with world.lock:
        found = world.conference(sid)
        conferences.join(world, found, leg)
        return views.conference(world, found), 201


@control.delete("/conferences/<sid>/participants/<leg>")
def leave(sid: str, leg: str) -> Json:
    world = the_world()
    with world.lock:
        found = world.conference(sid)
        conferences.leave(world, found, leg)
        return views.conference(world, found)


@control.post("/conferences/<sid>/recordings")
def record_conference(sid: str) -> tuple[Json, int]:
    world, body = the_world(), Body()
    plan = _recording_plan(body, "StartConferenceRecordingAPI", channels=1)
    body.done()
    with world.lock:
        found = world.conference(sid)
        if found.status == "completed":
            raise ControlError(409, f"conference {sid} is over")
        return {"recording": recordings.begin_of_conference(world, found.sid, plan).sid}, 201

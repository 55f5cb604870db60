"""Twilio's REST routes: what is asked for, and what it does. How a request fares is ``exchange``'s business."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from bot.simulator import calls, recordings, resources, sound
from bot.simulator.errors import ControlError, TwilioError, invalid_parameter, not_eligible, not_found
from bot.simulator.exchange import Asked, run, the_world
from bot.simulator.model import API_VERSION, Call, Conference, Recording, RecordingPlan
from bot.simulator.paging import page
from bot.simulator.settings import is_http_url

rest = Blueprint("rest", __name__, url_prefix=f"/{API_VERSION}")

_KINDS = {"paused": "pause", "in-progress": "resume", "stopped": "stop"}
_WRONG = {"paused": "in-progress", "in-progress": "paused", "stopped": "in-progress"}
_CHANNELS = {"mono": 1, "dual": 2, "1": 1, "2": 2}
_TRACKS = ("inbound", "outbound", "both")
_EVENTS = ("in-progress", "completed", "absent")
Answer = tuple[int, dict[str, Any]]


@rest.post("/Accounts/<account>/Calls/<call>/Recordings/<target>.json")
@rest.post("/Accounts/<account>/Conferences/<call>/Recordings/<target>.json")
def update_recording(account: str, call: str, target: str) -> Response:
    """Pause, resume or stop. A dialled leg has no recordings: 21220, whatever is asked of it."""
    status, behavior = request.form.get("Status"), request.form.get("PauseBehavior")
    asked = Asked(_KINDS.get(status or "", "update"), account, call, target, status, behavior)

    def act(wrong: bool) -> Answer:
        world = the_world()
        owner = _owner(call)
        if isinstance(owner, Call) and owner.parent:
            raise not_eligible()
        if wrong:
            found, said = recordings.pick(world, owner.sid, target), _WRONG[status or ""]
        else:
            found, said = recordings.command(world, owner.sid, target, status, behavior), status or ""
        return 200, resources.recording(account, found, world.clock.now(), said)

    return run(asked, act)


@rest.post("/Accounts/<account>/Calls/<call>/Recordings.json")
def start_recording(account: str, call: str) -> Response:
    """Begin a recording. Its events go only to a RecordingStatusCallback that is given here."""

    def act(_wrong: bool) -> Answer:
        world, found = the_world(), _call(call)
        if found.status != "in-progress":
            raise not_eligible()
        recording = recordings.begin_of_call(world, found.root, _plan())
        return 201, resources.recording(account, recording, world.clock.now(), "in-progress")

    return run(Asked("start", account, call), act)


@rest.get("/Accounts/<account>/Recordings.json")
def list_recordings(account: str) -> Response:
    """Those of the whole account; CallSid and ConferenceSid narrow it."""

    def act(_wrong: bool) -> Answer:
        return 200, _recordings(account, list(the_world().recordings.values()))

    return run(Asked("list", account, request.args.get("CallSid") or request.args.get("ConferenceSid")), act)


@rest.get("/Accounts/<account>/Calls/<call>/Recordings.json")
@rest.get("/Accounts/<account>/Conferences/<call>/Recordings.json")
def list_recordings_of(account: str, call: str) -> Response:
    """Those of one call or conference; a dialled leg has none."""

    def act(_wrong: bool) -> Answer:
        return 200, _recordings(account, the_world().recordings_at(_owner(call).sid))

    return run(Asked("list", account, call), act)


@rest.get("/Accounts/<account>/Recordings/<target>.json")
@rest.get("/Accounts/<account>/Calls/<call>/Recordings/<target>.json")
@rest.get("/Accounts/<account>/Conferences/<call>/Recordings/<target>.json")
def fetch_recording(account: str, target: str, call: str | None = None) -> Response:
    """One recording, by its SID only: ``processing`` while it lives."""

    def act(_wrong: bool) -> Answer:
        world = the_world()
        found = world.recordings.get(target)
        if found is None or (call is not None and found.owner != _owner(call).sid):
            raise not_found(request.path)
        return 200, resources.recording(account, found, world.clock.now())

    return run(Asked("fetch-recording", account, call, target), act)


@rest.get("/Accounts/<account>/Recordings/<target>")
@rest.get("/Accounts/<account>/Recordings/<target>.wav")
def fetch_audio(account: str, target: str) -> Response:
    """The sound of a recording as a WAV file, once it lists as completed."""

    def act(_wrong: bool) -> tuple[int, Response]:
        world = the_world()
        found = world.recordings.get(target)
        if found is None or found.listed_status != "completed":
            raise not_found(request.path)
        return 200, sound.later(sound.score(world, found))

    return run(Asked("fetch-audio", account, target=target), act)


@rest.get("/Accounts/<account>/Calls.json")
def list_calls(account: str) -> Response:
    """Calls, newest first; filters ParentCallSid, Status, To, From."""

    def act(_wrong: bool) -> Answer:
        shown = [resources.call(account, found) for found in reversed(the_world().calls.values())]
        names = {"ParentCallSid": "parent_call_sid", "Status": "status", "To": "to", "From": "from"}
        return 200, page("calls", request.path, request.args.to_dict(), _filtered(shown, names))

    return run(Asked("list-calls", account, request.args.get("ParentCallSid")), act)


@rest.get("/Accounts/<account>/Calls/<call>.json")
def fetch_call(account: str, call: str) -> Response:
    return run(Asked("fetch-call", account, call), lambda _wrong: (200, resources.call(account, _call(call))))


@rest.post("/Accounts/<account>/Calls/<call>.json")
def update_call(account: str, call: str) -> Response:
    """Hang up: the only change of a call that is played here."""

    def act(_wrong: bool) -> Answer:
        found = _call(call)
        if request.form.get("Status") not in ("completed", "canceled"):
            raise invalid_parameter("Status")
        try:
            calls.hang_up(the_world(), found)
        except ControlError:
            raise not_eligible() from None
        return 200, resources.call(account, found)

    return run(Asked("end-call", account, call, status=request.form.get("Status")), act)


@rest.get("/Accounts/<account>/Conferences.json")
def list_conferences(account: str) -> Response:
    """Conferences, newest first; filters FriendlyName, Status."""

    def act(_wrong: bool) -> Answer:
        shown = [resources.conference(account, found) for found in reversed(the_world().conferences.values())]
        names = {"FriendlyName": "friendly_name", "Status": "status"}
        return 200, page("conferences", request.path, request.args.to_dict(), _filtered(shown, names))

    return run(Asked("list-conferences", account), act)


@rest.get("/Accounts/<account>/Conferences/<conference>.json")
def fetch_conference(account: str, conference: str) -> Response:
    return run(
        Asked("fetch-conference", account, conference),
        lambda _wrong: (200, resources.conference(account, _conference(conference))),
    )


@rest.get("/Accounts/<account>/Conferences/<conference>/Participants.json")
def list_participants(account: str, conference: str) -> Response:
    """Who is in it now: nobody once it is over."""

    def act(_wrong: bool) -> Answer:
        found = _conference(conference)
        shown = [resources.participant(account, found, leg) for leg in reversed(found.participants)]
        return 200, page("participants", request.path, request.args.to_dict(), shown, key="call_sid")

    return run(Asked("participants", account, conference), act)


@rest.route("/Accounts/<account>/<path:_other>", methods=["GET", "POST", "DELETE", "PUT"])
def unknown(account: str, _other: str) -> Response:
    """What Twilio has and the simulator has not, or nobody has."""

    def act(_wrong: bool) -> Answer:
        raise not_found(request.path)

    return run(Asked("other", account), act)


def _call(sid: str) -> Call:
    found = the_world().calls.get(sid)
    if found is None:
        raise not_found(request.path)
    return found


def _conference(sid: str) -> Conference:
    found = the_world().conferences.get(sid)
    if found is None:
        raise not_found(request.path)
    return found


def _owner(sid: str) -> Call | Conference:
    return _conference(sid) if "/Conferences/" in request.path else _call(sid)


def _recordings(account: str, found: list[Recording]) -> dict[str, Any]:
    now = the_world().clock.now()
    shown = [resources.recording(account, one, now) for one in reversed(found)]
    names = {"CallSid": "call_sid", "ConferenceSid": "conference_sid"}
    return page("recordings", request.path, request.args.to_dict(), _filtered(shown, names))


def _filtered(shown: list[dict[str, Any]], names: dict[str, str]) -> list[dict[str, Any]]:
    wanted = {field: request.args[name] for name, field in names.items() if name in request.args}
    return [item for item in shown if all(item[field] == value for field, value in wanted.items())]


def _plan() -> RecordingPlan:
    form = request.form
    channels, track = form.get("RecordingChannels", "mono"), form.get("RecordingTrack", "both")
    url = form.get("RecordingStatusCallback")
    events = tuple(" ".join(form.getlist("RecordingStatusCallbackEvent")).split()) or ("completed",)
    if channels not in _CHANNELS:
        raise invalid_parameter("RecordingChannels")
    if track not in _TRACKS:
        raise invalid_parameter("RecordingTrack")
    if not set(events) <= set(_EVENTS):
        raise invalid_parameter("RecordingStatusCallbackEvent")
    if url is not None and not is_http_url(url):
        raise TwilioError(400, 21609, "Invalid RecordingStatusCallback URL")
    return RecordingPlan(url is not None, _CHANNELS[channels], track, "StartCallRecordingAPI", url, events)

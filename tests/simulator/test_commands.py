"""The endpoint that pauses, resumes and stops: replies, refusals, and what becomes of the recording."""

from __future__ import annotations

from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException

from bot.simulator.client import SimulatorClient
from tests.simulator.process import ACCOUNT, KEY_SECRET, KEY_SID, Simulator
from tests.simulator.rest_client import Rest, sdk
from tests.simulator.schema import problems

NOBODY = "CA" + "0" * 32
NO_RECORDING = "RE" + "0" * 32


def _stretches(sim: SimulatorClient, call: str, at: int = 0) -> list[tuple[str, float, float]]:
    found: list[dict[str, Any]] = sim.call(call)["recordings"][at]["stretches"]
    return [(one["state"], one["from"], one["to"]) for one in found]


def test_reply_has_twilios_shape(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call(agent="client:alice")
    for status in ("paused", "in-progress", "stopped"):
        reply = rest.command(placed.call, status, PauseBehavior="skip")
        assert reply.status == 200
        assert problems(reply.json) == []
        assert reply.json["status"] == status
        assert reply.json["call_sid"] == placed.call
        assert reply.json["sid"] == placed.recordings[0]
        path = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{placed.call}/Recordings/{placed.recordings[0]}.json"
        assert reply.json["uri"] == path


def test_skip_shortens_and_silence_does_not(sim: SimulatorClient, rest: Rest) -> None:
    sim.freeze()
    placed = sim.place_call(recordings=2)
    first, second = placed.recordings
    sim.advance(10)
    assert rest.command(placed.call, "paused", first, PauseBehavior="skip").status == 200
    assert rest.command(placed.call, "paused", second, PauseBehavior="silence").status == 200
    sim.advance(5)
    assert rest.command(placed.call, "in-progress", first).status == 200
    assert rest.command(placed.call, "in-progress", second).status == 200
    sim.advance(3)
    sim.hang_up(placed.call)
    assert _stretches(sim, placed.call, 0) == [("recorded", 0, 10), ("skipped", 10, 15), ("recorded", 15, 18)]
    assert _stretches(sim, placed.call, 1) == [("recorded", 0, 10), ("silent", 10, 15), ("recorded", 15, 18)]
    assert rest.get(f"Recordings/{first}.json").json["duration"] == "13"
    assert rest.get(f"Recordings/{second}.json").json["duration"] == "18"


def test_pause_without_behavior_is_silent(sim: SimulatorClient, rest: Rest) -> None:
    sim.freeze()
    placed = sim.place_call()
    assert rest.command(placed.call, "paused", PlayBeep="true").status == 200
    sim.advance(4)
    assert _stretches(sim, placed.call) == [("silent", 0, 4)]


def test_current_finds_a_paused_recording(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    assert rest.pause(placed.call).json["status"] == "paused"
    assert rest.command(placed.call, "in-progress").json["status"] == "in-progress"


def test_current_with_several_live_recordings_is_16108(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call(recordings=2)
    refused = rest.pause(placed.call)
    assert (refused.status, refused.code) == (400, 16108)
    assert rest.command(placed.call, "stopped", placed.recordings[0]).status == 200
    assert rest.pause(placed.call).json["sid"] == placed.recordings[1]


def test_nothing_to_pause_is_21220(sim: SimulatorClient, rest: Rest) -> None:
    silent = sim.place_call(recordings=0)
    ringing = sim.place_call(answered=False)
    over = sim.place_call()
    sim.hang_up(over.call)
    dialled = sim.place_call(agent="client:alice")
    for call in (silent.call, ringing.call, over.call, dialled.agent_leg):
        refused = rest.pause(call or "")
        assert (refused.status, refused.code) == (400, 21220)
    assert rest.pause(over.call, over.recordings[0]).code == 21220
    assert rest.pause(dialled.agent_leg or "", dialled.recordings[0]).code == 21220
    sim.answer(ringing.call)
    assert rest.pause(ringing.call).status == 200


def test_unknown_sid_is_404(sim: SimulatorClient, rest: Rest) -> None:
    placed, other = sim.place_call(), sim.place_call()
    for owner, target in (
        (NOBODY, "Twilio.CURRENT"),
        ("CF" + "0" * 32, "Twilio.CURRENT"),
        (placed.call, NO_RECORDING),
        (placed.call, other.recordings[0]),
    ):
        refused = rest.pause(owner, target)
        assert (refused.status, refused.code) == (404, 20404)


@pytest.mark.parametrize(
    "form",
    [{}, {"Status": "completed"}, {"Status": "Paused"}, {"Status": "paused", "PauseBehavior": "cut"}],
)
def test_invalid_parameter_is_20001(sim: SimulatorClient, rest: Rest, form: dict[str, str]) -> None:
    placed = sim.place_call()
    refused = rest.send("POST", f"Calls/{placed.call}/Recordings/Twilio.CURRENT.json", form)
    assert (refused.status, refused.code) == (400, 20001)
    assert sim.call(placed.call)["recordings"][0]["state"] == "in-progress"


def test_repeated_command_follows_the_setting(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    assert rest.command(placed.call, "in-progress").status == 200
    assert [rest.pause(placed.call).status for _ in range(2)] == [200, 200]
    sim.set(repeat="21220")
    assert rest.pause(placed.call).code == 21220
    assert rest.command(placed.call, "in-progress").status == 200
    assert rest.command(placed.call, "in-progress").code == 21220


def test_stopped_is_for_good(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    assert rest.command(placed.call, "stopped").json["status"] == "stopped"
    assert rest.command(placed.call, "in-progress").code == 21220
    assert rest.get(f"Calls/{placed.call}/Recordings/{placed.recordings[0]}.json").json["status"] == "completed"


def test_conference_recording_is_its_own(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call(agent="client:alice", conference="room", conference_recordings=1)
    conference = placed.conference or ""
    assert rest.pause(placed.call).json["sid"] == placed.recordings[0]
    assert sim.call(placed.call)["recordings"][0]["state"] == "paused"
    assert sim.call(placed.call)["conferences"][0]["recordings"][0]["state"] == "in-progress"
    paused = rest.pause(conference)
    assert problems(paused.json) == []
    assert (paused.json["status"], paused.json["conference_sid"]) == ("paused", conference)
    assert rest.command(conference, "in-progress", placed.conference_recordings[0]).json["status"] == "in-progress"
    assert (rest.command(conference, "stopped").status, rest.command(conference, "stopped").code) == (400, 20001)
    assert rest.pause(placed.call, placed.conference_recordings[0]).code == 20404


def test_credentials_are_checked(sim: SimulatorClient, simulator: Simulator) -> None:
    placed = sim.place_call()
    for user, password in ((ACCOUNT, "wrong"), (KEY_SID, "wrong"), ("", ""), (ACCOUNT, KEY_SECRET), ("ü", "ü")):
        refused = Rest(simulator.url, user, password).pause(placed.call)
        assert (refused.status, refused.code) == (401, 20003)
    assert Rest(simulator.url, KEY_SID, KEY_SECRET).pause(placed.call).status == 200
    other = f"/2010-04-01/Accounts/AC{'9' * 32}/Calls/{placed.call}.json"
    assert Rest(simulator.url).get(other).code == 20404


def test_sdk_pauses_and_sees_refusals(sim: SimulatorClient, simulator: Simulator) -> None:
    placed = sim.place_call()
    with sdk(simulator.url) as client:
        paused = client.calls(placed.call).recordings("Twilio.CURRENT").update(status="paused", pause_behavior="skip")
        assert (paused.status, paused.sid, paused.channels) == ("paused", placed.recordings[0], 2)
        assert paused.date_created is not None
        with pytest.raises(TwilioRestException) as refused:
            client.calls(NOBODY).recordings("Twilio.CURRENT").update(status="paused")
    assert (refused.value.status, refused.value.code) == (404, 20404)

"""Every fault, as a client meets it, and what it leaves behind."""

from __future__ import annotations

import http.client
import json
import threading
import time

import pytest

from bot.simulator.client import SimulatorClient, SimulatorRefused
from tests.simulator.receiver import Receiver
from tests.simulator.rest_client import Rest

NO_ANSWER = (ConnectionResetError, http.client.RemoteDisconnected)


def _state(sim: SimulatorClient, call: str) -> str:
    return str(sim.call(call)["recordings"][0]["state"])


def _until(sim: SimulatorClient, call: str, state: str) -> None:
    until = time.monotonic() + 5
    while _state(sim, call) != state:
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("429", 429, 20429), ("16114", 400, 16114), ("21220", 400, 21220), ("404", 404, 20404), ("401", 401, 20003)],
)
def test_refusal_leaves_the_recording_alone(
    sim: SimulatorClient, rest: Rest, kind: str, status: int, code: int
) -> None:
    placed = sim.place_call()
    sim.add_fault(kind, on="pause", times=1)
    refused = rest.pause(placed.call)
    assert (refused.status, refused.code) == (status, code)
    assert _state(sim, placed.call) == "in-progress"
    assert rest.pause(placed.call).status == 200


@pytest.mark.parametrize(("kind", "status"), [("500", 500), ("503", 503), ("html-200", 200)])
def test_html_leaves_the_recording_alone(sim: SimulatorClient, rest: Rest, kind: str, status: int) -> None:
    placed = sim.place_call()
    sim.add_fault(kind, on="command", times=1)
    answered = rest.pause(placed.call)
    assert (answered.status, answered.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    with pytest.raises(json.JSONDecodeError):
        answered.json  # noqa: B018 (reading it is the test)
    assert _state(sim, placed.call) == "in-progress"


def test_reset_comes_before_anything_is_done(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    sim.add_fault("reset", times=1)
    with pytest.raises(ConnectionResetError):
        rest.pause(placed.call)
    assert _state(sim, placed.call) == "in-progress"
    (noted,) = sim.requests(kind="pause")
    assert (noted["outcome"], noted["applied_at"], noted["answered_at"]) == ("cut", None, None)


def test_lost_reply_was_applied(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    sim.add_fault("lost", times=1)
    with pytest.raises(ConnectionResetError):
        rest.pause(placed.call)
    assert _state(sim, placed.call) == "paused"
    (noted,) = sim.requests(kind="pause")
    assert noted["outcome"] == "cut"
    assert noted["applied_at"] is not None


def test_late_command_is_applied_after_its_client_gave_up(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    sim.add_fault("late", times=1, seconds=0.6)
    with pytest.raises(TimeoutError):
        rest.pause(placed.call, timeout=0.2)
    assert _state(sim, placed.call) == "in-progress"
    assert rest.command(placed.call, "in-progress").status == 200
    _until(sim, placed.call, "paused")
    assert [one["outcome"] for one in sim.requests(call=placed.call)] == ["gave-up", "answered"]
    assert sim.counters()["overlaps"] == 0


def test_late_command_is_answered_to_a_patient_client(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    sim.add_fault("late", times=1, seconds=0.2)
    began = time.monotonic()
    assert rest.pause(placed.call).json["status"] == "paused"
    assert time.monotonic() - began >= 0.2


def test_late_command_does_not_reach_into_the_next_world(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    sim.add_fault("late", times=1, seconds=0.3)
    waiting = threading.Thread(target=_expect_no_answer, args=(rest, placed.call))
    waiting.start()
    until = time.monotonic() + 5
    while not sim.requests():
        assert time.monotonic() < until
    sim.reset()
    waiting.join()
    assert sim.requests() == []


def _expect_no_answer(rest: Rest, call: str) -> None:
    with pytest.raises(NO_ANSWER):
        rest.pause(call)


@pytest.mark.parametrize(
    ("status", "said"), [("paused", "in-progress"), ("in-progress", "paused"), ("stopped", "in-progress")]
)
def test_wrong_status_is_a_200_that_did_nothing(sim: SimulatorClient, rest: Rest, status: str, said: str) -> None:
    placed = sim.place_call()
    before = "paused" if status == "in-progress" else "in-progress"
    sim.set_recording(placed.recordings[0], before)
    sim.add_fault("wrong-status", times=1)
    assert rest.get(f"Calls/{placed.call}/Recordings.json").status == 200  # lists do not use it up
    answered = rest.command(placed.call, status)
    assert (answered.status, answered.json["status"]) == (200, said)
    assert _state(sim, placed.call) == before


def test_delay_is_in_real_seconds_even_when_the_clock_is_frozen(sim: SimulatorClient, rest: Rest) -> None:
    sim.freeze()
    placed = sim.place_call()
    sim.add_fault("delay", seconds=0.2)
    began = time.monotonic()
    assert rest.pause(placed.call).status == 200
    assert 0.2 <= time.monotonic() - began < 2
    (noted,) = sim.requests(kind="pause")
    assert noted["fault"] == "delay"
    assert noted["answered_at"] - noted["received_at"] >= 0.2


def test_delay_acts_together_with_another_fault(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    sim.add_fault("delay", seconds=0.15)
    sim.add_fault("429", times=1)
    began = time.monotonic()
    assert rest.pause(placed.call).code == 20429
    assert time.monotonic() - began >= 0.15


@pytest.mark.parametrize("part", ["headers", "body"])
def test_drip_outlasts_a_limit_for_each_read(sim: SimulatorClient, rest: Rest, part: str) -> None:
    placed = sim.place_call()
    sim.add_fault("drip", times=1, seconds=0.001, part=part)
    began = time.monotonic()
    assert rest.pause(placed.call, timeout=0.5).json["status"] == "paused"
    assert time.monotonic() - began > 0.15  # hundreds of bytes, a millisecond apart, each well within the limit


def test_drip_that_is_given_up_ends(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    sim.add_fault("drip", times=1, seconds=30)
    with pytest.raises(TimeoutError):
        rest.pause(placed.call, timeout=0.2)
    assert rest.command(placed.call, "in-progress").status == 200
    assert [one["outcome"] for one in sim.requests(call=placed.call)] == ["gave-up", "answered"]
    assert sim.counters()["overlaps"] == 0


def test_unannounced_recording_is_never_reported(sim: SimulatorClient, rest: Rest, receiver: Receiver) -> None:
    sim.add_fault("unannounced", times=1)
    placed = sim.place_call(recordings=2)
    hidden, seen = placed.recordings
    sim.hang_up(placed.call)
    sim.settle()
    assert receiver.all(RecordingSid=hidden) == []
    assert [one.params["RecordingStatus"] for one in receiver.all(RecordingSid=seen)] == ["in-progress", "completed"]
    listed = rest.get(f"Calls/{placed.call}/Recordings.json").json["recordings"]
    assert {one["sid"] for one in listed} == {hidden, seen}


def test_fault_strikes_only_what_it_names(sim: SimulatorClient, rest: Rest) -> None:
    struck, spared = sim.place_call(agent="client:alice"), sim.place_call()
    sim.add_fault("429", on="resume", call=struck.call)
    assert rest.pause(struck.call).status == 200
    assert rest.command(spared.call, "in-progress").status == 200
    assert rest.command(struck.call, "in-progress").code == 20429
    assert rest.command(struck.agent_leg or "", "in-progress").code == 20429
    sim.add_fault("503", on="list")
    assert rest.get("Recordings.json").status == 503
    assert rest.get(f"Calls/{spared.call}.json").status == 200
    sim.add_fault("404", on="fetch-call")
    assert rest.get(f"Calls/{spared.call}.json").status == 404


def test_fault_of_a_conference_strikes_its_calls_command_too(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call(conference="room", conference_recordings=1)
    sim.add_fault("16114", call=placed.call, times=1)
    assert rest.pause(placed.conference or "").code == 16114


def test_fault_runs_out_and_can_be_removed(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    spent = sim.add_fault("500", times=2)
    assert [rest.pause(placed.call).status for _ in range(3)] == [500, 500, 200]
    (left,) = sim.faults()
    assert (left["id"], left["times"], left["hits"]) == (spent, 0, 2)
    sim.remove_fault(spent)
    lasting = sim.add_fault("500")
    assert rest.pause(placed.call).status == 500
    sim.remove_fault(lasting)
    assert rest.pause(placed.call).status == 200
    sim.add_fault("500")
    sim.clear_faults()
    assert sim.faults() == []
    with pytest.raises(SimulatorRefused) as refused:
        sim.remove_fault(lasting)
    assert refused.value.http == 404


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({"kind": "earthquake"}, "kind must be one of delay, 429, 500"),
        ({"kind": "429", "on": "lunch"}, "on must be one of any, command, pause"),
        ({"kind": "429", "times": 0}, "times"),
        ({"kind": "429", "times": True}, "times"),
        ({"kind": "late", "seconds": -1}, "seconds"),
        ({"kind": "late", "seconds": "long"}, "seconds"),
        ({"kind": "429", "call": "alice"}, "call"),
        ({"kind": "drip", "part": "feet"}, "part"),
        ({"kind": "429", "colour": "red"}, "unknown field colour"),
    ],
)
def test_misunderstood_fault_is_refused(sim: SimulatorClient, wanted: dict[str, str], complaint: str) -> None:
    with pytest.raises(SimulatorRefused, match=complaint) as refused:
        sim.add_fault(**wanted)
    assert refused.value.http == 400
    assert sim.faults() == []

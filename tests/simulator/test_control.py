"""The control API: the world it shows, what it refuses, the clock, the log and its counters."""

from __future__ import annotations

import http.client
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from bot.simulator.client import SimulatorClient, SimulatorRefused
from tests.simulator.process import ACCOUNT, Simulator
from tests.simulator.rest_client import Rest

NOBODY = "CA" + "0" * 32


def _raw(simulator: Simulator, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
    parts = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request(method, path, body or None, {name.replace("_", "-"): at for name, at in headers.items()})
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def test_call_is_shown_with_legs_conferences_and_recordings(sim: SimulatorClient) -> None:
    placed = sim.place_call(agent="client:alice", conference="room", conference_recordings=1, recordings=2)
    shown = sim.call(placed.agent_leg or "")
    assert shown["sid"] == placed.call
    assert [leg["sid"] for leg in shown["legs"]] == [placed.call, placed.agent_leg]
    assert [one["sid"] for one in shown["recordings"]] == list(placed.recordings)
    (conference,) = shown["conferences"]
    assert (conference["sid"], conference["participants"]) == (placed.conference, [placed.call, placed.agent_leg])
    assert [one["sid"] for one in conference["recordings"]] == list(placed.conference_recordings)
    state = sim.state()
    assert state["account"] == ACCOUNT
    assert [one["sid"] for one in state["calls"]] == [placed.call]
    assert [one["sid"] for one in state["conferences"]] == [placed.conference]


def test_call_that_rings_is_recorded_from_its_answer(sim: SimulatorClient) -> None:
    sim.freeze()
    placed = sim.place_call(agent="client:alice", answered=False, conference="room")
    assert (placed.recordings, sim.call(placed.call)["recordings"]) == ((), [])
    sim.advance(8)
    sim.answer(placed.agent_leg or "")
    sim.advance(2)
    shown = sim.call(placed.call)
    assert shown["recordings"][0]["stretches"] == [{"state": "recorded", "from": 8, "to": 10}]
    assert shown["conferences"][0]["status"] == "in-progress"


def test_leg_answered_after_its_call_ended_begins_nothing(sim: SimulatorClient) -> None:
    placed = sim.place_call(agent="client:alice", answered=False, conference="room", linked=False)
    sim.hang_up(placed.call)
    sim.answer(placed.agent_leg or "")
    shown = sim.call(placed.call)
    assert (shown["recordings"], shown["conferences"][0]["status"]) == ([], "completed")
    assert sim.call(placed.agent_leg or "")["status"] == "in-progress"


def test_outbound_call_goes_to_the_customer(sim: SimulatorClient) -> None:
    placed = sim.place_call(direction="outbound-api", customer="+15005550042")
    shown = sim.call(placed.call)
    assert (shown["direction"], shown["to"]) == ("outbound-api", "+15005550042")


def test_leg_can_be_added_and_hung_up_alone(sim: SimulatorClient) -> None:
    placed = sim.place_call(agent="client:alice")
    bob = sim.add_leg(placed.call, "client:bob")
    sim.hang_up(placed.agent_leg or "")
    shown = sim.call(placed.call)
    assert [(leg["to"], leg["status"]) for leg in shown["legs"][1:]] == [
        ("client:alice", "completed"), ("client:bob", "in-progress"),
    ]  # fmt: skip
    assert shown["recordings"][0]["state"] == "in-progress"
    sim.hang_up(placed.call)
    assert {leg["sid"]: leg["status"] for leg in sim.call(bob)["legs"]}[bob] == "completed"


def test_conference_is_joined_and_left(sim: SimulatorClient) -> None:
    first, second = sim.place_call(), sim.place_call()
    conference = sim.open_conference("later")
    recording = sim.start_recording(conference)
    sim.join(conference, first.call)
    sim.join(conference, second.call)
    with pytest.raises(SimulatorRefused) as again:
        sim.join(conference, second.call)
    sim.leave(conference, first.call)
    sim.leave(conference, second.call)
    with pytest.raises(SimulatorRefused) as over:
        sim.join(conference, second.call)
    with pytest.raises(SimulatorRefused) as silent:
        sim.start_recording(conference)
    assert [refused.value.http for refused in (again, over, silent)] == [409, 409, 409]
    (shown,) = sim.state()["conferences"]
    assert (shown["status"], shown["recordings"][0]["sid"]) == ("completed", recording)
    assert shown["recordings"][0]["state"] == "completed"
    assert sim.call(second.call)["status"] == "in-progress"


def test_recording_is_changed_by_somebody_else(sim: SimulatorClient) -> None:
    placed = sim.place_call()
    recording = sim.start_recording(placed.call, channels=1, track="inbound")
    assert sim.set_recording(recording, "paused", behavior="skip")["state"] == "paused"
    assert sim.set_recording(recording, "in-progress")["state"] == "in-progress"
    assert sim.set_recording(recording, "completed")["ended_at"] is not None
    with pytest.raises(SimulatorRefused) as refused:
        sim.set_recording(recording, "paused")
    assert refused.value.http == 409


def test_clock_stands_moves_and_runs_on(sim: SimulatorClient) -> None:
    sim.freeze()
    began = sim.clock()
    sim.advance(1000)
    assert sim.clock() == {"now": began["now"] + 1000, "frozen": True}
    sim.thaw()
    running = sim.clock()
    assert not running["frozen"]
    assert 0 <= running["now"] - began["now"] - 1000 < 5
    sim.advance(50)
    assert sim.clock()["now"] >= running["now"] + 50


def test_reset_forgets_all_but_where_webhooks_go(sim: SimulatorClient, rest: Rest) -> None:
    base = sim.settings()["webhook_base"]
    placed = sim.place_call(conference="room")
    rest.pause(placed.call)
    sim.add_fault("429")
    sim.set(repeat="21220")
    sim.freeze()
    sim.reset()
    state = sim.state()
    assert [state[name] for name in ("calls", "conferences", "faults")] == [[], [], []]
    assert set(state["counters"].values()) == {0}
    assert (state["settings"]["repeat"], state["settings"]["webhook_base"]) == ("ok", base)
    assert (state["clock"]["frozen"], sim.requests(), sim.callbacks()) == (False, [], [])


@pytest.mark.parametrize(
    "wanted",
    [
        {"repeat": "maybe"},
        {"webhook_base": "file:///x"},
        {"webhook_base": "http://["},
        {"callback_copies": 0},
        {"callback_copies": 9},
        {"callback_delay_seconds": -1},
        {"callback_delay_seconds": float("nan")},
        {"callback_retry_5xx": "yes"},
        {"colour": "red"},
    ],
)
def test_bad_setting_is_refused_and_changes_nothing(sim: SimulatorClient, wanted: dict[str, Any]) -> None:
    before = sim.settings()
    with pytest.raises(SimulatorRefused) as refused:
        sim.set(**wanted)
    assert refused.value.http == 400
    assert sim.settings() == before


@pytest.mark.parametrize(
    "wanted",
    [
        {"recordings": -1},
        {"recordings": 100},
        {"recordings": True},
        {"direction": "sideways"},
        {"agent": 7},
        {"customer": "a\nb"},
        {"customer": "x" * 201},
        {"answered": "yes"},
        {"conference_recordings": 1},
        {"channels": 3},
        {"colour": "red"},
    ],
)
def test_bad_call_is_refused(sim: SimulatorClient, wanted: dict[str, Any]) -> None:
    with pytest.raises(SimulatorRefused) as refused:
        sim.place_call(**wanted)
    assert refused.value.http == 400
    assert sim.state()["calls"] == []


def test_what_is_unknown_or_over_is_refused(sim: SimulatorClient) -> None:
    placed = sim.place_call()
    sim.hang_up(placed.call)
    for unknown in (
        lambda: sim.call(NOBODY),
        lambda: sim.hang_up(NOBODY),
        lambda: sim.set_recording("RE" + "0" * 32, "paused"),
        lambda: sim.join("CF" + "0" * 32, placed.call),
        lambda: sim.leave(sim.open_conference("x"), placed.call),
    ):
        with pytest.raises(SimulatorRefused) as refused:
            unknown()
        assert refused.value.http == 404
    for late in (
        lambda: sim.hang_up(placed.call),
        lambda: sim.answer(placed.call),
        lambda: sim.add_leg(placed.call, "client:bob"),
        lambda: sim.start_recording(placed.call),
        lambda: sim.join(sim.open_conference("x"), placed.call),
    ):
        with pytest.raises(SimulatorRefused) as refused:
            late()
        assert refused.value.http == 409


@pytest.mark.parametrize("path", ["/sim/state", "/", "/live", "/static/simulator.js"])
@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": ""}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_foreign_page_is_refused(
    sim: SimulatorClient, simulator: Simulator, path: str, headers: dict[str, str]
) -> None:
    assert sim.state()["calls"] == []
    assert _raw(simulator, "GET", path, **headers)[0] == 403


def test_own_page_is_let_in(sim: SimulatorClient, simulator: Simulator) -> None:
    assert sim.state()["calls"] == []
    port = urlsplit(simulator.url).port
    for host in ("127.0.0.1", "localhost"):
        here = f"{host}:{port}"
        assert (
            _raw(
                simulator,
                "POST",
                "/sim/calls",
                "{}",
                Host=here,
                Origin=f"http://{here}",
                Content_Type="application/json",
            )[0]
            == 201
        )


@pytest.mark.parametrize(
    ("body", "kind"), [("[]", "application/json"), ("{", "application/json"), ("{}", "text/plain")]
)
def test_body_that_is_no_json_object_is_refused(
    sim: SimulatorClient, simulator: Simulator, body: str, kind: str
) -> None:
    assert _raw(simulator, "POST", "/sim/calls", body, Content_Type=kind)[0] == 400
    assert sim.state()["calls"] == []


def test_unknown_route_and_method_are_refused(sim: SimulatorClient, simulator: Simulator) -> None:
    assert sim.state()["calls"] == []
    assert _raw(simulator, "GET", "/sim/nothing")[0] == 404
    assert _raw(simulator, "PUT", "/sim/state")[0] == 405
    assert _raw(simulator, "GET", "/sim/requests?after=x")[0] == 400


def test_log_tells_what_was_asked_and_answered(sim: SimulatorClient, rest: Rest) -> None:
    placed, other = sim.place_call(agent="client:alice"), sim.place_call()
    rest.pause(placed.call)
    rest.get(f"Calls/{placed.call}/Recordings.json")
    rest.command(placed.call, "bogus")
    rest.pause(other.call)
    pause, listing, bogus = sim.requests(call=placed.agent_leg)
    assert (pause["kind"], pause["method"], pause["call"], pause["target"]) == (
        "pause",
        "POST",
        placed.call,
        "Twilio.CURRENT",
    )
    assert (pause["status"], pause["pause_behavior"], pause["fault"]) == ("paused", "skip", None)
    assert (pause["outcome"], pause["reply"]) == ("answered", {"http": 200, "code": None, "status": "paused"})
    assert pause["received_at"] <= pause["applied_at"] <= pause["answered_at"]
    assert (listing["kind"], listing["applied_at"]) == ("list", None)
    assert (bogus["kind"], bogus["reply"]) == ("update", {"http": 400, "code": 20001, "status": None})
    assert len(sim.requests(kind="pause")) == 2
    assert sim.requests(after=pause["id"], limit=1)[0]["call"] == other.call
    assert sim.counters() == {"requests": 4, "commands": 2, "overlaps": 0, "max_in_flight": 1}
    sim.clear_requests()
    assert (sim.requests(), sim.counters()["requests"]) == ([], 0)


def test_commands_in_flight_together_are_counted(sim: SimulatorClient, rest: Rest) -> None:
    one, two = sim.place_call(recordings=2), sim.place_call()
    sim.add_fault("delay", seconds=0.25)
    together = threading.Barrier(3)

    def pause(call: str, recording: str) -> int:
        together.wait()
        return rest.pause(call, recording).status

    targets = [(one.call, one.recordings[0]), (one.call, one.recordings[1]), (two.call, two.recordings[0])]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda target: pause(*target), targets)) == [200, 200, 200]
    counters = sim.counters()
    assert (counters["overlaps"], counters["max_in_flight"]) == (1, 3)
    for call, recording in targets:  # one after the other does not count
        rest.pause(call, recording)
    assert sim.counters()["overlaps"] == 1

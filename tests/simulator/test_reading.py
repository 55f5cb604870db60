"""Lists, pages and fetches, plain and through the real SDK."""

from __future__ import annotations

from bot.simulator.client import SimulatorClient
from tests.simulator.process import ACCOUNT, Simulator
from tests.simulator.receiver import Receiver
from tests.simulator.rest_client import Rest, sdk
from tests.simulator.schema import problems

NOBODY = "CA" + "0" * 32


def test_live_recording_lists_as_processing_whatever_it_does(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    for command in ("in-progress", "paused"):
        rest.command(placed.call, command)
        for path in (f"Calls/{placed.call}/Recordings.json", "Recordings.json"):
            (listed,) = rest.get(path).json["recordings"]
            assert (listed["status"], listed["duration"]) == ("processing", None)
            assert problems(listed) == []
        fetched = rest.get(f"Calls/{placed.call}/Recordings/{placed.recordings[0]}.json").json
        assert fetched["status"] == "processing"


def test_finished_recording_lists_as_completed_with_its_length(sim: SimulatorClient, rest: Rest) -> None:
    sim.freeze()
    placed = sim.place_call()
    sim.advance(61.7)
    sim.hang_up(placed.call)
    (listed,) = rest.get(f"Calls/{placed.call}/Recordings.json").json["recordings"]
    assert (listed["status"], listed["duration"], listed["error_code"]) == ("completed", "61", None)
    assert problems(listed) == []


def test_finished_recording_may_stay_processing_for_a_while(sim: SimulatorClient, rest: Rest) -> None:
    sim.set(completion_seconds=600)
    placed = sim.place_call()
    sim.hang_up(placed.call)
    assert rest.get(f"Recordings/{placed.recordings[0]}.json").json["status"] == "processing"
    assert rest.pause(placed.call).code == 21220


def test_absent_recording_has_its_error_code(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    sim.set_recording(placed.recordings[0], "absent", error_code=16101)
    fetched = rest.get(f"Recordings/{placed.recordings[0]}.json").json
    assert (fetched["status"], fetched["error_code"], fetched["duration"]) == ("absent", 16101, None)
    assert problems(fetched) == []


def test_list_of_unknown_call_is_404_and_of_a_silent_one_empty(sim: SimulatorClient, rest: Rest) -> None:
    silent = sim.place_call(recordings=0)
    assert rest.get(f"Calls/{NOBODY}/Recordings.json").code == 20404
    assert rest.get(f"Conferences/CF{'0' * 32}/Recordings.json").code == 20404
    reply = rest.get(f"Calls/{silent.call}/Recordings.json")
    assert (reply.status, reply.json["recordings"]) == (200, [])


def test_recordings_are_at_the_parent_call_only(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call(agent="client:alice", conference="room", conference_recordings=1)
    assert rest.get(f"Calls/{placed.agent_leg}/Recordings.json").json["recordings"] == []
    at_call = rest.get(f"Calls/{placed.call}/Recordings.json").json["recordings"]
    at_conference = rest.get(f"Conferences/{placed.conference}/Recordings.json").json["recordings"]
    assert [one["sid"] for one in at_call] == list(placed.recordings)
    assert [one["sid"] for one in at_conference] == list(placed.conference_recordings)
    assert problems(at_conference[0]) == []
    by_conference = rest.get("Recordings.json", ConferenceSid=placed.conference or "").json["recordings"]
    assert [one["sid"] for one in by_conference] == list(placed.conference_recordings)
    wrong = f"Calls/{placed.call}/Recordings/{placed.conference_recordings[0]}.json"
    assert rest.get(wrong).code == 20404


def test_pages_follow_their_links(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call(recordings=5)
    path = f"Calls/{placed.call}/Recordings.json"
    first = rest.get(path, PageSize=2).json
    assert (first["page"], first["page_size"], first["start"], first["end"]) == (0, 2, 0, 1)
    assert first["previous_page_uri"] is None
    sim.start_recording(placed.call)  # one more in front: the pages behind must not move
    second = rest.get(first["next_page_uri"]).json
    third = rest.get(second["next_page_uri"]).json
    shown = [one["sid"] for page in (first, second, third) for one in page["recordings"]]
    assert shown == list(reversed(placed.recordings))
    assert third["next_page_uri"] is None
    assert (third["start"], third["end"]) == (4, 4)
    assert rest.get(third["first_page_uri"]).status == 200
    assert rest.get(third["previous_page_uri"]).json["recordings"][0]["sid"] == second["recordings"][0]["sid"]
    assert set(first) == {
        "page", "page_size", "start", "end", "uri", "first_page_uri", "next_page_uri", "previous_page_uri",
        "recordings",
    }  # fmt: skip


def test_bad_page_is_refused(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    for query in ({"PageSize": "0"}, {"PageSize": "x"}, {"Page": "-1"}, {"PageToken": "PAnothing"}):
        assert rest.get(f"Calls/{placed.call}/Recordings.json", **query).code == 20001


def test_sdk_walks_all_pages(sim: SimulatorClient, simulator: Simulator) -> None:
    placed = sim.place_call(recordings=7)
    with sdk(simulator.url) as client:
        found = client.calls(placed.call).recordings.list(page_size=3)
        call = client.calls(placed.call).fetch()
        everything = client.recordings.list(call_sid=placed.call)
    assert {one.sid for one in found} == {one.sid for one in everything} == set(placed.recordings)
    assert (call.status, call.direction, call.parent_call_sid) == ("in-progress", "inbound", None)


def test_call_resource_shows_legs_and_end(sim: SimulatorClient, rest: Rest) -> None:
    sim.freeze()
    placed = sim.place_call(agent="client:alice", customer="+15005550099")
    leg = rest.get(f"Calls/{placed.agent_leg}.json").json
    assert (leg["parent_call_sid"], leg["direction"], leg["status"]) == (placed.call, "outbound-dial", "in-progress")
    assert (leg["from"], leg["to"], leg["account_sid"]) == ("+15005550099", "client:alice", ACCOUNT)
    (child,) = rest.get("Calls.json", ParentCallSid=placed.call).json["calls"]
    assert child["sid"] == placed.agent_leg
    assert len(rest.get("Calls.json").json["calls"]) == 2
    sim.advance(30)
    ended = rest.send("POST", f"Calls/{placed.call}.json", {"Status": "completed"}).json
    assert (ended["status"], ended["duration"]) == ("completed", "30")
    assert rest.get(f"Calls/{placed.agent_leg}.json").json["status"] == "completed"
    assert rest.send("POST", f"Calls/{placed.call}.json", {"Status": "completed"}).code == 21220
    assert rest.send("POST", f"Calls/{placed.call}.json", {"Status": "busy"}).code == 20001
    assert rest.get(f"Calls/{NOBODY}.json").code == 20404


def test_conference_resources(sim: SimulatorClient, simulator: Simulator, rest: Rest) -> None:
    placed = sim.place_call(agent="client:alice", conference="room", linked=False)
    conference = placed.conference or ""
    with sdk(simulator.url) as client:
        fetched = client.conferences(conference).fetch()
        inside = client.conferences(conference).participants.list()
        found = client.conferences.list(friendly_name="room", status="in-progress")
    assert (fetched.friendly_name, fetched.status) == ("room", "in-progress")
    assert {one.call_sid for one in inside} == {placed.call, placed.agent_leg}
    assert [one.sid for one in found] == [conference]
    assert rest.get(f"Calls/{placed.agent_leg}.json").json["parent_call_sid"] is None
    sim.hang_up(placed.call)
    over = rest.get(f"Conferences/{conference}.json").json
    assert (over["status"], over["call_sid_ending_conference"]) == ("completed", placed.call)
    assert over["reason_conference_ended"] == "participant-with-end-conference-on-exit-left"
    assert rest.get(f"Conferences/{conference}/Participants.json").json["participants"] == []
    assert rest.get(f"Calls/{placed.agent_leg}.json").json["status"] == "completed"
    assert rest.get(f"Conferences/CF{'0' * 32}.json").code == 20404
    assert rest.get(f"Conferences/CF{'0' * 32}/Participants.json").code == 20404


def test_started_recording_reports_only_where_it_was_told(sim: SimulatorClient, rest: Rest, receiver: Receiver) -> None:
    placed = sim.place_call(recordings=0)
    path = f"Calls/{placed.call}/Recordings.json"
    form = {
        "RecordingStatusCallback": f"{receiver.url}/elsewhere?x=1#rc=2",
        "RecordingStatusCallbackEvent": "in-progress completed",
        "RecordingChannels": "dual",
        "RecordingTrack": "inbound",
    }
    started = rest.send("POST", path, form)
    assert (started.status, started.json["status"], started.json["channels"]) == (201, "in-progress", 2)
    assert (started.json["source"], started.json["track"]) == ("StartCallRecordingAPI", "inbound")
    assert problems(started.json) == []
    quiet = rest.send("POST", path)
    sim.hang_up(placed.call)
    sim.settle()
    told = [
        (one.path, one.params["RecordingStatus"], one.signed) for one in receiver.all() if "RecordingSid" in one.params
    ]
    assert told == [("/elsewhere?x=1", "in-progress", True), ("/elsewhere?x=1", "completed", True)]
    assert receiver.all(RecordingSid=quiet.json["sid"]) == []
    assert rest.send("POST", path).code == 21220


def test_bad_start_is_refused(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call(recordings=0)
    for form, code in (
        ({"RecordingChannels": "three"}, 20001),
        ({"RecordingTrack": "left"}, 20001),
        ({"RecordingStatusCallbackEvent": "begun"}, 20001),
        ({"RecordingStatusCallback": "nowhere"}, 21609),
    ):
        assert rest.send("POST", f"Calls/{placed.call}/Recordings.json", form).code == code
    assert sim.call(placed.call)["recordings"] == []
    assert rest.send("POST", f"Calls/{NOBODY}/Recordings.json").code == 20404


def test_unknown_path_is_twilios_404(rest: Rest) -> None:
    assert rest.get("Nothing.json").code == 20404
    assert rest.send("DELETE", "Recordings.json").code == 20404
    assert rest.get("/2010-04-01/Nothing").code == 20404

"""What the simulator reports, how it is signed, in what order, and what happens when nobody takes it."""

from __future__ import annotations

import socket
from email.utils import parsedate_to_datetime

import pytest

from bot.simulator.client import SimulatorClient
from tests.simulator.process import ACCOUNT
from tests.simulator.receiver import Received, Receiver


def _calls(received: list[Received], sid: str | None) -> list[tuple[str, str]]:
    return [
        (one.params["CallStatus"], one.params["SequenceNumber"])
        for one in received
        if one.path == "/twilio/call-status" and one.params["CallSid"] == sid
    ]


def test_life_of_a_call_is_reported_signed_and_in_order(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.freeze()
    placed = sim.place_call(agent="client:alice", customer="+15005550099")
    sim.advance(75)
    sim.hang_up(placed.call)
    assert sim.settle() == {"waiting": 0, "held": 0, "delivered": 9, "failed": 0, "dropped": 0}
    received = receiver.all()
    assert all(one.signed for one in received)
    assert len({one.token for one in received}) == len(received)
    assert _calls(received, placed.call) == [("ringing", "0"), ("in-progress", "1"), ("completed", "2")]
    assert _calls(received, placed.agent_leg) == [
        ("initiated", "0"), ("ringing", "1"), ("in-progress", "2"), ("completed", "3"),
    ]  # fmt: skip
    (end,) = receiver.all(CallSid=placed.agent_leg or "", CallStatus="completed")
    expected = {
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "CallDuration": "75",
        "CallSid": placed.agent_leg,
        "CallStatus": "completed",
        "CallbackSource": "call-progress-events",
        "Called": "client:alice",
        "Caller": "+15005550099",
        "Direction": "outbound-dial",
        "From": "+15005550099",
        "ParentCallSid": placed.call,
        "SequenceNumber": "3",
        "To": "client:alice",
    }
    assert {name: value for name, value in end.params.items() if name != "Timestamp"} == expected
    assert parsedate_to_datetime(end.params["Timestamp"]).timestamp() == int(sim.clock()["now"])


def test_recording_is_reported(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.freeze()
    placed = sim.place_call()
    sim.advance(12.9)
    sim.hang_up(placed.call)
    sim.settle()
    begun, ended = [one.params for one in receiver.all(RecordingSid=placed.recordings[0])]
    common = {
        "AccountSid": ACCOUNT,
        "CallSid": placed.call,
        "RecordingChannels": "2",
        "RecordingSid": placed.recordings[0],
        "RecordingSource": "DialVerb",
        "RecordingStartTime": begun["RecordingStartTime"],
        "RecordingTrack": "both",
        "RecordingUrl": f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{placed.recordings[0]}",
    }
    assert begun == common | {"RecordingStatus": "in-progress"}
    assert ended == common | {"RecordingStatus": "completed", "RecordingDuration": "12"}


def test_absent_recording_is_reported(sim: SimulatorClient, receiver: Receiver) -> None:
    placed = sim.place_call()
    sim.set_recording(placed.recordings[0], "absent", error_code=16101)
    sim.settle()
    (told,) = receiver.all(RecordingStatus="absent")
    assert (told.params["ErrorCode"], "RecordingDuration" in told.params) == ("16101", False)


def test_unannounced_call_reports_no_recording(sim: SimulatorClient, receiver: Receiver) -> None:
    placed = sim.place_call(announced=False)
    sim.hang_up(placed.call)
    sim.settle()
    assert {one.path for one in receiver.all()} == {"/twilio/call-status"}


def test_conference_is_reported(sim: SimulatorClient, receiver: Receiver) -> None:
    placed = sim.place_call(agent="client:alice", conference="room", conference_recordings=1, recordings=0)
    sim.hang_up(placed.call)
    sim.settle()
    told = [one.params for one in receiver.all() if one.path == "/twilio/conference-status"]
    assert [(one["StatusCallbackEvent"], one.get("CallSid")) for one in told] == [
        ("participant-join", placed.call),
        ("participant-join", placed.agent_leg),
        ("conference-start", placed.agent_leg),
        ("participant-leave", placed.agent_leg),
        ("participant-leave", placed.call),
        ("conference-end", None),
    ]
    assert [one["SequenceNumber"] for one in told] == ["1", "2", "3", "4", "5", "6"]
    assert {one["FriendlyName"] for one in told} == {"room"}
    assert {one["ConferenceSid"] for one in told} == {placed.conference}
    assert told[-1]["CallSidEndingConference"] == placed.call
    recorded = [
        one.params for one in receiver.all(ConferenceSid=placed.conference or "") if "RecordingSid" in one.params
    ]
    assert [(one["RecordingStatus"], one["RecordingSource"]) for one in recorded] == [
        ("in-progress", "Conference"), ("completed", "Conference"),
    ]  # fmt: skip
    assert all("CallSid" not in one for one in recorded)


def test_unanswered_leg_ends_as_no_answer(sim: SimulatorClient, receiver: Receiver) -> None:
    placed = sim.place_call(agent="client:alice", answered=False)
    sim.hang_up(placed.agent_leg or "")
    sim.settle()
    assert _calls(receiver.all(), placed.agent_leg)[-1] == ("no-answer", "2")
    assert sim.call(placed.call)["status"] == "in-progress"


def test_inbound_parent_may_report_its_end_only(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.set(parent_events="completed")
    placed = sim.place_call(agent="client:alice")
    sim.hang_up(placed.call)
    sim.settle()
    assert _calls(receiver.all(), placed.call) == [("completed", "2")]
    assert len(_calls(receiver.all(), placed.agent_leg)) == 4


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_held_callbacks_go_when_they_are_released(sim: SimulatorClient, receiver: Receiver, order: str) -> None:
    sim.set(callbacks="hold")
    placed = sim.place_call(agent="client:alice", recordings=0)
    assert sim.settle()["held"] == 5
    assert receiver.all() == []
    assert sim.release_callbacks(order) == 5
    sim.settle()
    told = [(one.params["CallSid"], one.params["SequenceNumber"]) for one in receiver.all()]
    expected = [(placed.call, "0"), (placed.call, "1")] + [(placed.agent_leg, str(at)) for at in range(3)]
    assert told == (expected if order == "forward" else expected[::-1])


def test_dropped_callbacks_are_never_sent(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.set(callbacks="drop")
    sim.place_call()
    assert sim.settle()["dropped"] == 3
    assert receiver.all() == []


def test_copies_carry_the_same_token(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.set(callback_copies=2)
    sim.place_call(recordings=0)
    sim.settle()
    tokens = [one.token for one in receiver.all()]
    assert len(tokens) == 4
    assert [tokens.count(token) for token in tokens] == [2, 2, 2, 2]


def test_delayed_callbacks_come_later_and_in_order(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.set(callback_delay_seconds=0.3)
    placed = sim.place_call(agent="client:alice")
    assert receiver.all() == []
    sim.settle()
    assert [number for _, number in _calls(receiver.all(), placed.agent_leg)] == ["0", "1", "2"]
    assert all(one["settled_at"] - one["created_at"] >= 0.3 for one in sim.callbacks())


def test_refused_callback_is_kept_as_failed_and_not_repeated(sim: SimulatorClient, receiver: Receiver) -> None:
    receiver.answer = 503
    placed = sim.place_call(recordings=0)
    assert sim.settle()["failed"] == 2
    first = sim.callbacks(call=placed.call, state="failed")[0]
    assert (first["attempts"], first["http"], first["error"]) == (1, 503, "answered with 503")
    assert len(receiver.all()) == 2


def test_5xx_is_repeated_with_the_same_token_if_wanted(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.set(callback_retry_5xx=True)
    receiver.answer = 500
    sim.place_call(recordings=0)
    receiver.wait(lambda received: len(received) == 1)
    receiver.answer = 204
    assert sim.settle()["delivered"] == 2
    first, second = receiver.all(CallStatus="ringing")
    assert first.token == second.token


def test_undeliverable_callback_is_repeated_and_then_kept(sim: SimulatorClient) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        sim.set(webhook_base=f"http://127.0.0.1:{nobody.getsockname()[1]}")
        sim.place_call(recordings=0, answered=False)
        assert sim.settle()["failed"] == 1
    (kept,) = sim.callbacks(state="failed")
    assert (kept["attempts"], kept["http"]) == (3, None)
    assert kept["error"].startswith("ConnectionRefusedError")

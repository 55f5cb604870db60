"""<Dial>: legs that ring, are answered or not, and conferences."""

from __future__ import annotations

from typing import Any

import pytest

from bot.simulator.client import SimulatorClient
from tests.simulator.flows import begin, play, response, seen
from tests.simulator.receiver import Receiver

DONE = "/twilio/dialled"
LONG = 'timeout="500"'
"""10 seconds at the tempo of these tests: time enough to answer by hand."""


@pytest.fixture(autouse=True)
def done(receiver: Receiver) -> None:
    """What the action of a <Dial> answers."""
    receiver.serve(DONE, response("<Say>Done</Say>"))


def _ringing(sim: SimulatorClient, call: str) -> list[str]:
    """The SIDs of the legs that were dialled, once they ring."""
    return [leg["sid"] for leg in sim.wait_for(call, "dial")["legs"][1:]]


def _statuses(call: dict[str, Any]) -> list[str]:
    return [leg["status"] for leg in call["legs"][1:]]


def test_answered_leg_is_bridged_until_it_hangs_up(sim: SimulatorClient, receiver: Receiver) -> None:
    call = begin(sim, receiver, f'<Dial action="dialled" {LONG} callerId="+15005550042">+15005550009</Dial>')
    (leg,) = _ringing(sim, call)
    sim.answer(leg)
    sim.advance(7)
    sim.hang_up(leg)
    shown = sim.wait_for(call, "over")
    (told,) = receiver.at(DONE)
    wanted = {"DialCallStatus": "completed", "DialCallSid": leg, "DialBridged": "true", "DialCallDuration": "7"}
    assert {name: told[name] for name in wanted} == wanted
    assert (told["CallStatus"], shown["heard"]) == ("in-progress", ["Done"])
    assert [(one["to"], one["from"]) for one in shown["legs"][1:]] == [("+15005550009", "+15005550042")]
    sim.settle()
    events = [one["CallStatus"] for one in receiver.at("/twilio/call-status") if one["CallSid"] == leg]
    assert events == ["initiated", "ringing", "in-progress", "completed"]


def test_nobody_answers(sim: SimulatorClient, receiver: Receiver) -> None:
    shown = play(sim, receiver, '<Dial action="dialled" timeout="2">+15005550009</Dial>')
    (told,) = receiver.at(DONE)
    assert (told["DialCallStatus"], told["DialBridged"]) == ("no-answer", "false")
    assert ("DialCallDuration" in told, _statuses(shown)) == (False, ["no-answer"])


@pytest.mark.parametrize("status", ["busy", "failed", "canceled"])
def test_leg_that_cannot_be_had(sim: SimulatorClient, receiver: Receiver, status: str) -> None:
    call = begin(sim, receiver, f'<Dial action="dialled" {LONG}>+15005550009</Dial>')
    sim.hang_up(_ringing(sim, call)[0], unanswered=status)
    sim.wait_for(call, "over")
    assert receiver.at(DONE)[0]["DialCallStatus"] == status


def test_first_of_several_to_answer_wins(sim: SimulatorClient, receiver: Receiver) -> None:
    to = "<Number>+15005550009</Number><Client><Identity>alice</Identity></Client><Client>bob</Client>"
    call = begin(sim, receiver, f'<Dial action="dialled" {LONG}>{to}</Dial>')
    legs = _ringing(sim, call)
    sim.answer(legs[1])
    shown = seen(sim, call, lambda now: _statuses(now)[2] != "ringing")
    assert [leg["to"] for leg in shown["legs"][1:]] == ["+15005550009", "client:alice", "client:bob"]
    assert _statuses(shown) == ["canceled", "in-progress", "canceled"]
    sim.hang_up(legs[1])
    sim.wait_for(call, "over")
    assert receiver.at(DONE)[0]["DialCallSid"] == legs[1]


def test_dial_without_action_falls_through(sim: SimulatorClient, receiver: Receiver) -> None:
    call = play(sim, receiver, '<Dial timeout="1">+15005550009</Dial><Say>Nobody</Say>')
    assert (call["heard"], receiver.at(DONE)) == (["Nobody"], [])


@pytest.mark.parametrize(("answered", "status"), [(True, "completed"), (False, "no-answer")])
def test_action_is_told_when_the_caller_hangs_up(
    sim: SimulatorClient, receiver: Receiver, answered: bool, status: str
) -> None:
    call = begin(sim, receiver, f'<Dial action="dialled" {LONG}>+15005550009</Dial>')
    (leg,) = _ringing(sim, call)
    if answered:
        sim.answer(leg)
    sim.hang_up(call)
    shown = sim.wait_for(call, "over")
    (told,) = receiver.at(DONE)
    assert (told["CallStatus"], told["DialCallStatus"]) == ("completed", status)
    assert (shown["heard"], _statuses(shown)) == ([], [status])


def test_script_answers_and_hangs_up(sim: SimulatorClient, receiver: Receiver) -> None:
    script = [{"when": "dial", "answer": True}]
    call = begin(sim, receiver, f'<Dial {LONG} timeLimit="5">+15005550009</Dial>', script=script)
    assert _statuses(sim.wait_for(call, "over")) == ["completed"]
    gone = play(sim, receiver, f"<Dial {LONG}>+15005550009</Dial>", script=[{"when": "dial", "hang_up": True}])
    assert _statuses(gone) == ["no-answer"]


def test_answer_on_bridge_lets_the_caller_hear_it_ring(sim: SimulatorClient, receiver: Receiver) -> None:
    call = begin(sim, receiver, f'<Dial answerOnBridge="true" {LONG}>+15005550009</Dial>')
    (leg,) = _ringing(sim, call)
    assert sim.call(call)["status"] == "ringing"
    sim.answer(leg)
    seen(sim, call, lambda now: now["status"] == "in-progress")
    sim.hang_up(leg)
    assert sim.wait_for(call, "over")["status"] == "completed"


def test_star_hangs_up_on_the_leg(sim: SimulatorClient, receiver: Receiver) -> None:
    call = begin(sim, receiver, f'<Dial action="dialled" hangupOnStar="true" {LONG}>+15005550009</Dial>')
    sim.answer(_ringing(sim, call)[0])
    sim.press(call, "1*")
    assert sim.wait_for(call, "over")["heard"] == ["Done"]


@pytest.mark.parametrize(("record", "channels"), [("record-from-answer", 1), ("record-from-ringing-dual", 2)])
def test_dial_is_recorded_while_it_lasts(sim: SimulatorClient, receiver: Receiver, record: str, channels: int) -> None:
    attributes = f'record="{record}" recordingStatusCallback="/recorded" recordingStatusCallbackEvent="in-progress"'
    receiver.serve(DONE, response(f"<Dial {LONG}>+15005550008</Dial>"))
    call = begin(sim, receiver, f'<Dial action="dialled" {attributes} {LONG}>+15005550009</Dial>')
    (leg,) = _ringing(sim, call)
    assert bool(sim.call(call)["recordings"]) == ("ringing" in record)
    sim.answer(leg)
    receiver.wait(lambda _: bool(receiver.at("/recorded")))
    (begun,) = receiver.at("/recorded")
    sim.hang_up(leg)
    (recording,) = seen(sim, call, lambda now: len(now["legs"]) == 3)["recordings"]
    assert (recording["source"], recording["channels"], recording["state"]) == ("DialVerb", channels, "completed")
    assert begun["RecordingSid"] == receiver.at(DONE)[0]["RecordingSid"] == recording["sid"]


def test_conference_is_joined_by_name(sim: SimulatorClient, receiver: Receiver) -> None:
    room = (
        '<Conference record="record-from-start" recordingStatusCallback="/recorded" endConferenceOnExit="true">'
        "room 1</Conference>"
    )
    first = begin(sim, receiver, f'<Dial action="dialled">{room}</Dial>')
    assert sim.wait_for(first, "dial")["conferences"][0]["status"] == "init"
    second = begin(sim, receiver, '<Dial action="dialled"><Conference>room 1</Conference></Dial>')
    (conference,) = sim.wait_for(second, "dial")["conferences"]
    assert (conference["status"], conference["participants"]) == ("in-progress", [first, second])
    assert [one["state"] for one in conference["recordings"]] == ["in-progress"]
    sim.hang_up(first)
    shown = sim.wait_for(second, "over")
    assert (shown["heard"], shown["status"]) == (["Done"], "completed")
    sim.settle()
    told = {one["CallSid"]: one["DialCallStatus"] for one in receiver.at(DONE)}
    assert told == {first: "answered", second: "answered"}
    assert [one["RecordingStatus"] for one in receiver.at("/recorded")] == ["completed"]
    (joined, *_) = receiver.all(StatusCallbackEvent="participant-join", CallSid=first)
    assert joined.params["EndConferenceOnExit"] == "true"


def test_conference_waits_for_who_starts_it(sim: SimulatorClient, receiver: Receiver) -> None:
    waiting = '<Conference startConferenceOnEnter="false">room</Conference>'
    calls = [begin(sim, receiver, f"<Dial>{waiting}</Dial>") for _ in range(2)]
    for call in calls:
        sim.wait_for(call, "dial")
    (conference,) = sim.state()["conferences"]
    assert conference["status"] == "init"
    agent = sim.add_leg(calls[0], "client:alice")
    sim.join(conference["sid"], agent)
    assert sim.state()["conferences"][0]["status"] == "in-progress"
    sim.hang_up(calls[0])
    sim.wait_for(calls[0], "over")
    assert sim.state()["conferences"][0]["participants"] == [calls[1], agent]
    assert sim.call(agent)["legs"][1]["status"] == "in-progress"


def test_star_leaves_a_conference(sim: SimulatorClient, receiver: Receiver) -> None:
    call = begin(sim, receiver, '<Dial hangupOnStar="true"><Conference>room</Conference></Dial><Say>Out</Say>')
    sim.wait_for(call, "dial")
    sim.press(call, "*")
    assert sim.wait_for(call, "over")["heard"] == ["Out"]

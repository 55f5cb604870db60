"""What Twilio reports: late, twice, out of order, and about calls that turn out to be one."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from bot.call import Of, Problem, State, observed
from bot.messages import Take
from bot.simulator.client import SimulatorClient
from tests.control.bench import ALICE, BOB, CRM, HOLDER, Bench, Node, deliver, safe, until


def callback(endpoint: str, **params: str) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1/twilio/{endpoint}", "params": params}


def sid(prefix: str) -> str:
    return prefix + secrets.token_hex(16)


def test_repeat_is_recognised_and_makes_no_second_entry(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    twilio.set(callback_copies=3)
    placed = twilio.place_call(agent="client:alice")
    told = bench.deliver(node)
    assert (len(told), sum(told)) == (3 * sum(told), len(told) // 3)
    log = bench.log(placed.call)
    for one in twilio.callbacks():
        assert deliver(node, one) is False
    assert bench.log(placed.call) == log


def test_repeat_is_recognised_by_another_process(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    twilio.place_call()
    assert all(bench.deliver(node))
    bench.delivered = 0
    assert not any(bench.deliver(bench.node()))


def test_leg_names_the_agent_who_owns_the_call(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice")
    bench.deliver(node)
    call = bench.call(placed.call)
    assert (call.agent, call.status, call.caller) == ("alice", "in-progress", "…0006")
    assert {leg.sid for leg in call.legs} == {placed.call, placed.agent_leg}
    assert "call.owner_changed" in bench.log(placed.call)


def test_ringing_leg_does_not_own_the_call_yet(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice", answered=False)
    bench.deliver(node)
    assert bench.call(placed.call).agent is None
    twilio.answer(str(placed.agent_leg))
    bench.deliver(node)
    assert bench.call(placed.call).agent == "alice"


def test_transfer_to_another_agent_changes_the_owner(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice")
    bench.deliver(node)
    twilio.add_leg(placed.call, "client:bob")
    twilio.hang_up(str(placed.agent_leg))
    bench.deliver(node)
    assert bench.call(placed.call).agent == "bob"


@pytest.mark.parametrize("contact", ["client:nobody", "+15005550009", "sip:eve@example.com"])
def test_contact_of_nobody_leaves_the_call_to_be_claimed(
    bench: Bench, node: Node, twilio: SimulatorClient, contact: str
) -> None:
    placed = twilio.place_call(agent=contact)
    bench.deliver(node)
    assert bench.call(placed.call).agent is None
    assert node.control.take(placed.call, ALICE, "alice").call.agent == "alice"
    assert node.control.take(placed.call, BOB, "bob").problem is not None
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice"))
    assert Take(by=ALICE, agent="alice").agent == "alice"


def test_order_of_callbacks_does_not_matter(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice", recordings=2)
    assert any(bench.deliver(node, backwards=True))
    call = bench.call(placed.call)
    assert (call.agent, call.status, observed(call)) == ("alice", "in-progress", "recording")
    twilio.hang_up(placed.call)
    bench.deliver(node, backwards=True)
    over = bench.call(placed.call)
    assert (over.over, over.live, over.holds) == (True, (), ())


def test_recordings_and_their_end_are_told(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    bench.deliver(node)
    (recording,) = bench.call(placed.call).recordings
    assert (recording.sid, recording.state, recording.of) == (placed.recordings[0], State.RECORDING, Of.CALL)
    twilio.set_recording(recording.sid, "completed")
    bench.deliver(node)
    assert bench.call(placed.call).recordings[0].state is State.ENDED
    assert bench.log(placed.call)[-1] == "recording.ended"


def test_conference_and_its_recordings_are_told(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice", conference="desk", conference_recordings=1)
    bench.deliver(node)
    call = bench.call(placed.call)
    assert call.conferences == (placed.conference,)
    assert {(one.sid, one.of) for one in call.recordings} == {
        (placed.recordings[0], Of.CALL),
        (placed.conference_recordings[0], Of.CONFERENCE),
    }


def test_one_callback_about_a_conference_makes_one_entry(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    """Also when the leg in it was first taken for a call of its own."""
    placed = twilio.place_call(agent="client:alice", conference="desk")
    assert bench.deliver(node, backwards=True)
    before = bench.log(placed.call).count("conference.reported")
    assert deliver(
        node,
        callback(
            "conference-status",
            ConferenceSid=str(placed.conference),
            CallSid=str(placed.agent_leg),
            StatusCallbackEvent="participant-mute",
        ),
    )
    assert bench.log(placed.call).count("conference.reported") == before + 1


def test_leg_that_was_taken_for_a_call_is_merged_when_its_parent_is_told(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call(agent="client:alice")
    leg = str(placed.agent_leg)
    bench.twilio.add_fault("503", on="pause", call=leg)
    pausing = bench.beside(node.control.pause, leg, CRM, HOLDER)
    until(lambda: twilio.requests(kind="pause"))
    bench.deliver(node)
    twilio.clear_faults()
    paused = pausing.result()
    assert (safe(paused), paused.call.sid) == (True, placed.call)
    assert [hold.holder for hold in bench.call(placed.call).holds] == [HOLDER]
    assert bench.log(placed.call).count("call.merged") == 1


def test_merge_while_a_command_is_in_flight_sends_no_second_one(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    """Invariant 6, also while we learn that two calls are one."""
    placed = twilio.place_call(agent="client:alice")
    leg = str(placed.agent_leg)
    twilio.add_fault("delay", on="pause", times=1, seconds=0.6)
    pausing = bench.beside(node.control.pause, leg, CRM, HOLDER)
    until(lambda: twilio.requests(kind="pause"))
    bench.deliver(node)
    assert safe(pausing.result())
    assert twilio.counters()["overlaps"] == 0


def test_report_of_nothing_that_concerns_us_leaves_no_call_behind(bench: Bench, node: Node) -> None:
    """A call without an entry would stand in the agents' list of calls to be claimed (invariant 4)."""
    participant = sid("CA")
    gone = callback(
        "conference-status", ConferenceSid=sid("CF"), CallSid=participant, StatusCallbackEvent="participant-leave"
    )
    assert deliver(node, gone) is True
    assert node.control.find(participant) is None
    assert bench.log(participant) == []


def test_conference_of_nobody_is_taken_in_without_a_trace(bench: Bench, node: Node) -> None:
    ended = callback("conference-status", ConferenceSid=sid("CF"), StatusCallbackEvent="conference-end")
    assert (deliver(node, ended), deliver(node, ended)) == (True, False)
    assert bench.delivered == 0


def test_call_that_ended_stays_over_whatever_comes_later(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    twilio.hang_up(placed.call)
    bench.deliver(node)
    late = callback("call-status", CallSid=placed.call, CallStatus="in-progress", SequenceNumber="9")
    assert deliver(node, late) is True
    assert bench.call(placed.call).over is True
    assert node.control.pause(placed.call, CRM, HOLDER).problem is Problem.CALL_OVER

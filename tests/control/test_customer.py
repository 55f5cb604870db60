"""Whose call it is, and when the customer is gone: transfers, consultations, conferences that go on without them."""

from __future__ import annotations

import pytest

from bot.actors import By
from bot.call import Wish, desired, is_safe
from bot.messages import Denial
from bot.simulator.client import PlacedCall, SimulatorClient
from tests.conftest import SAM
from tests.control.bench import ALICE, BOB, CRM, HOLDER, Bench, Node, safe, until

CUSTOMER = "+15005550006"
SUPERVISOR = By(actor=SAM.name, source="agent")


def conference_recording(twilio: SimulatorClient, conference: str) -> str:
    """What the conference's one recording really does."""
    (found,) = [one for one in twilio.state()["conferences"] if one["sid"] == conference]
    return str(found["recordings"][0]["state"])


# Transfer and consultation


def test_transfer_keeps_the_hold_and_the_new_agent_may_end_it(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call(agent="client:alice")
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice", reason="card"))
    twilio.add_leg(placed.call, "client:bob")
    assert placed.agent_leg is not None
    twilio.hang_up(placed.agent_leg)
    bench.deliver(node)
    call = bench.call(placed.call)
    assert (call.agent, [hold.holder for hold in call.holds]) == ("bob", ["agent:alice"])
    assert node.control.resume(placed.call, ALICE, "agent:bob").problem is Denial.NOT_YOURS
    assert node.control.resume(placed.call, BOB, "agent:bob").problem is None
    assert bench.state(placed.recordings[0]) == "in-progress"
    (released,) = bench.entries(placed.call, "hold.released")
    assert (released["actor"], released["detail"]["on_behalf_of"]) == ("bob", "agent:alice")


def test_consulted_agent_sees_the_call_and_the_first_one_keeps_it(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call(agent="client:alice")
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice"))
    consulted = twilio.add_leg(placed.call, "client:bob")
    bench.deliver(node)
    assert bench.call(placed.call).agents == {"alice", "bob"}
    assert node.control.resume(placed.call, BOB, "agent:bob").problem is Denial.HELD_BY_OTHERS
    assert node.control.resume(placed.call, ALICE, "agent:alice").problem is None
    twilio.hang_up(consulted)
    bench.deliver(node)
    assert (bench.call(placed.call).agent, sorted(bench.call(placed.call).agents)) == ("alice", ["alice"])
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice"))


def test_supervisor_who_listens_never_comes_to_own_the_call(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    bench.give_contact(node, SAM.name, "client:sam")
    placed = twilio.place_call(agent="client:alice")
    twilio.add_leg(placed.call, "client:sam")
    bench.deliver(node)
    assert (bench.call(placed.call).agent, sorted(bench.call(placed.call).agents)) == ("alice", ["alice"])


def test_supervisor_releases_the_hold_of_another_and_it_is_logged_for_whom(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call(agent="client:alice")
    bench.deliver(node)
    paused = node.control.pause(placed.call, ALICE, "agent:alice")
    assert safe(paused)
    assert node.control.release(placed.call, SUPERVISOR, paused.call.holds[0].id).problem is None
    assert bench.state(placed.recordings[0]) == "in-progress"
    (released,) = bench.entries(placed.call, "hold.released")
    assert (released["actor"], released["detail"]["on_behalf_of"]) == (SAM.name, "agent:alice")
    assert node.control.release(placed.call, SUPERVISOR, paused.call.holds[0].id).problem is None


# The customer hangs up


def test_customer_whom_the_agent_dialled_hangs_up_and_the_hold_closes(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    """The parent is the agent's leg, and it stays."""
    placed = twilio.place_call(customer="client:alice", number=CUSTOMER)
    customer = twilio.add_leg(placed.call, CUSTOMER)
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice"))
    twilio.hang_up(customer)
    bench.deliver(node)
    assert (bench.call(placed.call).holds, bench.call(placed.call).over) == ((), False)
    until(lambda: bench.state(placed.recordings[0]) == "in-progress")
    assert bench.entries(placed.call, "hold.closed")[0]["reason"] == "the customer's leg ended"


def test_dialled_customer_hangs_up_and_the_hold_closes_also_if_their_answer_was_never_reported(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call(customer="client:alice", number=CUSTOMER)
    bench.deliver(node)
    customer = twilio.add_leg(placed.call, CUSTOMER)
    bench.deliver(node, only="nothing")
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice"))
    twilio.hang_up(customer)
    bench.deliver(node)
    assert (bench.call(placed.call).holds, bench.call(placed.call).over) == ((), False)


def test_agent_who_sits_in_a_conference_all_day_keeps_no_hold_of_a_customer_who_left(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    agent = twilio.place_call(customer="client:alice", number=CUSTOMER, recordings=0, conference="desk",
                              conference_recordings=1)  # fmt: skip
    assert agent.conference is not None
    for customer in (twilio.place_call(recordings=0), twilio.place_call(recordings=0)):
        twilio.join(agent.conference, customer.call)
        bench.deliver(node)
        assert safe(node.control.pause(agent.call, ALICE, "agent:alice"))
        twilio.hang_up(customer.call)
        bench.deliver(node)
        assert (bench.call(agent.call).holds, bench.call(agent.call).over) == ((), False)
        until(lambda: conference_recording(twilio, str(agent.conference)) == "in-progress")


def test_end_of_the_customer_s_call_closes_the_agent_s_hold_also_if_no_one_reports_that_they_left(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    agent = twilio.place_call(customer="client:alice", number=CUSTOMER, recordings=0, conference="desk",
                              conference_recordings=1)  # fmt: skip
    customer = twilio.place_call(recordings=0)
    assert agent.conference is not None
    twilio.join(agent.conference, customer.call)
    bench.deliver(node)
    assert safe(node.control.pause(agent.call, ALICE, "agent:alice"))
    twilio.hang_up(customer.call)
    bench.deliver(node, only="call-status")
    assert bench.call(agent.call).holds == ()


def test_customer_who_waited_in_the_conference_before_the_agent_came_leaves_and_the_hold_closes(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    customer = twilio.place_call(recordings=0)
    conference = twilio.open_conference("desk")
    twilio.start_recording(conference)
    twilio.join(conference, customer.call)
    agent = twilio.place_call(customer="client:alice", number=CUSTOMER, recordings=0)
    twilio.join(conference, agent.call)
    bench.deliver(node)
    assert safe(node.control.pause(agent.call, ALICE, "agent:alice"))
    twilio.hang_up(customer.call)
    bench.deliver(node)
    assert (bench.call(agent.call).holds, bench.call(agent.call).over) == ((), False)
    until(lambda: conference_recording(twilio, conference) == "in-progress")


def test_supervisor_who_stays_in_the_conference_is_no_customer(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    bench.give_contact(node, SAM.name, "client:sam")
    agent = twilio.place_call(customer="client:alice", number=CUSTOMER, recordings=0, conference="desk",
                              conference_recordings=1)  # fmt: skip
    listening = twilio.place_call(customer="client:sam", number=CUSTOMER, recordings=0)
    customer = twilio.place_call(recordings=0)
    assert agent.conference is not None
    for one in (listening, customer):
        twilio.join(agent.conference, one.call)
    bench.deliver(node)
    assert safe(node.control.pause(agent.call, ALICE, "agent:alice"))
    twilio.hang_up(customer.call)
    bench.deliver(node)
    assert bench.call(agent.call).holds == ()


def test_conference_that_goes_on_without_its_paused_call_is_recorded_again(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    agent = twilio.place_call(customer="client:alice", number=CUSTOMER, recordings=0, conference="desk",
                              conference_recordings=1)  # fmt: skip
    customer = twilio.place_call(recordings=0)
    assert agent.conference is not None
    twilio.join(agent.conference, customer.call)
    bench.deliver(node)
    assert safe(node.control.pause(customer.call, CRM, HOLDER))
    assert conference_recording(twilio, agent.conference) == "paused"
    twilio.hang_up(customer.call)
    bench.deliver(node)
    until(lambda: conference_recording(twilio, str(agent.conference)) == "in-progress")
    assert bench.call(customer.call).over
    assert twilio.counters()["overlaps"] == 0


# Moving into a conference, and back


@pytest.fixture
def moved(bench: Bench, node: Node, twilio: SimulatorClient) -> tuple[PlacedCall, str, str]:
    """A paused call that has moved into a conference, whose recording is paused now too: (call, conference, RE)."""
    placed = twilio.place_call()
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    conference = twilio.open_conference("desk")
    recording = twilio.start_recording(conference)
    twilio.join(conference, placed.call)
    bench.deliver(node)
    until(lambda: conference_recording(twilio, conference) == "paused")
    until(lambda: safe(node.control.converge(placed.call)))
    return placed, conference, recording


def test_hold_goes_along_into_a_conference(bench: Bench, moved: tuple[PlacedCall, str, str]) -> None:
    placed, _, recording = moved
    assert {one.sid for one in bench.call(placed.call).live} == {*placed.recordings, recording}


def test_hold_comes_back_and_lets_the_conference_go(
    bench: Bench, node: Node, twilio: SimulatorClient, moved: tuple[PlacedCall, str, str]
) -> None:
    """Others talk on in the conference: its recording is none of this call's, and must not stay paused."""
    placed, conference, _ = moved
    other = twilio.place_call(recordings=0)
    twilio.join(conference, other.call)
    twilio.leave(conference, placed.call)
    bench.deliver(node)
    until(lambda: conference_recording(twilio, conference) == "in-progress")
    until(lambda: safe(node.control.converge(placed.call)))
    assert desired(bench.call(placed.call)) is Wish.PAUSED
    assert bench.state(placed.recordings[0]) == "paused"


def test_join_makes_a_safe_call_unsafe_until_twilio_s_list_was_asked_for(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    conference = twilio.open_conference("desk")
    twilio.add_fault("unannounced", times=1)
    twilio.start_recording(conference)
    twilio.add_fault("503", on="list", call=conference)
    twilio.join(conference, placed.call)
    bench.deliver(node)
    outcome = node.control.converge(placed.call)
    assert is_safe(outcome.call, outcome.now) is False
    assert node.control.pause(placed.call, CRM, HOLDER).problem is not None
    twilio.clear_faults()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert conference_recording(twilio, conference) == "paused"


def test_customer_handed_on_in_a_conference_by_an_agent_who_dialled_and_left_keeps_the_hold(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    """The parent leg is over; the customer's goes on with Bob."""
    placed = twilio.place_call(customer="client:alice", number=CUSTOMER)
    customer = twilio.add_leg(placed.call, CUSTOMER)
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice"))
    conference = twilio.open_conference("desk")
    twilio.start_recording(conference)
    twilio.join(conference, customer)
    twilio.add_leg(placed.call, "client:bob")
    bench.deliver(node)
    until(lambda: conference_recording(twilio, conference) == "paused")
    twilio.hang_up(placed.call)
    bench.deliver(node)
    call = bench.call(placed.call)
    assert (call.over, call.orphaned, [hold.holder for hold in call.holds]) == (False, True, ["agent:alice"])
    until(lambda: safe(node.control.converge(placed.call)))
    twilio.hang_up(customer)
    bench.deliver(node)
    assert (bench.call(placed.call).over, bench.call(placed.call).holds) == (True, ())

"""`PAUSE_FAILURE=stop`: what cannot be proven paused in time is stopped, and a new recording begins after the hold."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.call import Problem, is_safe, observed
from bot.messages import Denial
from bot.simulator.client import SimulatorClient
from tests.control.bench import CRM, HOLDER, Bench, Node, safe, until


@pytest.fixture
def stopping(bench: Bench) -> Node:
    """A process whose operator chose so."""
    return bench.node(stop_after=timedelta(seconds=1))


def states(twilio: SimulatorClient, sid: str) -> list[str]:
    return [one["state"] for one in twilio.call(sid)["recordings"]]


def test_pause_that_cannot_be_confirmed_becomes_a_stop_and_is_safe(
    bench: Bench, stopping: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    bench.deliver(stopping)
    twilio.add_fault("16114", on="pause")
    assert safe(stopping.control.pause(placed.call, CRM, HOLDER))
    assert (states(twilio, placed.call), observed(bench.call(placed.call))) == (["completed"], "stopped")


def test_new_recording_begins_after_the_hold_and_the_gap_is_an_entry(
    bench: Bench, stopping: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    bench.deliver(stopping)
    twilio.add_fault("16114", on="pause")
    assert safe(stopping.control.pause(placed.call, CRM, HOLDER))
    assert stopping.control.resume(placed.call, CRM, HOLDER).problem is None
    assert states(twilio, placed.call) == ["completed", "in-progress"]
    (gap,) = bench.entries(placed.call, "recording.gap")
    assert gap["detail"]["from"] < gap["detail"]["to"]
    assert len(twilio.requests(kind="start")) == 1
    twilio.clear_faults()
    bench.deliver(stopping)
    assert safe(stopping.control.pause(placed.call, CRM, HOLDER))
    assert states(twilio, placed.call) == ["completed", "paused"]


@pytest.mark.parametrize("fault", ["lost", "503", "reset"])
def test_start_that_is_not_answered_ends_with_one_live_recording(
    bench: Bench, stopping: Node, twilio: SimulatorClient, fault: str
) -> None:
    placed = twilio.place_call()
    bench.deliver(stopping)
    twilio.add_fault("16114", on="pause")
    assert safe(stopping.control.pause(placed.call, CRM, HOLDER))
    twilio.add_fault(fault, on="start", times=1)
    stopping.control.resume(placed.call, CRM, HOLDER)

    def is_recorded() -> bool:
        stopping.worker.sweep()
        return states(twilio, placed.call).count("in-progress") == 1 and bool(
            bench.entries(placed.call, "recording.gap")
        )

    until(is_recorded)


def test_stop_whose_reply_was_lost_is_found_in_the_list_and_safe(
    bench: Bench, stopping: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    bench.deliver(stopping)
    twilio.add_fault("16114", on="pause")
    twilio.add_fault("lost", on="stop", times=1)
    assert safe(stopping.control.pause(placed.call, CRM, HOLDER))
    assert stopping.control.resume(placed.call, CRM, HOLDER).problem is None
    assert states(twilio, placed.call) == ["completed", "in-progress"]


def test_conference_is_never_stopped(bench: Bench, stopping: Node, twilio: SimulatorClient) -> None:
    """Twilio cannot: its pause is tried again for as long as the hold is open."""
    placed = twilio.place_call(conference="desk", conference_recordings=1)
    bench.deliver(stopping)
    twilio.add_fault("16114", on="pause")
    outcome = stopping.control.pause(placed.call, CRM, HOLDER)
    assert (outcome.problem, is_safe(outcome.call, outcome.now)) == (Problem.BUSY, False)
    assert [one["path"] for one in twilio.requests(kind="stop") if "/Conferences/" in one["path"]] == []
    twilio.clear_faults()
    assert safe(stopping.control.pause(placed.call, CRM, HOLDER))


def test_nothing_is_stopped_where_the_operator_did_not_choose_so(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    bench.deliver(node)
    twilio.add_fault("16114", on="pause")
    assert node.control.pause(placed.call, CRM, HOLDER).problem is Problem.BUSY
    assert twilio.requests(kind="stop") == []


def test_stop_of_a_conference_is_refused(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(conference="desk", conference_recordings=1)
    bench.deliver(node)
    assert node.control.stop(placed.call, CRM).problem is Denial.CONFERENCE_STOP
    assert twilio.requests(kind="stop") == []

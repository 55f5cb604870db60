"""With each fault on nobody is told that it is paused; once it is off the same call can be paused.

All calls are paused in the same moment, each with a fault of its own, so that their patience runs out together.
"""

from __future__ import annotations

import pytest

from bot.call import Problem, is_safe
from bot.simulator.client import PlacedCall, SimulatorClient
from tests.control.bench import CRM, HOLDER, Bench, Node, safe, until

KINDS = (
    "delay", "429", "500", "503", "16114", "21220", "404", "401", "reset", "lost", "late", "wrong-status", "html-200",
    "drip",
)  # fmt: skip
LONGER_THAN_THE_LIMIT = {"delay": 1.5, "late": 1.3, "drip": 0.5}
CASES = [
    (kind, on)
    for kind in KINDS
    for on in ("pause", "list", "any", "fetch-call")
    if not (kind == "wrong-status" and on not in ("pause", "any"))
]


def place(twilio: SimulatorClient, kind: str, on: str) -> PlacedCall:
    """A call with this fault on it. The call itself is asked for only where nothing records."""
    placed = twilio.place_call(recordings=0 if on == "fetch-call" else 1)
    seconds = {"seconds": LONGER_THAN_THE_LIMIT[kind]} if kind in LONGER_THAN_THE_LIMIT else {}
    twilio.add_fault(kind, on=on, call=placed.call, **seconds)
    return placed


def test_no_fault_is_taken_for_a_pause_and_none_outlasts_itself(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    """What Twilio says to a repetition is open: one way is tried on each database."""
    twilio.set(repeat="ok" if node.database.is_sqlite else "21220")
    calls = {(kind, on): place(twilio, kind, on) for kind, on in CASES}
    pauses = {case: bench.beside(node.control.pause, placed.call, CRM, HOLDER) for case, placed in calls.items()}
    outcomes = {case: pausing.result() for case, pausing in pauses.items()}
    assert [case for case, outcome in outcomes.items() if outcome.problem is None] == []
    assert [case for case, outcome in outcomes.items() if is_safe(outcome.call, outcome.now)] == []
    assert {outcomes["404", "any"].problem, outcomes["404", "fetch-call"].problem} == {Problem.UNKNOWN_CALL}
    assert {outcomes["401", on].problem for on in ("pause", "any")} == {Problem.CREDENTIALS}

    twilio.clear_faults()
    for (_, on), placed in calls.items():
        if on == "fetch-call":
            twilio.start_recording(placed.call)
    again = {case: bench.beside(node.control.pause, placed.call, CRM, HOLDER) for case, placed in calls.items()}
    late = {case: outcome.problem for case, pausing in again.items() if not safe(outcome := pausing.result())}
    assert [case for case in late if not safe(node.control.pause(calls[case].call, CRM, HOLDER))] == [], late
    still = [case for case, placed in calls.items() if twilio.call(placed.call)["recordings"][0]["state"] != "paused"]
    assert still == []
    assert twilio.counters()["overlaps"] == 0


@pytest.mark.parametrize("kind", ["429", "500", "16114", "reset", "lost", "html-200"])
def test_passing_fault_is_repeated_within_the_patience(node: Node, twilio: SimulatorClient, kind: str) -> None:
    placed = twilio.place_call()
    twilio.add_fault(kind, on="pause", times=2)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert len(twilio.requests(kind="pause")) == 3


@pytest.mark.parametrize("repeat", ["ok", "21220"])
@pytest.mark.parametrize("kind", ["lost", "reset", "500"])
def test_resume_that_met_a_fault_leaves_nothing_paused(
    node: Node, twilio: SimulatorClient, kind: str, repeat: str
) -> None:
    twilio.set(repeat=repeat)
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    twilio.add_fault(kind, on="resume", times=1)
    assert node.control.resume(placed.call, CRM, HOLDER).problem is None
    assert twilio.call(placed.call)["recordings"][0]["state"] == "in-progress"


def test_pause_lost_and_refused_when_repeated_is_proven_by_the_opposite(node: Node, twilio: SimulatorClient) -> None:
    twilio.set(repeat="21220")
    placed = twilio.place_call()
    twilio.add_fault("lost", on="pause", times=1)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert [one["kind"] for one in twilio.requests() if one["kind"] != "list"] == ["pause", "pause", "resume", "pause"]


def test_list_alone_is_repeated_without_a_second_command(node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    twilio.add_fault("503", on="list", times=2)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert (len(twilio.requests(kind="pause")), len(twilio.requests(kind="list"))) == (1, 3)


def test_late_pause_does_not_outlast_the_resume(bench: Bench, twilio: SimulatorClient) -> None:
    """The pause arrives after the resume was confirmed; it is undone without anybody noticing but the log."""
    node = bench.node(late=bench.policy.late * 2)
    placed = twilio.place_call()
    twilio.add_fault("late", on="pause", times=1, seconds=2.0)
    pausing = bench.beside(node.control.pause, placed.call, CRM, HOLDER)
    until(lambda: twilio.requests(kind="pause"))
    assert node.control.resume(placed.call, CRM, HOLDER).problem is None
    assert pausing.result().problem is Problem.SUPERSEDED
    states: list[str] = []

    def went_through_it() -> bool:
        node.worker.sweep()
        state = twilio.call(placed.call)["recordings"][0]["state"]
        states.extend([state] if states[-1:] != [state] else [])
        return states == ["in-progress", "paused", "in-progress"]

    until(went_through_it)

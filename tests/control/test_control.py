"""Pause, resume and stop against the simulated Twilio, on both databases."""

from __future__ import annotations

import secrets
import threading
import time

import pytest

from bot.call import Problem, Wish, desired, observed
from bot.messages import Denial
from bot.simulator.client import SimulatorClient
from tests.control.bench import ALICE, BOB, CRM, HOLDER, Bench, Node, safe, until


def commands(twilio: SimulatorClient) -> list[tuple[str, str]]:
    """What the simulator was told: (kind, target)."""
    return [(one["kind"], one["target"]) for one in twilio.requests() if one["kind"] in ("pause", "resume", "stop")]


def test_pause_and_resume_of_an_announced_call(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice")
    assert all(bench.deliver(node))
    paused = node.control.pause(placed.call, ALICE, "agent:alice", reason="card")
    assert safe(paused)
    assert twilio.call(placed.call)["recordings"][0]["state"] == "paused"
    assert [(one["kind"], one["pause_behavior"]) for one in twilio.requests() if one["kind"] != "list"] == [
        ("pause", "skip")
    ]
    assert len(twilio.requests(kind="list")) == 2
    resumed = node.control.resume(placed.call, ALICE, "agent:alice")
    assert (resumed.problem, observed(resumed.call), desired(resumed.call)) == (None, "recording", Wish.RECORDING)
    assert commands(twilio) == [("pause", "Twilio.CURRENT"), ("resume", "Twilio.CURRENT")]
    assert bench.log(placed.call)[-6:] == [
        "hold.opened", "command.sent", "command.confirmed", "hold.released", "command.sent", "command.confirmed",
    ]  # fmt: skip


def test_two_recordings_are_both_paused(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(recordings=2)
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert [one["state"] for one in twilio.call(placed.call)["recordings"]] == ["paused", "paused"]
    assert sorted(commands(twilio)) == sorted(("pause", sid) for sid in placed.recordings)
    assert node.control.resume(placed.call, CRM, HOLDER).problem is None
    assert [one["state"] for one in twilio.call(placed.call)["recordings"]] == ["in-progress", "in-progress"]


@pytest.mark.parametrize("recordings", [1, 2])
def test_call_never_announced_is_paused_and_resumed(
    node: Node, bench: Bench, twilio: SimulatorClient, recordings: int
) -> None:
    placed = twilio.place_call(recordings=recordings)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert {one["state"] for one in twilio.call(placed.call)["recordings"]} == {"paused"}
    assert node.control.resume(placed.call, CRM, HOLDER).problem is None
    assert {one["state"] for one in twilio.call(placed.call)["recordings"]} == {"in-progress"}
    assert bench.twilio.counters()["overlaps"] == 0


def test_recording_that_began_unannounced_is_found_in_the_list(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    twilio.add_fault("unannounced", times=1)
    placed = twilio.place_call(recordings=2)
    bench.deliver(node)
    assert [one.sid for one in bench.call(placed.call).recordings] == [placed.recordings[1]]
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert {one["state"] for one in twilio.call(placed.call)["recordings"]} == {"paused"}


def test_recording_that_begins_during_a_pause_is_paused_at_once(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    bench.deliver(node)
    started = twilio.start_recording(placed.call)
    bench.deliver(node)
    until(lambda: ("pause", started) in commands(twilio) and safe(node.control.pause(placed.call, CRM, HOLDER)))
    assert {one["state"] for one in twilio.call(placed.call)["recordings"]} == {"paused"}


def test_conference_that_callbacks_told_of_is_paused_too(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice", conference="desk", conference_recordings=1)
    bench.deliver(node)
    paused = node.control.pause(placed.call, ALICE, "agent:alice")
    assert safe(paused)
    assert {one.sid for one in paused.call.live} == {*placed.recordings, *placed.conference_recordings}
    assert {path.split("/")[4] for path in (one["path"] for one in twilio.requests(kind="pause"))} == {
        "Calls", "Conferences",
    }  # fmt: skip
    assert node.control.resume(placed.call, ALICE, "agent:alice").problem is None


def test_conference_that_only_the_caller_names_is_paused_too(node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(recordings=0, conference="desk", conference_recordings=2)
    paused = node.control.pause(placed.call, CRM, HOLDER, conference=placed.conference)
    assert safe(paused)
    assert {one.sid for one in paused.call.live} == set(placed.conference_recordings)


def test_child_leg_is_another_name_of_its_call(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice")
    bench.deliver(node)
    assert placed.agent_leg is not None
    paused = node.control.pause(placed.agent_leg, ALICE, "agent:alice")
    assert (safe(paused), paused.call.sid) == (True, placed.call)


def test_child_leg_never_announced_is_merged_into_its_call(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice")
    assert placed.agent_leg is not None
    paused = node.control.pause(placed.agent_leg, CRM, HOLDER)
    assert (safe(paused), paused.call.sid) == (True, placed.call)
    found = node.control.find(placed.agent_leg)
    assert found is not None
    assert found.sid == placed.call
    assert bench.log(placed.call)[:1] == ["call.merged"]
    resumed = node.control.resume(placed.agent_leg, CRM, HOLDER)
    assert (resumed.problem, resumed.call.sid) == (None, placed.call)
    assert twilio.counters()["overlaps"] == 0


def test_call_that_twilio_does_not_know_is_told_so(node: Node) -> None:
    sid = "CA" + secrets.token_hex(16)
    outcome = node.control.pause(sid, CRM, HOLDER)
    assert (outcome.problem, outcome.call.holds) == (Problem.UNKNOWN_CALL, ())


def test_nothing_recording_is_not_safe_after_two_seconds(node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(recordings=0)
    began = time.monotonic()
    outcome = node.control.pause(placed.call, CRM, HOLDER)
    assert outcome.problem is Problem.NOTHING_RECORDING
    assert 2.0 <= time.monotonic() - began < 5.0
    twilio.start_recording(placed.call)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))


def test_recording_that_begins_a_moment_after_the_pause_is_paused(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call(recordings=0)
    pausing = bench.beside(node.control.pause, placed.call, CRM, HOLDER)
    until(lambda: commands(twilio))
    twilio.start_recording(placed.call)
    assert safe(pausing.result())


def test_call_that_is_over_is_refused(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice")
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice"))
    twilio.hang_up(placed.call)
    bench.deliver(node)
    assert bench.call(placed.call).holds == ()
    assert node.control.pause(placed.call, ALICE, "agent:alice").problem is Problem.CALL_OVER


def test_other_agents_are_refused_and_the_attempt_is_an_entry(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call(agent="client:alice")
    bench.deliver(node)
    twilio.clear_requests()
    outcome = node.control.pause(placed.call, BOB, "agent:bob")
    assert (outcome.problem, commands(twilio)) == (Denial.NOT_YOURS, [])
    assert bench.log(placed.call)[-1] == "pause.refused"


def test_resume_leaves_the_holds_of_others(node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert safe(node.control.pause(placed.call, CRM, "api:ivr"))
    left = node.control.resume(placed.call, CRM, HOLDER)
    assert (left.problem, desired(left.call)) == (None, Wish.PAUSED)
    assert twilio.call(placed.call)["recordings"][0]["state"] == "paused"
    assert node.control.resume(placed.call, CRM, HOLDER).problem is Denial.HELD_BY_OTHERS


def test_resume_of_a_call_that_nobody_paused_succeeds(node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    twilio.set_recording(placed.recordings[0], "paused")
    assert node.control.resume(placed.call, CRM, HOLDER).problem is None
    assert twilio.call(placed.call)["recordings"][0]["state"] == "in-progress"


@pytest.mark.parametrize("recordings", [1, 2])
def test_stop_ends_every_recording(node: Node, twilio: SimulatorClient, recordings: int) -> None:
    placed = twilio.place_call(recordings=recordings)
    outcome = node.control.stop(placed.call, CRM)
    assert (outcome.problem, observed(outcome.call)) == (None, "stopped")
    assert {one["state"] for one in twilio.call(placed.call)["recordings"]} == {"completed"}
    assert node.control.pause(placed.call, CRM, HOLDER).problem is Denial.STOPPED


def test_stop_whose_reply_was_lost_succeeds(node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    twilio.add_fault("lost", on="stop", times=1)
    assert node.control.stop(placed.call, CRM).problem is None


def test_two_threads_that_pause_send_one_command(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    twilio.add_fault("delay", on="pause", seconds=0.2)
    start = threading.Barrier(8)

    def pause(number: int) -> bool:
        start.wait()
        return safe(node.control.pause(placed.call, CRM, f"api:{number % 2}"))

    assert [one.result() for one in [bench.beside(pause, number) for number in range(8)]] == [True] * 8
    assert commands(twilio) == [("pause", "Twilio.CURRENT")]
    counters = twilio.counters()
    assert (counters["overlaps"], counters["max_in_flight"]) == (0, 1)


def test_second_process_joins_the_outcome_of_the_first(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    other = bench.node()
    placed = twilio.place_call(recordings=2)
    bench.deliver(node)
    twilio.add_fault("delay", on="pause", seconds=0.2)
    first = bench.beside(node.control.pause, placed.call, CRM, HOLDER)
    until(lambda: commands(twilio))
    assert safe(other.control.pause(placed.call, CRM, "api:other"))
    assert safe(first.result())
    assert len(commands(twilio)) == 2
    assert twilio.counters()["overlaps"] == 0


def test_many_calls_at_once_on_two_processes(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    other = bench.node()
    placed = [twilio.place_call() for _ in range(20)]
    pauses = [
        bench.beside(one.control.pause, call.call, CRM, f"api:{one.name}") for call in placed for one in (node, other)
    ]
    assert [safe(one.result()) for one in pauses] == [True] * 40
    assert len(commands(twilio)) == 20
    assert twilio.counters()["overlaps"] == 0


def test_last_wish_wins_over_a_resume_in_flight(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    twilio.add_fault("delay", on="resume", seconds=0.4)
    resuming = bench.beside(node.control.resume, placed.call, CRM, HOLDER)
    until(lambda: ("resume", "Twilio.CURRENT") in commands(twilio))
    assert safe(node.control.pause(placed.call, CRM, "api:other"))
    assert resuming.result().problem is Problem.SUPERSEDED
    assert twilio.call(placed.call)["recordings"][0]["state"] == "paused"
    assert twilio.counters()["overlaps"] == 0


def test_last_wish_wins_over_a_pause_in_flight(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    twilio.add_fault("delay", on="pause", seconds=0.4)
    pausing = bench.beside(node.control.pause, placed.call, CRM, HOLDER)
    until(lambda: commands(twilio))
    assert node.control.resume(placed.call, CRM, HOLDER).problem is None
    assert pausing.result().problem is Problem.SUPERSEDED
    assert twilio.call(placed.call)["recordings"][0]["state"] == "in-progress"


def test_late_resume_is_told_at_once_and_never_unsafe(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    """A resume that arrives long after it was given up must not undo a pause that somebody relies on."""
    node = bench.node(late=bench.policy.late * 2)
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    twilio.add_fault("late", on="resume", times=1, seconds=2.5)
    assert node.control.resume(placed.call, CRM, HOLDER).problem is None
    began = time.monotonic()
    refused = node.control.pause(placed.call, CRM, HOLDER)
    assert refused.problem is Problem.LATE_RESUME
    assert time.monotonic() - began < 2.0
    seen = set()

    def is_safe_now() -> bool:
        node.worker.sweep()
        said = node.control.converge(placed.call, patience_seconds=0.0)
        seen.add((safe(said), twilio.call(placed.call)["recordings"][0]["state"]))
        return safe(said)

    until(is_safe_now)
    assert seen - {(True, "paused")} == {(False, "paused"), (False, "in-progress")}
    assert twilio.call(placed.call)["recordings"][0]["state"] == "paused"


def test_finished_conference_recording_that_still_lists_as_processing_is_not_stormed(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    twilio.set(completion_seconds=2.0)
    placed = twilio.place_call(conference="desk", conference_recordings=1)
    bench.deliver(node)
    twilio.set_recording(placed.conference_recordings[0], "completed")
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert len(commands(twilio)) < 12

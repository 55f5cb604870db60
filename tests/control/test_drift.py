"""What Twilio says against what we believe: drift, silence about a call, and Twilio away altogether."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.audit.journal import Transaction
from bot.call import is_safe
from bot.messages import Finding
from bot.recording import QUIET
from bot.simulator.client import SimulatorClient
from bot.storage import calls
from tests.control.bench import CRM, HOLDER, Bench, Node, deliver, safe, until


def say(node: Node, twilio: SimulatorClient, recording: str, status: str) -> None:
    """A recording-status callback of which the simulator knows nothing."""
    (told,) = [one for one in twilio.callbacks() if one["params"].get("RecordingSid") == recording][:1]
    deliver(node, told | {"params": told["params"] | {"RecordingStatus": status}})


def test_recording_that_somebody_else_resumed_is_paused_again_and_told(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    twilio.set_recording(placed.recordings[0], "in-progress")
    say(node, twilio, placed.recordings[0], "resumed")
    until(lambda: bench.state(placed.recordings[0]) == "paused")
    until(lambda: safe(node.control.converge(placed.call)))
    assert [one["reason"] for one in bench.entries(placed.call, "finding.raised")] == ["drift"]


def test_late_echo_of_our_own_resume_is_no_drift(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    assert node.control.resume(placed.call, CRM, HOLDER).problem is None
    paused = node.control.pause(placed.call, CRM, HOLDER)
    assert safe(paused)
    say(node, twilio, placed.recordings[0], "resumed")
    assert is_safe(bench.call(placed.call), paused.now) is True
    assert bench.entries(placed.call, "finding.raised") == []


def make_quiet(bench: Bench, node: Node, sid: str) -> None:
    """As if nothing had been heard of the call for the whole time."""

    def change(transaction: Transaction) -> None:
        loaded = calls.load(transaction, sid, bench.settings.twilio_account_sid)
        calls.save(transaction, loaded, replace(loaded.call, heard_at=loaded.now - QUIET), ())

    node.journal.write(change, sid)


def test_end_of_a_call_that_sends_no_callbacks_is_learnt_by_asking(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    bench.deliver(node)
    twilio.hang_up(placed.call)
    make_quiet(bench, node, placed.call)
    until(lambda: node.worker.sweep() == 0 and bench.call(placed.call).over)
    assert [one["kind"] for one in twilio.requests()] == ["fetch-call"]
    assert bench.log(placed.call)[-1] == "call.ended"


def test_quiet_call_that_goes_on_is_asked_about_once_and_left_alone(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    bench.deliver(node)
    make_quiet(bench, node, placed.call)
    told = bench.log(placed.call)

    def is_asked_about() -> bool:
        node.worker.sweep()
        return bool(twilio.requests(kind="fetch-call")) and bench.call(placed.call).claim is None

    until(is_asked_about)
    assert (node.worker.sweep(), bench.log(placed.call)) == (0, told)
    assert [one["kind"] for one in twilio.requests()] == ["fetch-call"]


@pytest.mark.parametrize("fault", ["reset", "503"])
def test_outage_is_told_once_for_all_calls_and_ends_with_the_next_answer(
    bench: Bench, node: Node, twilio: SimulatorClient, fault: str
) -> None:
    placed = [twilio.place_call() for _ in range(6)]
    twilio.add_fault(fault, on="any")
    pausing = [bench.beside(node.control.pause, one.call, CRM, HOLDER) for one in placed]
    assert {one.result().problem is None for one in pausing} == {False}

    def is_known() -> bool:
        node.worker.sweep()
        return node.control.outage.known() == {Finding.OUTAGE}

    until(is_known)
    other = bench.node()
    until(lambda: other.control.outage.known() == {Finding.OUTAGE})
    twilio.clear_faults()
    other.control.probe()
    until(lambda: "finding.cleared" in [one["type"] for one in bench.entries(None)])
    assert bench.node().control.outage.known() == frozenset()
    found = [(one["type"], one["reason"]) for one in bench.entries(None) if one["type"].startswith("finding")]
    assert [one for one in found if one[1] == "twilio-outage"] == [
        ("finding.raised", "twilio-outage"), ("finding.cleared", "twilio-outage"),
    ]  # fmt: skip


def test_refused_credentials_are_told_at_once_and_once(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = [twilio.place_call() for _ in range(4)]
    twilio.add_fault("401", on="pause")
    start = threading.Barrier(len(placed))

    def pause(sid: str) -> None:
        start.wait()
        node.control.pause(sid, CRM, HOLDER)

    for one in [bench.beside(pause, call.call) for call in placed]:
        one.result()
    until(lambda: node.control.outage.known() == {Finding.CREDENTIALS})
    twilio.clear_faults()
    assert safe(node.control.pause(placed[0].call, CRM, HOLDER))
    until(lambda: "finding.cleared" in [one["type"] for one in bench.entries(None)])
    assert bench.node().control.outage.known() == frozenset()
    found = [one["type"] for one in bench.entries(None) if one["reason"] == "twilio-credentials"]
    assert found == ["finding.raised", "finding.cleared"]


def test_one_call_that_fails_is_no_outage(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    failing, fine = twilio.place_call(), twilio.place_call()
    twilio.add_fault("503", on="any", call=failing.call)
    pausing = bench.beside(node.control.pause, failing.call, CRM, HOLDER)
    while not pausing.done():
        assert safe(node.control.pause(fine.call, CRM, HOLDER))
        assert node.control.resume(fine.call, CRM, HOLDER).problem is None
    assert node.control.outage.known() == frozenset()
    assert bench.policy.late == timedelta(seconds=1.5)


def test_outage_that_begins_while_the_process_ends_leaves_no_claim_behind(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    """What is noticed then is for others to tell; the command's outcome is saved all the same."""
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    twilio.add_fault("401", on="resume")
    node.control.close()
    node.control.resume(placed.call, CRM, HOLDER)
    assert bench.call(placed.call).claim is None
    assert bench.log(placed.call)[-1] == "command.refused"

"""How a hold ends by itself: never into a card, and never unseen."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from bot.actors import By
from bot.call import Problem, Wish, desired, is_safe, why_not_safe
from bot.simulator.client import SimulatorClient
from bot.storage.engine import Database
from tests.control.bench import ALICE, CRM, HOLDER, WARNING, Bench, Node, safe, until

PAYMENT = By(actor="PK1", source="payment")
IVR = By(actor="ivr", source="ivr")


def times(bench: Bench, sid: str, *types: str) -> list[datetime]:
    """When the first entry of each type was written."""
    return [datetime.fromisoformat(bench.entries(sid, one)[0]["at"]) for one in types]


def test_time_limit_is_unsafe_for_the_whole_warning_before_the_recording_resumes(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    placed = twilio.place_call()
    paused = node.control.pause(placed.call, CRM, HOLDER, max_seconds=1)
    assert safe(paused)
    expires_at = paused.call.holds[0].expires_at
    assert is_safe(paused.call, expires_at - timedelta(milliseconds=1)) is True
    assert why_not_safe(paused.call, expires_at) is Problem.EXPIRED

    def runs_again() -> bool:
        node.worker.sweep()
        return bench.state(placed.recordings[0]) == "in-progress"

    until(runs_again)
    warned, ended = times(bench, placed.call, "hold.running_out", "hold.expired")
    assert (warned >= expires_at, ended >= expires_at + WARNING) == (True, True)


def test_agent_who_still_takes_the_card_makes_it_safe_again_before_the_resume(
    bench: Bench, twilio: SimulatorClient
) -> None:
    node = bench.node(warning=timedelta(seconds=30))
    placed = twilio.place_call(agent="client:alice")
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice", max_seconds=1))

    def ran_out() -> bool:
        node.worker.sweep()
        return "hold.running_out" in bench.log(placed.call)

    until(ran_out)
    assert safe(node.control.pause(placed.call, ALICE, "agent:alice"))
    assert bench.state(placed.recordings[0]) == "paused"
    assert bench.log(placed.call)[-1] == "hold.extended"
    assert len(twilio.requests(kind="pause")) == 1


def test_payment_that_is_still_open_at_the_hard_limit_stays_paused_and_is_told(
    bench: Bench, twilio: SimulatorClient
) -> None:
    """Whatever happens to other holds: here they end."""
    node = bench.node(hard_max=timedelta(seconds=1), pause_max=timedelta(seconds=1), expiry="resume")
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, PAYMENT, "payment:PK1"))
    node.control.beat(placed.call, PAYMENT, "payment:PK1")

    def is_told() -> bool:
        node.worker.sweep()
        return [one["reason"] for one in bench.entries(placed.call, "finding.raised")] == ["payment-still-open"]

    until(is_told)
    outcome = node.control.converge(placed.call)
    assert (desired(outcome.call), is_safe(outcome.call, outcome.now)) == (Wish.PAUSED, True)
    assert bench.state(placed.recordings[0]) == "paused"
    assert node.control.resume(placed.call, PAYMENT, "payment:PK1").problem is None
    assert bench.state(placed.recordings[0]) == "in-progress"


def test_beat_without_a_hold_opens_none(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    node.control.beat(placed.call, PAYMENT, "payment:PK1")
    assert [hold.holder for hold in bench.call(placed.call).holds] == [HOLDER]


def test_ivr_whose_pause_was_not_proven_leaves_no_hold_and_nothing_paused(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    """It goes on without a card. A pause that is confirmed later is undone."""
    twilio.set(repeat="ok")
    placed = twilio.place_call()
    twilio.add_fault("503", on="list")
    outcome = node.control.pause(placed.call, IVR, "ivr")
    assert (outcome.problem, outcome.call.holds) == (Problem.LIST_FAILED, ())
    twilio.clear_faults()

    def runs_again() -> bool:
        node.worker.sweep()
        return bench.state(placed.recordings[0]) == "in-progress" and bench.call(placed.call).claim is None

    until(runs_again)
    closed = bench.entries(placed.call, "hold.closed")
    assert [(one["outcome"], one["reason"]) for one in closed] == [("failure", "not proven")]
    assert [one["reason"] for one in bench.entries(placed.call, "finding.raised")] == ["pause-never-proven"]


def test_pause_that_was_proven_too_late_for_the_ivr_ends_again(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    """Nobody waits for it any more: the flow has gone on without a card."""
    placed = twilio.place_call()
    outcome = node.control.pause(placed.call, IVR, "ivr", in_vain_after=time.monotonic())
    assert (outcome.problem, outcome.call.holds) == (Problem.UNANSWERED, ())
    until(lambda: bench.state(placed.recordings[0]) == "in-progress")
    assert bench.entries(placed.call, "hold.closed")[0]["reason"] == "too late"


def test_hold_that_runs_out_while_its_pause_waits_is_told_as_that(
    node: Node, database: Database, twilio: SimulatorClient
) -> None:
    assert database is not node.database
    placed = twilio.place_call()
    twilio.add_fault("16114", on="pause")
    assert node.control.pause(placed.call, CRM, HOLDER, max_seconds=1).problem is Problem.EXPIRED

"""What falls due is done by whoever is there: holds that ran out, claims of the dead."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from bot.audit.journal import Transaction
from bot.call import Wish, desired, is_safe, observed
from bot.life.process import Life
from bot.messages import Converge, Message, Pause, Policy, Resume
from bot.recording import decide
from bot.simulator.client import PlacedCall, SimulatorClient
from bot.storage import calls, nodes, schema
from bot.worker import Worker
from tests.control.bench import CRM, HOLDER, Bench, Node, safe, until

FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


def die_after_the_claim(node: Node, sid: str, message: Message, account: str) -> None:
    """What a process leaves behind that dies between its claim and its command."""
    policy = Policy(node="dead", claim=timedelta(seconds=0.3), late=timedelta(seconds=0.5))

    def change(transaction: Transaction) -> None:
        loaded = calls.load(transaction, sid, account)
        wished = decide(loaded.call, message, loaded.now, policy)
        claimed = decide(wished.call, Converge(token=secrets.token_hex(16)), loaded.now, policy)
        assert claimed.call.claim is not None
        calls.save(transaction, loaded, claimed.call, (*wished.facts, *claimed.facts))

    node.journal.write(change, sid)


def pause() -> Pause:
    return Pause(by=CRM, hold_id="a", holder=HOLDER)


def swept_until_safe(bench: Bench, node: Node, placed: PlacedCall) -> None:
    def is_proven() -> bool:
        node.worker.sweep()
        return safe(node.control.converge(placed.call, patience_seconds=0.0))

    until(is_proven)
    assert observed(bench.call(placed.call)) == "paused"


def test_dead_claim_of_a_pause_is_taken_over(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    die_after_the_claim(node, placed.call, pause(), bench.settings.twilio_account_sid)
    swept_until_safe(bench, node, placed)
    assert twilio.requests()[0]["kind"] == "list"
    assert bench.state(placed.recordings[0]) == "paused"
    assert "command.abandoned" in bench.log(placed.call)


def test_dead_claim_of_a_resume_is_taken_over(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    die_after_the_claim(node, placed.call, Resume(by=CRM, holder=HOLDER), bench.settings.twilio_account_sid)

    def runs_again() -> bool:
        node.worker.sweep()
        return observed(bench.call(placed.call)) == "recording"

    until(runs_again)
    assert bench.state(placed.recordings[0]) == "in-progress"


def test_claim_that_still_runs_is_left_alone(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    die_after_the_claim(node, placed.call, pause(), bench.settings.twilio_account_sid)
    claim = bench.call(placed.call).claim
    assert claim is not None
    assert (node.worker.sweep(), twilio.requests()) == (0, [])
    assert bench.call(placed.call).claim == claim


def test_hold_that_ran_out_is_released_by_the_worker(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER, max_seconds=1))

    def runs_again() -> bool:
        node.worker.sweep()
        return bench.state(placed.recordings[0]) == "in-progress" and bench.call(placed.call).claim is None

    until(runs_again)
    assert (desired(bench.call(placed.call)), bench.call(placed.call).holds) == (Wish.RECORDING, ())
    assert bench.log(placed.call)[-4:] == ["hold.running_out", "hold.expired", "command.sent", "command.confirmed"]


def test_hold_that_ran_out_stays_where_it_only_alerts(bench: Bench, twilio: SimulatorClient) -> None:
    node = bench.node(expiry="alert")
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER, max_seconds=1))

    def is_told() -> bool:
        node.worker.sweep()
        return "hold.overdue" in bench.log(placed.call)

    until(is_told)
    outcome = node.control.converge(placed.call, patience_seconds=0.0)
    assert is_safe(outcome.call, outcome.now) is True
    assert bench.state(placed.recordings[0]) == "paused"


def test_process_that_died_before_it_claimed_is_made_up_for(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    """Only the wish was saved; the worker finds it in the index of what is due."""
    placed = twilio.place_call()

    def change(transaction: Transaction) -> None:
        loaded = calls.load(transaction, placed.call, bench.settings.twilio_account_sid)
        wished = decide(loaded.call, pause(), loaded.now, bench.policy)
        calls.save(transaction, loaded, wished.call, wished.facts)

    node.journal.write(change, placed.call)
    swept_until_safe(bench, node, placed)


def test_nothing_due_costs_nothing(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    bench.deliver(node)
    assert safe(node.control.pause(placed.call, CRM, HOLDER))
    twilio.clear_requests()
    assert (node.worker.sweep(), twilio.requests()) == (0, [])


def test_call_that_is_over_never_falls_due(bench: Bench, node: Node, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER, max_seconds=1))
    twilio.hang_up(placed.call)
    bench.deliver(node)
    with node.database.read() as connection:
        assert list(calls.due_now(connection, FAR_AHEAD, 10)) == []


def test_worker_runs_until_it_is_stopped_and_tells_that_it_is_alive(bench: Bench, node: Node) -> None:
    running = bench.beside(node.worker.run)

    def has_beaten() -> bool:
        with node.database.read() as connection:
            return nodes.last_seen(connection, "worker") is not None

    until(has_beaten)
    node.worker.stop()
    assert running.result(timeout=5) is None


def test_heartbeat_that_fails_keeps_the_worker_from_nothing_else(
    bench: Bench, node: Node, twilio: SimulatorClient
) -> None:
    """What it compares its settings with was damaged in the database, so its start cannot be told."""
    with node.database.write() as connection:
        connection.execute(insert(schema.settings_seen).values(kind="worker", body="{", at=FAR_AHEAD))
    worker = Worker(node.database, node.journal, node.control, beat=Life(node.journal, "worker", bench.settings).beat)
    placed = twilio.place_call()
    assert safe(node.control.pause(placed.call, CRM, HOLDER, max_seconds=1))
    running = bench.beside(worker.run)
    until(lambda: bench.state(placed.recordings[0]) == "in-progress")
    assert bench.entries(None, "process.started") == []
    worker.stop()
    assert running.result(timeout=5) is None

"""What other programs rely on: the API, the webhooks, the worker and the commands, over HTTP between real processes."""

from __future__ import annotations

import http.client
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bot.simulator.client import SimulatorClient
from tests.conftest import ALICE, DATABASES
from tests.e2e.api import Answer, Api
from tests.e2e.processes import until
from tests.e2e.stack import Stack

pytestmark = pytest.mark.parametrize("stack", DATABASES, indirect=True)

PASSING = ("429", "500", "503", "16114", "reset")
LASTING: dict[str, dict[str, Any]] = {
    "delay": {"kind": "delay", "on": "pause", "seconds": 5},
    "429": {"kind": "429", "on": "pause"},
    "500": {"kind": "500", "on": "command"},
    "503": {"kind": "503", "on": "pause"},
    "16114": {"kind": "16114", "on": "pause"},
    "21220": {"kind": "21220", "on": "pause"},
    "404": {"kind": "404", "on": "command"},
    "401": {"kind": "401", "on": "pause"},
    "reset": {"kind": "reset", "on": "any"},
    "lost": {"kind": "lost", "on": "pause"},
    "late": {"kind": "late", "on": "pause", "seconds": 5},
    "wrong-status": {"kind": "wrong-status", "on": "pause"},
    "html-200": {"kind": "html-200", "on": "any"},
    "drip": {"kind": "drip", "on": "pause", "seconds": 0.5},
    "list-503": {"kind": "503", "on": "list"},
    "list-slow": {"kind": "delay", "on": "list", "seconds": 5},
    "list-404": {"kind": "404", "on": "list"},
    "silent": {"kind": "delay", "on": "any", "seconds": 30},
}
CONVERGED_SECONDS = 25.0
"""The longest back-off between two tries is 15 s."""
REPLY_SECONDS_MAX = 12.0
"""The caller's patience is 8 s; the rest is what a busy machine may add."""


def live_states(twilio: SimulatorClient, call: str) -> list[str]:
    """Of the call's recordings, its conferences' included."""
    shown = twilio.call(call)
    conferences = [one for conference in shown["conferences"] for one in conference["recordings"]]
    return [one["state"] for one in (*shown["recordings"], *conferences)]


def test_webhooks_make_a_call_known(stack: Stack, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent=ALICE.contact, recordings=2)
    twilio.settle()
    shown = stack.api.call(placed.call)
    assert shown.status == 200
    assert (shown.body["agent"], shown.body["status"], shown.body["observed"]) == ("alice", "in-progress", "recording")
    assert {one["sid"] for one in shown.body["recordings"]} == set(placed.recordings)
    assert stack.api.call(placed.agent_leg or "").body["sid"] == placed.call
    twilio.hang_up(placed.call)
    twilio.settle()
    ended = stack.api.call(placed.call).body
    assert (ended["status"], ended["observed"], ended["safe_to_take_card"]) == ("completed", "ended", False)
    assert {one["state"] for one in twilio.callbacks(call=placed.call)} == {"delivered"}


def test_webhooks_that_come_twice_change_nothing(stack: Stack, twilio: SimulatorClient) -> None:
    twilio.set(callback_copies=3)
    try:
        placed = twilio.place_call(agent=ALICE.contact)
        twilio.settle()
    finally:
        twilio.set(callback_copies=1)
    types = [one["type"] for one in stack.auditor.entries(placed.call)]
    assert types.count("recording.started") == 1
    assert types.count("call.reported") == 2
    assert types.count("leg.reported") == 3


def test_pause_and_resume_reach_the_recording(stack: Stack, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    assert stack.api.pause(placed.call, reason="card").is_safe
    assert live_states(twilio, placed.call) == ["paused"]
    assert [(one["target"], one["pause_behavior"]) for one in twilio.requests(call=placed.call, kind="pause")] == [
        ("Twilio.CURRENT", "skip")
    ]
    resumed = stack.api.resume(placed.call)
    assert (resumed.status, resumed.body["desired"], resumed.body["observed"]) == (200, "recording", "recording")
    assert live_states(twilio, placed.call) == ["in-progress"]
    types = [one["type"] for one in stack.auditor.entries(placed.call)]
    assert types.count("hold.opened") == types.count("hold.released") == 1
    assert types.count("command.confirmed") == 2


def test_pause_of_several_recordings_names_each(stack: Stack, twilio: SimulatorClient) -> None:
    """Two that are announced, one that only the list shows, and one of the conference."""
    placed = twilio.place_call(agent=ALICE.contact, recordings=2, conference="sales", conference_recordings=1)
    twilio.start_recording(placed.call, announced=False)
    twilio.settle()
    assert stack.api.pause(placed.call).is_safe
    assert live_states(twilio, placed.call) == ["paused"] * 4
    assert stack.api.resume(placed.call).status == 200
    assert live_states(twilio, placed.call) == ["in-progress"] * 4


def test_pause_never_announced_finds_the_call_by_its_leg(stack: Stack, twilio: SimulatorClient) -> None:
    twilio.set(callbacks="drop")
    placed = twilio.place_call(agent=ALICE.contact)
    assert placed.agent_leg is not None
    answer = stack.api.pause(placed.agent_leg)
    assert answer.is_safe
    assert answer.body["sid"] == placed.call
    assert live_states(twilio, placed.call) == ["paused"]


def test_pause_of_what_twilio_does_not_know_is_404(stack: Stack, twilio: SimulatorClient) -> None:
    answer = stack.api.pause("CA" + "0" * 32)
    assert answer.status == 404
    assert not answer.body["call"]["safe_to_take_card"]
    assert twilio.requests(call="CA" + "0" * 32, kind="pause") != []


def test_passing_fault_is_repeated_within_the_callers_patience(stack: Stack, twilio: SimulatorClient) -> None:
    calls = {kind: twilio.place_call(agent=ALICE.contact).call for kind in PASSING}
    twilio.settle()
    for kind, call in calls.items():
        twilio.add_fault(kind, on="pause", call=call, times=1)
    assert {kind: answer.status for kind, answer in all_paused(stack.api, calls).items()} == dict.fromkeys(PASSING, 200)
    assert {kind: live_states(twilio, call) for kind, call in calls.items()} == {kind: ["paused"] for kind in PASSING}


def all_paused(api: Api, calls: dict[str, str]) -> dict[str, Answer]:
    """Every call asked to be paused, all in the same moment."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return dict(zip(calls, threads.map(api.pause, calls.values()), strict=True))


def test_lasting_fault_is_never_called_safe_and_passes_once_it_is_off(stack: Stack, twilio: SimulatorClient) -> None:
    """Each on a call of its own, all at the same time."""
    calls = {name: twilio.place_call(agent=ALICE.contact).call for name in LASTING}
    twilio.settle()
    for name, fault in LASTING.items():
        twilio.add_fault(**fault, call=calls[name])
    began = time.monotonic()
    answers = all_paused(stack.api, calls)
    assert time.monotonic() - began < REPLY_SECONDS_MAX
    shown = {name: stack.api.call(call).body["safe_to_take_card"] for name, call in calls.items()}
    assert [name for name, answer in answers.items() if answer.status == 200] == []
    assert [name for name, answer in answers.items() if "title" not in answer.body] == []
    assert shown == dict.fromkeys(LASTING, False)
    twilio.clear_faults()
    assert {name: answer.status for name, answer in all_paused(stack.api, calls).items()} == dict.fromkeys(LASTING, 200)
    assert {name: live_states(twilio, call) for name, call in calls.items()} == {name: ["paused"] for name in LASTING}


def test_lost_reply_is_proven_where_a_repetition_is_refused(stack: Stack, twilio: SimulatorClient) -> None:
    """Open at Twilio: pausing what is paused may get 21220. The opposite by SID first, and then the pause again."""
    twilio.set(repeat="21220")
    placed = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    twilio.add_fault("lost", on="pause", call=placed.call, times=1)
    stack.api.pause(placed.call)
    until(lambda: stack.api.call(placed.call).body["safe_to_take_card"], CONVERGED_SECONDS, "it is safe")
    assert live_states(twilio, placed.call) == ["paused"]


def test_pause_that_runs_out_is_resumed_by_the_worker(stack: Stack, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    assert stack.api.pause(placed.call, max_seconds=2).is_safe
    until(lambda: live_states(twilio, placed.call) == ["in-progress"], 15, "the recording goes on by itself")
    until(lambda: stack.api.call(placed.call).body["observed"] == "recording", 5, "that is saved")
    entries = stack.auditor.entries(placed.call)
    assert [one["detail"].get("holder", "api:crm") for one in entries if one["type"] == "hold.expired"] == ["api:crm"]
    assert entries[-1]["type"] == "command.confirmed"


def test_worker_finishes_what_a_killed_web_process_began(stack: Stack, twilio: SimulatorClient) -> None:
    """Killed between the claim and the outcome, while Twilio takes its time. No second command meets the first."""
    placed = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    twilio.clear_requests()
    slow = twilio.add_fault("delay", on="pause", call=placed.call, seconds=2.5)
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(stack.api.pause, placed.call)
        until(lambda: twilio.requests(call=placed.call, kind="pause"), 10, "the command is on its way")
        kill_the_web_workers(stack)
        with pytest.raises((OSError, http.client.HTTPException)):
            asked.result()
    twilio.remove_fault(slow)
    until(lambda: is_safe(stack.api, placed.call), CONVERGED_SECONDS, "the worker finished it")
    assert live_states(twilio, placed.call) == ["paused"]
    assert twilio.counters()["overlaps"] == 0
    assert "command.abandoned" in {one["type"] for one in stack.auditor.entries(placed.call)}
    assert stack.api.resume(placed.call).status == 200


def kill_the_web_workers(stack: Stack) -> None:
    killed = stack.web.children()
    assert len(killed) == int(stack.environment["WEB_CONCURRENCY"])
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: set(stack.web.children()).isdisjoint(killed), 10, "the killed ones are gone")


def is_safe(api: Api, call: str) -> bool:
    """Also while the master is still making new workers."""
    try:
        return bool(api.call(call).body["safe_to_take_card"])
    except (OSError, http.client.HTTPException):
        return False

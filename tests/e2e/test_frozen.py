"""A web process that is frozen or killed in the middle of its command. The worker takes over when the claim runs out;
what the old process does after that changes nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from bot.call import observed
from tests.conftest import ALICE, DATABASES
from tests.e2e.api import Answer, Json
from tests.e2e.network import CLAIM_SECONDS, Network
from tests.e2e.processes import until
from tests.e2e.test_network import state_at_twilio

pytestmark = pytest.mark.parametrize("network", DATABASES, indirect=True)

SOON_SECONDS = 20.0
TAKEN_OVER_SECONDS = 1.0
BUSY_SECONDS = 10.0
"""What a busy machine may add to what else takes about `TAKEN_OVER_SECONDS`."""


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def frozen() -> Iterator[list[int]]:
    """The ids of stopped processes: whatever happens in the test, they go on after it."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def placed(network: Network) -> str:
    call = network.stack.twilio.place_call(agent=ALICE.contact).call
    network.stack.twilio.settle()
    return call


def claiming_web_process(network: Network, call: str) -> int:
    """The id of the web process that has the call's claim; 0 if none has."""
    claim = network.call(call).claim
    pid = int(claim.node.rsplit("-", 1)[1]) if claim else 0
    return pid if pid in network.stack.web.children() else 0


def freeze(pid: int) -> None:
    """Stop every thread of it, and wait until that is so."""
    os.kill(pid, signal.SIGSTOP)

    def is_stopped() -> bool:
        tasks = Path(f"/proc/{pid}/task").glob("*/stat")
        return all(task.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T" for task in tasks)

    until(is_stopped, SOON_SECONDS, "the process is stopped")


def is_safe(network: Network, call: str) -> bool:
    return bool(network.stack.api.call(call).body["safe_to_take_card"])


def entries(network: Network, call: str, type_: str) -> list[Json]:
    return [one for one in network.stack.auditor.entries(call) if one["type"] == type_]


def commands_passed(network: Network, call: str) -> list[str]:
    """What the web processes' way to Twilio let through."""
    return [line for line in network.web.passed if line.startswith("POST") and call in line]


def test_frozen_before_its_command_never_sends_it(
    network: Network, beside: ThreadPoolExecutor, frozen: list[int]
) -> None:
    """Stopped before or while it connects, with the claim just taken; it goes on when another has long finished."""
    call = placed(network)
    network.web.stall()
    asked: Future[Answer] = beside.submit(network.stack.api.pause, call)

    def is_frozen() -> bool:
        before, pid = network.call(call).claim, claiming_web_process(network, call)
        if not pid or not network.web.knocking():  # the command or a list beside it
            return False
        frozen.append(pid)
        freeze(pid)
        if network.call(call).claim == before and network.web.knocking():
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    until(is_frozen, SOON_SECONDS, "a web process is stopped between claim and command")
    network.web.clear()
    until(lambda: network.web.knocking() == 0, SOON_SECONDS, "its connections stand")
    until(lambda: is_safe(network, call), SOON_SECONDS, "the worker took over")
    assert commands_passed(network, call) == []
    os.kill(frozen[-1], signal.SIGCONT)
    assert asked.result().is_safe
    assert commands_passed(network, call) == []
    assert (is_safe(network, call), state_at_twilio(network, call)) == (True, ["paused"])
    assert len(entries(network, call, "command.abandoned")) == 1
    assert network.stack.twilio.counters()["overlaps"] == 0


def test_frozen_after_its_command_does_no_harm_when_that_arrives(
    network: Network, beside: ThreadPoolExecutor, frozen: list[int]
) -> None:
    """The worst one: a resume that arrives when the call is paused again. That pause is not called safe before nothing
    can arrive any more, and is sent once more then.
    """
    call = placed(network)
    assert network.stack.api.pause(call).is_safe
    network.web.fault("hold", about=call)
    asked: Future[Answer] = beside.submit(network.stack.api.resume, call)
    until(lambda: network.web.held, SOON_SECONDS, "the resume is on its way")
    frozen.append(claiming_web_process(network, call))
    freeze(frozen[-1])
    network.web.clear(keep_held=True)
    until(lambda: observed(network.call(call)) == "recording", SOON_SECONDS, "the worker took over")
    again = network.stack.api.pause(call)
    assert (again.status, again.body["code"], state_at_twilio(network, call)) == (504, "late-resume", ["paused"])
    assert commands_passed(network, call)[1:] == commands_passed(network, call)[:1]
    network.web.clear()
    until(lambda: state_at_twilio(network, call) == ["in-progress"], SOON_SECONDS, "the old resume arrives")
    until(lambda: is_safe(network, call), SOON_SECONDS, "it is safe")
    assert state_at_twilio(network, call) == ["paused"]
    os.kill(frozen[-1], signal.SIGCONT)
    assert asked.result().status != 200
    assert (is_safe(network, call), state_at_twilio(network, call)) == (True, ["paused"])
    assert len(entries(network, call, "command.abandoned")) == 1
    assert network.stack.twilio.counters()["overlaps"] == 0


def test_killed_in_its_command_is_made_up_for_within_the_claims_time(
    network: Network, beside: ThreadPoolExecutor
) -> None:
    call = placed(network)
    network.web.fault("hold", about=call)
    asked: Future[Answer] = beside.submit(network.stack.api.pause, call)
    until(lambda: network.web.held, SOON_SECONDS, "the pause is on its way")
    pid = claiming_web_process(network, call)
    os.kill(pid, signal.SIGKILL)
    assert isinstance(asked.exception(), OSError)
    until(lambda: pid not in network.stack.web.children(), SOON_SECONDS, "it is gone")
    until(lambda: is_safe(network, call), SOON_SECONDS, "the worker took over")
    sent, abandoned = entries(network, call, "command.sent")[0], entries(network, call, "command.abandoned")
    assert [(one["cause"], f"-{pid} " in one["reason"]) for one in abandoned] == [(sent["id"], True)]
    after = (datetime.fromisoformat(abandoned[0]["at"]) - datetime.fromisoformat(sent["at"])).total_seconds()
    assert CLAIM_SECONDS - 1 < after < CLAIM_SECONDS + TAKEN_OVER_SECONDS + BUSY_SECONDS
    assert state_at_twilio(network, call) == ["paused"]
    assert network.stack.twilio.counters()["overlaps"] == 0

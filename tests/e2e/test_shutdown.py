"""SIGTERM in the middle of a command: what was begun is finished and saved, nothing more is begun, no claim is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from bot.call import desired, observed
from bot.simulator.client import PlacedCall, SimulatorClient
from tests.conftest import ALICE, DATABASES
from tests.e2e.api import Api
from tests.e2e.network import Network
from tests.e2e.processes import HOST, Running, free_port, running, until
from tests.e2e.stack import BASE_URL, procfile
from tests.support.proxy import Proxy, running_proxy

pytestmark = pytest.mark.parametrize("network", DATABASES, indirect=True)

GRACEFUL_SECONDS = 20.0
"""What gunicorn gives its workers, and a platform at least gives us."""
SOON_SECONDS = 20.0
LIMITS = {"TWILIO_TIMEOUT_SECONDS": "6"}
"""A generous one, so that a busy machine does not turn a held command into an unanswered one."""


@pytest.fixture
def twilio(network: Network) -> SimulatorClient:
    return network.stack.twilio


@pytest.fixture
def no_worker(network: Network) -> Iterator[None]:
    """Nobody else does the work; afterwards there is a worker again."""
    stack = network.stack
    stack.worker.end()
    yield
    stack.worker = stack.start("worker")


@dataclass(frozen=True)
class Another:
    """One more process of the Procfile on the same database, as on another host, with its own way to Twilio."""

    running: Running
    way: Proxy
    api: Api

    def holds(self, call: str) -> None:
        """Waits until its command is on the way to Twilio, and is kept there."""
        until(lambda: any("POST" in line and call in line for line in self.way.held), SOON_SECONDS, "its command")

    def ends(self, beginning: str) -> int:
        """Asked to end, its exit code. Its command is answered once its log says that the end has begun."""
        began = time.monotonic()
        self.running.process.terminate()
        until(lambda: beginning in self.running.output(), SOON_SECONDS, "it begins to end")
        self.way.clear()
        code = self.running.process.wait(GRACEFUL_SECONDS)
        assert time.monotonic() - began < GRACEFUL_SECONDS
        return code


@contextmanager
def another(network: Network, name: str, **environment: str) -> Iterator[Another]:
    stack = network.stack
    log = stack.folder / f"another-{name}-{free_port()}.log"
    with running_proxy(stack.environment[BASE_URL]) as proxy:
        all_of_it = stack.environment | LIMITS | {BASE_URL: proxy.url} | environment
        with running(procfile(name), all_of_it, log) as process:
            yield Another(process, proxy, Api(all_of_it["PUBLIC_BASE_URL"], stack.api.key))


@contextmanager
def another_web(network: Network) -> Iterator[Another]:
    port = free_port()
    url = f"http://{HOST}:{port}"
    more = {"PORT": str(port), "PUBLIC_BASE_URL": url, "WEB_CONCURRENCY": "1"}
    with another(network, "web", **more) as web:
        until(lambda: answers(web.api), SOON_SECONDS, "the other web process")
        yield web


def answers(api: Api) -> bool:
    try:
        return api.send("GET", "/calls").status == 200
    except OSError:
        return False


def placed(network: Network, recordings: int = 1) -> PlacedCall:
    call = network.stack.twilio.place_call(agent=ALICE.contact, recordings=recordings)
    network.stack.twilio.settle()
    return call


def commands(network: Network, call: str) -> list[str]:
    return [one["type"] for one in network.stack.auditor.entries(call) if one["type"].startswith("command.")]


@pytest.mark.usefixtures("no_worker")
def test_web_process_answers_the_request_in_flight(network: Network) -> None:
    call = placed(network).call
    with another_web(network) as web, ThreadPoolExecutor(1) as thread:
        web.way.fault("hold", about=f"{call}/Recordings/Twilio.CURRENT")
        asked = thread.submit(web.api.pause, call)
        web.holds(call)
        code = web.ends("Handling signal: term")
        assert (asked.result().is_safe, code) == (True, 0)
    assert network.call(call).claim is None
    assert commands(network, call) == ["command.sent", "command.confirmed"]
    assert network.stack.api.call(call).body["safe_to_take_card"] is True


@pytest.mark.usefixtures("no_worker")
def test_web_process_finishes_what_a_webhook_began_and_begins_no_more(
    network: Network, twilio: SimulatorClient
) -> None:
    """Two recordings start on a paused call. The command for the first is in flight when the end comes; the second is
    left to the worker, without a claim that would have to run out first.
    """
    call = placed(network).call
    assert network.stack.api.pause(call).is_safe
    usual = twilio.settings()["webhook_base"]
    twilio.clear_requests()
    with another_web(network) as web:
        web.way.fault("hold", about=f"{call}/Recordings/RE")
        try:
            twilio.set(webhook_base=web.api.url)
            for _ in range(2):
                twilio.start_recording(call)
            twilio.settle()
            web.holds(call)
            assert web.ends("Worker exiting") == 0
        finally:
            twilio.set(webhook_base=usual)
    left = network.call(call)
    assert (desired(left), left.claim) == ("paused", None)
    assert commands(network, call)[2:] == ["command.sent", "command.confirmed"]
    assert len(twilio.requests(call=call, kind="pause")) == 1


@pytest.mark.usefixtures("no_worker")
def test_worker_finishes_its_command_and_begins_no_more(network: Network, twilio: SimulatorClient) -> None:
    """A hold runs out; the first of two recordings is being resumed when the end comes."""
    call = placed(network, recordings=2).call
    assert network.stack.api.pause(call, max_seconds=1).is_safe
    twilio.clear_requests()
    with another(network, "worker") as worker:
        worker.way.fault("hold", about=f"{call}/Recordings/RE")
        worker.holds(call)
        assert worker.ends("worker.stopping") == 0
    left = network.call(call)
    assert (desired(left), observed(left), left.claim) == ("recording", "recording", None)
    assert commands(network, call)[-2:] == ["command.sent", "command.confirmed"]
    assert len(twilio.requests(call=call, kind="resume")) == 1
    with another(network, "worker"):
        until(
            lambda: {one["state"] for one in twilio.call(call)["recordings"]} == {"in-progress"},
            SOON_SECONDS,
            "another worker resumes the second",
        )

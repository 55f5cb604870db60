"""One simulator and one receiver of callbacks for all of these tests; an empty world for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.simulator.client import SimulatorClient
from tests.simulator.process import Simulator, running
from tests.simulator.receiver import Receiver, receiving
from tests.simulator.rest_client import Rest


@pytest.fixture(scope="session")
def shared_receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def simulator(shared_receiver: Receiver) -> Iterator[Simulator]:
    with running(shared_receiver.url) as one:
        yield one


@pytest.fixture
def sim(simulator: Simulator, shared_receiver: Receiver) -> SimulatorClient:
    """The control API over an empty world, whose callbacks nobody misses when the test ends."""
    simulator.client.reset()
    simulator.client.set(webhook_base=shared_receiver.url)
    shared_receiver.clear()
    return simulator.client


@pytest.fixture
def receiver(sim: SimulatorClient, shared_receiver: Receiver) -> Receiver:
    assert sim.settings()["webhook_base"] == shared_receiver.url
    return shared_receiver


@pytest.fixture
def rest(sim: SimulatorClient, simulator: Simulator) -> Rest:
    assert not sim.faults()
    return Rest(simulator.url)

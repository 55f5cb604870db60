"""One stack on each database for all of these tests, quiet again before each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from bot.simulator.client import SimulatorClient, SimulatorRefused
from tests.conftest import DATABASES
from tests.e2e.stack import Stack, running_stack
from tests.support.postgres import Server


@pytest.fixture(scope="session", params=DATABASES)
def any_stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp(f"stack-{request.param}")
    if request.param == "sqlite":
        with running_stack(folder, f"sqlite:///{folder / 'bot.sqlite3'}") as stack:
            yield stack
        return
    server: Server = request.getfixturevalue("postgres")
    url = server.new_database()
    with running_stack(folder, url) as stack:
        yield stack
    server.drop(url)


@pytest.fixture
def stack(any_stack: Stack) -> Iterator[Stack]:
    """The stack without faults; every call that a test placed is hung up after it."""
    any_stack.twilio.clear_faults()
    yield any_stack
    quiet(any_stack.twilio)


@pytest.fixture
def twilio(stack: Stack) -> SimulatorClient:
    return stack.twilio


def quiet(twilio: SimulatorClient) -> None:
    """No faults, no calls: nothing is left over that would keep the bot busy."""
    twilio.clear_faults()
    twilio.set(repeat="ok", callbacks="send")
    for call in twilio.state()["calls"]:
        with suppress(SimulatorRefused):
            twilio.hang_up(call["sid"])
    twilio.settle()

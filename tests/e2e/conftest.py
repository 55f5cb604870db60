"""One stack on each database for all of these tests, quiet again after each of them; and the browser's desk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, StorageState

from bot.simulator.client import SimulatorClient, SimulatorRefused
from tests.e2e.agent_page import Desk
from tests.e2e.network import Network, running_network
from tests.e2e.stack import Stack, running_stack
from tests.support.postgres import Server

TIMEOUT_SECONDS = 180
"""For one of these tests, the start of its stack included; the general limit is made for tests without processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def sqlite_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("sqlite-stack")
    with running_stack(folder, f"sqlite:///{folder / 'bot.sqlite3'}") as stack:
        yield stack


@pytest.fixture(scope="session")
def postgresql_stack(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    url = postgres.new_database()
    with running_stack(tmp_path_factory.mktemp("postgresql-stack"), url) as stack:
        yield stack
    postgres.drop(url)


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack on SQLite, or on the database that the test asks for; every call that a test placed ends with it."""
    found: Stack = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_stack")
    yield found
    _quiet(found.twilio)


@pytest.fixture
def twilio(stack: Stack) -> SimulatorClient:
    return stack.twilio


def _quiet(twilio: SimulatorClient) -> None:
    """No faults and no calls: nothing is left over that would keep the bot busy."""
    twilio.clear_faults()
    twilio.thaw()
    twilio.set(repeat="ok", callbacks="send", connector="ok", tempo=1)
    for call in twilio.state()["calls"]:
        with suppress(SimulatorRefused):
            twilio.hang_up(call["sid"])
    twilio.settle()


@pytest.fixture(scope="session")
def kept_sessions() -> dict[str, StorageState]:
    return {}


@pytest.fixture
def desk(new_context: Callable[..., BrowserContext], stack: Stack, kept_sessions: dict[str, StorageState]) -> Desk:
    return Desk(new_context, stack, kept_sessions)


@pytest.fixture
def tidy_desk(desk: Desk) -> Iterator[Desk]:
    """A desk at whose windows nothing went wrong: no script failed, nothing was refused by the content policy."""
    yield desk
    assert [problem for window in desk.windows for problem in window.problems] == []


@pytest.fixture(scope="session")
def sqlite_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("sqlite-network")
    with running_network(folder, f"sqlite:///{folder / 'bot.sqlite3'}") as network:
        yield network


@pytest.fixture(scope="session")
def postgresql_network(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    url = postgres.new_database()
    with running_network(tmp_path_factory.mktemp("postgresql-network"), url) as network:
        yield network
    postgres.drop(url)


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """The stack behind proxies, on SQLite or the database that the test asks for; quiet again after each test."""
    found: Network = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_network")
    found.stack.twilio.clear_requests()
    yield found
    found.clear()
    _quiet(found.stack.twilio)

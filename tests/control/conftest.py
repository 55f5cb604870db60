from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.storage.engine import Database
from tests.conftest import Person
from tests.control.bench import Bench, Node


@pytest.fixture
def bench(settings: Settings, twilio: SimulatorClient, database: Database, cast: tuple[Person, ...]) -> Iterator[Bench]:
    """A database with the cast in it, and the simulated Twilio."""
    assert str(database.engine.url.database) in settings.database_url
    assert cast
    bench = Bench(settings, twilio)
    yield bench
    bench.close()


@pytest.fixture
def node(bench: Bench) -> Node:
    """The first process."""
    return bench.node()

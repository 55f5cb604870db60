"""A stack whose way to Twilio leads through two proxies: one for the web processes, one for the worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.call import Call
from bot.storage import calls
from bot.storage.engine import Database
from tests.e2e.stack import Stack, running_stack
from tests.support.proxy import Kind, Proxy, running_proxy

TIMEOUT_SECONDS = 2.0
CLAIM_SECONDS = TIMEOUT_SECONDS + 2.0
LATE_SECONDS = 3.0


@dataclass
class Network:
    """The stack, its two ways to Twilio, and its database, to be read beside it."""

    stack: Stack
    web: Proxy
    worker: Proxy
    database: Database

    @property
    def proxies(self) -> tuple[Proxy, Proxy]:
        return self.web, self.worker

    def fault(self, kind: Kind, about: str, seconds: float = 0.0) -> None:
        """On both ways."""
        for proxy in self.proxies:
            proxy.fault(kind, about, seconds)

    def clear(self) -> None:
        for proxy in self.proxies:
            proxy.clear()

    def call(self, sid: str) -> Call:
        """As the database has it."""
        with self.database.read() as connection:
            found = calls.find(connection, sid)
        assert found is not None
        return found


@contextmanager
def running_network(folder: Path, database_url: str) -> Iterator[Network]:
    """With short time limits, so that what runs out does so while one can wait for it."""
    with ExitStack() as parts:
        proxies: dict[str, Proxy] = {}

        def way(name: str, simulator_url: str) -> str:
            proxies[name] = parts.enter_context(running_proxy(simulator_url))
            return proxies[name].url

        limits = {"TWILIO_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS), "TWILIO_LATE_SECONDS": str(LATE_SECONDS)}
        stack = parts.enter_context(running_stack(folder, database_url, way, **limits))
        database = Database(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
        parts.callback(database.close)
        yield Network(stack, proxies["web"], proxies["worker"], database)

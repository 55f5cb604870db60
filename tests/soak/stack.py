"""The bot as the Procfile starts it, with two workers, beside a simulated Twilio; a key for each client."""

from __future__ import annotations

import http.client
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.simulator.client import SimulatorClient
from bot.storage import api_keys
from bot.storage.engine import Database
from tests.e2e.api import Api
from tests.e2e.processes import HOST, ROOT, free_port, until
from tests.e2e.stack import COMMAND_SECONDS, READY_SECONDS, environment_of, procfile
from tests.simulator.process import running as running_simulator
from tests.soak.keeper import Keeper

WORKERS = ("worker-1", "worker-2")
LIMITS = {
    "TWILIO_TIMEOUT_SECONDS": "1",
    "TWILIO_LATE_SECONDS": "5",
    "WEB_THREADS": "64",
    "AUDIT_CHECKPOINT_SECONDS": "2",
}
"""Short, so that more happens in the same time."""


@dataclass(frozen=True)
class SoakStack:
    """A running bot. `clients` are the API for each client, whose holder is `api:` and its key's name."""

    twilio: SimulatorClient
    environment: dict[str, str]
    keeper: Keeper
    clients: dict[str, Api]
    auditor: Api

    def bot(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`bot …` as an operator types it."""
        return _bot(self.environment, *arguments)


@contextmanager
def running_stack(folder: Path, database_url: str, clients: int) -> Iterator[SoakStack]:
    """The whole of it for as long as the block runs."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    with ExitStack() as open_parts:
        simulator = open_parts.enter_context(running_simulator(url))
        simulator.client.set(callback_retry_5xx=True)
        environment = environment_of(folder, database_url, port, simulator.url) | LIMITS
        made = _bot(environment, "init-db")
        assert made.returncode == 0, made.stderr
        names = [f"client-{number}" for number in range(1, clients + 1)]
        keys = _keys(database_url, dict.fromkeys(names, "pause,read") | {"auditor": "read,review"})
        commands = {"web": procfile("web")} | dict.fromkeys(WORKERS, procfile("worker"))
        keeper = open_parts.enter_context(Keeper(commands, environment, folder))
        apis = {name: Api(url, keys[name]) for name in names}
        until(lambda: _is_ready(port), READY_SECONDS, "the web process and a worker")
        yield SoakStack(simulator.client, environment, keeper, apis, Api(url, keys["auditor"]))


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return b'"worker":"ok"' in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _keys(database_url: str, scopes: Mapping[str, str]) -> dict[str, str]:
    """A new key for each name, in one transaction."""
    keys = {name: secrets.token_urlsafe(32) for name in scopes}

    def change(transaction: Transaction) -> None:
        for name, key in keys.items():
            api_keys.add(transaction, name, key, tuple(scopes[name].split(",")))
            transaction.append(Draft(type="api_key.created", actor="soak", detail={"key": name}))

    database = Database(database_url)
    try:
        Journal(database, "soak").write(change)
    finally:
        database.close()
    return keys


def _bot(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bot", *arguments],
        cwd=ROOT,
        env=environment | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )

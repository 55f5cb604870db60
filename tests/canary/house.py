"""The bot as the Procfile starts it, all that its processes write in one folder: database, output, temporary files, and
the folder they run in.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from bot.audit.journal import Journal, Transaction
from bot.audit.keys import create_signing_key, public_vkey
from bot.audit.signing import write_vkey
from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.storage import users
from bot.storage.engine import Database
from bot.storage.users import Role
from tests.conftest import Person
from tests.e2e.processes import HOST, ROOT, Running, free_port, start, until
from tests.e2e.stack import READY_SECONDS, environment_of, is_ready, procfile
from tests.simulator.process import running as running_simulator
from tests.web.conftest import bench_of, document, prepare

ADA = Person("ada", Role.ADMIN)
TAKEN_OVER = Person("mia", Role.AGENT, "client:mia")
"""Whose password becomes a card."""

SECRET = "whsec_" + base64.b64encode(b"canary" * 5).decode()
LIMITS = {
    "TRUSTED_PROXIES": "1",
    "PAYMENT_CONNECTOR": "Default",
    "PAYMENT_RESULT_SECRET": SECRET,
    "TWILIO_TIMEOUT_SECONDS": "1",
    "TWILIO_LATE_SECONDS": "1",
    "AUDIT_CHECKPOINT_SECONDS": "1",
    "WEB_THREADS": "64",
    "REDIRECT_HOSTS": "flows.example.org",
}


@dataclass
class House:
    """A running bot. Its folder has all that it writes, but for a PostgreSQL server's own files."""

    url: str
    folder: Path
    environment: Mapping[str, str]
    twilio: SimulatorClient
    web: Running
    worker: Running

    @property
    def pids(self) -> tuple[int, ...]:
        return (self.web.pid, *self.web.children(), self.worker.pid, *self.worker.children())

    def is_ready(self) -> bool:
        return is_ready(self.url, self.web, self.worker)

    def kill_web(self) -> None:
        """As a machine that loses its power, and up again."""
        self.web.signal_all(9)
        self.web.process.wait()
        self.web = start(*_web(self.environment, self.folder))
        until(self.is_ready, READY_SECONDS, "the web process after its death")

    def end(self) -> None:
        self.web.end()
        self.worker.end()


@contextmanager
def running_house(folder: Path, database_url: str, password: str, result_url: str) -> Iterator[House]:
    port = free_port()
    url = f"http://{HOST}:{port}"
    for name in ("tmp", "cwd"):
        (folder / name).mkdir()
    with ExitStack() as parts:
        simulator = parts.enter_context(running_simulator(url))
        environment = environment_of(folder, database_url, port, simulator.url) | LIMITS
        environment |= {"PAYMENT_RESULT_URL": result_url, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT)}
        _furnish(folder, database_url, password, environment["AUDIT_ORIGIN"])
        web = start(*_web(environment, folder))
        worker = start(procfile("worker"), environment, folder / "worker.log", folder / "cwd")
        house = House(url, folder, environment, simulator.client, web, worker)
        parts.callback(house.end)
        until(house.is_ready, READY_SECONDS, "the web process and the worker")
        yield house


def _web(environment: Mapping[str, str], folder: Path) -> tuple[list[str], Mapping[str, str], Path, Path]:
    """The Procfile's line, from a folder of the test's own."""
    command = [str(ROOT / word) if word.startswith("bot/") else word for word in procfile("web")]
    return command, environment, folder / "web.log", folder / "cwd"


def _furnish(folder: Path, database_url: str, password: str, origin: str) -> None:
    """What `bot init-db` and the other commands do, without a process for each."""
    key_file = folder / "signing-key.pem"
    write_vkey(Path(f"{key_file}.vkey"), public_vkey(origin, create_signing_key(key_file)))
    prepare(database_url, password)

    def fill(transaction: Transaction) -> None:
        for person in (ADA, TAKEN_OVER):
            users.add(transaction, person.name, person.role, password, is_temporary=False)

    database = Database(database_url)
    Journal(database, "preparing").write(fill)
    database.close()


@contextmanager
def application_of(house: House, database_url: str) -> Iterator[Flask]:
    """The same application in this process, to ask it for its routes."""
    names = {name.lower(): value for name, value in house.environment.items() if name.lower() in Settings.model_fields}
    settings = Settings.read(_env_file=None, **(names | {"database_url": database_url}))
    with bench_of(settings, house.twilio, document()) as bench:
        yield bench.app

"""What all tests share: both databases, the simulated Twilio as a real process, the cast, and the browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.audit.journal import Journal, Transaction
from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.storage import migrate, users
from bot.storage.engine import Database
from bot.storage.users import Role
from bot.web.passwords import hash_password
from tests.simulator.process import ACCOUNT, TOKEN, Simulator, running
from tests.support.chromium import browser_launch_args
from tests.support.postgres import Server, postgres_server

DATABASES = ("sqlite", "postgresql")
TWILIO_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class Person:
    """One of the cast. All of them have the same password; `contact` is how Twilio names them on a leg."""

    name: str
    role: Role
    contact: str | None = None
    password: str = "a long enough passw0rd"


ALICE = Person("alice", Role.AGENT, "client:alice")
BOB = Person("bob", Role.AGENT, "client:bob")
CAROL = Person("carol", Role.REVIEWER)
SAM = Person("sam", Role.SUPERVISOR)
MALLORY = Person("mallory", Role.AGENT, "client:mallory")
"""An agent who is let in, but has no business with anybody's call."""
CAST = (ALICE, BOB, CAROL, SAM, MALLORY)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The PostgreSQL server of this run. Who stops it uses one of its own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[Simulator]:
    with running() as one:
        yield one


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Simulator:
    """The simulated Twilio with an empty world. It keeps its callbacks until a test delivers them."""
    shared_simulator.client.reset()
    shared_simulator.client.set(callbacks="hold")
    return shared_simulator


@pytest.fixture
def twilio(simulator: Simulator) -> SimulatorClient:
    """The control API of the simulated Twilio."""
    return simulator.client


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new, empty database on each of the two engines."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bot.sqlite3'}"
        return
    server: Server = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same with its tables."""
    database = Database(database_url)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database, "test-node")


@pytest.fixture(scope="session")
def password_hash() -> str:
    """Of the cast's password; made once, because it is made to be slow."""
    return hash_password(ALICE.password)


@pytest.fixture
def cast(journal: Journal, password_hash: str) -> tuple[Person, ...]:
    """Everybody, as users of this database."""

    def add_all(transaction: Transaction) -> None:
        for person in CAST:
            users.add(transaction, person.name, person.role, password_hash, is_temporary=False)
            if person.contact:
                users.set_contacts(transaction, person.name, (person.contact,))

    journal.write(add_all)
    return CAST


@pytest.fixture
def settings(simulator: Simulator, database_url: str, tmp_path: Path) -> Settings:
    """Settings that point at the simulated Twilio and this test's database."""
    return Settings.read(
        _env_file=None,
        secret_key="a secret of the tests",
        public_base_url="http://127.0.0.1:8000",
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=TOKEN,
        twilio_api_base_url=simulator.url,
        twilio_timeout_seconds=TWILIO_TIMEOUT_SECONDS,
        audit_origin="example.org/log",
        audit_signing_key_file=tmp_path / "signing-key.pem",
        database_url=database_url,
    )


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return browser_launch_args(browser_type_launch_args)

"""The real application over a real database, with the simulated Twilio as a process behind it.

A prepared database (tables, cast, API keys) is made once and copied, because migrating takes longer than most tests.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from openapi_core import Config, OpenAPI

import bot.web
from bot.app import create_app
from bot.audit.journal import Journal, Transaction
from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.storage import api_keys, migrate, users
from bot.storage.engine import Database
from bot.web.services import Services
from tests.conftest import ALICE, CAST
from tests.simulator.process import ACCOUNT, TOKEN, Simulator
from tests.support.postgres import Server
from tests.web.bench import KEYS, PUBLIC, Bench

DOCUMENT = Path(bot.web.__file__).parent / "openapi.json"
DATABASE_FILE = "bot.sqlite3"


@pytest.fixture(scope="session")
def web_document() -> OpenAPI:
    return document()


def document() -> OpenAPI:
    config = Config(extra_media_type_deserializers={"application/problem+json": json.loads})
    return OpenAPI.from_dict(json.loads(DOCUMENT.read_text(encoding="utf-8")), config=config)


@pytest.fixture(scope="session")
def web_password() -> str:
    return password()


def password() -> str:
    """The cast's password, hashed with argon2 at its cheapest: a test signs in often."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(ALICE.password)


@pytest.fixture(scope="session")
def web_template(tmp_path_factory: pytest.TempPathFactory, web_password: str) -> Path:
    path = tmp_path_factory.mktemp("prepared") / DATABASE_FILE
    prepare(f"sqlite:///{path}", web_password)
    return path


@pytest.fixture(scope="session")
def web_postgresql(postgres: Server, web_password: str) -> str:
    """One prepared PostgreSQL database for all tests that want one: they keep to their own calls."""
    url = postgres.new_database()
    prepare(url, web_password)
    return url


def prepare(url: str, password: str) -> None:
    database = Database(url)
    migrate.upgrade(database)

    def fill(transaction: Transaction) -> None:
        for person in CAST:
            users.add(transaction, person.name, person.role, password, is_temporary=False)
            if person.contact:
                users.set_contacts(transaction, person.name, (person.contact,))
        for name, (key, scopes) in KEYS.items():
            api_keys.add(transaction, name, key, scopes)

    Journal(database, "preparing").write(fill)
    database.close()


@pytest.fixture
def web_url(request: pytest.FixtureRequest, tmp_path: Path, web_template: Path) -> str:
    """A prepared SQLite file of the test's own, or (by parameter) the PostgreSQL database."""
    if getattr(request, "param", "sqlite") == "postgresql":
        url: str = request.getfixturevalue("web_postgresql")
        return url
    path = tmp_path / DATABASE_FILE
    shutil.copy(web_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def web_settings(simulator: Simulator, web_url: str, tmp_path: Path) -> Settings:
    return settings_of(simulator.url, web_url, tmp_path)


def settings_of(twilio_url: str, database_url: str, folder: Path, **changed: Any) -> Settings:
    given: dict[str, Any] = {
        "secret_key": "a secret of the tests",
        "public_base_url": PUBLIC,
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": TOKEN,
        "twilio_api_base_url": twilio_url,
        "twilio_timeout_seconds": 3.0,
        "audit_origin": "example.org/log",
        "audit_signing_key_file": folder / "signing-key.pem",
        "database_url": database_url,
    }
    return Settings.read(_env_file=None, **(given | changed))


@contextmanager
def bench_of(settings: Settings, twilio: SimulatorClient, document: OpenAPI) -> Iterator[Bench]:
    """The application for as long as the block runs, and pytest's own logging afterwards."""
    before = logging.getLogger().handlers[:]
    app = create_app(settings)
    services: Services = app.extensions["bot"]
    try:
        yield Bench(app, services, twilio, document, settings.public_base_url)
    finally:
        services.reports.close()
        services.control.close()
        services.database.close()
        logging.getLogger().handlers[:] = before


@pytest.fixture
def web_bench(web_settings: Settings, twilio: SimulatorClient, web_document: OpenAPI) -> Iterator[Bench]:
    with bench_of(web_settings, twilio, web_document) as bench:
        yield bench


@pytest.fixture
def web_log(web_bench: Bench) -> io.StringIO:
    """What the application logs from now on."""
    assert web_bench.app.extensions["bot"] is web_bench.services
    (handler,) = (one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler)
    stream = io.StringIO()
    handler.setStream(stream)
    return stream

"""The real application on a fresh SQLite file, with Carol who reviews and Alice who does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.app import create_app
from bot.audit.journal import Transaction
from bot.settings import Settings
from bot.storage import migrate, users
from bot.storage.engine import Database
from bot.storage.users import Role
from bot.web.passwords import hash_password
from bot.web.services import Services
from tests.review.bench import BASE, PASSWORD, Bench, Browser
from tests.support.postgres import Server


@pytest.fixture(scope="session")
def review_password() -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def review_settings(tmp_path: Path) -> Settings:
    return Settings.read(
        secret_key="a secret of the tests",
        public_base_url=BASE,
        twilio_account_sid="AC" + "0" * 32,
        twilio_auth_token="t" * 32,
        twilio_api_base_url="http://127.0.0.1:9",
        audit_origin="example.org/log",
        audit_signing_key_file=tmp_path / "key.pem",
        database_url=f"sqlite:///{tmp_path / 'bot.sqlite3'}",
    )


@contextmanager
def _bench(settings: Settings, password: str) -> Iterator[Bench]:
    database = Database(settings.database_url)
    migrate.upgrade(database)
    database.close()
    app = create_app(settings)
    services: Services = app.extensions["bot"]

    def people(transaction: Transaction) -> None:
        for name, role in (("carol", Role.REVIEWER), ("alice", Role.AGENT), ("sam", Role.SUPERVISOR)):
            users.add(transaction, name, role, password, is_temporary=False)

    services.journal.write(people)
    yield Bench(app, services)
    services.control.close()
    services.database.close()


@pytest.fixture
def review_bench(review_settings: Settings, review_password: str) -> Iterator[Bench]:
    with _bench(review_settings, review_password) as bench:
        yield bench


@pytest.fixture
def review_postgresql_bench(review_settings: Settings, review_password: str, postgres: Server) -> Iterator[Bench]:
    url = postgres.new_database()
    with _bench(review_settings.model_copy(update={"database_url": url}), review_password) as bench:
        yield bench
    postgres.drop(url)


@pytest.fixture
def review_carol(review_bench: Bench) -> Browser:
    return review_bench.signed_in("carol")

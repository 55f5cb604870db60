"""The real application on a fresh SQLite file, with Carol who reviews and Alice who does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bot.app import create_app
from bot.audit.entry import Draft
from bot.audit.journal import Transaction
from bot.settings import Settings
from bot.storage import entries, migrate, users
from bot.storage.engine import Database
from bot.storage.entries import Entry, Filter
from bot.storage.users import Role
from bot.web.passwords import hash_password
from bot.web.services import Services

BASE = "http://127.0.0.1:8000"
PASSWORD = "a long enough passw0rd"
ALICES_CALL = "CA" + "a" * 32
BOBS_CALL = "CA" + "b" * 32


@dataclass(frozen=True)
class Bench:
    """The application and what a test does with it."""

    app: Flask
    services: Services

    def log(self, *drafts: Draft) -> None:
        def change(transaction: Transaction) -> None:
            for draft in drafts:
                transaction.append(draft)

        self.services.journal.write(change)

    def entries(self, wanted: Filter | None = None) -> list[Entry]:
        with self.services.database.read() as connection:
            return entries.oldest(connection, wanted or Filter(), None, 10_000)

    def signed_in(self, name: str) -> Browser:
        browser = Browser(self.app.test_client())
        reply = browser.post("/login", "/login", username=name, password=PASSWORD)
        assert reply.status_code == 303
        return browser


@dataclass(frozen=True)
class Browser:
    client: FlaskClient

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, base_url=BASE)

    def page(self, path: str) -> str:
        reply = self.get(path)
        assert reply.status_code == 200, reply.text
        return unescape(reply.text)

    def post(self, path: str, form_page: str, **fields: str) -> TestResponse:
        """Post with the token that the form on `form_page` has."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get(form_page).text)
        assert token is not None
        return self.client.post(path, base_url=BASE, data={"csrf_token": token[1], **fields})


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
        audit_origin="example.org/log",
        audit_signing_key_file=tmp_path / "key.pem",
        database_url=f"sqlite:///{tmp_path / 'bot.sqlite3'}",
    )


@pytest.fixture
def review_bench(review_settings: Settings, review_password: str) -> Iterator[Bench]:
    database = Database(review_settings.database_url)
    migrate.upgrade(database)
    database.close()
    app = create_app(review_settings)
    services: Services = app.extensions["bot"]

    def people(transaction: Transaction) -> None:
        for name, role in (("carol", Role.REVIEWER), ("alice", Role.AGENT), ("sam", Role.SUPERVISOR)):
            users.add(transaction, name, role, review_password, is_temporary=False)

    services.journal.write(people)
    yield Bench(app, services)
    services.control.close()
    services.database.close()


@pytest.fixture
def review_carol(review_bench: Bench) -> Browser:
    return review_bench.signed_in("carol")

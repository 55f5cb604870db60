"""What the tests of the review pages do with the application: write entries, read them, sign in, look at pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bot.audit.entry import Draft
from bot.audit.journal import Transaction
from bot.storage import entries
from bot.storage.entries import Entry, Filter
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

"""What the tests of the web do: call the API, browse as one of the cast, post as Twilio would, look into the log.

Every reply of the API is checked against `openapi.json` on the way: whatever a test asks, the document must hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from openapi_core import OpenAPI
from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest, WerkzeugOpenAPIResponse
from werkzeug.test import EnvironBuilder, TestResponse

from bot.simulator.client import SimulatorClient
from bot.storage import entries
from bot.storage.entries import Filter
from bot.web.services import Services
from tests.conftest import Person
from tests.simulator.process import TOKEN
from tests.web.signing import signature_of

PUBLIC = "http://127.0.0.1:8000"
KEYS = {
    "crm": ("key-of-crm-" + "1" * 32, ("pause", "read")),
    "desk": ("key-of-desk-" + "2" * 32, ("pause", "read")),
    "reader": ("key-of-reader-" + "3" * 32, ("read",)),
    "auditor": ("key-of-auditor-" + "4" * 32, ("review",)),
}
UNKNOWN_CALL = "CA" + "e" * 32
WEBHOOKS = ("call-status", "recording-status", "conference-status")
Json = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """The application, the simulated Twilio behind it, and what a test does with both."""

    app: Flask
    services: Services
    twilio: SimulatorClient
    document: OpenAPI
    public: str = PUBLIC

    def api(self, key: str = "crm") -> Api:
        """The API with the key of that name."""
        return Api(self, {"Authorization": f"Bearer {KEYS[key][0]}"})

    def visitor(self) -> Browser:
        return Browser(self.app.test_client(), self.public)

    def signed_in(self, person: Person) -> Browser:
        browser = self.visitor()
        reply = browser.sign_in(person.name, person.password)
        assert reply.status_code == 303, reply.text
        return browser

    def entries(self, **wanted: Any) -> list[Json]:
        """The log in its own order."""
        with self.services.database.read() as connection:
            return [entry.fields for entry in entries.oldest(connection, Filter(**wanted), None, 10_000)]

    def types(self, call: str) -> list[str]:
        return [str(entry["type"]) for entry in self.entries(call=call)]

    def post_webhook(self, name: str, params: Mapping[str, str]) -> TestResponse:
        """One status callback, signed as Twilio signs."""
        url = f"{self.public}/twilio/{name}"
        headers = {"X-Twilio-Signature": signature_of(TOKEN, url, params)}
        return self.app.test_client().post(url, data=dict(params), headers=headers)

    def deliver(self, call: str) -> None:
        """Everything that Twilio has to report of this call by now, in order."""
        for callback in self.twilio.callbacks(call=call):
            reply = self.post_webhook(callback["url"].split("/twilio/", 1)[1], callback["params"])
            assert reply.status_code == 204, reply.text

    def place_call(self, agent: Person | None = None, **wanted: Any) -> str:
        """A recorded call of which we were told all; its SID."""
        placed = self.twilio.place_call(agent=agent.contact if agent else None, **wanted)
        self.deliver(placed.call)
        return placed.call

    def recording_states(self, call: str) -> list[str]:
        """What the recordings of the call really do."""
        return [recording["state"] for recording in self.twilio.call(call)["recordings"]]


@dataclass(frozen=True)
class Api:
    """One client of the API. `path` is below /api/v1."""

    bench: Bench
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> TestResponse:
        return self._checked(self.raw("GET", path))

    def post(self, path: str, body: object = None) -> TestResponse:
        return self._checked(self.raw("POST", path, **({} if body is None else {"json": body})))

    def raw(self, method: str, path: str, **more: Any) -> TestResponse:
        """The same without a look at the document."""
        client = self.bench.app.test_client()
        headers = {**self.headers, **more.pop("headers", {})}
        return client.open(f"/api/v1{path}", method=method, base_url=self.bench.public, headers=headers, **more)

    def pause(self, call: str, **body: object) -> TestResponse:
        return self.post(f"/calls/{call}/pause", body or None)

    def resume(self, call: str) -> TestResponse:
        return self.post(f"/calls/{call}/resume")

    def stop(self, call: str, **body: object) -> TestResponse:
        return self.post(f"/calls/{call}/stop", body or None)

    def call(self, call: str) -> Json:
        reply = self.get(f"/calls/{call}")
        assert reply.status_code == 200, reply.text
        return json_of(reply)

    def _checked(self, reply: TestResponse) -> TestResponse:
        """The reply's status, type and body are what the document says of that path and method."""
        asked = EnvironBuilder(reply.request.path, self.bench.public, method=reply.request.method).get_request()
        self.bench.document.validate_response(WerkzeugOpenAPIRequest(asked), WerkzeugOpenAPIResponse(reply))
        return reply


def json_of(reply: TestResponse) -> Json:
    body = reply.get_json()
    assert isinstance(body, dict), reply.text
    return body


def problem_of(reply: TestResponse, status: int, code: str | None = None) -> Json:
    """The body of an RFC 9457 problem with this status and, if the reason is one of a call's, its code."""
    assert reply.status_code == status, reply.text
    assert reply.mimetype == "application/problem+json"
    body = json_of(reply)
    assert (body["type"], body["status"], body.get("code")) == ("about:blank", status, code)
    assert body["title"]
    assert body["detail"]
    return body


@dataclass(frozen=True)
class Browser:
    """A browser with its cookies; it follows no redirect by itself."""

    client: FlaskClient
    public: str = PUBLIC

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, base_url=self.public, headers=_named(headers))

    def page(self, path: str) -> Page:
        reply = self.get(path)
        assert reply.status_code == 200, reply.text
        return Page(reply.text)

    def token(self, path: str) -> str:
        """The CSRF token of the forms on that page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(path).text)
        assert found is not None
        return found[1]

    def post(self, path: str, token: str | None = None, script: bool = False, **fields: str) -> TestResponse:
        """A form; `script` as the page's own script sends it."""
        data = fields if token is None else {"csrf_token": token, **fields}
        headers = {"HX-Request": "true"} if script else {}
        return self.client.post(path, base_url=self.public, data=data, headers={"Referer": self.public, **headers})

    def press(self, call: str, button: str, script: bool = True) -> TestResponse:
        """A button on the call's own page."""
        return self.post(f"/calls/{call}/{button.lower()}", self.token(f"/calls/{call}"), script)

    def sign_in(self, name: str, password: str, next_page: str = "") -> TestResponse:
        path = f"/login?next={next_page}" if next_page else "/login"
        return self.post(path, self.token("/login"), username=name, password=password)


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class Page(HTMLParser):
    """What a page or a fragment shows: its status, its buttons, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.statuses: list[str] = []
        self.buttons: list[str] = []
        self.disabled: list[str] = []
        self.alerts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[tuple[str, list[str], list[str]]] = []
        self.feed(html)
        self.text = " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())

    @property
    def status(self) -> str:
        assert len(self.statuses) == 1, self.html
        return self.statuses[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if given.get("role") == "status":
            self._open.append((tag, self.statuses, []))
        elif given.get("role") == "alert":
            self._open.append((tag, self.alerts, []))
        elif tag == "button":
            self._open.append((tag, self.disabled if "disabled" in given else self.buttons, []))

    def handle_data(self, data: str) -> None:
        for _, _, words in self._open:
            words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            _, kept, words = self._open.pop()
            kept.append(" ".join("".join(words).split()))

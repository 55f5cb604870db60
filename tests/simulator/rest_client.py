"""Plain HTTP to the simulated REST API, one connection a request; and the real SDK pointed at it."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from tests.simulator.process import ACCOUNT, TOKEN

CURRENT = "Twilio.CURRENT"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> dict[str, Any]:
        body = json.loads(self.text)
        assert isinstance(body, dict)
        return body

    @property
    def code(self) -> int:
        """Twilio's error code; the body's other fields are checked on the way."""
        body = self.json
        assert set(body) == {"code", "message", "more_info", "status"}
        assert body["status"] == self.status
        assert body["more_info"] == f"https://www.twilio.com/docs/errors/{body['code']}"
        return int(body["code"])


class Rest:
    """Requests to one simulator, by default in the account's name."""

    def __init__(self, url: str, user: str = ACCOUNT, password: str = TOKEN) -> None:
        self.url = url
        self.basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    @staticmethod
    def where(path: str) -> str:
        return path if path.startswith("/") else f"/2010-04-01/Accounts/{ACCOUNT}/{path}"

    def send(self, method: str, path: str, form: dict[str, str] | None = None, timeout: float = 5.0) -> Reply:
        """``path`` is below the account, or absolute if it begins with a slash."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        headers = {"Authorization": self.basic, "Content-Type": "application/x-www-form-urlencoded"}
        try:
            connection.request(method, self.where(path), urlencode(form or {}) or None, headers)
            reply = connection.getresponse()
            return Reply(reply.status, dict(reply.headers), reply.read().decode())
        finally:
            connection.close()

    def get(self, path: str, **query: str | int) -> Reply:
        return self.send("GET", f"{path}?{urlencode(query)}" if query else path)

    def command(self, owner: str, status: str, target: str = CURRENT, timeout: float = 5.0, **more: str) -> Reply:
        """Set the status of a recording of a call or conference."""
        noun = "Conferences" if owner.startswith("CF") else "Calls"
        return self.send("POST", f"{noun}/{owner}/Recordings/{target}.json", {"Status": status} | more, timeout)

    def pause(self, owner: str, target: str = CURRENT, timeout: float = 5.0) -> Reply:
        return self.command(owner, "paused", target, timeout, PauseBehavior="skip")


class _ToSimulator(TwilioHttpClient):
    """The SDK's own client, with scheme and host rewritten."""

    def __init__(self, url: str) -> None:
        super().__init__(timeout=5)
        self._url = url

    def request(
        self,
        method: str,
        url: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        where = self._url + url.removeprefix("https://api.twilio.com")
        return super().request(method, where, params, data, headers, auth, timeout, allow_redirects)

    def close(self) -> None:
        if self.session is not None:
            self.session.close()


@contextmanager
def sdk(url: str) -> Iterator[Any]:
    """The real Twilio SDK, talking to the simulator. Any: its annotations name classes where it gives text."""
    http_client = _ToSimulator(url)
    try:
        yield Client(ACCOUNT, TOKEN, http_client=http_client)
    finally:
        http_client.close()

"""Requests byte by byte, so that anything can be in any part of them; and who sends them."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.conftest import Person
from tests.simulator.process import TOKEN
from tests.web.signing import body_sha256, signature_of

TIMEOUT_SECONDS = 30.0
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """`data` is all that came back: status line, header fields and body."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True)
class Request:
    """`target` is the path and the query, percent-encoded."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


def form(method: str, target: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Request:
    return Request(method, target, {"Content-Type": FORM, **(headers or {})}, urlencode(fields).encode())


def json_of(method: str, target: str, body: object, headers: Mapping[str, str] | None = None) -> Request:
    return Request(method, target, {"Content-Type": JSON, **(headers or {})}, json.dumps(body).encode())


@dataclass(frozen=True)
class Sender:
    """Somebody who knocks at the bot's doors: what they add to a request lets them in where they may go."""

    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    signs: bool = False

    def dressed(self, request: Request, url: str) -> Request:
        if not self.signs:
            return Request(
                request.method, request.target, {**request.headers, **self._with_cookies(request)}, request.body
            )
        target = request.target
        params: list[tuple[str, str]] = []
        if request.headers.get("Content-Type") == JSON:
            target += ("&" if "?" in target else "?") + f"bodySHA256={body_sha256(request.body)}"
        elif request.headers.get("Content-Type") == FORM:
            params = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        signature = signature_of(TOKEN, url + target, params)
        return Request(request.method, target, {**request.headers, "X-Twilio-Signature": signature}, request.body)

    def _with_cookies(self, request: Request) -> dict[str, str]:
        """Theirs beside those of the request."""
        cookies = [jar["Cookie"] for jar in (self.headers, request.headers) if "Cookie" in jar]
        return {**self.headers, **({"Cookie": "; ".join(cookies)} if cookies else {})}


ANYBODY = Sender("anybody")
TWILIO = Sender("twilio", signs=True)


def key_holder(name: str, key: str) -> Sender:
    return Sender(name, {"Authorization": f"Bearer {key}"})


def signed_in(url: str, person: Person, origin: str) -> Sender:
    """Their session, and the token that their pages have. Everybody comes from an address of their own."""
    page = send(url, Request("GET", "/login"))
    token, cookie = _token(page), _cookie(page)
    asked = form(
        "POST",
        "/login",
        {"csrf_token": token, "username": person.name, "password": person.password},
        {"Cookie": cookie, "X-Forwarded-For": origin},
    )
    answer = send(url, asked)
    assert answer.status == 303, answer.text
    return Sender(person.name, {"Cookie": _cookie(answer), "X-CSRFToken": token})


def send(url: str, request: Request) -> Answer:
    """One connection for each. OSError or HTTPException if nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.putrequest(
            request.method,
            request.target,
            skip_host="Host" in request.headers,
            skip_accept_encoding=True,
        )
        for name, value in request.headers.items():
            connection.putheader(name, value.encode("utf-8"))
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        reply = connection.getresponse()
        head = f"{reply.status} {reply.reason}\n{reply.headers}".encode()
        return Answer(reply.status, dict(reply.headers.items()), head + reply.read())
    finally:
        connection.close()


def send_raw(url: str, data: bytes) -> bytes:
    """Bytes as they are, and nothing after them; what comes back until the other side has had enough."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return received


def _token(page: Answer) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def _cookie(answer: Answer) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0]

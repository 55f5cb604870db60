"""Requesting TwiML: signed, within Twilio's limits, every step kept, every failure listed in the debugger."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from bot.simulator import events, twiml
from bot.simulator.errors import FlowBroken
from bot.simulator.model import Call, FlowState
from bot.simulator.signature import headers
from bot.simulator.verbs import Document, Next
from bot.simulator.world import World

_LIMIT_SECONDS = 15.0
_BODY_MAX_BYTES = 64 * 1024
_TYPES = ("text/xml", "application/xml", "text/html")


@dataclass(frozen=True, slots=True)
class _Reply:
    http: int
    type: str
    body: bytes


def fetch(world: World, call: Call, state: FlowState, wanted: Next) -> Document:
    """The document; FlowBroken if there is none that can be run, when the debugger knows of it already.

    Takes as long as the reply, at most 15 s. Called without the world's lock.
    """
    with world.lock:
        params = events.voice_request(world.account, call) | wanted.params
    step: dict[str, Any] = {"url": wanted.url, "params": params, "http": None, "twiml": "", "seconds": 0.0}
    document, problem = None, None
    try:
        document = _read(world, wanted, params, step)
    except FlowBroken as broken:
        problem = broken
    with world.lock:
        state.steps.append(step)
        known = world.calls.get(call.sid) is call
        about = {"url": wanted.url, "http": step["http"], "params": params}
        for warning in document.warnings if document and known else ():
            world.complain(call, 12200, warning, **about)
        if problem and known:
            world.complain(call, problem.code, problem.message, **about)
    if document is None:
        raise problem or FlowBroken(11200, "no document")
    return document


def tell(world: World, call: Call, state: FlowState, wanted: Next) -> None:
    """Request a document that nobody will run: the caller has gone, or it is asked for twice."""
    with suppress(FlowBroken):
        fetch(world, call, state, wanted)


def _read(world: World, wanted: Next, params: dict[str, str], step: dict[str, Any]) -> Document:
    began = time.monotonic()
    try:
        reply = _request(world, wanted, params)
    except (OSError, http.client.HTTPException) as error:
        raise FlowBroken(11200, f"HTTP retrieval failure: {type(error).__name__}") from None
    finally:
        step["seconds"] = round(time.monotonic() - began, 3)
    step |= {"http": reply.http, "twiml": reply.body.decode("utf-8", "replace")}
    if not 200 <= reply.http < 300:
        raise FlowBroken(11200, f"HTTP retrieval failure: answered with {reply.http}")
    if len(reply.body) > _BODY_MAX_BYTES:
        raise FlowBroken(11750, "TwiML response body too large")
    if reply.type not in _TYPES:
        raise FlowBroken(12300, f"Invalid Content-Type: {reply.type[:60]!r}")
    return twiml.parse(step["twiml"], wanted.url)


def _request(world: World, wanted: Next, params: dict[str, str]) -> _Reply:
    """One exchange. Redirects of HTTP are not followed."""
    url, form = wanted.url.partition("#")[0], params
    if wanted.method == "GET":
        url += ("&" if "?" in url else "?") + urlencode(params)
        form = {}
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_LIMIT_SECONDS)
    until = time.monotonic() + _LIMIT_SECONDS
    connection.connect()
    limit = threading.Timer(until - time.monotonic(), _cut, [connection.sock])
    limit.daemon = True
    limit.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with_it = headers(world.credentials.auth_token, url, form, wanted.token)
        connection.request(wanted.method, path, urlencode(form) or None, with_it)
        response = connection.getresponse()
        reply = _Reply(response.status, response.headers.get_content_type(), response.read(_BODY_MAX_BYTES + 1))
        if time.monotonic() >= until:
            raise TimeoutError
        return reply
    finally:
        limit.cancel()
        connection.close()


def _cut(connected: socket.socket) -> None:
    """End a reply that drips in for ever: each of its pieces may be in time, the whole is not."""
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)

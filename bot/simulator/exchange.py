"""The life of one REST request: noted, signed in, struck by faults, acted upon, answered."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, current_app, request
from werkzeug.datastructures import Authorization

from bot.simulator import resources, wire
from bot.simulator.errors import TwilioError, not_eligible, not_found, unauthenticated
from bot.simulator.faults import Fault
from bot.simulator.journal import Entry
from bot.simulator.world import Credentials, World

Act = Callable[[bool], tuple[int, dict[str, Any] | Response]]
"""What a request does, under the world's lock, and its answer: JSON, or a reply of another kind. True: do nothing, and
answer with a wrong status.
"""

_PAGES = {
    "500": "<!DOCTYPE html><html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>",
    "503": "<!DOCTYPE html><html><head><title>503</title></head><body><h1>Service Unavailable</h1></body></html>",
    "html-200": "<!DOCTYPE html><html><head><title>OK</title></head><body><h1>It works!</h1></body></html>",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about, as far as the log and the faults care."""

    kind: str
    account: str
    call: str | None = None
    """The call or conference in its path."""
    target: str | None = None
    status: str | None = None
    pause_behavior: str | None = None


def the_world() -> World:
    """The world of this application."""
    world = current_app.extensions["simulator"]
    if not isinstance(world, World):
        raise TypeError("the application has no world")
    return world


def run(asked: Asked, act: Act) -> Response:
    """Answer one request, with everything that may go wrong on the way."""
    world, line = the_world(), wire.of(request.environ)
    with world.lock:
        generation = world.generation
        names, key = concerned(world, asked.call)
        entry = world.journal.begin(
            kind=asked.kind,
            method=request.method,
            path=request.path,
            call=asked.call,
            target=asked.target,
            status=asked.status,
            pause_behavior=asked.pause_behavior,
            key=key,
            gone=line.client_gone,
        )
        delay, fault = world.faults.strike(asked.kind, names)
    line.on_end = lambda outcome: world.journal.end(entry, outcome)
    entry.fault = fault.kind if fault else "delay" if delay else None
    line.wait(delay + (fault.seconds if fault and fault.kind == "late" else 0.0))
    with world.lock:
        line.cut = world.generation != generation or (fault is not None and fault.kind == "reset")
        reply = Response(status=204) if line.cut else _reply(world, asked, act, entry, fault)
    if fault and fault.kind == "lost":
        line.cut = True
    if fault and fault.kind == "drip":
        line.drip = wire.Drip(fault.part, fault.seconds)
    return reply


def concerned(world: World, sid: str | None) -> tuple[frozenset[str], frozenset[str]]:
    """All SIDs that a request for this one concerns; and those by which two commands are for the same call.

    A conference of one call counts as that call; that of several calls counts by itself, as each of them may rightly
    have a command in flight.
    """
    if sid is None:
        return frozenset(), frozenset()
    if sid in world.conferences:
        conference = world.conferences[sid]
        legs = {*conference.participants, *([conference.owner] if conference.owner else [])}
        roots = {world.calls[leg].root for leg in legs}
        key = roots if len(roots) == 1 else {sid}
        return frozenset({sid, *legs, *roots}), frozenset(key)
    root = world.calls[sid].root if sid in world.calls else sid
    return frozenset({sid, root}), frozenset({root})


def _reply(world: World, asked: Asked, act: Act, entry: Entry, fault: Fault | None) -> Response:
    if fault and fault.kind in _PAGES:
        http = 200 if fault.kind == "html-200" else int(fault.kind)
        entry.reply = {"http": http, "code": None, "status": None}
        return Response(_PAGES[fault.kind], http, mimetype="text/html")
    try:
        if not _signed_in(world.credentials, request.authorization):
            raise unauthenticated()
        if asked.account != world.account:
            raise not_found(request.path)
        if fault and (refusal := _refusal(fault)):
            raise refusal
        wrong = fault is not None and fault.kind == "wrong-status"
        http, body = act(wrong)
        if request.method == "POST" and not wrong:
            entry.applied_at = time.time()
    except TwilioError as refused:
        http, body = refused.http, resources.error(refused)
    if isinstance(body, Response):
        entry.reply = {"http": http, "code": None, "status": None}
        return body
    entry.reply = {"http": http, "code": body.get("code"), "status": body.get("status") if http < 400 else None}
    response = Response(json.dumps(body), http, mimetype="application/json")
    if http == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
    return response


def _refusal(fault: Fault) -> TwilioError | None:
    if fault.kind == "21220":
        return not_eligible()
    if fault.kind == "404":
        return not_found(request.path)
    if fault.kind == "401":
        return unauthenticated()
    if fault.kind == "429":
        return TwilioError(429, 20429, "Too Many Requests")
    if fault.kind == "16114":
        return TwilioError(400, 16114, "The recording is busy: try again")
    return None


def _signed_in(known: Credentials, given: Authorization | None) -> bool:
    """Account SID with the auth token, or API key with its secret; compared in constant time."""
    if given is None or given.type != "basic":
        return False
    name, password = (given.username or "").encode(), (given.password or "").encode()
    pairs = [(known.account, known.auth_token)]
    if known.key_sid and known.key_secret:
        pairs.append((known.key_sid, known.key_secret))
    return any(
        hmac.compare_digest(name, user.encode()) and hmac.compare_digest(password, secret.encode())
        for user, secret in pairs
    )

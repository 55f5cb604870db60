"""The API for other systems: bearer keys, JSON, `problem+json`. `openapi.json` describes it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from flask import Blueprint, Response, current_app, g, jsonify, request

from bot.actors import By
from bot.audit.entry import JSON
from bot.errors import Malformed, NotAllowed, NotSignedIn, TooFast, UnknownThing, Unprocessable
from bot.results import Outcome
from bot.review import pages
from bot.scrub import scrub_card_numbers
from bot.storage import api_keys, calls, entries
from bot.storage.api_keys import ApiKey
from bot.storage.entries import Filter, is_position
from bot.telephony.webhooks import is_sid
from bot.web.errors import problem_of
from bot.web.limits import Buckets
from bot.web.proof import as_json
from bot.web.security import csrf
from bot.web.services import is_text, json_body, note, origin, services

REASON_CHARACTERS_MAX = 200
LEGS_MAX = 10
MAX_SECONDS_MAX = 86_400
PAGE_DEFAULT, PAGE_MAX = 50, 500
KEY_CHARACTERS_MAX = 200

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
csrf.exempt(blueprint)
buckets = Buckets(burst=1_000, per_second=500)


@blueprint.before_request
def authenticate() -> None:
    if request.endpoint == "api.openapi":
        return
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip() or len(key) > KEY_CHARACTERS_MAX:
        raise NotSignedIn("Send a valid API key as `Authorization: Bearer KEY`.")
    with services().database.read() as connection:
        found = api_keys.find(connection, key.strip())
    if found is None:
        if buckets.has_room(f"refused {origin()}", burst=20, per_second=1):
            note("api.refused", None, "api", outcome="failure", reason="unknown or revoked key")
        raise NotSignedIn("This API key is unknown or revoked.")
    if not buckets.has_room(found.name):
        raise TooFast
    g.api_key = found


def _key(scope: str) -> ApiKey:
    key = cast(ApiKey, g.api_key)
    if scope not in key.scopes:
        note("api.refused", key.name, "api", outcome="failure", reason=f"needs the scope {scope}")
        raise NotAllowed(f"This API key does not have the scope `{scope}`.")
    return key


@blueprint.get("/calls")
def list_calls() -> Response:
    _key("read")
    limit = _limit()
    with services().database.read() as connection:
        page = calls.page(connection, _after_call(), limit + 1)
    now = datetime.now(UTC)
    more = f"{page[limit - 1][0].isoformat()}~{page[limit - 1][1].sid}" if len(page) > limit else None
    return jsonify({"calls": [as_json(call, now) for _, call in page[:limit]], "next": more})


@blueprint.get("/calls/<sid>")
def get_call(sid: str) -> Response:
    """Asks nothing of Twilio."""
    _key("read")
    call = services().control.find(_call_sid(sid))
    if call is None:
        raise UnknownThing("This call was never seen here.")
    return jsonify(as_json(call, datetime.now(UTC)))


@blueprint.post("/calls/<sid>/pause")
def pause(sid: str) -> Response:
    """200 only when it is safe to take the card."""
    key = _key("pause")
    body = _body({"reason", "max_seconds", "conference", "legs"})
    outcome = services().control.pause(
        _call_sid(sid),
        _by(key),
        f"api:{key.name}",
        reason=_text(body, "reason"),
        max_seconds=_seconds(body),
        legs=_legs(body),
        conference=_conference(body),
    )
    return _reply(outcome)


@blueprint.post("/calls/<sid>/resume")
def resume(sid: str) -> Response:
    key = _key("pause")
    _body(set())
    return _reply(services().control.resume(_call_sid(sid), _by(key), f"api:{key.name}"))


@blueprint.post("/calls/<sid>/stop")
def stop(sid: str) -> Response:
    """Cannot be undone, so it wants `{"confirm": true}`."""
    key = _key("pause")
    if _body({"confirm"}).get("confirm") is not True:
        raise Unprocessable('Stopping a recording cannot be undone: send {"confirm": true}.')
    return _reply(services().control.stop(_call_sid(sid), _by(key)))


@blueprint.get("/entries")
def list_entries() -> Response:
    """The log in its own order. Reading it is an entry too (PCI DSS 10.2.1.3), which makes no call a known one."""
    key = _key("review")
    call, limit = request.args.get("call") or None, _limit()
    after = request.args.get("after", "")
    if after and not is_position(after):
        raise Malformed("`after` is the position of an entry.")
    if call is not None and not is_sid(call, "CA"):
        raise Malformed("`call` is a CallSid.")
    with services().database.read() as connection:
        page = entries.oldest(connection, Filter(call=call), int(after) if after else None, limit + 1)
        known = call if call is not None and pages.is_told(connection, call) else None
    asked: dict[str, JSON] = {"filter": {"call": call}} if call else {}
    note("log.read", key.name, "api", call=known, detail={**asked, "after": after or None, "limit": limit})
    found = [{"position": entry.position, **entry.fields} for entry in page[:limit]]
    return jsonify({"entries": found, "next": page[limit - 1].position if len(page) > limit else None})


@blueprint.get("/openapi.json")
def openapi() -> Response:
    return current_app.response_class(_openapi(), mimetype="application/json")


@cache
def _openapi() -> str:
    return json.dumps(json.loads((Path(__file__).parent / "openapi.json").read_text(encoding="utf-8")))


def _reply(outcome: Outcome) -> Response:
    return problem_of(outcome) if outcome.problem else jsonify(as_json(outcome.call, outcome.now))


def _by(key: ApiKey) -> By:
    return By(actor=key.name, source="api", origin=origin())


def _call_sid(sid: str) -> str:
    if not is_sid(sid, "CA"):
        raise Malformed("A CallSid is CA and 32 hexadecimal digits.")
    return sid


def _body(allowed: set[str]) -> dict[str, Any]:
    """The optional JSON object. Unknown members are refused: a misspelt limit must not pass unseen."""
    if not request.get_data(cache=True):
        return {}
    if request.mimetype != "application/json":
        raise Malformed("Send JSON with `Content-Type: application/json`, or no body.")
    body = json_body()
    if not isinstance(body, dict):
        raise Malformed("The body is not a JSON object.")
    if set(body) - allowed:
        known = ", ".join(sorted(allowed)) or "none"
        raise Unprocessable(f"The body has unknown members; known are: {known}.")
    return body


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > REASON_CHARACTERS_MAX or not is_text(value):
        raise Unprocessable(f"`{name}` is text of at most {REASON_CHARACTERS_MAX} characters.")
    return scrub_card_numbers(value)


def _seconds(body: dict[str, Any]) -> int | None:
    value = body.get("max_seconds")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Unprocessable("`max_seconds` is a whole number from 1 up; it is clamped to PAUSE_MAX_SECONDS.")
    return min(value, MAX_SECONDS_MAX)


def _legs(body: dict[str, Any]) -> tuple[str, ...]:
    value = body.get("legs")
    if value is None:
        return ()
    if (
        not isinstance(value, list)
        or len(value) > LEGS_MAX
        or not all(isinstance(leg, str) and is_sid(leg, "CA") for leg in value)
    ):
        raise Unprocessable(f"`legs` is a list of at most {LEGS_MAX} CallSids.")
    return tuple(value)


def _conference(body: dict[str, Any]) -> str | None:
    value = body.get("conference")
    if value is not None and not (isinstance(value, str) and is_sid(value, "CF")):
        raise Unprocessable("`conference` is a ConferenceSid.")
    return value


def _limit() -> int:
    value = request.args.get("limit", str(PAGE_DEFAULT))
    if not re.fullmatch(r"[0-9]{1,4}", value) or not 1 <= int(value) <= PAGE_MAX:
        raise Malformed(f"`limit` is a number from 1 to {PAGE_MAX}.")
    return int(value)


def _after_call() -> tuple[datetime, str] | None:
    value = request.args.get("after")
    if not value:
        return None
    at, _, sid = value.replace(" ", "+").partition("~")
    try:
        return datetime.fromisoformat(at).astimezone(UTC), _call_sid(sid)
    except (ValueError, OverflowError):
        raise Malformed("`after` is the `next` of an earlier page.") from None

"""Our own phone flow, from the first word to the agent: TwiML for a number that has no flow yet.

    voice ─▶ menu ─┬─▶ pay ─▶ pay/done ─▶ menu, or an agent
                   └─▶ agent ─▶ the end, or VOICE_FALLBACK, or an apology

The call is recorded from the answer on. Whatever goes wrong on our side, the caller gets words or a person, never
silence.
"""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, request
from sqlalchemy import Connection

from bot.errors import DatabaseUnavailable, Malformed
from bot.storage import calls, users
from bot.telephony import twiml, webhooks
from bot.web import menu, steps
from bot.web.menu import url_of
from bot.web.patience import in_time
from bot.web.security import csrf
from bot.web.services import services
from bot.web.webhooks import allowed, authenticate

RING_SECONDS = 25
GREETING = "Welcome. This call is recorded."
NOBODY = "We are sorry, nobody can take your call now. Please try again later. Goodbye."
AGENTS, FALLBACK = "agents", "fallback"
CONNECTED = frozenset({"completed", "answered"})

blueprint = Blueprint("flow", __name__, url_prefix="/twilio")
csrf.exempt(blueprint)
blueprint.before_request(authenticate)
log = structlog.get_logger(__name__)


@blueprint.post("/voice")
def voice() -> Response:
    """TwiML begins the recording: while this is asked the call still rings, and the REST API would refuse."""
    sid = steps.step_call()
    steps.moved_on(sid)
    recording = () if _is_recorded(sid) else (twiml.record(url_of("recording-status")),)
    return steps.answer(*recording, twiml.say(GREETING), menu.shown())


@blueprint.post("/agent")
def agent() -> Response:
    """Rings the agents; with `tried`, goes by what came of it."""
    tried = request.args.get("tried")
    if tried not in {None, AGENTS, FALLBACK}:
        raise Malformed("`tried` is not one of ours.")
    sid = steps.step_call()
    steps.moved_on(sid)
    if tried is not None and allowed(webhooks.DIAL_FIELDS).get("DialCallStatus") in CONNECTED:
        return steps.answer(twiml.hang_up)
    contacts = () if tried else _contacts(sid)
    return _ringing(contacts, AGENTS) if contacts else without_agents()


def without_agents() -> Response:
    """Whoever is there when no agent is, else an apology. It needs nothing but the settings."""
    fallback = services().settings.voice_fallback
    if fallback is not None and request.args.get("tried") != FALLBACK:
        return _ringing((users.normal_contact(fallback),), FALLBACK)
    return steps.answer(twiml.say(NOBODY), twiml.hang_up)


def _ringing(contacts: tuple[str, ...], whom: str) -> Response:
    return steps.answer(twiml.dial(contacts, url_of(f"agent?tried={whom}"), url_of("call-status"), RING_SECONDS))


def _is_recorded(sid: str) -> bool:
    """When in doubt it is not: two recordings are better than none, and a pause pauses both."""
    control = services().control
    try:
        call = in_time(steps.LOOK_SECONDS, lambda: control.find(sid))
    except DatabaseUnavailable:
        log.warning("step.without_database", step="voice", call=sid)
        return False
    return call is not None and call.live != ()


def _contacts(sid: str) -> tuple[str, ...]:
    """Of the agent to whom the call belongs, else of every agent."""
    database = services().database

    def look() -> tuple[str, ...]:
        with database.read() as connection:
            call = calls.find(connection, sid)
            own = _dialable(connection, call.agent) if call and call.agent else ()
            return own or _dialable(connection)

    try:
        return in_time(steps.LOOK_SECONDS, look)
    except DatabaseUnavailable:
        log.warning("step.without_database", step="agent", call=sid)
        return ()


def _dialable(connection: Connection, name: str | None = None) -> tuple[str, ...]:
    return tuple(filter(twiml.is_dialable, users.agents_contacts(connection, name)))

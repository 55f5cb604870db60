"""Steps of a call flow: TwiML that follows from the call's state as it is now. A step may come twice, and runs again.

The bracket around card entry in any flow that exists already (Studio, an IVR): `/twilio/pause` before it, which sends
the call to `next` only when the pause is proven, else to `failed` (invariant 3); `/twilio/resume` after it, which goes
on whatever came of it. A step is never answered with an error because of our own trouble: the call would end, and
Twilio's debugger would keep what the request held.
"""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, request

from bot.actors import By
from bot.errors import DatabaseUnavailable, Malformed
from bot.telephony import twiml, webhooks
from bot.web.security import csrf
from bot.web.services import origin, services
from bot.web.targets import is_allowed
from bot.web.webhooks import allowed, authenticate

HOLDER = "ivr"

blueprint = Blueprint("steps", __name__, url_prefix="/twilio")
csrf.exempt(blueprint)
blueprint.before_request(authenticate)
log = structlog.get_logger(__name__)


@blueprint.post("/pause")
def pause() -> Response:
    """To `next` only if it is safe to take the card."""
    next_step, failed = _target("next"), _target("failed")
    sid = webhooks.step_call(allowed(webhooks.STEP_FIELDS))
    return _go_on(next_step if _is_proven(sid) else failed)


@blueprint.post("/resume")
def resume() -> Response:
    next_step = _target("next")
    sid = webhooks.step_call(allowed(webhooks.STEP_FIELDS))
    try:
        services().control.resume(sid, _by(), HOLDER)
    except DatabaseUnavailable:
        log.warning("step.without_database", step="resume", call=sid)  # the hold ends by its time limit
    return _go_on(next_step)


def _is_proven(sid: str) -> bool:
    try:
        return services().control.pause(sid, _by(), HOLDER, reason="card").problem is None
    except DatabaseUnavailable:
        log.warning("step.without_database", step="pause", call=sid)
        return False


def _by() -> By:
    return By(actor=HOLDER, source="ivr", origin=origin())


def _target(name: str) -> str:
    url = request.args.get(name, "")
    if not is_allowed(url, services().settings.redirect_hosts):
        raise Malformed(f"`{name}` must be a path of this bot or lie on a host in REDIRECT_HOSTS.")
    return url


def _go_on(url: str) -> Response:
    return Response(twiml.redirect(url), mimetype="text/xml")

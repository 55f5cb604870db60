"""Steps of a call flow: TwiML that follows from the call's state as it is now. A step may come twice, and runs again.

For any flow that exists already (Studio, an IVR), the bracket around card entry: `/twilio/pause` before it, which sends
the call to `next` only when the pause is proven, else to `failed` (invariant 3); `/twilio/resume` after it, which goes
on whatever came of it. And `/twilio/keys`, where a `<Gather>` ends in which a caller may pause and resume by codes.

A step is never answered with an error because of our own trouble: the call would end, and Twilio's debugger would keep
what the request held. Nor does it take as long as Twilio would wait.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import structlog
from flask import Blueprint, Response, request

from bot.actors import By
from bot.call import observed
from bot.errors import OUR_TROUBLE, Malformed
from bot.telephony import keys, twiml, webhooks
from bot.telephony.keys import Choice, Code, Count, Pressed
from bot.telephony.twiml import Verb
from bot.web.patience import in_time
from bot.web.security import csrf
from bot.web.services import origin, services
from bot.web.targets import is_allowed, with_parameter
from bot.web.webhooks import allowed, authenticate

ACTOR = "ivr"
BRACKET, CODES = "ivr", "ivr:keys"
"""Whose hold it is: the bracket's, or that of the caller who pressed the code."""

LOOK_SECONDS = 3.0
PAUSE_SECONDS = 11.0
TO_ANSWER_SECONDS = 0.5
"""A pause that was proven later than `PAUSE_SECONDS` is ended again; one proven just in time still has to be told."""

blueprint = Blueprint("steps", __name__, url_prefix="/twilio")
csrf.exempt(blueprint)
blueprint.before_request(authenticate)
log = structlog.get_logger(__name__)


@blueprint.post("/pause")
def pause() -> Response:
    """To `next` only if it is safe to take the card."""
    next_step, failed = _target("next"), _target("failed")
    return _go_on(next_step if is_proven(step_call(), BRACKET) else failed)


@blueprint.post("/resume")
def resume() -> Response:
    next_step = _target("next")
    let_go(step_call(), BRACKET)
    return _go_on(next_step)


@blueprint.post("/keys")
def after_keys() -> Response:
    """To `next`, which is told the choice, or how many keys it was if they were none of `choices`. After the pause code
    only if it is safe to take the card.
    """
    next_step, failed = _target("next"), _target("failed")
    offered = keys.offered(request.args.get("choices", ""))
    sid = step_call()
    match pressed(offered):
        case Code.PAUSE:
            return _go_on(next_step if is_proven(sid, CODES) else failed)
        case Code.RESUME:
            let_go(sid, CODES)
            return _go_on(next_step)
        case Choice(key=key):
            return _go_on(with_parameter(next_step, "Choice", key))
        case Count(keys=count):
            return _go_on(with_parameter(next_step, "Count", str(count)))


def way_out() -> Response | None:
    """Where the flow goes when we are at fault: on after a card, never to one. None: it named no such way."""
    url = request.args.get("next" if request.endpoint == "steps.resume" else "failed", "")
    return _go_on(url) if is_allowed(url, services().settings.redirect_hosts) else None


# What all steps share


def step_call() -> str:
    """Whose flow it is. Raises `Malformed`."""
    return webhooks.step_call(allowed(webhooks.STEP_FIELDS))


def pressed(offered: Collection[str], after: str = "") -> Pressed:
    """The only place where keys are read. `after` is what was pressed before them."""
    settings = services().settings
    codes = {settings.dtmf_pause_code: Code.PAUSE, settings.dtmf_resume_code: Code.RESUME}
    return keys.reduced(after + allowed(webhooks.KEYS_FIELDS).get("Digits", ""), offered, codes)


def is_proven(sid: str, holder: str) -> bool:
    """Pause for this holder. False leaves no hold, or one that ends by its time limit if we did not get to it."""
    control, by, until = services().control, by_caller(), time.monotonic() + PAUSE_SECONDS

    def ask() -> bool:
        return control.pause(sid, by, holder, reason="card", in_vain_after=until).problem is None

    try:
        return in_time(PAUSE_SECONDS + TO_ANSWER_SECONDS, ask)
    except OUR_TROUBLE:
        log.warning("step.without_database", step="pause", call=sid)
        return False


def let_go(sid: str, holder: str) -> bool:
    """End this holder's hold, and whether it is known that the call is recorded now."""
    control, by = services().control, by_caller()
    try:
        outcome = in_time(PAUSE_SECONDS, lambda: control.resume(sid, by, holder))
    except OUR_TROUBLE:
        log.warning("step.without_database", step="resume", call=sid)  # the hold ends by its time limit
        return False
    return observed(outcome.call) == "recording"


def moved_on(sid: str) -> None:
    """The caller is at another step of our own flow: a payment whose result never came is over."""
    payments, by = services().payments, by_caller()
    try:
        left = in_time(LOOK_SECONDS, lambda: payments.unfinished(sid))
        if left is not None:
            in_time(LOOK_SECONDS, lambda: payments.moved_on(sid, left, by))
    except OUR_TROUBLE:
        log.warning("step.without_database", step="payment", call=sid)  # its hold ends by its time limit


def by_caller() -> By:
    return By(actor=ACTOR, source="ivr", origin=origin())


def answer(*verbs: Verb) -> Response:
    return Response(twiml.answer(*verbs), mimetype="text/xml")


def _target(name: str) -> str:
    url = request.args.get(name, "")
    if not is_allowed(url, services().settings.redirect_hosts):
        raise Malformed(f"`{name}` must be a path of this bot or lie on a host in REDIRECT_HOSTS.")
    return url


def _go_on(url: str) -> Response:
    return answer(twiml.redirect(url))

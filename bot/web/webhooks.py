"""What Twilio posts. Authenticated first, then reduced to the allowed fields, then believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog
from flask import Blueprint, Response, request

from bot.errors import Malformed, NotAllowed
from bot.telephony import numbers, webhooks
from bot.telephony.webhooks import Report
from bot.web.security import csrf
from bot.web.services import is_text, json_body, origin, secret, services

blueprint = Blueprint("webhooks", __name__, url_prefix="/twilio")
csrf.exempt(blueprint)
log = structlog.get_logger(__name__)

Reader = Callable[[Mapping[str, str]], Report]


@blueprint.before_request
def authenticate() -> None:
    """Invariant 9. The log line has the URL that was checked, without the query, so that a wrong base URL shows."""
    is_json = request.mimetype == "application/json"
    body = request.get_data(cache=True)
    check = services().signature
    if not check.is_genuine(
        path=request.path,
        query=request.query_string.decode("utf-8", "replace"),
        signature=request.headers.get("X-Twilio-Signature"),
        form=request.form,
        body=body,
        is_json=is_json,
    ):
        log.warning("webhook.bad_signature", url=check.url(request.path, ""), origin=origin())
        raise NotAllowed("The signature does not fit this URL and these parameters.")


@blueprint.post("/call-status")
def call_status() -> Response:
    return _take_in("call-status", webhooks.CALL_FIELDS, _call_report)


@blueprint.post("/recording-status")
def recording_status() -> Response:
    return _take_in("recording-status", webhooks.RECORDING_FIELDS, webhooks.recording_report)


@blueprint.post("/conference-status")
def conference_status() -> Response:
    return _take_in("conference-status", webhooks.CONFERENCE_FIELDS, webhooks.conference_report)


def _call_report(form: Mapping[str, str]) -> Report:
    number = numbers.e164(webhooks.caller_number(form) or "")
    return replace(webhooks.call_report(form), caller=numbers.digest(secret(), number) if number else None)


def _take_in(endpoint: str, fields: tuple[str, ...], read: Reader) -> Response:
    form = allowed(fields)
    try:
        report = read(form)
    except Malformed as error:
        log.warning("webhook.malformed", endpoint=endpoint, why=str(error))
        raise
    services().reports.take_in(report, webhooks.digest(secret(), endpoint, fields, form))
    return Response(status=204)


def without_a_trace() -> Response | None:
    """204 for a report that carries what no report has to: Twilio would keep all of it with our error. None for any
    other: that Twilio keeps it, and may send it again, does no harm.
    """
    given = [*request.args.items(multi=True), *request.form.items(multi=True)]
    body = json_body() if request.mimetype == "application/json" else None
    if isinstance(body, Mapping):
        given += [(name, json.dumps(value)) for name, value in body.items()]
    return Response(status=204) if webhooks.may_hold_card(given) else None


def allowed(fields: tuple[str, ...]) -> dict[str, str]:
    """The allow-list: what is not named does not exist for us."""
    form = json_body() if request.mimetype == "application/json" else request.form
    if not isinstance(form, Mapping):
        raise Malformed("The body is not a set of parameters.")
    return {name: value for name in fields if isinstance(value := form.get(name), str) and is_text(value)}

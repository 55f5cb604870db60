"""Errors -> HTTP, here only. The API gets RFC 9457 `problem+json`, people a page, Twilio a line of text.

Twilio hears of no error of ours where a request may hold digits, because its debugger keeps what a failed one held: a
caller in our own phone flow is put through to somebody or gets an apology, another flow goes on as it said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, Response, jsonify, make_response, render_template, request, session
from flask_wtf.csrf import CSRFError
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

from bot.call import Problem
from bot.errors import BotError, DatabaseUnavailable, Malformed, NotSignedIn, Refusal, TooFast
from bot.messages import Denial
from bot.results import Outcome
from bot.web import flow, pay_status, steps, webhooks
from bot.web.present import WORDS
from bot.web.proof import as_json

log = structlog.get_logger(__name__)

INSTEAD_OF_AN_ERROR: dict[str, Callable[[], Response | None]] = {
    "flow": flow.without_agents,
    "menu": flow.without_agents,
    "pay": flow.without_agents,
    "pay_status": pay_status.taken,
    "steps": steps.way_out,
    "webhooks": webhooks.without_a_trace,
}
"""By blueprint: what Twilio is answered when we have trouble; None: that it is so."""

STATUS_OF: dict[Problem | Denial, int] = {
    Problem.STARTING: 504,
    Problem.NOTHING_RECORDING: 409,
    Problem.CALL_OVER: 409,
    Problem.UNKNOWN_CALL: 404,
    Problem.SUPERSEDED: 409,
    Problem.REFUSED: 502,
    Problem.BUSY: 502,
    Problem.CREDENTIALS: 502,
    Problem.TWILIO_ERROR: 502,
    Problem.UNANSWERED: 504,
    Problem.UNREACHABLE: 504,
    Problem.LIST_FAILED: 504,
    Problem.NOT_ALL_PAUSED: 504,
    Problem.LATE_RESUME: 504,
    Problem.EXPIRED: 409,
    Denial.NOT_YOURS: 403,
    Denial.HELD_BY_OTHERS: 403,
    Denial.OWNED: 403,
    Denial.STOPPED: 409,
    Denial.CONFERENCE_STOP: 409,
    Denial.PAYMENT_OPEN: 409,
    Denial.PAYMENT_OVER: 409,
    Denial.PAYMENT_INCOMPLETE: 409,
    Denial.SESSION_REFUSED: 502,
    Denial.SESSION_UNANSWERED: 504,
}


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    """An RFC 9457 problem; `type` stays about:blank, whose meaning is the HTTP status itself, refined by `code`."""
    response = jsonify({"type": "about:blank", "title": title, "status": status, "detail": detail, **more})
    response.status_code = status
    response.mimetype = "application/problem+json"
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="pci-pause-bot"'
    if status in {429, 503}:
        response.headers["Retry-After"] = "1"
    return response


def problem_of(outcome: Outcome) -> Response:
    """Why a wish was not met, with the call as it is now."""
    if outcome.problem is None:
        raise ValueError("an outcome without a problem is no error")
    words = WORDS[outcome.problem]
    return problem(
        STATUS_OF[outcome.problem],
        words.title,
        words.text,
        code=outcome.problem.value,
        call=as_json(outcome.call, outcome.now),
    )


def set_up(app: Flask) -> None:
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(BotError, _ours)
    app.register_error_handler(ParseException, _unreadable)
    app.register_error_handler(Exception, _unexpected)


def _ours(error: BotError) -> Response:
    if isinstance(error, Refusal):
        return _reply(error.status, error.title, str(error), error)
    if isinstance(error, DatabaseUnavailable):
        return _reply(503, "Not available now", str(error), error)
    log.error("failed", route=_route(), error=type(error).__name__)
    return _reply(500, "Something went wrong", "This is our fault; it has been noted.", error)


def _csrf(error: CSRFError) -> Response:
    if "user" not in session and request.endpoint != "auth.sign_in":
        return _reply(401, "Signed out", "You are signed out. Sign in again; do not take the card.", NotSignedIn())
    text = "This page is too old to act on. Reload it and try again; do not take the card before it says Paused."
    return _reply(400, "The page is too old", text, error)


def _http(error: HTTPException) -> Response:
    response = _reply(error.code or 500, error.name, error.description or error.name, error)
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After", "WWW-Authenticate"}:
            response.headers[name] = value
    return response


def _unreadable(error: ParseException) -> Response:
    """Its body comes in pieces, and one of them is none. What the server says of it holds the piece."""
    log.warning("request.unreadable", why=type(error).__name__)
    return _reply(400, Malformed.title, Malformed.default, error)


def _unexpected(error: Exception) -> Response:
    log.error("unexpected", route=_route(), exc_info=error)
    return _reply(500, "Something went wrong", "This is our fault; it has been noted. Do not take the card.", error)


def _route() -> str:
    """Not the path: somebody may have put anything where a SID belongs."""
    return str(request.url_rule)


def _reply(status: int, title: str, detail: str, error: Exception) -> Response:
    if request.path.startswith("/api/"):
        return problem(status, title, detail)
    instead = INSTEAD_OF_AN_ERROR.get(request.blueprint or "") if status >= 500 else None
    answer = instead() if instead is not None else None
    if answer is not None:
        return answer
    if request.path.startswith("/twilio/"):
        return make_response((f"{detail}\n", status, {"Content-Type": "text/plain; charset=utf-8"}))
    template = "fragment_error.html" if "HX-Request" in request.headers else "error.html"
    signed_out = isinstance(error, NotSignedIn)
    page = render_template(template, title=title, detail=detail, status=status, signed_out=signed_out)
    response = make_response(page)
    response.status_code = status
    if isinstance(error, TooFast):
        response.headers["Retry-After"] = "5"
    return response

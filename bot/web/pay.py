"""Paying by card in our own phone flow. Twilio's `<Pay>` asks for the card; it is answered with only when the pause is
proven (invariant 3), and whatever comes of it leads on: to the menu, or with an apology to an agent.
"""

from __future__ import annotations

import time
from dataclasses import replace

import structlog
from flask import Blueprint, Response

from bot.errors import OUR_TROUBLE
from bot.settling import SUCCESS
from bot.telephony import twiml
from bot.telephony.payment_reports import OTHER_RESULT
from bot.web import menu, steps
from bot.web.menu import url_of
from bot.web.patience import in_time
from bot.web.pay_status import reported
from bot.web.security import csrf
from bot.web.services import services
from bot.web.webhooks import authenticate

STAR, HUNG_UP = "caller-interrupted-with-star", "caller-hung-up"

NOT_NOW = "We are sorry, you cannot pay by card now. Please give no card number. An agent will help you."
THANKS = "Thank you. Your payment was received."
SAVED = "Thank you. Your card was saved."
FAILED = "We are sorry, the payment did not go through. An agent will help you."
UNCERTAIN = "We are sorry, your payment could not be confirmed. Please do not pay again. An agent will help you."

blueprint = Blueprint("pay", __name__, url_prefix="/twilio/pay")
csrf.exempt(blueprint)
blueprint.before_request(authenticate)
log = structlog.get_logger(__name__)


@blueprint.post("")
def pay() -> Response:
    """The card is asked for only with a payment that is open, and so with a pause that is proven."""
    payment = _opened(steps.step_call())
    if payment is None:
        return _to_an_agent(NOT_NOW)
    settings = services().settings
    return steps.answer(
        twiml.pay(
            payment_connector=settings.payment_connector,
            charge_amount=None if settings.payment_amount is None else str(settings.payment_amount),
            currency=settings.payment_currency,
            token_type=settings.payment_token_type,
            postal_code=settings.payment_postal_code,
            security_code=settings.payment_security_code,
            action=url_of(f"pay/done?payment={payment}"),
            status_callback=url_of(f"pay/status?payment={payment}"),
        )
    )


@blueprint.post("/done")
def done() -> Response:
    """Twilio's last word. The recording goes on and the result is delivered before the caller hears of it."""
    sid, report, handover = reported()
    report = report if report.result else replace(report, result=OTHER_RESULT)
    payments, by = services().payments, steps.by_caller()
    try:
        is_paid = in_time(steps.PAUSE_SECONDS, lambda: payments.finish(sid, report, handover, by))
    except OUR_TROUBLE:
        log.warning("step.without_database", step="pay/done", call=sid)
        is_paid = False
    if is_paid:
        return steps.answer(twiml.say(THANKS if services().settings.payment_amount else SAVED), menu.shown())
    if report.result == STAR:
        return steps.answer(menu.shown())
    if report.result == HUNG_UP:
        return steps.answer()
    return _to_an_agent(UNCERTAIN if report.result == SUCCESS else FAILED)


def _opened(sid: str) -> str | None:
    """The id of a payment whose pause is proven. One that comes too late for Twilio is ended again."""
    payments, by, until = services().payments, steps.by_caller(), time.monotonic() + steps.PAUSE_SECONDS
    if not payments.are_offered:
        return None

    def ask() -> str | None:
        payment = payments.open_for_flow(sid, by).payment
        if payment is not None and time.monotonic() > until:
            payments.moved_on(sid, payment, by)
            return None
        return payment

    try:
        return in_time(steps.PAUSE_SECONDS + steps.TO_ANSWER_SECONDS, ask)
    except OUR_TROUBLE:
        log.warning("step.without_database", step="pay", call=sid)
        return None


def _to_an_agent(words: str) -> Response:
    return steps.answer(twiml.say(words), twiml.redirect(url_of("agent")))

"""The agent takes a card by keypad: opens the payment, asks for one field after the other, completes or cancels it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from flask import Blueprint, request
from werkzeug.wrappers import Response as BaseResponse

from bot.errors import UnknownThing, Unprocessable
from bot.payment import Field
from bot.storage.users import Role
from bot.web.agent import WORKERS, acting, claimed, denied, find_call, reply, the_user
from bot.web.auth import roles
from bot.web.services import services

AMOUNT_MAX = Decimal("999999.99")
AMOUNT_CHARACTERS_MAX = 9

blueprint = Blueprint("agent_payment", __name__, url_prefix="/calls/<sid>/payment")


@blueprint.post("")
@roles(*WORKERS)
def begin(sid: str) -> BaseResponse:
    """Claims a call of nobody's, as Pause does. The answer comes once the pause is proven and Twilio's session open."""
    if not services().payments.are_offered:
        raise UnknownThing("Payments by keypad are not set up here.")
    amount = _amount(request.form.get("amount", ""))
    outcome = claimed(sid)
    if outcome.problem is None:
        outcome = services().payments.open_for_agent(outcome.call.sid, acting(), amount)
    return reply(outcome)


@blueprint.post("/ask")
@roles(*WORKERS)
def ask(sid: str) -> BaseResponse:
    """For one field, or for it again."""
    value = request.form.get("field", "")
    if value not in set(Field):
        raise Unprocessable("`field` is not one that can be asked for.")
    return _led(sid) or reply(services().payments.ask(find_call(sid).sid, acting(), Field(value)))


@blueprint.post("/complete")
@roles(*WORKERS)
def complete(sid: str) -> BaseResponse:
    return _led(sid) or reply(services().payments.complete(find_call(sid).sid, acting()))


@blueprint.post("/cancel")
@roles(*WORKERS)
def cancel(sid: str) -> BaseResponse:
    """A supervisor may do this for an agent."""
    call = find_call(sid)
    if the_user().role is not Role.SUPERVISOR and the_user().name not in call.agents:
        return denied(call)
    return reply(services().payments.cancel(call.sid, acting()))


def _led(sid: str) -> BaseResponse | None:
    """The refusal, where the call is not theirs."""
    call = find_call(sid)
    return None if the_user().name in call.agents else denied(call)


def _amount(value: str) -> Decimal | None:
    """Empty: the card is only turned into a token. What is wrong is not repeated: somebody may have typed a card."""
    value = value.strip().replace(",", ".")
    if not value:
        return None
    try:
        amount = Decimal(value) if len(value) <= AMOUNT_CHARACTERS_MAX and value.isascii() else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    exponent = amount.as_tuple().exponent
    if not amount.is_finite() or not 0 < amount <= AMOUNT_MAX or not isinstance(exponent, int) or exponent < -2:
        raise Unprocessable("The amount must be a number like 20.45, at most 999999.99.")
    return amount.quantize(Decimal("0.01"))

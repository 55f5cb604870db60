"""Twilio's routes for agent-assisted payments: what a session is to do, read from the form, and its JSON shape."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Response, request

from bot.simulator import payments
from bot.simulator.cards import BRANDS, DEFAULT_BRANDS, FIELDS
from bot.simulator.clock import rfc2822
from bot.simulator.errors import TwilioError, invalid_parameter, not_eligible, not_found
from bot.simulator.exchange import Asked, run, the_world
from bot.simulator.model import API_VERSION
from bot.simulator.payment_session import IN_PROGRESS, Payment, PaymentPlan
from bot.simulator.resources import base
from bot.simulator.settings import is_http_url

payment_routes = Blueprint("payments", __name__, url_prefix=f"/{API_VERSION}")

_TOKENS = ("one-time", "reusable", "payment-method")
_ACCOUNTS = ("consumer-checking", "consumer-savings", "commercial-checking")
_TOO_MUCH = Decimal(1_000_000)
_TIMEOUT_MAX_SECONDS = 600
_KEY_MAX = 200


@payment_routes.post("/Accounts/<account>/Calls/<call>/Payments.json")
def begin(account: str, call: str) -> Response:
    """Open a session on that leg. The same key with the same parameters again: the same session."""

    def act(_wrong: bool) -> tuple[int, dict[str, Any]]:
        world = the_world()
        found = world.calls.get(call)
        if found is None:
            raise not_found(request.path)
        url = _callback_url()

        def made() -> Payment:
            plan = _plan()
            if found.status != "in-progress":
                raise not_eligible()
            return payments.begin(world, found, plan, url)

        return 201, _shown(account, _once(made))

    return run(Asked("payment", account, call), act)


@payment_routes.post("/Accounts/<account>/Calls/<call>/Payments/<sid>.json")
def update(account: str, call: str, sid: str) -> Response:
    """Ask for one piece, or complete or cancel the session."""
    wanted = request.form.get("Status") or request.form.get("Capture")

    def act(_wrong: bool) -> tuple[int, dict[str, Any]]:
        found = the_world().payments.get(sid)
        if found is None or found.call != call:
            raise not_found(request.path)
        url = _callback_url()

        def done() -> Payment:
            _update(found, url)
            return found

        return 202, _shown(account, _once(done))

    return run(Asked("payment-update", account, call, sid, wanted), act)


def _update(payment: Payment, url: str) -> None:
    world, piece, status = the_world(), request.form.get("Capture"), request.form.get("Status")
    if (piece is None) == (status is None) or piece not in (None, *FIELDS):
        raise invalid_parameter("Capture")
    if status not in (None, "complete", "cancel"):
        raise invalid_parameter("Status")
    if payment.state != IN_PROGRESS:
        raise TwilioError(400, 20001, f"The payment session is over: {payment.state}")
    if piece is not None:
        payments.capture(world, payment, piece, url)
    elif status == "complete":
        payments.complete(world, payment, url)
    else:
        payments.cancel(world, payment, url)


def _once(act: Callable[[], Payment]) -> Payment:
    """A request that was processed is not processed again: the answer is the same, and nothing else happens."""
    world = the_world()
    asked = (request.path, *sorted(request.form.items(multi=True)))
    if asked not in world.paid:
        world.paid[asked] = act()
    return world.paid[asked]


def _callback_url() -> str:
    """Where events go; on the way, that the two parameters are there that every request must have."""
    if not 1 <= len(request.form.get("IdempotencyKey", "")) <= _KEY_MAX:
        raise invalid_parameter("IdempotencyKey")
    url = request.form.get("StatusCallback")
    if not is_http_url(url):
        raise invalid_parameter("StatusCallback")
    return str(url)


def _plan() -> PaymentPlan:
    """What the form asks for. Bank accounts, and inputs that are confirmed or entered twice, are not played here."""
    form = request.form
    _one_of("PaymentMethod", ("credit-card",), "credit-card")
    _one_of("Input", ("dtmf",), "dtmf")
    _one_of("BankAccountType", _ACCOUNTS, _ACCOUNTS[0])
    brands = tuple(form.get("ValidCardTypes", " ".join(DEFAULT_BRANDS)).split())
    if not brands or not set(brands) <= set(BRANDS):
        raise invalid_parameter("ValidCardTypes")
    currency = form.get("Currency", "usd")
    if not (currency.isascii() and currency.isalpha() and len(currency) == 3):
        raise invalid_parameter("Currency")
    least = _whole("MinPostalCodeLength", 10) if "MinPostalCodeLength" in form else None
    return PaymentPlan(
        connector=form.get("PaymentConnector", "Default"),
        token_type=_one_of("TokenType", _TOKENS, "reusable"),
        charge=_charge(),
        currency=currency,
        security_code=_one_of("SecurityCode", ("true", "false"), "true") == "true",
        postal_code=_one_of("PostalCode", ("true", "false"), "true") == "true",
        postal_least=least,
        brands=brands,
        timeout_seconds=_whole("Timeout", _TIMEOUT_MAX_SECONDS) if "Timeout" in form else 5,
    )


def _one_of(name: str, allowed: tuple[str, ...], default: str) -> str:
    value = request.form.get(name, default)
    if value not in allowed:
        raise invalid_parameter(name)
    return value


def _whole(name: str, most: int) -> int:
    value = request.form[name]
    if not value.isascii() or not value.isdigit() or len(value) > 9 or not 1 <= int(value) <= most:
        raise invalid_parameter(name)
    return int(value)


def _charge() -> str | None:
    """The amount as it was written; None if it is nothing."""
    written = request.form.get("ChargeAmount") or "0"
    try:
        amount = Decimal(written)
    except InvalidOperation:
        raise invalid_parameter("ChargeAmount") from None
    if not amount.is_finite() or not 0 <= amount < _TOO_MUCH:
        raise invalid_parameter("ChargeAmount")
    return written if amount else None


def _shown(account: str, payment: Payment) -> dict[str, Any]:
    return {
        "account_sid": account,
        "call_sid": payment.call,
        "sid": payment.sid,
        "date_created": rfc2822(payment.created_at),
        "date_updated": rfc2822(payment.updated_at),
        "uri": f"{base(account)}/Calls/{payment.call}/Payments/{payment.sid}.json",
    }

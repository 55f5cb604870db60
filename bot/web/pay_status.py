"""What Twilio reports of a payment under way: of the phone flow's `<Pay>`, and of an agent's session, whose last report
brings the result.

Never answered with an error because of our own trouble: Twilio's debugger keeps what a failed request held.
"""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, request

from bot.errors import OUR_TROUBLE
from bot.payment import PaymentReported
from bot.telephony import payment_reports, webhooks
from bot.telephony.payment_reports import Handover
from bot.web.security import csrf
from bot.web.services import services
from bot.web.webhooks import allowed, authenticate

blueprint = Blueprint("pay_status", __name__, url_prefix="/twilio/pay")
csrf.exempt(blueprint)
blueprint.before_request(authenticate)
log = structlog.get_logger(__name__)


@blueprint.post("/status")
def status() -> Response:
    sid, report, handover = reported()
    try:
        services().payments.progress(sid, report, handover)
    except OUR_TROUBLE:
        log.warning("payment.without_database", call=sid)
    return taken()


def taken() -> Response:
    return Response(status=204)


def reported() -> tuple[str, PaymentReported, Handover]:
    """The call, what is said of its payment, what to hand on. `payment` and `ask` stand in the URL that we gave."""
    form = allowed(payment_reports.REPORT_FIELDS)
    report = payment_reports.report(form, request.args.get("payment", ""), request.args.get("ask", ""))
    handover = payment_reports.handover(allowed(payment_reports.HANDOVER_FIELDS))
    return webhooks.step_call(form), report, handover

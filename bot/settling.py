"""PURE. How a payment by keypad ends, and what is left to do then: deliver its result, close its session.

A payment is open exactly as long as its hold: `settle` sees to that after every change of the call, whatever ended the
hold (a release, the time limit, the call's end). A session that Twilio still has open then is closed, in the seconds
between the end of *safe* and the resume, so that no key is heard by a recording that goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from bot import holds
from bot.actors import SYSTEM, By
from bot.call import Call, Hold
from bot.messages import Decision, Denial, Fact, Finding, Policy, finding
from bot.payment import Delivered, EndPayment, Payment, PaymentReported, SessionClosed, Stage, Via

DELIVERY = timedelta(seconds=30)
"""A result that was not delivered by then died with its process."""

CLOSE_AGAIN = timedelta(seconds=3)
CLOSE_TRIES_MAX = 5
EARLIER_MAX = 8
"""Of how many payments before the latest news is still expected."""

SUCCESS = "success"
NOT_DELIVERED = "not-delivered"
NOT_PROVEN = "not-proven"


# One of several


def put_back(before: Call, after: Call) -> Call:
    """What came of `before` where one of its payments stood for the latest, with each in its place again."""
    told, latest = after.payment, before.payment
    if told is None or latest is None or told.id == latest.id:
        return after
    return replace(after, payment=latest, earlier=tuple(told if one.id == told.id else one for one in before.earlier))


def unsettled(payments: tuple[Payment, ...]) -> tuple[Payment, ...]:
    """Those of which news may still come: money may have moved, or a session listens yet."""
    return tuple(one for one in payments if not one.is_settled)[:EARLIER_MAX]


# Ending


def result(call: Call, payment: Payment, message: PaymentReported, now: datetime) -> Decision:
    """Twilio's last word, once. It counts even where the payment was given up here: money may have moved."""
    if payment.result is not None:
        return Decision(call=call, refused=Denial.PAYMENT_OVER)
    is_success = message.result == SUCCESS
    if not is_success and not payment.is_open:
        return _let_go(call, replace(payment, result=message.result, close_at=None), message.by, (), now)
    ended = replace(
        _over(payment),
        stage=Stage.DELIVERING if is_success else Stage.FAILED,
        result=message.result,
        why=None if is_success else message.result,
        until=now + DELIVERY if is_success else None,
        close_at=None,
    )
    outcome = "success" if is_success else "failure"
    fact = fact_of("payment.finished", ended, message.by, outcome, message.result, {"code": message.code})
    return _released(call, ended, message.by, (fact,), now)


def end(call: Call, payment: Payment, message: EndPayment, now: datetime, policy: Policy) -> Decision:
    """A session that may listen yet leaves its hold some seconds in which it is closed."""
    if not payment.is_open:
        return Decision(call=call, refused=Denial.PAYMENT_OVER)
    hold = hold_of(call, payment)
    if hold is None or payment.sid is None or payment.via is not Via.AGENT or message.is_closed:
        return failed(call, payment, message.by, message.why, now)
    ended, fact = _failure(payment, message.by, message.why, now)
    call, running_out = holds.run_down(call, hold, message.by, now, policy)
    return Decision(call=replace(call, payment=ended), facts=(fact, running_out))


def failed(call: Call, payment: Payment, by: By, why: str, now: datetime) -> Decision:
    if not payment.is_open:
        return Decision(call=call)
    ended, fact = _failure(payment, by, why, now)
    return _released(call, ended, by, (fact,), now)


def _failure(payment: Payment, by: By, why: str, now: datetime) -> tuple[Payment, Fact]:
    ended = replace(_over(payment), stage=_stage_of(why), why=why, close_at=now if payment.sid else None)
    return ended, fact_of("payment.finished", ended, by, _outcome(payment, why), why)


def _released(call: Call, payment: Payment, by: By, facts: tuple[Fact, ...], now: datetime) -> Decision:
    hold = hold_of(call, payment)
    call = replace(call, payment=payment)
    if hold is None:
        return Decision(call=call, facts=facts)
    released = holds.released(call, (hold,), by, hold.holder, now, at_once=payment.why == NOT_PROVEN)
    return replace(released, facts=(*facts, *released.facts))


def delivered(call: Call, payment: Payment, message: Delivered) -> Decision:
    """News of it may be late, after the payment passed for lost."""
    if payment.stage is not Stage.DELIVERING and not (message.ok and payment.why == NOT_DELIVERED):
        return Decision(call=call)
    if message.ok:
        paid = replace(payment, stage=Stage.PAID, why=None, until=None)
        return Decision(call=replace(call, payment=paid), facts=(fact_of("payment.delivered", paid, SYSTEM),))
    return _lost(call, payment, message.why or "refused")


def _lost(call: Call, payment: Payment, why: str) -> Decision:
    """Twilio took the card and nobody has the token: somebody has to look at it."""
    lost = replace(payment, stage=Stage.FAILED, why=NOT_DELIVERED, until=None)
    fact = fact_of("payment.not_delivered", lost, SYSTEM, "failure", why)
    told = finding(Finding.RESULT_LOST, cause=payment.hold, detail={"payment": payment.id, "session": payment.sid})
    return Decision(call=replace(call, payment=lost), facts=(fact, told))


def session_closed(call: Call, payment: Payment, message: SessionClosed, now: datetime) -> Decision:
    """Whether nothing listens to keys any more; if it may, Twilio is told again."""
    if payment.close_at is None:
        return Decision(call=call)
    tries = payment.close_tries + 1
    if not message.ok and tries < CLOSE_TRIES_MAX:
        later = replace(payment, close_tries=tries, close_at=now + CLOSE_AGAIN)
        return Decision(call=replace(call, payment=later))
    closed = replace(payment, close_at=None, close_tries=0)
    outcome = "success" if message.ok else "failure"
    fact = fact_of("payment.session_closed", closed, SYSTEM, outcome, detail={"session": payment.sid})
    if not message.ok:
        return Decision(call=replace(call, payment=closed), facts=(fact,))
    return _let_go(call, closed, SYSTEM, (fact,), now)


def _let_go(call: Call, payment: Payment, by: By, facts: tuple[Fact, ...], now: datetime) -> Decision:
    """Nothing listens to keys any more, so a hold that stayed at its limit may end. Any other still has its last
    seconds, in which a caller may yet be pressing keys.
    """
    hold = hold_of(call, payment)
    if hold is None or not hold.overdue:
        return Decision(call=replace(call, payment=payment), facts=facts)
    return _released(call, payment, by, facts, now)


# What follows from any change of the call


def settle(call: Call, now: datetime) -> tuple[Call, tuple[Fact, ...]]:
    """A payment whose hold ended, or is about to, is over; a result that was never delivered is lost."""
    facts: tuple[Fact, ...] = ()
    for payment in call.payments:
        settled, more = _settled(replace(call, payment=payment), payment, now)
        call, facts = put_back(call, settled), (*facts, *more)
    return call, facts


def _settled(call: Call, payment: Payment, now: datetime) -> tuple[Call, tuple[Fact, ...]]:
    if payment.stage is Stage.DELIVERING and payment.until is not None and payment.until <= now:
        decision = _lost(call, payment, "its process ended")
        return decision.call, decision.facts
    why = _why_over(call, payment) if payment.is_open else None
    if why is None:
        is_closing = payment.close_at is not None and call.over
        return (replace(call, payment=replace(payment, close_at=None)) if is_closing else call), ()
    is_session = payment.sid is not None and not call.over
    ended = replace(_over(payment), stage=_stage_of(why), why=why, close_at=now if is_session else None)
    fact = fact_of("payment.finished", ended, SYSTEM, _outcome(payment, why), why)
    if is_session or call.over:
        return replace(call, payment=ended), (fact,)
    decision = _let_go(call, ended, SYSTEM, (fact,), now)
    return decision.call, decision.facts


def due(call: Call) -> datetime | None:
    """When a payment needs somebody: to close its session, or to call its result lost."""
    times = [payment.until if call.over else payment.close_at or payment.until for payment in call.payments]
    return min((at for at in times if at is not None), default=None)


def _why_over(call: Call, payment: Payment) -> str | None:
    if call.over:
        return "call-over"
    hold = hold_of(call, payment)
    if hold is None:
        return "hold-ended"
    return "time-limit" if (hold.warned or hold.overdue) and payment.via is Via.AGENT else None


def hold_of(call: Call, payment: Payment) -> Hold | None:
    return next((hold for hold in call.holds if hold.id == payment.hold), None)


def _over(payment: Payment) -> Payment:
    """Nothing that was keyed in is known any more, not even the last four."""
    return replace(payment, captures=())


def _stage_of(why: str) -> Stage:
    return Stage.CANCELLED if why == "cancelled" else Stage.FAILED


def _outcome(payment: Payment, why: str) -> str:
    """Once Twilio was told to charge, only Twilio knows; `<Pay>` does so by itself."""
    is_pay = payment.via is Via.FLOW and why != NOT_PROVEN
    return "unknown" if is_pay or payment.stage is Stage.COMPLETING else "failure"


def fact_of(
    type_: str,
    payment: Payment,
    by: By,
    outcome: str = "success",
    reason: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> Fact:
    return Fact(
        type=type_,
        by=by,
        cause=payment.hold,
        outcome=outcome,  # type: ignore[arg-type]  # one of the three
        reason=reason,
        detail={"payment": payment.id, **(detail or {})},
    )

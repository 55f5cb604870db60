"""PURE. A payment by keypad, from its opening to the last field: what is asked for, what was entered. How it ends is in
`settling`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from bot import holds, settling
from bot.actors import By
from bot.call import Call, Problem, why_not_safe
from bot.messages import Beat, Decision, Denial, Fact, Pause, Policy
from bot.payment import (
    AskField,
    Capture,
    CompletePayment,
    Delivered,
    EndPayment,
    OpenPayment,
    Payment,
    PaymentMessage,
    PaymentReported,
    Progress,
    SessionClosed,
    SessionOpened,
    SessionRefused,
    Stage,
    Via,
)

FRESH = timedelta(seconds=5)
"""A hold that was prolonged so lately is not prolonged again: callbacks may come doubled, or one for each key."""


def holder_of(payment_id: str) -> str:
    """Whose hold a payment's is: Twilio's session, or our own name for the payment until there is one."""
    return f"payment:{payment_id}"


def decide(call: Call, message: PaymentMessage, now: datetime, policy: Policy) -> Decision:
    """Total. News of a payment that the call does not have, or has no more, changes nothing."""
    if isinstance(message, OpenPayment):
        return _open(call, message, now, policy)
    payment = call.payment_of(message.id)
    if payment is None:
        return Decision(call=call, refused=Denial.PAYMENT_OVER)
    decision = _of_payment(replace(call, payment=payment), payment, message, now, policy)
    return replace(decision, call=settling.put_back(call, decision.call))


News = (
    SessionOpened
    | AskField
    | CompletePayment
    | SessionRefused
    | EndPayment
    | PaymentReported
    | Delivered
    | SessionClosed
)


def _of_payment(call: Call, payment: Payment, message: News, now: datetime, policy: Policy) -> Decision:
    match message:
        case SessionOpened():
            return _session_opened(call, payment, message, now, policy)
        case AskField():
            return _ask(call, payment, message, now, policy)
        case CompletePayment():
            return _complete(call, payment, message, now, policy)
        case SessionRefused():
            return _session_refused(call, payment, message)
        case EndPayment():
            return settling.end(call, payment, message, now, policy)
        case PaymentReported():
            return _reported(call, payment, message, now, policy)
        case Delivered():
            return settling.delivered(call, payment, message)
        case SessionClosed():
            return settling.session_closed(call, payment, message, now)
        case _:
            assert_never(message)


# Opening


def _open(call: Call, message: OpenPayment, now: datetime, policy: Policy) -> Decision:
    """One open payment at a time. A phone flow that comes here again has lost the result of the payment before."""
    facts: tuple[Fact, ...] = ()
    if message.via is Via.AGENT and message.by.actor not in call.agents:
        return _refuse(call, message.by, Denial.NOT_YOURS)
    if call.payment is not None and call.payment.is_open:
        if not call.payment.via is message.via is Via.FLOW:
            return _refuse(call, message.by, Denial.PAYMENT_OPEN)
        lost = EndPayment(by=message.by, id=call.payment.id, why="no-result")
        ended = settling.end(call, call.payment, lost, now, policy)
        call, facts = ended.call, ended.facts
    wish = Pause(
        by=message.by,
        hold_id=message.hold_id,
        holder=holder_of(message.id),
        reason="card",
        max_seconds=message.max_seconds,
    )
    decision = holds.pause(call, wish, now, policy)
    if decision.refused is not None:
        return replace(decision, facts=(*facts, *decision.facts))
    customer = call.customer
    payment = Payment(
        id=message.id,
        via=message.via,
        hold=message.hold_id,
        leg=message.leg or (customer.sid if customer else call.sid),
        agent=message.by.actor if message.via is Via.AGENT else None,
        stage=Stage.OPENING if message.fields else Stage.OPEN,
        amount=message.amount,
        currency=message.currency,
        captures=tuple(Capture(field=field) for field in message.fields),
    )
    fact = settling.fact_of(
        "payment.begun",
        payment,
        message.by,
        detail={"via": payment.via, "amount": _amount(payment), "leg": payment.leg},
    )
    begun = replace(decision.call, payment=payment, earlier=settling.unsettled(call.payments))
    return Decision(call=begun, facts=(*facts, *decision.facts, fact))


def _session_opened(call: Call, payment: Payment, message: SessionOpened, now: datetime, policy: Policy) -> Decision:
    """The hold is from now on the session's, by Twilio's name for it, and lasts as long as any other."""
    if message.sid is None:
        return settling.failed(call, payment, message.by, message.why or "refused", now)
    known = replace(payment, sid=message.sid)
    if not payment.is_open:
        closing = replace(known, close_at=now)
        return Decision(call=replace(call, payment=closing))
    hold = settling.hold_of(call, payment)
    if payment.sid is not None or hold is None:
        return Decision(call=replace(call, payment=known))
    renamed = replace(hold, holder=holder_of(message.sid))
    call = replace(call, holds=tuple(renamed if one.id == hold.id else one for one in call.holds))
    kept = holds.beat(call, Beat(by=message.by, holder=renamed.holder), now, policy)
    fact = settling.fact_of("payment.session_opened", known, message.by, detail={"session": message.sid})
    opened = replace(known, stage=Stage.OPEN)
    return Decision(call=replace(kept.call, payment=opened), facts=(fact, *kept.facts))


# Field by field


def _ask(call: Call, payment: Payment, message: AskField, now: datetime, policy: Policy) -> Decision:
    """Noted before Twilio is told, so that the first key is not news of nothing."""
    capture = payment.capture(message.field)
    if payment.stage is not Stage.OPEN or payment.sid is None or capture is None:
        return _refuse(call, message.by, Denial.PAYMENT_OVER, payment)
    why = why_not_safe(call, now)
    if why is not None:
        return _refuse(call, message.by, why, payment)
    asks = payment.asks + 1
    asked = replace(payment, asks=asks).with_capture(Capture(field=message.field, progress=Progress.ASKED, ask=asks))
    others = tuple(
        replace(one, progress=Progress.WAITING)
        if one.field is not message.field and one.progress in {Progress.ASKED, Progress.ENTERING}
        else one
        for one in asked.captures
    )
    fact = settling.fact_of("payment.field_asked", asked, message.by, detail={"field": message.field})
    return _kept(call, replace(asked, captures=others), message.by, (fact,), now, policy)


def _session_refused(call: Call, payment: Payment, message: SessionRefused) -> Decision:
    """Twilio did not take it up: the agent may try again, nothing is lost."""
    fact = settling.fact_of(
        "payment.step_refused",
        payment,
        message.by,
        outcome="failure",
        reason=message.why,
        detail={"field": message.field},
    )
    if not payment.is_open:
        return Decision(call=call, facts=(fact,))
    if message.field is None:
        stage = Stage.OPEN if payment.stage is Stage.COMPLETING else payment.stage
        return Decision(call=replace(call, payment=replace(payment, stage=stage)), facts=(fact,))
    refused = Capture(field=message.field, progress=Progress.REFUSED, ask=payment.asks, why=message.why)
    return Decision(call=replace(call, payment=payment.with_capture(refused)), facts=(fact,))


def _reported(call: Call, payment: Payment, message: PaymentReported, now: datetime, policy: Policy) -> Decision:
    if message.sid is not None and payment.sid is None:
        opened = _session_opened(
            call, payment, SessionOpened(by=message.by, id=payment.id, sid=message.sid), now, policy
        )
        again = decide(opened.call, message, now, policy)
        return replace(again, facts=(*opened.facts, *again.facts))
    if message.result is not None:
        return settling.result(call, payment, message, now)
    if not payment.is_open:
        return Decision(call=call)
    if payment.via is Via.FLOW:
        return _kept(call, payment, message.by, (), now, policy)
    capture = payment.capture(message.field) if message.field else None
    if capture is None or message.ask != capture.ask or capture.progress not in {Progress.ASKED, Progress.ENTERING}:
        return Decision(call=call)
    return _progress(call, payment, capture, message, now, policy)


def _progress(
    call: Call, payment: Payment, capture: Capture, message: PaymentReported, now: datetime, policy: Policy
) -> Decision:
    seen = replace(capture, keys=max(message.keys, capture.keys), brand=message.brand or capture.brand)
    detail = {"field": capture.field, "attempt": message.attempt}
    if message.error is not None:
        wrong = replace(seen, progress=Progress.REFUSED, why=message.error, keys=0)
        fact = settling.fact_of("payment.field_wrong", payment, message.by, "failure", message.error, detail)
        return _kept(call, payment.with_capture(wrong), message.by, (fact,), now, policy)
    if message.is_partial or not message.is_entered:
        entering = replace(seen, progress=Progress.ENTERING) if message.keys else seen
        return Decision(call=replace(call, payment=payment.with_capture(entering)))
    entered = replace(seen, progress=Progress.ENTERED, last_four=message.last_four)
    fact = settling.fact_of("payment.field_entered", payment, message.by, detail=detail)
    return _kept(call, payment.with_capture(entered), message.by, (fact,), now, policy)


def _complete(call: Call, payment: Payment, message: CompletePayment, now: datetime, policy: Policy) -> Decision:
    if payment.stage is not Stage.OPEN or payment.sid is None:
        return _refuse(call, message.by, Denial.PAYMENT_OVER, payment)
    if not payment.is_whole:
        return _refuse(call, message.by, Denial.PAYMENT_INCOMPLETE, payment)
    fact = settling.fact_of("payment.completing", payment, message.by)
    return _kept(call, replace(payment, stage=Stage.COMPLETING), message.by, (fact,), now, policy)


def _kept(call: Call, payment: Payment, by: By, facts: tuple[Fact, ...], now: datetime, policy: Policy) -> Decision:
    """The payment as it is now, and its hold prolonged: it is still under way."""
    call = replace(call, payment=payment)
    hold = settling.hold_of(call, payment)
    if hold is None or hold.expires_at > now + policy.pause_max - FRESH:
        return Decision(call=call, facts=facts)
    kept = holds.beat(call, Beat(by=by, holder=hold.holder), now, policy)
    return replace(kept, facts=(*facts, *kept.facts))


def _amount(payment: Payment) -> str | None:
    return None if payment.amount is None else f"{payment.amount} {payment.currency}"


def _refuse(call: Call, by: By, why: Denial | Problem, payment: Payment | None = None) -> Decision:
    detail = {"payment": payment.id} if payment is not None else {}
    fact = Fact(type="payment.refused", by=by, outcome="failure", reason=why.value, detail=detail)
    return Decision(call=call, facts=(fact,), refused=why)

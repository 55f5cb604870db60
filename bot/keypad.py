"""Payments: what people, the phone flow and Twilio do with a payment by keypad.

A payment's hold is opened and proven safe before anything asks for a card (invariant 3). An agent's payment then gets a
session at Twilio and is led field by field; a phone flow's is Twilio's own `<Pay>`. Each request to Twilio is sent
outside any transaction, with an idempotency key, and once more if it got no answer. Token and confirmation code pass
through memory to the system that wants them; what cannot be delivered there is told as a failed payment.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import structlog

from bot.actors import By
from bot.call import Call, Problem
from bot.capture import holder_of
from bot.control import CallControl
from bot.delivery import ResultPost
from bot.errors import OUR_TROUBLE, DatabaseUnavailable
from bot.messages import Denial, Kind
from bot.payment import (
    AskField,
    CompletePayment,
    Delivered,
    EndPayment,
    Field,
    OpenPayment,
    Payment,
    PaymentReported,
    SessionClosed,
    SessionOpened,
    SessionRefused,
    Stage,
    Via,
)
from bot.results import Outcome, Step
from bot.settings import Settings
from bot.settling import NOT_PROVEN, SUCCESS
from bot.telephony.payment_reports import Handover
from bot.telephony.payment_sessions import PaymentSessions, SessionReply

OPENING_SECONDS = 40
"""How long a hold lasts whose session is not there yet: a process may die in between."""

LAST_KEY_SECONDS = 0.5
"""A failure may come with the last key, or between two: its tone is not to be heard in what is recorded next."""

HUNG_UP = "caller-hung-up"
TRIES = 2
DELIVERIES = 16
RESULT_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.05

log = structlog.get_logger(__name__)


class Opened(NamedTuple):
    """The payment's id, None where there is none; and the call, with why it was not opened."""

    payment: str | None
    outcome: Outcome


class Payments:
    """Safe for any number of threads."""

    def __init__(
        self,
        control: CallControl,
        sessions: PaymentSessions,
        post: ResultPost,
        settings: Settings,
        later: Callable[[Callable[[], object]], None],
    ) -> None:
        """`later` keeps what could not be saved until the database is back."""
        self._control = control
        self._sessions = sessions
        self._post = post
        self._settings = settings
        self._later = later
        self._deliveries = ThreadPoolExecutor(DELIVERIES, thread_name_prefix="deliveries")

    @property
    def are_offered(self) -> bool:
        return self._settings.payment_connector is not None

    def close(self) -> None:
        """Let results that are on their way arrive."""
        self._deliveries.shutdown(wait=True)

    # An agent's payment

    def open_for_agent(self, sid: str, by: By, amount: Decimal | None = None) -> Outcome:
        """The pause proven first, then the session. `problem` is None once the agent may ask for the card."""
        payment_id, outcome = self._open(sid, by, Via.AGENT, amount)
        payment = None if payment_id is None else outcome.call.payment_of(payment_id)
        if payment_id is None or payment is None:
            return outcome
        reply = self._twice(lambda: self._sessions.open(outcome.call.account, payment))
        why = None if reply.sid else reply.why
        step = self._control.tell(outcome.call.sid, SessionOpened(by=by, id=payment_id, sid=reply.sid, why=why))
        self._close_soon(step.call)
        return _outcome(step, None if reply.sid else _denial(reply))

    def ask(self, sid: str, by: By, field: Field) -> Outcome:
        """Ask the caller for one field, or for it again."""
        return self._lead(sid, by, lambda payment: AskField(by=by, id=payment.id, field=field), field)

    def complete(self, sid: str, by: By) -> Outcome:
        """Every field is there: Twilio charges or tokenises. The result comes by a callback."""
        return self._lead(sid, by, lambda payment: CompletePayment(by=by, id=payment.id), None)

    def cancel(self, sid: str, by: By) -> Outcome:
        """No card: the session is closed first, so that no key is heard by the recording that goes on then. While
        Twilio does not take that up, the pause stays for some seconds more. The phone flow's payment is not an agent's
        to cancel: Twilio's `<Pay>` would go on asking for the card.
        """
        call = self._control.find(sid)
        payment = None if call is None else call.payment
        if call is None or payment is None or payment.via is not Via.AGENT:
            return self._none(sid)
        is_closed = (
            payment.is_open and payment.sid is not None and _is_closed(self._sessions.cancel(call.account, payment))
        )
        time.sleep(LAST_KEY_SECONDS)
        end = EndPayment(by=by, id=payment.id, why="cancelled", is_closed=is_closed)
        outcome = self._control.until_resumed(sid, end, by)
        if is_closed:
            self._control.tell(sid, SessionClosed(id=payment.id, ok=True))
        else:
            self._close_soon(outcome.call)
        return outcome

    # A phone flow's payment

    def open_for_flow(self, sid: str, by: By) -> Opened:
        """Only with a payment id is it safe to answer with `<Pay>`."""
        return self._open(sid, by, Via.FLOW, self._settings.payment_amount)

    def unfinished(self, sid: str) -> str | None:
        """The phone flow's payment of which Twilio has not said yet what came of it."""
        payment = self._payment(sid)
        return payment.id if payment is not None and payment.is_open and payment.via is Via.FLOW else None

    def moved_on(self, sid: str, payment_id: str, by: By) -> None:
        """The flow is somewhere else, so this `<Pay>` is over, and its result was lost. It is named because this may be
        carried out late: another may be open by then.
        """
        self._control.tell(sid, EndPayment(by=by, id=payment_id, why="no-result"))

    # What Twilio reports

    def finish(self, sid: str, report: PaymentReported, handover: Handover, by: By) -> bool:
        """Twilio's last word on a phone flow's payment: resume and deliver side by side, and go on whatever came of the
        resume. True: the card was taken, and whoever wants the result has it.
        """
        return self._taken_in(sid, report, handover, lambda: self._control.until_resumed(sid, report, by))

    def progress(self, sid: str, report: PaymentReported, handover: Handover) -> None:
        """A callback about a payment; an agent's last one brings the result."""
        self._taken_in(sid, report, handover, lambda: self._told(sid, report))

    def _told(self, sid: str, report: PaymentReported) -> None:
        self._close_soon(self._control.tell(sid, report).call)

    def _taken_in(self, sid: str, report: PaymentReported, handover: Handover, save: Callable[[], object]) -> bool:
        """A result is delivered although the database is away: it would be lost otherwise. It is noted once it can."""
        if report.result not in {None, SUCCESS, HUNG_UP}:
            time.sleep(LAST_KEY_SECONDS)
        delivery = self._begin_delivery(sid, report, handover)
        unsaved: tuple[PaymentReported, ...] = ()
        try:
            save()
        except OUR_TROUBLE:
            unsaved = () if report.is_partial else (report,)
        if delivery is None:
            self._tell_or_later(sid, *unsaved)
            return report.result == SUCCESS and self._is_paid(sid, report.id)
        why = delivery.result()
        self._tell_or_later(sid, *unsaved, Delivered(id=report.id, ok=why is None, why=why))
        return why is None

    def _tell_or_later(self, sid: str, *messages: PaymentReported | Delivered) -> None:
        try:
            if messages:
                self._control.tell(sid, *messages)
        except OUR_TROUBLE:
            self._later(lambda: self._control.tell(sid, *messages))

    def _begin_delivery(self, sid: str, report: PaymentReported, handover: Handover) -> Future[str | None] | None:
        """The same result a second time is not sent again; two at once are one to the receiver, by their id."""
        if report.result != SUCCESS:
            return None
        try:
            payment = self._payment(sid, report.id)
        except DatabaseUnavailable:
            payment = Payment(id=report.id, via=Via.FLOW, hold="", leg=sid)
        if payment is None or payment.result is not None:
            return None
        return self._deliveries.submit(self._post.deliver, payment.id, _payload(sid, payment, handover, self._settings))

    def _is_paid(self, sid: str, payment_id: str) -> bool:
        """The same result again, while the first is on its way: told what came of that."""
        deadline = time.monotonic() + RESULT_SECONDS
        payment = self._payment(sid, payment_id)
        while payment is not None and payment.stage is Stage.DELIVERING and time.monotonic() < deadline:
            time.sleep(LOOK_AGAIN_SECONDS)
            payment = self._payment(sid, payment_id)
        return payment is not None and payment.stage is Stage.PAID

    # What falls due

    def tidy(self, sid: str) -> None:
        """Close the sessions of payments that are over here and not yet at Twilio."""
        call = self._control.find(sid)
        for payment in () if call is None else call.payments:
            if call is not None and payment.close_at is not None and payment.close_at <= datetime.now(UTC):
                is_closed = _is_closed(self._sessions.cancel(call.account, payment))
                self._control.tell(sid, SessionClosed(id=payment.id, ok=is_closed))

    def _close_soon(self, call: Call) -> None:
        if any(payment.close_at is not None for payment in call.payments):
            self._control.beside(lambda: self._tidy_quietly(call.sid))

    def _tidy_quietly(self, sid: str) -> None:
        try:
            self.tidy(sid)
        except DatabaseUnavailable:
            log.debug("payment.deferred", call=sid)

    # Steps

    def _open(self, sid: str, by: By, via: Via, amount: Decimal | None) -> Opened:
        payment_id = secrets.token_hex(16)
        message = OpenPayment(
            by=by,
            id=payment_id,
            hold_id=secrets.token_hex(16),
            via=via,
            fields=self._fields() if via is Via.AGENT else (),
            amount=None if amount is None else str(amount),
            currency=self._settings.payment_currency,
            max_seconds=OPENING_SECONDS if via is Via.AGENT else None,
        )
        outcome = self._control.until_safe(sid, message, by, holder_of(payment_id))
        if outcome.problem is None:
            return Opened(payment_id, outcome)
        step = self._control.tell(outcome.call.sid, EndPayment(by=by, id=payment_id, why=NOT_PROVEN))
        return Opened(None, Outcome(step.call, step.now, outcome.problem))

    def _fields(self) -> tuple[Field, ...]:
        optional = {
            Field.SECURITY_CODE: self._settings.payment_security_code,
            Field.POSTAL_CODE: self._settings.payment_postal_code,
        }
        return tuple(field for field in Field if optional.get(field, True))

    def _lead(
        self, sid: str, by: By, message: Callable[[Payment], AskField | CompletePayment], field: Field | None
    ) -> Outcome:
        """Note the wish, tell Twilio, and note it if Twilio does not take it up."""
        known = self._payment(sid)
        if known is None:
            return self._none(sid)
        step = self._control.tell(sid, message(known))
        payment = step.call.payment_of(known.id)
        if step.refused is not None or payment is None:
            return _outcome(step, step.refused)
        account = step.call.account
        send = self._sessions.complete if field is None else None
        reply = self._twice(
            lambda: send(account, payment) if send else self._sessions.ask(account, payment, field or Field.CARD_NUMBER)
        )
        if reply.kind is Kind.CONFIRMED:
            return _outcome(step, None)
        refused = SessionRefused(by=by, id=payment.id, why=reply.why or "refused", field=field)
        return _outcome(self._control.tell(sid, refused), _denial(reply))

    def _twice(self, send: Callable[[], SessionReply]) -> SessionReply:
        reply = send()
        for _ in range(TRIES - 1):
            if reply.may_be_repeated:
                reply = send()
        return reply

    def _payment(self, sid: str, payment_id: str | None = None) -> Payment | None:
        """The latest, or the one of that id."""
        call = self._control.find(sid)
        if call is None:
            return None
        return call.payment if payment_id is None else call.payment_of(payment_id)

    def _none(self, sid: str) -> Outcome:
        call = self._control.find(sid) or Call(sid=sid, account=self._settings.twilio_account_sid)
        return Outcome(call, datetime.now(UTC), Denial.PAYMENT_OVER)


def _outcome(step: Step, problem: Problem | Denial | None) -> Outcome:
    return Outcome(step.call, step.now, problem)


def _is_closed(reply: SessionReply) -> bool:
    """A session that Twilio refuses to cancel is not there any more."""
    return reply.kind is Kind.CONFIRMED or (reply.kind is Kind.REFUSED and reply.http_status in {400, 404, 409})


def _denial(reply: SessionReply) -> Denial:
    return Denial.SESSION_REFUSED if reply.kind is Kind.REFUSED else Denial.SESSION_UNANSWERED


def _payload(sid: str, payment: Payment, handover: Handover, settings: Settings) -> dict[str, object]:
    """What the caller's system is told: enough to find the payment again, and no card."""
    return {
        "type": "payment.succeeded",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "data": {
            "payment": payment.id,
            "session": payment.sid,
            "call": sid,
            "agent": payment.agent,
            "amount": payment.amount,
            "currency": payment.currency if payment.amount else None,
            "token_type": None if payment.amount else settings.payment_token_type,
            "token": handover.token,
            "confirmation_code": handover.confirmation_code,
            "profile": handover.profile,
        },
    }

"""Twilio's Payments subresource of a call: agent-assisted capture of a card by keypad (twilio.com/docs/voice/api/
payment-resource). The card stays at Twilio; what passes here is a session's SID.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twilio.base.exceptions import TwilioException, TwilioRestException

from bot.messages import Kind
from bot.payment import Field, Payment
from bot.settings import Settings
from bot.telephony.http_client import Unanswered, Unsent
from bot.telephony.sdk import connect

CONNECTIONS = 16
SESSION_SID = re.compile(r"PK[0-9a-fA-F]{32}")
UNREADABLE = (Unanswered, TwilioException, ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReply:
    """What came of one POST. Only `confirmed` says that it is so; `why` is a word for the log and the page."""

    kind: Kind
    sid: str | None = None
    http_status: int | None = None
    code: int | None = None
    why: str | None = None

    @property
    def may_be_repeated(self) -> bool:
        """The same idempotency key makes it safe."""
        return self.kind in {Kind.UNANSWERED, Kind.UNSENT} or self.http_status == 429


class PaymentSessions:
    """Every call returns a value, in the Twilio time limit, and never raises. Safe for any number of threads."""

    def __init__(self, settings: Settings) -> None:
        self._client, self._http = connect(settings, CONNECTIONS)
        self._base_url = settings.public_base_url
        self._terms = {
            "payment_connector": settings.payment_connector,
            "payment_method": "credit-card",
            "token_type": settings.payment_token_type,
            "security_code": settings.payment_security_code,
            "postal_code": settings.payment_postal_code,
        }

    def open(self, account: str, payment: Payment) -> SessionReply:
        """Without an amount the card is turned into a token. The payment's id is the idempotency key."""
        sessions = self._client.api.v2010.accounts(account).calls(payment.leg).payments
        amount = {"charge_amount": payment.amount, "currency": payment.currency} if payment.amount else {}
        return self._reply(
            lambda: sessions.create(
                idempotency_key=payment.id, status_callback=self._callback(payment), **self._terms, **amount
            )
        )

    def ask(self, account: str, payment: Payment, field: Field) -> SessionReply:
        return self._update(account, payment, f"{payment.id}-{payment.asks}", capture=field.value)

    def complete(self, account: str, payment: Payment) -> SessionReply:
        return self._update(account, payment, f"{payment.id}-complete-{payment.asks}", status="complete")

    def cancel(self, account: str, payment: Payment) -> SessionReply:
        return self._update(account, payment, f"{payment.id}-cancel", status="cancel")

    def _update(self, account: str, payment: Payment, key: str, **what: str) -> SessionReply:
        session = self._client.api.v2010.accounts(account).calls(payment.leg).payments(str(payment.sid))
        return self._reply(lambda: session.update(idempotency_key=key, status_callback=self._callback(payment), **what))

    def _callback(self, payment: Payment) -> str:
        """Names the payment and the request, so that late news is known as such. Twilio's signature covers it."""
        return f"{self._base_url}/twilio/pay/status?payment={payment.id}&ask={payment.asks}"

    def _reply(self, post: Callable[[], Any]) -> SessionReply:
        try:
            sid = str(post().sid or "")
        except Unsent as error:
            return SessionReply(kind=Kind.UNSENT, why=str(error))
        except TwilioRestException as error:
            kind = Kind.REFUSED if 400 <= error.status < 500 else Kind.UNANSWERED
            why = f"Twilio answered {error.status}"
            return SessionReply(kind=kind, http_status=error.status, code=error.code, why=why)
        except UNREADABLE as error:
            return SessionReply(
                kind=Kind.UNANSWERED,
                why=str(error) if isinstance(error, Unanswered) else "Twilio's reply is unreadable",
            )
        if SESSION_SID.fullmatch(sid):
            return SessionReply(kind=Kind.CONFIRMED, sid=sid)
        return SessionReply(kind=Kind.UNANSWERED, why="Twilio's reply names no session")

"""The terms of a <Pay>: its attributes, checked. One that makes no sense is a result of the payment."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.simulator.cards import TYPES

_KNOWN = frozenset((
    "paymentConnector", "chargeAmount", "currency", "tokenType", "paymentMethod", "postalCode", "securityCode",
    "minPostalCodeLength", "timeout", "maxAttempts", "validCardTypes", "language", "description", "bankAccountType",
    "input",
))  # fmt: skip
_PATTERNS = {
    "paymentConnector": r"\S.{0,63}",
    "chargeAmount": r"\d{1,7}(\.\d{1,2})?",
    "currency": r"[A-Za-z]{3}",
    "tokenType": r"reusable|one-time|payment-method",
    "paymentMethod": r"credit-card",
    "postalCode": r"true|false|[A-Za-z0-9 -]{1,20}",
    "securityCode": r"true|false",
    "minPostalCodeLength": r"\d{1,2}",
    "timeout": r"[1-9]\d{0,2}",
    "maxAttempts": r"[1-3]",
    "bankAccountType": r"consumer-checking|consumer-savings|commercial-checking|commercial-savings",
    "input": r"dtmf",
}
_DEFAULTS = {
    "paymentConnector": "Default",
    "chargeAmount": "0",
    "currency": "usd",
    "tokenType": "reusable",
    "paymentMethod": "credit-card",
    "postalCode": "true",
    "securityCode": "true",
    "minPostalCodeLength": "0",
    "timeout": "5",
    "maxAttempts": "3",
    "validCardTypes": " ".join(TYPES),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be paid, and what the caller is asked for. Only credit cards are played here."""

    connector: str
    method: str
    charges: bool
    """A charge now; else a token for later."""
    fields: tuple[str, ...]
    """What is asked for, in order."""
    postal_code: str | None
    """One that is known already."""
    min_postal_code: int
    timeout: float
    attempts: int
    card_types: frozenset[str]


def read(attributes: dict[str, str]) -> Terms | str:
    """The terms, or what is wrong with them."""
    for name, value in attributes.items():
        if name not in _KNOWN:
            return f"<Pay> has no attribute {name}"
        if name in _PATTERNS and not re.fullmatch(_PATTERNS[name], value):
            return f"<Pay> has an invalid {name}"
    given = _DEFAULTS | attributes
    card_types = frozenset(given["validCardTypes"].replace(",", " ").split())
    if not card_types or not card_types <= set(TYPES):
        return "<Pay> has an invalid validCardTypes"
    postal = given["postalCode"]
    asked = {"security-code": given["securityCode"] == "true", "postal-code": postal == "true"}
    return Terms(
        connector=given["paymentConnector"],
        method=given["paymentMethod"],
        charges=float(given["chargeAmount"]) > 0,
        fields=("payment-card-number", "expiration-date", *(name for name, wanted in asked.items() if wanted)),
        postal_code=postal if postal not in ("true", "false") else None,
        min_postal_code=int(given["minPostalCodeLength"]),
        timeout=float(given["timeout"]),
        attempts=int(given["maxAttempts"]),
        card_types=card_types,
    )

"""The payment gateway behind a Pay Connector: what it says, and how Twilio reports it."""

from __future__ import annotations

import secrets
import string

OUTCOMES = ("ok", "payment-connector-error", "internal-error")
"""The values of the setting ``connector``; all but the first are Twilio's ``Result``."""

# That there is a number is documented, which ones there are is not: these are the simulator's own.
_FAILURES = {
    "payment-connector-error": ("the payment gateway cannot be reached", "64001"),
    "internal-error": ("internal error", "64002"),
}
_TOKENS = {"one-time": "tok_", "reusable": "card_", "payment-method": "pm_"}


def outcome(connector: str, charge: str | None, token_type: str) -> dict[str, str]:
    """The parameters that tell a transaction's result. ``charge`` None: the card is turned into a token."""
    if connector in _FAILURES:
        reason, number = _FAILURES[connector]
        return {"Result": connector, "PaymentError": reason, "PayErrorCode": number}
    if charge is not None:
        return {"Result": "success", "PaymentConfirmationCode": _named("ch_"), "ProfileId": _named("cus_")}
    return {"Result": "success", "PaymentToken": _named(_TOKENS[token_type]), "ProfileId": _named("cus_")}


def _named(prefix: str) -> str:
    """Letters only: what looks for card numbers must not stumble over it."""
    return prefix + "".join(secrets.choice(string.ascii_letters) for _ in range(24))

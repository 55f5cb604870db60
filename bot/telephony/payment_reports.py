"""Parameters of Twilio's payment callbacks -> a message, without a digit that could hurt.

Read are: which payment, which field, how far, whether it went well. Of the card number only the last four, and only
where Twilio masked the rest. Expiry date, postal code and the security code's mask are never read; token and
confirmation code are read by `handover` alone, which gives them a form that nothing prints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.errors import Malformed
from bot.payment import LAST_DIGITS, Field, PaymentReported

REPORT_FIELDS = (
    "CallSid", "AccountSid", "Sid", "For", "Capture", "Attempt", "ErrorType", "PartialResult", "Required",
    "PaymentCardNumber", "PaymentCardType", "Result", "PayErrorCode",
)  # fmt: skip
HANDOVER_FIELDS = ("PaymentToken", "PaymentConfirmationCode", "ProfileId")
HANDOVER_CHARACTERS_MAX = 500

RESULTS = {
    "success", "too-many-failed-attempts", "payment-connector-error", "caller-interrupted-with-star", "caller-hung-up",
    "validation-error", "internal-error",
}  # fmt: skip
OTHER_RESULT = "other"
MASKED = re.compile(r"[xX*•]*([0-9]{0,4})")
WORD = re.compile(r"[a-z][a-z-]{0,39}")
PAYMENT_ID = re.compile(r"[0-9a-f]{32}")
KEYS_MAX = 40


@dataclass(frozen=True, slots=True)
class Handover:
    """What the caller's system is to have of a payment. Lives in memory, on its way; no part of it shows in a repr."""

    token: str | None = field(default=None, repr=False)
    confirmation_code: str | None = field(default=None, repr=False)
    profile: str | None = field(default=None, repr=False)


def report(form: Mapping[str, str], payment_id: str, ask: str) -> PaymentReported:
    """`form` holds only `REPORT_FIELDS`. Raises `Malformed`, naming the parameter and never its value."""
    if not PAYMENT_ID.fullmatch(payment_id):
        raise Malformed("`payment` is missing or not one of ours.")
    if ask and not re.fullmatch(r"[0-9]{1,4}", ask):
        raise Malformed("`ask` is not a small number.")
    capture = _field(form)
    keys, last_four = card_seen(form.get("PaymentCardNumber", ""))
    return PaymentReported(
        id=payment_id,
        sid=_session(form),
        ask=int(ask) if ask else None,
        field=capture,
        attempt=_attempt(form),
        is_partial=form.get("PartialResult") == "true",
        is_entered=_is_entered(form, capture),
        keys=keys if capture is Field.CARD_NUMBER else 0,
        last_four=last_four if capture is Field.CARD_NUMBER else None,
        brand=_word(form.get("PaymentCardType")),
        error=_word(form.get("ErrorType")),
        result=_result(form),
        code=_code(form),
    )


def handover(form: Mapping[str, str]) -> Handover:
    """`form` holds only `HANDOVER_FIELDS`."""
    kept = {name: value for name, value in form.items() if 0 < len(value) <= HANDOVER_CHARACTERS_MAX}
    return Handover(kept.get("PaymentToken"), kept.get("PaymentConfirmationCode"), kept.get("ProfileId"))


def card_seen(value: str) -> tuple[int, str | None]:
    """How many keys, and the last four where the rest is masked. A number in clear is only counted."""
    masked = MASKED.fullmatch(value)
    length = min(len(value), KEYS_MAX)
    is_whole = masked is not None and len(masked[1]) == LAST_DIGITS and len(value) > 2 * LAST_DIGITS
    return length, masked[1] if masked is not None and is_whole else None


def _field(form: Mapping[str, str]) -> Field | None:
    value = form.get("Capture") or form.get("For") or ""
    return Field(value) if value in set(Field) else None


def _is_entered(form: Mapping[str, str], capture: Field | None) -> bool:
    """Twilio says which fields it still requires; one that it does not is there."""
    if capture is None or form.get("ErrorType") or "Required" not in form:
        return False
    return capture.value not in re.split(r"[,\s]+", form["Required"])


def _session(form: Mapping[str, str]) -> str | None:
    value = form.get("Sid")
    if not value:
        return None
    if not re.fullmatch(r"PK[0-9a-fA-F]{32}", value):
        raise Malformed("Sid is not a SID that begins with PK.")
    return value


def _attempt(form: Mapping[str, str]) -> int | None:
    value = form.get("Attempt", "")
    return int(value) if re.fullmatch(r"[0-9]{1,3}", value) else None


def _word(value: str | None) -> str | None:
    return value if value and WORD.fullmatch(value) else None


def _result(form: Mapping[str, str]) -> str | None:
    """Twilio may come to know other results than we do: they are failures, by one name."""
    value = form.get("Result")
    if not value:
        return None
    return value if value in RESULTS else OTHER_RESULT


def _code(form: Mapping[str, str]) -> str | None:
    value = form.get("PayErrorCode", "")
    return value if re.fullmatch(r"[0-9]{1,6}", value) else None

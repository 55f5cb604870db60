"""A payment by keypad in the words of the agent's page: at most the last four digits, as Twilio masks them."""

from __future__ import annotations

from dataclasses import dataclass

from bot.payment import Capture, Field, Payment, Progress, Stage, Via

LABELS = {
    Field.CARD_NUMBER: "Card number",
    Field.EXPIRATION_DATE: "Expiry date",
    Field.SECURITY_CODE: "Security code",
    Field.POSTAL_CODE: "Postal code",
}
ERRORS = {
    "timeout": "nothing was keyed in in time",
    "invalid-card-number": "not a valid card number",
    "invalid-card-type": "this kind of card is not accepted",
    "invalid-date": "not a valid expiry date",
    "invalid-security-code": "not a valid security code",
    "invalid-postal-code": "not a valid postal code",
}
ENDS = {
    "too-many-failed-attempts": "The caller's attempts were used up.",
    "payment-connector-error": "The payment provider refused the card or failed.",
    "caller-interrupted-with-star": "The caller pressed the star key.",
    "caller-hung-up": "The caller hung up.",
    "validation-error": "Twilio found the payment badly configured: tell your administrator.",
    "internal-error": "Twilio failed.",
    "not-proven": "The pause was not proven, so no card was asked for.",
    "no-result": "The phone menu went on without a result.",
    "call-over": "The call ended.",
    "hold-ended": "The pause ended, so no card may come.",
    "time-limit": "The pause reached its time limit.",
    "not-delivered": (
        "The card was taken, but the result did not reach your system: treat it as not paid, and tell your supervisor."
    ),
}


@dataclass(frozen=True, slots=True)
class ShownField:
    """`value` is what to show of it; `may_ask` once the one before was entered, or to correct it."""

    name: str
    label: str
    value: str
    state: str
    action: str


@dataclass(frozen=True, slots=True)
class ShownPayment:
    """`tone`: open, good or bad. `is_led`: by an agent, so that there is something to press."""

    headline: str
    text: str
    tone: str
    is_open: bool
    is_led: bool
    may_complete: bool
    fields: tuple[ShownField, ...]


def show_payment(payment: Payment | None) -> ShownPayment | None:
    if payment is None:
        return None
    headline, text, tone = _words(payment)
    return ShownPayment(
        headline=headline,
        text=text,
        tone=tone,
        is_open=payment.is_open,
        is_led=payment.is_open and payment.via is Via.AGENT,
        may_complete=payment.stage is Stage.OPEN and payment.is_whole,
        fields=tuple(_field(one) for one in payment.captures) if payment.stage is Stage.OPEN else (),
    )


def _words(payment: Payment) -> tuple[str, str, str]:
    amount = f" of {payment.amount} {payment.currency.upper()}" if payment.amount else ""
    match payment.stage:
        case Stage.OPENING:
            return "Opening the payment", "Wait until the caller can be asked for the card.", "open"
        case Stage.OPEN if payment.via is Via.FLOW:
            return f"The caller is paying{amount} in the phone menu", "Nothing to do here: wait for the result.", "open"
        case Stage.OPEN:
            return f"Payment{amount} by keypad", "The caller keys in the card; you neither see nor hear it.", "open"
        case Stage.COMPLETING:
            return f"Completing the payment{amount}", "Twilio is asking the payment provider.", "open"
        case Stage.DELIVERING:
            return "The card was taken", "The result is on its way to your system: wait before you say so.", "open"
        case Stage.PAID:
            done = f"Paid{amount}" if payment.amount else "The card was saved"
            return done, "Your system has the result.", "good"
        case Stage.CANCELLED:
            return "Payment cancelled", "No card was taken.", "bad"
        case Stage.FAILED:
            return "Payment failed", ENDS.get(payment.why or "", "Twilio did not take up the payment."), "bad"


def _field(one: Capture) -> ShownField:
    values = {
        Progress.WAITING: "not asked yet",
        Progress.ASKED: "waiting for the caller",
        Progress.ENTERING: f"{one.keys} keys so far" if one.keys else "the caller is keying it in",
        Progress.ENTERED: _masked(one),
        Progress.REFUSED: ERRORS.get(one.why or "", "not taken up") + ": ask again",
    }
    asked = one.progress is not Progress.WAITING
    return ShownField(
        name=one.field.value,
        label=LABELS[one.field],
        value=values[one.progress],
        state=one.progress.value,
        action="Ask again" if asked else "Ask",
    )


def _masked(one: Capture) -> str:
    if one.last_four is None:
        return "entered"
    return f"•••• {one.last_four} ({one.brand})" if one.brand else f"•••• {one.last_four}"

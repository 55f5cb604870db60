"""TwiML: what a step of a call flow answers (twilio.com/docs/voice/twiml). An answer is made of verbs, in their order.

URLs are absolute, or a path that Twilio resolves against the step's own; all of them are fetched with POST.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twilio.twiml.voice_response import Dial, VoiceResponse

RECORDING_EVENTS = "in-progress completed absent"
LEG_EVENTS = "initiated ringing answered completed"
RINGING_MAX = 10
"""Twilio rings no more contacts than this at once."""

Verb = Callable[[VoiceResponse], object]


def answer(*verbs: Verb) -> str:
    """Without verbs: Twilio goes on as if nothing was said, and hangs up where nothing is left to do."""
    response = VoiceResponse()
    for verb in verbs:
        verb(response)
    return str(response)


def redirect(url: str) -> Verb:
    """Go on there."""
    return lambda response: response.redirect(url, method="POST")


def say(words: str) -> Verb:
    return lambda response: response.say(words)


def hang_up(response: VoiceResponse) -> None:
    response.hangup()


def record(callback: str) -> Verb:
    """Begin to record the call, both sides apart, and go on at once."""
    return lambda response: response.start().recording(
        recording_status_callback=callback, recording_status_callback_event=RECORDING_EVENTS, channels="dual"
    )


def one_key(prompt: str, action: str, timeout_seconds: int) -> Verb:
    """Ask for a single key, `*` and `#` among them; `action` also hears of silence."""

    def gather(response: VoiceResponse) -> None:
        asked = response.gather(
            input="dtmf",
            num_digits=1,
            finish_on_key="",
            timeout=timeout_seconds,
            action_on_empty_result=True,
            method="POST",
            action=action,
        )
        if prompt:
            asked.say(prompt)

    return gather


def dial(contacts: Sequence[str], action: str, leg_callback: str, timeout_seconds: int) -> Verb:
    """Ring all of them at once, as far as Twilio does; the first to answer has the call."""

    def ring(response: VoiceResponse) -> None:
        dialled = response.dial(action=action, method="POST", timeout=timeout_seconds)
        for contact in contacts[:RINGING_MAX]:
            _noun(dialled, contact, leg_callback)

    return ring


def pay(
    *,
    payment_connector: str | None,
    charge_amount: str | None,
    currency: str,
    token_type: str,
    postal_code: bool,
    security_code: bool,
    action: str,
    status_callback: str,
) -> Verb:
    """Ask for the card, inside Twilio. Without an amount it is only turned into a token."""
    return lambda response: response.pay(
        payment_connector=payment_connector,
        charge_amount=charge_amount,
        currency=currency,
        token_type=token_type,
        postal_code=postal_code,
        security_code=security_code,
        action=action,
        status_callback=status_callback,
        status_callback_method="POST",
    )


def is_dialable(contact: str) -> bool:
    """Whether `dial` has a noun for a contact as the users' table keeps it."""
    return contact.startswith(("client:", "sip:", "sips:")) or (
        contact.startswith("+") and contact[1:].isascii() and contact[1:].isdigit()
    )


def _noun(dialled: Dial, contact: str, callback: str) -> None:
    reports = {
        "status_callback": callback,
        "status_callback_event": LEG_EVENTS,
        "status_callback_method": "POST",
    }
    if contact.startswith("client:"):
        dialled.client(contact.removeprefix("client:"), **reports)
    elif contact.startswith(("sip:", "sips:")):
        dialled.sip(contact, **reports)
    else:
        dialled.number(contact, **reports)

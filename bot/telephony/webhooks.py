"""Webhook parameters -> a message. Only what is named here is ever read; all else is dropped before anything records
it.

`From` and `To` serve to find the agent on a leg, a masked hint at the caller and a keyed digest to search by, and go
no further: a phone number is in no entry of the log. Digits, speech, payment fields and tokens are not named here, so
they do not exist for us.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bot.call import Of
from bot.errors import Malformed
from bot.messages import CallReported, ConferenceReported, RecordingReported
from bot.scrub import scrub_card_numbers

CALL_FIELDS = (
    "CallSid", "ParentCallSid", "AccountSid", "CallStatus", "Direction", "From", "To", "SequenceNumber", "Timestamp",
)  # fmt: skip
RECORDING_FIELDS = (
    "RecordingSid", "CallSid", "ConferenceSid", "AccountSid", "RecordingStatus", "RecordingDuration",
    "RecordingStartTime",
)  # fmt: skip
CONFERENCE_FIELDS = (
    "ConferenceSid", "CallSid", "AccountSid", "StatusCallbackEvent", "SequenceNumber", "Timestamp",
)  # fmt: skip
STEP_FIELDS = ("CallSid", "AccountSid")
DIAL_FIELDS = ("DialCallStatus",)
KEYS_FIELDS = ("Digits",)
"""Read by `web.steps.pressed` alone, which reduces them on the spot."""
NEVER_IN_A_REPORT = frozenset({
    "Digits", "SpeechResult", "UnstableSpeechResult", "StableSpeechResult", "PaymentCardNumber", "ExpirationDate",
    "SecurityCode", "PaymentCardPostalCode", "BankAccountNumber", "BankRoutingNumber", "PaymentToken",
    "PaymentConfirmationCode", "ProfileId", "TranscriptionText", "TranscriptionData", "Body",
})  # fmt: skip
"""What status callbacks of calls, recordings and conferences do not have; named so that it can be told by its name."""

CALL_STATUSES = {
    "queued", "initiated", "ringing", "in-progress", "answered", "completed", "busy", "failed", "no-answer", "canceled",
}  # fmt: skip
RECORDING_STATUSES = {"in-progress", "paused", "resumed", "stopped", "completed", "absent", "failed"}
CONFERENCE_EVENTS = {
    "conference-start", "conference-end", "participant-join", "participant-leave", "participant-mute",
    "participant-unmute", "participant-hold", "participant-unhold", "participant-modify", "participant-speech-start",
    "participant-speech-stop", "announcement-end", "announcement-fail",
}  # fmt: skip
NUMBER_SHOWN_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a status callback says, of which call, and the contacts that may name an agent: who is on the leg, and who
    at its other end. `caller` is the digest of the number in `message.caller`.
    """

    account: str | None
    message: CallReported | RecordingReported | ConferenceReported
    call: str | None = None
    conference: str | None = None
    caller: bytes | None = None
    on_leg: str | None = None
    other_end: str | None = None


def digest(secret: bytes, endpoint: str, fields: tuple[str, ...], form: Mapping[str, str]) -> bytes:
    """What a repeat is known by: a keyed hash over the allowed fields."""
    text = json.dumps([endpoint, *([name, form[name]] for name in fields if name in form)])
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()


def call_report(form: Mapping[str, str]) -> Report:
    """Raises `Malformed`, naming the parameter and never its value."""
    sid = _sid(form, "CallSid", "CA")
    parent = _optional_sid(form, "ParentCallSid", "CA")
    status = _one_of(form, "CallStatus", CALL_STATUSES)
    inbound = form.get("Direction", "").startswith("inbound")
    number = caller_number(form)
    message = CallReported(
        sid=sid,
        status={"answered": "in-progress", "initiated": "queued"}.get(status, status),
        parent=parent,
        sequence=_count(form, "SequenceNumber"),
        at=_time(form),
        caller=masked(number) if number else None,
    )
    return Report(
        account=_optional_sid(form, "AccountSid", "AC"),
        call=parent or sid,
        message=message,
        on_leg=form.get("From" if inbound else "To"),
        other_end=form.get("To" if inbound else "From"),
    )


def caller_number(form: Mapping[str, str]) -> str | None:
    """Whoever is at the other end of a call; of a leg of another call it is none."""
    inbound = form.get("Direction", "").startswith("inbound")
    return None if form.get("ParentCallSid") else form.get("From" if inbound else "To")


def recording_report(form: Mapping[str, str]) -> Report:
    conference = _optional_sid(form, "ConferenceSid", "CF")
    call = _optional_sid(form, "CallSid", "CA")
    owner = conference or call
    if owner is None:
        raise Malformed("CallSid or ConferenceSid is missing.")
    message = RecordingReported(
        sid=_sid(form, "RecordingSid", "RE"),
        status=_one_of(form, "RecordingStatus", RECORDING_STATUSES),
        of=Of.CONFERENCE if conference else Of.CALL,
        owner=owner,
        duration_seconds=_count(form, "RecordingDuration", low=-1),
    )
    return Report(account=_optional_sid(form, "AccountSid", "AC"), call=call, conference=conference, message=message)


def conference_report(form: Mapping[str, str]) -> Report:
    conference = _sid(form, "ConferenceSid", "CF")
    participant = _optional_sid(form, "CallSid", "CA")
    event = _one_of(form, "StatusCallbackEvent", CONFERENCE_EVENTS)
    message = ConferenceReported(
        conference=conference,
        event=event,
        participant=participant,
        sequence=_count(form, "SequenceNumber"),
        at=_time(form),
    )
    return Report(
        account=_optional_sid(form, "AccountSid", "AC"), call=participant, conference=conference, message=message
    )


def step_call(form: Mapping[str, str]) -> str:
    """Whose flow the step belongs to. Raises `Malformed`."""
    return _sid(form, "CallSid", "CA")


def may_hold_card(given: Iterable[tuple[str, str]]) -> bool:
    """Whether any of these names and values says so, or looks like it."""
    return any(
        name in NEVER_IN_A_REPORT or scrub_card_numbers(name) != name or scrub_card_numbers(value) != value
        for name, value in given
    )


def masked(number: str) -> str | None:
    """The last four digits of a phone number, for an agent to tell two calls apart."""
    digits = "".join(character for character in number if character.isdigit())
    is_number = bool(re.fullmatch(r"\+?[0-9 ().-]{6,20}", number))
    return f"…{digits[-NUMBER_SHOWN_DIGITS:]}" if is_number else None


def _sid(form: Mapping[str, str], name: str, prefix: str) -> str:
    value = _optional_sid(form, name, prefix)
    if value is None:
        raise Malformed(f"{name} is missing.")
    return value


def _optional_sid(form: Mapping[str, str], name: str, prefix: str) -> str | None:
    value = form.get(name)
    if not value:
        return None
    if not is_sid(value, prefix):
        raise Malformed(f"{name} is not a SID that begins with {prefix}.")
    return value


def is_sid(value: str, prefix: str) -> bool:
    return re.fullmatch(prefix + "[0-9a-fA-F]{32}", value) is not None


def _one_of(form: Mapping[str, str], name: str, allowed: set[str]) -> str:
    value = form.get(name, "")
    if value not in allowed:
        raise Malformed(f"{name} is missing or not one of Twilio's values.")
    return value


def _time(form: Mapping[str, str]) -> datetime | None:
    """Twilio's own time of the event (RFC 2822, whole seconds). One that cannot be read is none: it only orders."""
    try:
        at = parsedate_to_datetime(form.get("Timestamp", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _count(form: Mapping[str, str], name: str, low: int = 0) -> int | None:
    value = form.get(name)
    if value is None or value == "":
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", value) or int(value) < low:
        raise Malformed(f"{name} is not a whole number from {low} up.")
    return int(value)

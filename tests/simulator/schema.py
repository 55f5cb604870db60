"""The shapes of recordings and payment sessions as Twilio publishes them: every field, pattern and enumeration."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

_formats = FormatChecker(formats=())


@_formats.checks("date-time-rfc-2822", raises=(ValueError, TypeError))
def _is_rfc2822(value: object) -> bool:
    if not isinstance(value, str):
        return True
    at = parsedate_to_datetime(value)
    return value == at.strftime("%a, %d %b %Y %H:%M:%S +0000") and at.utcoffset() is not None


@_formats.checks("currency")
def _is_currency(value: object) -> bool:
    return not isinstance(value, str) or (len(value) == 3 and value.isupper())


def _sid(prefix: str) -> dict[str, Any]:
    pattern = f"^{prefix}[0-9a-fA-F]{{32}}$"
    return {"type": ["string", "null"], "minLength": 34, "maxLength": 34, "pattern": pattern}


_DATE = {"type": ["string", "null"], "format": "date-time-rfc-2822"}
_TEXT = {"type": ["string", "null"]}

RECORDING: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "account_sid", "api_version", "call_sid", "conference_sid", "date_created", "date_updated", "start_time",
        "duration", "sid", "price", "uri", "encryption_details", "price_unit", "status", "channels", "source",
        "error_code", "track",
    ],
    "properties": {
        "account_sid": _sid("AC"),
        "api_version": _TEXT,
        "call_sid": _sid("CA"),
        "conference_sid": _sid("CF"),
        "date_created": _DATE,
        "date_updated": _DATE,
        "start_time": _DATE,
        "duration": {"type": ["string", "null"], "pattern": "^[0-9]+$"},
        "sid": _sid("RE"),
        "price": {"type": ["number", "null"]},
        "uri": _TEXT,
        "encryption_details": {},
        "price_unit": {"type": ["string", "null"], "format": "currency"},
        "status": {"enum": ["in-progress", "paused", "stopped", "processing", "completed", "absent"]},
        "channels": {"type": "integer", "enum": [1, 2]},
        "source": {
            "enum": [
                "DialVerb", "Conference", "OutboundAPI", "Trunking", "RecordVerb", "StartCallRecordingAPI",
                "StartConferenceRecordingAPI",
            ]
        },
        "error_code": {"type": ["integer", "null"]},
        "track": {"enum": ["inbound", "outbound", "both", None]},
    },
}  # fmt: skip

PAYMENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["account_sid", "call_sid", "sid", "date_created", "date_updated", "uri"],
    "properties": {
        "account_sid": _sid("AC"),
        "call_sid": _sid("CA"),
        "sid": _sid("PK"),
        "date_created": _DATE,
        "date_updated": _DATE,
        "uri": _TEXT,
    },
}


def problems(shown: dict[str, Any], shape: dict[str, Any] = RECORDING) -> list[str]:
    """What is wrong with a recording's shape, or another one's; nothing, if it is Twilio's."""
    validator = Draft202012Validator(shape, format_checker=_formats)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(shown)]

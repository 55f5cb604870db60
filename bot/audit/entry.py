"""One entry of the log: what the domain says, and the exact bytes that are kept. Pure.

The bytes are the entry: they are stored, hashed, exported and verified as they are, and never made again from fields.
The format is versioned by `v`; a reader meets old versions for as long as the log is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import uuid4

import rfc8785

from bot.errors import LogError
from bot.scrub import scrub_card_numbers, scrub_phone_numbers

VERSION = 1
MAX_BYTES = 65_535
MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1  # beyond it JSON readers disagree (RFC 8785, I-JSON)
SOURCES = frozenset({"agent", "ivr", "payment", "api", "twilio", "system"})
OUTCOMES = frozenset({"success", "failure", "unknown"})

JSON: TypeAlias = "bool | int | str | Sequence[JSON] | Mapping[str, JSON] | None"

_ASCII_WRITER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


class EntryInvalid(LogError, ValueError):
    """What was given cannot be an entry: a mistake of the caller's, not of its user's."""


class EntryTooLong(EntryInvalid):
    """The entry's bytes would be more than `MAX_BYTES`."""


@dataclass(frozen=True)
class Draft:
    """A fact in the past tense, before it has its time and its place in the log.

    source: agent, ivr, payment, api, twilio or system. outcome: success, failure or unknown. No phone number and no
    customer's name belongs in any of it.
    """

    type: str
    actor: str | None = None
    source: str = "system"
    origin: str | None = None
    account: str | None = None
    call: str | None = None
    recording: str | None = None
    outcome: str = "success"
    reason: str | None = None
    before: str | None = None
    after: str | None = None
    cause: str | None = None
    detail: Mapping[str, JSON] | None = None
    id: str = field(default_factory=lambda: uuid4().hex)


# Fields that are kept as they are: typed, and validated by whoever fills them.
_TYPED = (
    *("id", "type", "actor", "source", "origin", "account", "call", "recording"),
    *("outcome", "before", "after", "cause"),
)


def encode(draft: Draft, at: datetime, node: str) -> bytes:
    """One line of canonical JSON (RFC 8785) without a newline, at most `MAX_BYTES` long; absent fields are null.

    `at` must know its time zone and is written in UTC with microseconds. Card numbers, and phone numbers with their
    country, are removed from `reason` and `detail`; every other field is kept as it is. Raises `EntryInvalid` or
    `EntryTooLong`.
    """
    _check(draft, at)
    fields: dict[str, Any] = {name: getattr(draft, name) for name in _TYPED}
    fields["v"] = VERSION
    fields["at"] = instant(at)
    fields["node"] = node
    fields["reason"] = None if draft.reason is None else _scrub(draft.reason)
    fields["detail"] = None if draft.detail is None else _clean(draft.detail)
    try:
        body = _canonical(fields)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        raise EntryInvalid("an entry holds text that is not valid Unicode") from None
    if len(body) > MAX_BYTES:
        raise EntryTooLong(f"an entry has at most {MAX_BYTES} bytes; this one would have {len(body)}")
    return body


def instant(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds, as all times in entries and in the API are. `at` must know its time zone."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def decode(body: bytes) -> dict[str, Any]:
    """The fields of a stored entry, for readers. ValueError if it is not a JSON object, or not of whole characters.

    JSON can name half of a surrogate pair, which no page and no file could hold.
    """
    fields = json.loads(body)
    if not isinstance(fields, dict):
        raise ValueError("an entry is a JSON object")
    if b"\\u" in body:
        json.dumps(fields, ensure_ascii=False).encode()  # a UnicodeEncodeError is a ValueError
    return fields


def is_canonical(body: bytes) -> bool:
    """Whether these bytes are what RFC 8785 makes of the object they hold. Slow (tens of µs): for deep checks only."""
    try:
        return rfc8785.dumps(decode(body)) == body
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        return False


def _canonical(fields: dict[str, Any]) -> bytes:
    """RFC 8785. In plain ASCII, without floats, the standard library writes the same at a tenth of the cost.

    Beyond ASCII the order of keys could differ (RFC 8785 sorts by UTF-16 units).
    """
    text = _ASCII_WRITER.encode(fields)
    return text.encode() if text.isascii() else rfc8785.dumps(fields)


def _check(draft: Draft, at: datetime) -> None:
    """Refuse what is no entry. Messages name the field and never its value, which may be the very thing to hide."""
    for name in (*_TYPED, "reason"):
        value = getattr(draft, name)
        if value is not None and not isinstance(value, str):
            raise EntryInvalid(f"the field {name} of an entry is text")
    if not draft.type or not draft.id:
        raise EntryInvalid("an entry has a type and an id")
    if draft.source not in SOURCES:
        raise EntryInvalid(f"an entry's source is one of {', '.join(sorted(SOURCES))}")
    if draft.outcome not in OUTCOMES:
        raise EntryInvalid(f"an entry's outcome is one of {', '.join(sorted(OUTCOMES))}")
    if at.utcoffset() is None:
        raise EntryInvalid("an entry's time must know its time zone")


def _clean(value: object, depth: int = 0) -> Any:
    """The JSON value without card numbers. A number that reads as a card number becomes text, like any other."""
    if depth > MAX_DEPTH:
        raise EntryInvalid(f"an entry's detail is nested at most {MAX_DEPTH} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _scrub(value)
    if isinstance(value, int):
        return _clean_integer(value)
    if isinstance(value, Mapping):
        return {_key(key): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item, depth + 1) for item in value]
    raise EntryInvalid(f"an entry's detail holds text, integers, lists and mappings; no {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise EntryInvalid("the keys of an entry's detail are text")
    return _scrub(key)


def _scrub(text: str) -> str:
    return scrub_phone_numbers(scrub_card_numbers(text))


def _clean_integer(value: int) -> int | str:
    if abs(value) > MAX_INTEGER:
        raise EntryInvalid(f"an integer in an entry is at most {MAX_INTEGER} either way")
    text = str(value)
    scrubbed = scrub_card_numbers(text)
    return value if scrubbed == text else scrubbed

"""What a reviewer asked for, read from a query string: checked, limited in length, and explained where it is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.audit.entry import OUTCOMES, SOURCES
from bot.scrub import MIN_DIGITS, scrub_card_numbers
from bot.storage.entries import Filter, is_position
from bot.telephony.numbers import from_token
from bot.telephony.webhooks import is_sid

TEXT_CHARACTERS_MAX = 100
FIELDS = ("call", "number", "actor", "source", "outcome", "type", "from", "to")
PLACES = ("before", "after")
LABELS = {
    "call": "Call", "number": "Number", "actor": "Agent or other actor", "source": "Source",
    "outcome": "Outcome", "type": "Type", "from": "From", "to": "To", "before": "Page", "after": "Page",
}  # fmt: skip

_TYPE = re.compile(r"[a-z_.-]+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DAY_LENGTH = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Query:
    """`values` are what was typed and may be shown, linked and logged; `filter` holds only if there are no `problems`.

    `before` and `after` are positions in the log, for pages. `number` is a caller's, as the digest that is kept of it;
    among the values it is a token that only this bot can read.
    """

    filter: Filter
    values: dict[str, str]
    number: bytes | None = None
    before: int | None = None
    after: int | None = None
    problems: tuple[str, ...] = ()

    @property
    def noted(self) -> dict[str, str]:
        """What the log is to tell of it: of a number, only that one was looked for."""
        return self.values | ({"number": "given"} if "number" in self.values else {})


def read(arguments: Mapping[str, str]) -> Query:
    """Empty arguments count as absent, unknown ones are ignored."""
    problems: list[str] = []
    values = _plain_values(arguments, problems)
    _check_choices(values, problems)
    since = _time(values, "from", problems, is_end=False)
    until = _time(values, "to", problems, is_end=True)
    if since is not None and until is not None and since >= until:
        problems.append("From is after To: nothing can lie between them.")
    places = {name: _position(values.pop(name, None), problems) for name in PLACES}
    wanted = Filter(
        call=values.get("call"),
        actor=values.get("actor"),
        source=values.get("source"),
        outcome=values.get("outcome"),
        type=values.get("type"),
        since=since,
        until=until,
    )
    number = from_token(values.get("number", ""))
    return Query(wanted, values, number, places["before"], places["after"], tuple(problems))


def _plain_values(arguments: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """What is too long, not plain text or looks like a card number goes no further, not even back to the page."""
    values: dict[str, str] = {}
    for name in (*FIELDS, *PLACES):
        value = arguments.get(name, "").strip()
        if len(value) > TEXT_CHARACTERS_MAX:
            problems.append(f"{LABELS[name]} has at most {TEXT_CHARACTERS_MAX} characters.")
        elif not value.isprintable():
            problems.append(f"{LABELS[name]} holds characters that cannot be printed.")
        elif _may_be_card(name, value):
            problems.append(f"{LABELS[name]} looks like a card number. Card numbers are never searched for here.")
        elif value:
            values[name] = value
    return values


def _may_be_card(name: str, value: str) -> bool:
    """Of an actor's name, which may be anything, and a type, also a part of a card and any way of writing it."""
    is_free = name in {"actor", "type"}
    return scrub_card_numbers(value) != value or (is_free and sum(map(str.isdecimal, value)) >= MIN_DIGITS)


def _check_choices(values: dict[str, str], problems: list[str]) -> None:
    """What is none of the choices may be a card in disguise, and is not shown again either."""
    if "call" in values and not is_sid(values["call"], "CA"):
        del values["call"]
        problems.append("Call is a CallSid: CA and 32 hexadecimal digits.")
    if "number" in values and from_token(values["number"]) is None:
        del values["number"]
        problems.append("Number is not what this page made of one: type it in again.")
    if "type" in values and not _TYPE.fullmatch(values["type"]):
        del values["type"]
        problems.append("Type is a word or two, like call.paused.")
    for name, allowed in (("source", SOURCES), ("outcome", OUTCOMES)):
        if name in values and values[name] not in allowed:
            del values[name]
            problems.append(f"{LABELS[name]} is one of {', '.join(sorted(allowed))}.")


def _time(values: dict[str, str], name: str, problems: list[str], *, is_end: bool) -> datetime | None:
    """A day in UTC, or an instant. As an end both are included: the whole day, or that very microsecond."""
    value = values.get(name)
    if value is None:
        return None
    try:
        if _DAY.fullmatch(value):
            day = datetime.fromisoformat(value).replace(tzinfo=UTC)
            return day + _DAY_LENGTH if is_end else day
        instant = re.sub(r" (?=[0-9]{2}:[0-9]{2}$)", "+", value)  # a plus sign in a URL that was read as a space
        if _RFC_3339.fullmatch(instant):
            at = datetime.fromisoformat(instant.upper()).astimezone(UTC)
            return at + _MICROSECOND if is_end else at
    except (ValueError, OverflowError):
        pass
    del values[name]
    problems.append(f"{LABELS[name]} is a day in UTC (2026-11-22) or a time with its zone (2026-11-22T10:00:00Z).")
    return None


def _position(value: str | None, problems: list[str]) -> int | None:
    if value is None:
        return None
    if not is_position(value):
        problems.append("This link to a page is damaged: go back to the newest entries.")
        return None
    return int(value)

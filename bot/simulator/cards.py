"""What can be told of a card from what was typed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

_LONGEST = 19


@dataclass(frozen=True, slots=True)
class Brand:
    """A kind of card. ``prefixes``: ranges of what its numbers begin with, each with its number of digits."""

    name: str
    prefixes: tuple[tuple[int, int], ...]
    lengths: tuple[int, ...]
    full: int | None
    """The length at which a number is complete; None if only the caller knows."""
    code: int = 3
    """Digits of its security code."""


BRANDS = (
    Brand("amex", ((34, 34), (37, 37)), (15,), 15, 4),
    Brand("visa", ((4, 4),), (13, 16, 19), 16),
    Brand("mastercard", ((51, 55), (2221, 2720)), (16,), 16),
    Brand("discover", ((6011, 6011), (644, 649), (65, 65)), (16,), 16),
    Brand("jcb", ((3528, 3589),), (16,), 16),
    Brand("diners-club", ((300, 305), (36, 36), (38, 39)), (14,), 14),
    Brand("enroute", ((2014, 2014), (2149, 2149)), (15,), 15),
    Brand("maestro", ((5018, 5018), (5020, 5020), (5038, 5038), (5893, 5893), (6304, 6304), (6759, 6763)),
          tuple(range(12, 20)), None),
)  # fmt: skip
TYPES = (*(brand.name for brand in BRANDS), "optima")
"""What ``validCardTypes`` may name. An optima card looks like an amex."""


def brand_of(number: str) -> Brand | None:
    """The brand by the first digits; None if it is unknown, or too few are there to tell."""
    for brand in BRANDS:
        for low, high in brand.prefixes:
            size = len(str(low))
            if len(number) >= size and low <= int(number[:size]) <= high:
                return brand
    return None


def is_complete(number: str) -> bool:
    """Whether no further digit belongs to this number."""
    brand = brand_of(number)
    return len(number) >= (brand.full if brand and brand.full else _LONGEST)


def number_problem(number: str, allowed: frozenset[str]) -> str | None:
    """What is wrong with a card number, in the words of Twilio's ErrorType."""
    brand = brand_of(number)
    if brand is None or len(number) not in brand.lengths or not _adds_up(number):
        return "invalid-card-number"
    return None if brand.name in allowed else "invalid-card-type"


def _adds_up(number: str) -> bool:
    """The check of Luhn: from the right, every second digit counts double."""
    doubled = "0246813579"
    digits = [int(doubled[int(one)]) if at % 2 else int(one) for at, one in enumerate(reversed(number))]
    return sum(digits) % 10 == 0


def date_problem(text: str, now: float) -> str | None:
    """MMYY, good to the end of its month; ``now`` in seconds since 1970."""
    if len(text) != len("MMYY") or not 1 <= int(text[:2]) <= 12:
        return "invalid-date"
    today = datetime.fromtimestamp(now, UTC)
    ends = (2000 + int(text[2:]), int(text[:2]))
    return None if ends >= (today.year, today.month) else "invalid-date"


def code_problem(code: str, number: str) -> str | None:
    brand = brand_of(number)
    return None if len(code) == (brand.code if brand else 3) else "invalid-security-code"


def masked(number: str) -> str:
    """All but the last four digits unreadable."""
    return "x" * (len(number) - 4) + number[-4:]

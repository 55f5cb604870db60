"""The rules of payment cards: brands, lengths, check digits, and what of an entry may be shown. Pure.

Kinds of card and the masks are named and written as Twilio does it. Nothing here keeps a digit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

NUMBER, EXPIRY, CODE, POSTAL = "payment-card-number", "expiration-date", "security-code", "postal-code"
FIELDS = (NUMBER, EXPIRY, CODE, POSTAL)
"""What may be asked for, in the order in which it is."""

DEFAULT_BRANDS = ("visa", "mastercard", "amex")

_UNKNOWN_LENGTHS = range(12, 20)
_ZIP_LENGTH, _POSTAL_MOST = 5, 10


@dataclass(frozen=True, slots=True)
class Brand:
    """One kind of card: how its numbers begin, how long they are, how many digits its security code has."""

    name: str
    begins: str
    lengths: tuple[int, ...]
    code_length: int = 3


_BRANDS = (
    Brand("amex", r"3[47]", (15,), 4),
    Brand("diners-club", r"3(0[0-5]|[689])", (14,)),
    Brand("jcb", r"35(2[89]|[3-8])", (16,)),
    Brand("discover", r"6(011|4[4-9]|5)", (16,)),
    Brand("mastercard", r"(5[1-5]|2(22[1-9]|2[3-9]|[3-6]|7[01]|720))", (16,)),
    Brand("maestro", r"(50|5[6-9]|6)", tuple(range(12, 20))),
    Brand("visa", r"4", (16,)),
)
BRANDS = (*(brand.name for brand in _BRANDS), "optima", "enroute")
"""All that may be accepted. Cards of the last two are not issued any more, and no number is taken for one."""


def brand_of(number: str) -> Brand | None:
    """The first kind of card whose numbers begin like this one."""
    return next((brand for brand in _BRANDS if re.match(brand.begins, number)), None)


def is_full(field: str, digits: str, brand: Brand | None = None, postal_least: int | None = None) -> bool:
    """Whether an entry is over without a ``#``. ``brand`` is that of the card entered before, for its code.

    A postal code with a least length of its own may be longer: it ends with ``#``, or when no key comes any more.
    """
    if field == NUMBER:
        known = brand_of(digits)
        return len(digits) >= max(known.lengths if known else _UNKNOWN_LENGTHS)
    if field == EXPIRY:
        return len(digits) >= 4
    if field == CODE:
        return len(digits) >= (brand.code_length if brand else 4)
    return len(digits) >= (_ZIP_LENGTH if postal_least is None else _POSTAL_MOST)


def number_problem(number: str, accepted: tuple[str, ...] = DEFAULT_BRANDS) -> str | None:
    """What is wrong with a card's number, in Twilio's words; None if it is right."""
    brand = brand_of(number)
    if brand is None or len(number) not in brand.lengths or not _luhn(number):
        return "invalid-card-number"
    return None if brand.name in accepted else "invalid-card-type"


def _luhn(number: str) -> bool:
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def expiry_problem(date: str, now: float) -> str | None:
    """Of ``MMYY``: a card is good until its month is over. ``now`` in seconds since 1970."""
    if not re.fullmatch(r"(0[1-9]|1[0-2])\d\d", date):
        return "invalid-date"
    today = datetime.fromtimestamp(now, UTC)
    return "invalid-date" if (2000 + int(date[2:]), int(date[:2])) < (today.year, today.month) else None


def code_problem(code: str, brand: Brand | None) -> str | None:
    """``brand`` is that of the card entered before; None: three or four digits will do."""
    good = len(code) == brand.code_length if brand else len(code) in (3, 4)
    return None if good else "invalid-security-code"


def postal_problem(postal: str, least: int | None = None) -> str | None:
    """Without a least length of its own a postal code is an American one, of five digits."""
    good = len(postal) == _ZIP_LENGTH if least is None else least <= len(postal) <= _POSTAL_MOST
    return None if good else "invalid-postal-code"


def masked_number(number: str) -> str:
    """All but the last four digits crossed out, in the groups they are printed in: ``xxxx-xxxxxx-x4001``."""
    hidden = "x" * (len(number) - 4) + number[-4:]
    ends = (0, 4, 10, 15) if len(number) in (14, 15) else range(0, len(number) + 4, 4)
    return "-".join(hidden[start:end] for start, end in pairwise(ends))


def crossed_out(digits: str) -> str:
    """As many x as there are digits."""
    return "x" * len(digits)

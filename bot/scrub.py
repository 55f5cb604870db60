"""Card numbers out of free text. Pure.

The second line of defence only: the first is that card data is never read (see the allow-list for webhooks). Meant for
text that a person or another system wrote; typed fields (SIDs, phone numbers, times) are validated and never pass here.

A card number is 12-19 digits, in groups or not, that begin with a known issuer's prefix, have a length which that
issuer uses, and satisfy Luhn's check. What is *not* looked for: digits buried inside a longer unbroken run of digits or
a hexadecimal id, because hashes and counters would be destroyed far more often than a card number would be found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

PHONE_REMOVED = "[phone number removed]"
REMOVED = "[card number removed]"
MIN_DIGITS = 12
MAX_DIGITS = 19
PREFIX_DIGITS = 4  # what tells the issuer
PHONE_MIN_DIGITS = 7
PHONE_MAX_DIGITS = 15  # E.164

# Digits in groups, with at most three signs between two of them: spaces, dashes, dots and the like, signs that have no
# width. A single plus is a form's space; with others it begins a phone number.
_SEPARATOR = r"[\s./_,|\-\u00ad\u00b7\u200b-\u200d\u2010-\u2015\u2022\u2060\u2212\ufeff]"
_BETWEEN = rf"(?:{_SEPARATOR}{{1,3}}|\+)"
_CHAIN = re.compile(rf"\d+(?:{_BETWEEN}\d+)*")
_ENOUGH_DIGITS = re.compile(rf"(?:\d{_BETWEEN}?){{{MIN_DIGITS}}}")
_GROUP = re.compile(r"\d+")
_PHONE_PLUS = re.compile(r"(?:^|[^0-9A-Za-z])\+\Z")
# A phone number with its country, as people write it. Without the plus it is told from no other number.
_PHONE = re.compile(r"(?<![0-9A-Za-z+/=])\+[1-9](?:[ ().\-/\u00a0]{0,2}\d){6,14}(?!\d)")
# Ids whose digits mean nothing: a UUID, a Twilio SID, any long hexadecimal word.
_ID = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|[A-Z]{2}[0-9a-fA-F]{32}"
    r"|[0-9a-fA-F]{24,}"
    r")(?![0-9A-Za-z])"
)

_DOUBLED = str.maketrans("0123456789", "0246813579")  # twice the digit, and the sum of its digits

# (first prefix, last prefix, lengths), from the issuers' published ranges; the widest lengths where they differ.
_ISSUERS: tuple[tuple[str, str, frozenset[int]], ...] = (
    ("4", "4", frozenset({13, 16, 19})),  # Visa
    ("51", "55", frozenset({16})),  # Mastercard
    ("2221", "2720", frozenset({16})),  # Mastercard, 2-series
    ("34", "34", frozenset({15})),  # American Express
    ("37", "37", frozenset({15})),
    ("300", "305", frozenset(range(14, 20))),  # Diners Club
    ("3095", "3095", frozenset(range(14, 20))),
    ("36", "36", frozenset(range(14, 20))),
    ("38", "39", frozenset(range(14, 20))),
    ("3528", "3589", frozenset(range(16, 20))),  # JCB
    ("2200", "2204", frozenset(range(16, 20))),  # Mir
    ("81", "82", frozenset(range(16, 20))),  # UnionPay, RuPay
    ("9792", "9792", frozenset({16})),  # Troy
    ("50", "50", frozenset(range(12, 20))),  # Maestro, Verve
    ("56", "58", frozenset(range(12, 20))),
    ("6", "6", frozenset(range(12, 20))),  # Maestro, Discover, UnionPay, RuPay
)


def scrub_card_numbers(text: str) -> str:
    """The text with every card number in it replaced by `REMOVED`, of which no digit is kept.

    Phone numbers in E.164 form, SIDs, UUIDs, times and hexadecimal ids stay as they are. Twice does the same as once.
    """
    if len(text) < MIN_DIGITS or not _ENOUGH_DIGITS.search(text):
        return text
    ids = [found.span() for found in _ID.finditer(text)]
    kept, at = [], 0
    for start, end in _card_numbers(text):
        if any(first <= start and end <= last for first, last in ids):
            continue
        kept += [text[at:start], REMOVED]
        at = end
    return "".join((*kept, text[at:]))


def is_card_number(digits: str) -> bool:
    """Whether these digits, without separators, have a known prefix, a length that fits it, and Luhn's check."""
    return len(digits) in _lengths(digits[:PREFIX_DIGITS]) and _luhn(digits)


def _card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Spans of card numbers, left to right and without overlap."""
    for chain in _CHAIN.finditer(text):
        groups = [(chain.start() + g.start(), chain.start() + g.end()) for g in _GROUP.finditer(chain.group())]
        if _PHONE_PLUS.search(text[max(0, chain.start() - 2) : chain.start()]):
            groups = _after_phone(groups)
        yield from _in_groups(text, groups)


def _in_groups(text: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Card numbers that begin and end with a group; more groups (an expiry date) may stand before and after."""
    first = 0
    while first < len(groups):
        after = _longest_from(text, groups, first)
        if after:
            yield groups[first][0], groups[after - 1][1]
        first = after or first + 1


def _longest_from(text: str, groups: list[tuple[int, int]], first: int) -> int:
    """The index after the last group of the longest card number that begins with group `first`, or 0."""
    digits, found = "", 0
    for index in range(first, min(len(groups), first + MAX_DIGITS)):
        digits += _ascii_digits(text[slice(*groups[index])])
        if len(digits) > MAX_DIGITS or (len(digits) >= PREFIX_DIGITS and not _lengths(digits[:PREFIX_DIGITS])):
            break
        if is_card_number(digits):
            found = index + 1
    return found


def _after_phone(groups: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of the groups behind a plus sign without the phone number.

    That is all of them if E.164 allows so many digits, else the first one if it can be a phone number by itself. When
    in doubt the digits count as a possible card number.
    """
    lengths = [end - start for start, end in groups]
    if sum(lengths) <= PHONE_MAX_DIGITS:
        return []
    return groups[1:] if PHONE_MIN_DIGITS <= lengths[0] <= PHONE_MAX_DIGITS else groups


def _ascii_digits(group: str) -> str:
    return group if group.isascii() else "".join(str(int(digit)) for digit in group)


@lru_cache(maxsize=10_000)
def _lengths(prefix: str) -> frozenset[int]:
    """How many digits a card number that begins like this can have."""
    return frozenset().union(*(lengths for first, last, lengths in _ISSUERS if first <= prefix[: len(first)] <= last))


def _luhn(digits: str) -> bool:
    return (sum(map(int, digits[-1::-2])) + sum(map(int, digits[-2::-2].translate(_DOUBLED)))) % 10 == 0


def scrub_phone_numbers(text: str) -> str:
    """The text without numbers in international form: a caller's, in an entry, could never be erased."""
    return _PHONE.sub(PHONE_REMOVED, text) if "+" in text else text

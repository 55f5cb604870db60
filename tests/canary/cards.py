"""Card numbers of all brands, the ways they are written, and words that stand for the rest of a card.

An expiry date or a security code is too short to be looked for, so a long word takes its place wherever it is pushed.
Where keys are really pressed there is no such word: of those fields the canary proves nothing.
"""

from __future__ import annotations

import base64
import itertools
import secrets
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

NUMBERS = (
    "4111111111111111", "4012888888881881", "4222222222222", "5555555555554444", "5105105105105100",
    "2223000048400011", "378282246310005", "6011111111111117", "3530111333300000", "30569309025904",
    "36259600000004", "6243030000000001", "6205500000000000004", "6304000000000000",
)  # fmt: skip
BEGINNING = 12
"""So many first digits of a number count as the number: a caller may hang up before the last one."""

_WORD_LENGTH = 24
_GROUPS = {13: (4, 3, 3, 3), 14: (4, 6, 4), 15: (4, 6, 5), 19: (4, 4, 4, 4, 3)}


def in_groups(number: str, separator: str) -> str:
    """As it is embossed."""
    sizes = _GROUPS.get(len(number), (4, 4, 4, 4))
    ends = list(itertools.accumulate(sizes))
    return separator.join(number[start:end] for start, end in zip((0, *ends), ends, strict=False))


def percent(text: str) -> str:
    """Every character as a percent sign and its code."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def as_typed(number: str) -> Iterator[str]:
    """What a person may write into a field of free text."""
    yield number
    for separator in (" ", "-", ".", " - ", "\u00a0", "\u2013", "/", "_", ",", "+", "\u200b"):
        yield in_groups(number, separator)
    yield " ".join(number)
    yield number.translate(_FULL_WIDTH)


def as_encoded(number: str) -> Iterator[str]:
    """What a program may make of it on the way; and a part of it."""
    yield in_groups(number, "%20")
    yield percent(number)
    yield percent(percent(number))
    yield number.encode().hex()
    yield number[:BEGINNING]
    yield number[:-1]


def as_base64(number: str) -> Iterator[str]:
    """By itself: only here a card has fewer digits than elsewhere."""
    yield base64.b64encode(number.encode()).decode()


_FULL_WIDTH = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))


def _word(kind: str) -> str:
    return kind + "".join(secrets.choice(string.ascii_letters) for _ in range(_WORD_LENGTH))


@dataclass(frozen=True)
class Deck:
    """Numbers and words for one run. The next card is always another one, or the same in another writing."""

    expiry: str = field(default_factory=lambda: _word("expiry"))
    security_code: str = field(default_factory=lambda: _word("cvc"))
    postal_code: str = field(default_factory=lambda: _word("postal"))
    token: str = field(default_factory=lambda: _word("tok"))
    confirmation: str = field(default_factory=lambda: _word("ch"))
    profile: str = field(default_factory=lambda: _word("profile"))
    speech: str = field(default_factory=lambda: _word("fourone"))
    typed: Callable[[], str] = field(default_factory=lambda: _dealer(as_typed))
    any: Callable[[], str] = field(default_factory=lambda: _dealer(as_typed, as_encoded, as_base64))
    number: Callable[[], str] = field(default_factory=lambda: _dealer(lambda number: iter((number,))))

    @property
    def words(self) -> tuple[str, ...]:
        return (
            self.expiry, self.security_code, self.postal_code, self.token, self.confirmation, self.profile, self.speech,
        )  # fmt: skip


def _dealer(*ways: Callable[[str], Iterator[str]]) -> Callable[[], str]:
    """Safe for any number of threads."""
    written = [list(itertools.chain.from_iterable(way(number) for way in ways)) for number in NUMBERS]
    dealt = itertools.cycle([card for hand in zip(*written, strict=True) for card in hand])
    return lambda: next(dealt)

"""PURE. Keys that a caller pressed, reduced at once to what may be known of them: one of the choices that were offered,
a code, or only how many they were.

Whoever is asked for one key may type a card number. Of what was not offered nothing but its length goes any further.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bot.errors import Malformed

KEYS = frozenset("0123456789*#")
OFFERED_MAX = 6
"""With more single keys on offer a card number could be spelt, one choice after the other."""
COUNT_MAX = 99


class Code(StrEnum):
    """What a caller asks of the recording by a star and a digit."""

    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Choice:
    """A key that was offered."""

    key: str


@dataclass(frozen=True, slots=True)
class Count:
    """Anything else, and silence: how many keys it was."""

    keys: int


Pressed = Choice | Code | Count


def reduced(digits: str, offered: Collection[str], codes: Mapping[str, Code]) -> Pressed:
    """Total: whatever arrives becomes one of the three."""
    if digits in offered:
        return Choice(digits)
    return codes.get(digits) or Count(min(len(digits), COUNT_MAX))


def offered(choices: str) -> frozenset[str]:
    """The single keys of `12` or `1#`. Raises `Malformed`, without what it was given."""
    if len(choices) > OFFERED_MAX or not KEYS.issuperset(choices):
        raise Malformed(f"`choices` must be at most {OFFERED_MAX} keys of a telephone.")
    return frozenset(choices)

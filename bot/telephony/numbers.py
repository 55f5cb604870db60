"""PURE. Phone numbers, and the keyed digest that stands for one where no number may be kept.

The key is derived from SECRET_KEY: without it nobody can try all numbers. With another SECRET_KEY, old digests find
nothing more.
"""

from __future__ import annotations

import hashlib
import hmac
import re

_PURPOSE = b"pci-pause-bot: the numbers of callers"
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_BETWEEN = str.maketrans("", "", " ()-./\u00a0")
_LETTERS = "abcdefghijklmnop"
_TOKEN = re.compile(f"[{_LETTERS}]{{64}}")


def e164(typed: str) -> str | None:
    """The number as E.164 writes it, from how a person does; None if it is none with its country."""
    number = typed.strip().translate(_BETWEEN)
    number = f"+{number[2:]}" if number.startswith("00") else number
    return number if _E164.fullmatch(number) else None


def digest(secret: bytes, number: str) -> bytes:
    """HMAC-SHA256 over a number in E.164."""
    key = hmac.digest(secret, _PURPOSE, "sha256")
    return hmac.new(key, number.encode(), hashlib.sha256).digest()


def token(of: bytes) -> str:
    """A digest for a link, in letters alone: digits could look like a card number."""
    return "".join(_LETTERS[int(nibble, 16)] for nibble in of.hex())


def from_token(text: str) -> bytes | None:
    """What `token` was made of; None if it is no token."""
    if not _TOKEN.fullmatch(text):
        return None
    return bytes.fromhex("".join(f"{_LETTERS.index(letter):x}" for letter in text))

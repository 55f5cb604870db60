"""What of a card is in some bytes, whoever wrote them and in whatever way.

Looked for are, of each number, its first twelve digits: with up to three signs between two digits, also in full-width
digits, percent-encoded up to three times, with JSON's escapes, in UTF-16, in base64 and base32 at any alignment, in
hexadecimal; and the whole number as a binary integer. And each of the words, plain, in base64 and in hexadecimal.

Not found: what is compressed, encrypted, hashed, reversed, or spelt in words.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.canary.cards import BEGINNING, NUMBERS

_CHAIN = re.compile(rb"[0-9](?:[^0-9A-Za-z]{0,3}[0-9]){%d,}" % (BEGINNING - 1))
_NOT_A_DIGIT = re.compile(rb"[^0-9]+")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_ESCAPED = re.compile(rb"\\u([0-9A-Fa-f]{4})")
_FULL_WIDTH = re.compile(rb"\xef\xbc([\x90-\x99])")
_INTEGER_BYTES_MIN = 6
PERCENT_TIMES = 3


@dataclass(frozen=True)
class Hit:
    """Where something was found, and what; never its surroundings."""

    place: str
    what: str


class Scanner:
    def __init__(self, words: Iterable[str] = (), numbers: Iterable[str] = NUMBERS) -> None:
        self._beginnings = {number[:BEGINNING].encode(): number for number in numbers}
        self._needles = dict(self._made(words))

    def find(self, place: str, data: bytes) -> list[Hit]:
        found = {what for needle, what in self._needles.items() if needle in data}
        for view in _views(data):
            found |= self._in_digits(view)
        return [Hit(place, what) for what in sorted(found)]

    def folder(self, folder: Path) -> list[Hit]:
        """Every byte of every file, and of every name. A file may go away meanwhile."""
        hits: list[Hit] = []
        for path in sorted(folder.rglob("*")):
            hits += self.find("the names of files", str(path.relative_to(folder)).encode())
            if path.is_file():
                hits += self.find(str(path.relative_to(folder)), _content(path))
        return hits

    def process(self, pid: int) -> list[Hit]:
        """What anybody on the machine, or its operator, sees of a process."""
        return [
            hit for name in ("cmdline", "environ") for hit in self.find(name, _content(Path(f"/proc/{pid}/{name}")))
        ]

    def _in_digits(self, data: bytes) -> set[str]:
        chains = (_NOT_A_DIGIT.sub(b"", chain) for chain in _CHAIN.findall(data))
        return {
            f"{number} in digits"
            for digits in set(chains)
            for beginning, number in self._beginnings.items()
            if beginning in digits
        }

    def _made(self, words: Iterable[str]) -> Iterator[tuple[bytes, str]]:
        for beginning, number in self._beginnings.items():
            yield from ((needle, f"{number} in {way}") for needle, way in _encoded(beginning))
            yield from ((needle, f"{number} as an integer") for needle in _integers(int(number)))
        for word in words:
            yield word.encode(), f"{word} as it is"
            yield from ((needle, f"{word} in {way}") for needle, way in _encoded(word.encode()))


def _views(data: bytes) -> Iterator[bytes]:
    """The same, read in the ways in which digits can be hidden."""
    yield data
    for _ in range(PERCENT_TIMES):
        if b"%" in data:
            data = _PERCENT.sub(lambda code: bytes.fromhex(code[1].decode()), data)
            yield data
    if b"\\u" in data:
        data = _ESCAPED.sub(lambda code: chr(int(code[1], 16)).encode("utf-8", "surrogatepass"), data)
        yield data
    if b"\xef\xbc" in data:
        yield _FULL_WIDTH.sub(lambda digit: bytes([digit[1][0] - 0x90 + ord("0")]), data)


def _encoded(text: bytes) -> Iterator[tuple[bytes, str]]:
    yield text.hex().encode(), "hexadecimal"
    yield text.hex().upper().encode(), "hexadecimal"
    yield from ((needle, "base64") for needle in _aligned(text, base64.b64encode, 3, 6))
    yield from ((needle, "base32") for needle in _aligned(text, base64.b32encode, 5, 5))


def _aligned(text: bytes, encode: Callable[[bytes], bytes], block: int, bits: int) -> Iterator[bytes]:
    """The middle of its encoding wherever it may begin: the signs at both ends depend on its neighbours, too."""
    for before in range(block):
        first = -(-before * 8 // bits)
        last = (before + len(text)) * 8 // bits
        yield encode(bytes(before) + text)[first:last]


def _integers(number: int) -> Iterator[bytes]:
    size = max(_INTEGER_BYTES_MIN, (number.bit_length() + 7) // 8)
    yield number.to_bytes(size, "big")
    yield number.to_bytes(size, "little")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""

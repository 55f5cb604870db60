"""An export's file hashed in pieces, for one core or several. Pure but for the file it reads.

A piece is a range of bytes that begins and ends with a line. It is reduced to the largest subtrees of the RFC 6962 tree
that lie in it whole, O(log n) of them; joined in order, those of all pieces give the tree's frontier. This way is only
for what is as it should be: anything else is an `Irregular` file, and `verify` then says line by line what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

from bot.audit.entry import MAX_BYTES
from bot.audit.merkle import Frontier, node_hash

GROUP = 256
"""So many leaves, aligned, are hashed level by level: a power of two."""

GROUP_LEVEL = GROUP.bit_length() - 1
BLOCK_BYTES = 65_536


class Irregular(Exception):
    """A line is too long, is no JSON object at first sight, or has no newline at its end."""


class Subtree(NamedTuple):
    """The root over the 2^level leaves from `start` on, where `start` is a multiple of 2^level."""

    start: int
    level: int
    root: bytes


HashFile: TypeAlias = Callable[[Path], Frontier]


def hash_file(path: Path) -> Frontier:
    """The tree of a whole file. Raises `Irregular` or OSError."""
    with path.open("rb") as file:
        return join([hash_piece(file, 0, None, 0)])


def hash_piece(file: BinaryIO, start: int, stop: int | None, position: int) -> list[Subtree]:
    """The subtrees of the lines in the bytes from `start` to `stop`, the first of which is entry `position`."""
    found: list[Subtree] = []
    waiting: list[bytes] = []
    for lines in _lines(file, start, stop):
        waiting += lines
        taken = 0
        while len(waiting) - taken >= (size := GROUP - position % GROUP):
            _push_group(found, position, waiting[taken : taken + size])
            position += size
            taken += size
        del waiting[:taken]
    _push_group(found, position, waiting)
    return found


def join(pieces: Iterable[Iterable[Subtree]]) -> Frontier:
    """The frontier of a tree whose pieces follow each other from the first leaf on. ValueError if they do not."""
    found: list[Subtree] = []
    size = 0
    for piece in pieces:
        for one in piece:
            if one.start != size:
                raise ValueError(f"a piece begins at {one.start}, where {size} was expected")
            size += 1 << one.level
            _push(found, *one)
    return Frontier(size, tuple(one.root for one in found))


def _lines(file: BinaryIO, start: int, stop: int | None) -> Iterator[list[bytes]]:
    """A block's lines at a time, without their newlines. Raises `Irregular`."""
    file.seek(start)
    rest = b""
    while block := file.read(BLOCK_BYTES if stop is None else min(BLOCK_BYTES, stop - file.tell())):
        whole, newline, rest = (rest + block).rpartition(b"\n")
        if len(rest) > MAX_BYTES:
            raise Irregular
        if newline:
            lines = whole.split(b"\n")
            if not _are_objects(lines) or max(map(len, lines)) > MAX_BYTES:
                raise Irregular
            yield lines
    if rest:
        raise Irregular


def _are_objects(lines: list[bytes]) -> bool:
    """At first sight. Two passes in C cost less than a search for `}` newline `{`."""
    return all(map(bytes.startswith, lines, repeat(b"{"))) and all(map(bytes.endswith, lines, repeat(b"}")))


def _push_group(found: list[Subtree], position: int, lines: list[bytes]) -> None:
    nodes = [sha256(b"\x00" + line).digest() for line in lines]
    if len(nodes) < GROUP:
        for at, node in enumerate(nodes, position):
            _push(found, at, 0, node)
        return
    while len(nodes) > 1:
        nodes = [sha256(b"\x01" + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=True)]
    _push(found, position, GROUP_LEVEL, nodes[0])


def _push(found: list[Subtree], start: int, level: int, root: bytes) -> None:
    """Two neighbours that are the halves of one subtree become that subtree."""
    while found and found[-1].level == level and found[-1].start % (2 << level) == 0:
        left = found.pop()
        start, level, root = left.start, level + 1, node_hash(left.root, root)
    found.append(Subtree(start, level, root))

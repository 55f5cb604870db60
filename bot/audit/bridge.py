"""From the tree of a prefix to the tree of a longer log, without the entries between. Pure.

A bridge is the roots of the full subtrees that lie between the two sizes, at most two for each bit. Whoever crosses it
from a prefix's frontier and arrives at the root of a signed checkpoint knows that the checkpoint covers this very
prefix: each hash of the frontier is a node of the longer tree (RFC 6962, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from bot.audit.merkle import Frontier, node_hash


def build(start: int, stop: int, leaves: Iterable[bytes]) -> tuple[bytes, ...]:
    """The bridge between these sizes, over the leaf hashes start..stop-1. ValueError if there are fewer."""
    given = iter(leaves)
    hashes = []
    for width in _widths(start, stop):
        subtree = Frontier().extend(islice(given, width))
        if subtree.size != width:
            raise ValueError(f"there are too few leaves for a bridge from {start} to {stop}")
        hashes.append(subtree.root())
    return tuple(hashes)


def cross(frontier: Frontier, stop: int, bridge: Iterable[bytes]) -> Frontier:
    """The tree of size `stop` over this prefix. ValueError if the bridge has another length."""
    size, stack = frontier.size, list(frontier.hashes)
    for width, subtree in zip(_widths(size, stop), bridge, strict=True):
        node, pairs = subtree, size // width
        while pairs & 1:
            node = node_hash(stack.pop(), node)
            pairs >>= 1
        stack.append(node)
        size += width
    return Frontier(size, tuple(stack))


def _widths(start: int, stop: int) -> Iterator[int]:
    """The widest full subtrees, in order, that fill the places start..stop-1 of a tree."""
    while start < stop:
        aligned = start & -start or 1 << (stop - start).bit_length()
        width = min(aligned, 1 << (stop - start).bit_length() - 1)
        yield width
        start += width

"""Inclusion and consistency proofs of the RFC 6962 tree: made in one pass over leaf hashes, and checked. Pure.

Sources: RFC 6962, 2.1.1 and 2.1.2, says which subtrees make up a proof; RFC 9162, 2.1.3.2 and 2.1.4.2, how one is
checked. A subtree is named by its leaves, `(start, stop)`. A pass keeps the roots that its proofs need and nothing
else: O(m log n) for m leaves of n, and at most two for each leaf where they lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from bot.audit.merkle import EMPTY_ROOT, Frontier, node_hash
from bot.errors import LogError

Proof = tuple[bytes, ...]
Span = tuple[int, int]
Piece = tuple[int, bytes]
"""A full subtree in its place: how many leaves it has (a power of two), and its root. A leaf is one of width 1."""


class ProofError(LogError, ValueError):
    """There is no such proof, or the leaves given do not suffice for it."""


def prove_inclusion(
    leaves: Iterable[bytes], size: int, wanted: Iterable[int], base: Frontier | None = None
) -> dict[int, Proof]:
    """For each wanted leaf, counted from 0, its path to the root over the first `size` leaves.

    `leaves` are leaf *hashes*, in order, as many as are missing from `base` to `size`; `base` stands for a prefix that
    is not there any more, and no wanted leaf may lie in it. Raises `ProofError`.
    """
    return prove_over(((1, leaf) for leaf in leaves), size, wanted, base)


def prove_over(
    pieces: Iterable[Piece], size: int, wanted: Iterable[int], base: Frontier | None = None
) -> dict[int, Proof]:
    """The same, with the roots of full subtrees in place of leaves wherever no leaf below them is wanted."""
    base, places = base or Frontier(), list(wanted)
    needed = {span for index in places for span in _siblings(index, size, base.size)}
    known = _roots(pieces, size, needed, base)
    if len(known) < len(needed):
        raise ProofError("a wanted entry lies in a subtree of which only the root was given")
    return {index: tuple(known[span] for span in _siblings(index, size, base.size)) for index in places}


def prove_consistency(leaves: Iterable[bytes], older: int, size: int, base: Frontier | None = None) -> Proof:
    """That the tree of `size` leaves continues the one of its first `older`; empty if `older` is 0 or `size`.

    `leaves` and `base` as in `prove_inclusion`; `base` may not be larger than `older`.
    """
    base = base or Frontier()
    if not 0 <= older <= size or (older and older < base.size):
        raise ProofError(f"there is no proof from a tree of {older} to one of {size} over entries {base.size} and on")
    if older in {0, size}:
        return ()
    spans = list(_seam(older, size))
    known = _roots(((1, leaf) for leaf in leaves), size, set(spans), base)
    return tuple(known[span] for span in spans)


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that `leaf` (a leaf hash) is number `index` in the tree of this size and root.

    RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def continues(first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the second tree (size and root) begins with the leaves of the first.

    RFC 9162, 2.1.4.2. No proof belongs to two trees of one size, which are the same, nor to an empty one, with which
    every tree begins.
    """
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and second > 0 and first_root == EMPTY_ROOT
    if not 0 < first < second or not proof:
        return False
    path = proof if first & (first - 1) else (first_root, *proof)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def _siblings(index: int, size: int, first: int) -> list[Span]:
    """PATH of RFC 6962, 2.1.1: what stands beside the way from a leaf to the root, from the leaf on."""
    if not first <= index < size:
        raise ProofError(f"entry {index} is not among the entries {first} to {size - 1}")
    return [other for _, other in _way_down(0, size, lambda middle: index < middle)][::-1]


def _seam(older: int, size: int) -> Iterator[Span]:
    """PROOF of RFC 6962, 2.1.2, for 0 < older < size: the way down ends at a subtree that `older` fills exactly."""
    way = list(_way_down(0, size, lambda middle: older <= middle, ends_at=older))
    last = way[-1][0]
    if last[0]:  # else that subtree is the older tree itself, whose root the verifier has
        yield last
    yield from (other for _, other in reversed(way))


def _way_down(
    start: int, stop: int, goes_left: Callable[[int], bool], ends_at: int | None = None
) -> Iterator[tuple[Span, Span]]:
    """(the subtree gone into, the one beside it), from the root to a leaf or to the subtree that stops at `ends_at`."""
    while stop - start > 1 and stop != ends_at:
        middle = start + (1 << (stop - start - 1).bit_length() - 1)
        left, right = (start, middle), (middle, stop)
        chosen, other = (left, right) if goes_left(middle) else (right, left)
        yield chosen, other
        start, stop = chosen


def _roots(pieces: Iterable[Piece], size: int, wanted: set[Span], base: Frontier) -> dict[Span, bytes]:
    """The roots of the wanted subtrees: the full ones as they fill up, the ragged ones at the right edge at the end."""
    known: dict[Span, bytes] = {}
    stack = list(_spans(base))
    known.update((span, root) for span, root in stack if span in wanted)
    position = base.size
    for width, root in pieces:
        start, node = position, root
        position += width
        if position > size or start % width:
            raise ProofError(f"there are more leaves than the {size} of the tree, or a subtree is not in its place")
        if (start, position) in wanted:
            known[start, position] = node
        while stack and position - start == start - stack[-1][0][0]:
            (start, _), left = stack.pop()
            node = node_hash(left, node)
            if (start, position) in wanted:
                known[start, position] = node
        stack.append(((start, position), node))
    if position != size:
        raise ProofError(f"the leaves end at {position}, but the tree has {size}")
    known.update((span, root) for span, root in _edges(stack, size) if span in wanted)
    return known


def _spans(frontier: Frontier) -> Iterator[tuple[Span, bytes]]:
    """The full subtrees of a tree, largest first, each with its root."""
    start = 0
    for level, root in zip(_levels(frontier.size), frontier.hashes, strict=True):
        yield (start, start + (1 << level)), root
        start += 1 << level


def _levels(size: int) -> Iterator[int]:
    return (level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1)


def _edges(stack: list[tuple[Span, bytes]], size: int) -> Iterator[tuple[Span, bytes]]:
    """The subtrees that reach to the last leaf, smallest first."""
    node: bytes | None = None
    for (start, _), root in reversed(stack):
        node = root if node is None else node_hash(root, node)
        yield (start, size), node

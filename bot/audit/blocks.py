"""The log in blocks of 256 leaves: read once for their roots, and again only where a proof begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.proofs import Piece

WIDTH = 256


class Blocks:
    """The entries first, …, size - 1. Keeps 32 bytes for each full block that lies in its place.

    `read(start, stop)` yields the stored bodies; a `first` that is no multiple of 256 only costs that block's leaves.
    """

    def __init__(
        self,
        read: Callable[[int, int], Iterable[bytes]],
        first: int,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._read, self._first, self._size = read, first, size
        self._start = min(-(-first // WIDTH) * WIDTH, size)
        self._stop = max(size // WIDTH * WIDTH, self._start)
        self._roots = list(self._folded(progress))

    def around(self, wanted: Iterable[int]) -> Iterator[Piece]:
        """What is needed to prove these entries: leaves in their blocks, elsewhere the blocks' roots."""
        opened = {position // WIDTH for position in wanted}
        yield from self._leaves(self._first, self._start)
        for number, root in enumerate(self._roots, self._start // WIDTH):
            if number in opened:
                yield from self._leaves(number * WIDTH, (number + 1) * WIDTH)
            else:
                yield WIDTH, root
        yield from self._leaves(self._stop, self._size)

    def _leaves(self, start: int, stop: int) -> Iterator[Piece]:
        return ((1, leaf_hash(body)) for body in (self._read(start, stop) if start < stop else ()))

    def _folded(self, progress: Callable[[int], None] | None) -> Iterator[bytes]:
        """Each full block's root, in one pass."""
        leaves = map(leaf_hash, self._read(self._start, self._stop) if self._start < self._stop else ())
        for stop in range(self._start + WIDTH, self._stop + 1, WIDTH):
            block = Frontier().extend(islice(leaves, WIDTH))
            if block.size < WIDTH:
                return  # the proofs say that entries are missing
            yield block.root()
            if progress:
                progress(stop)

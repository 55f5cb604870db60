"""Proofs over blocks are those over leaves, and most of the log is read once."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from bot.audit.blocks import WIDTH, Blocks
from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.proofs import ProofError, prove_over
from tests.audit import rfc6962
from tests.audit.test_proofs import HASHES

SIZES = (1, 255, 256, 257, 511, 512, 513, 700, 768, 800)


class Log:
    def __init__(self) -> None:
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> Iterable[bytes]:
        self.reads.append((start, stop))
        return map(rfc6962.entry, range(start, stop))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("first", [0, 1, 100, 256, 300, 512])
def test_every_path_is_the_rfcs(size: int, first: int) -> None:
    first = min(first, size - 1)
    base = Frontier().extend(HASHES[:first])
    blocks = Blocks(Log().read, first, size)
    for wanted in (range(first, size), range(first, size, 97), range(size - 1, first - 1, -300)):
        made = prove_over(blocks.around(wanted), size, wanted, base)
        assert made == {index: tuple(rfc6962.path(index, 0, size)) for index in wanted}


def test_the_log_is_read_once_and_again_only_around_what_is_wanted() -> None:
    log, told = Log(), list[int]()
    blocks = Blocks(log.read, 0, 800, told.append)
    assert log.reads == [(0, 768)]
    assert told == [256, 512, 768]
    prove_over(blocks.around([300, 301]), 800, [300, 301])
    assert log.reads[1:] == [(256, 512), (768, 800)]


def test_a_log_that_lacks_entries_has_no_proofs() -> None:
    blocks = Blocks(lambda start, stop: map(rfc6962.entry, range(start, min(stop, 600))), 0, 800)
    with pytest.raises(ProofError, match="the leaves end at 512, but the tree has 800"):
        prove_over(blocks.around([3]), 800, [3])


def test_a_subtree_in_place_of_a_wanted_leaf_or_out_of_its_place_is_refused() -> None:
    pair = Frontier().extend(HASHES[:2]).root()
    with pytest.raises(ProofError, match="only the root was given"):
        prove_over([(2, pair), (1, HASHES[2])], 3, [1])
    with pytest.raises(ProofError, match="not in its place"):
        prove_over([(1, HASHES[0]), (2, pair)], 3, [0])


def test_a_leaf_is_a_piece_of_width_one() -> None:
    pieces = [(1, leaf_hash(rfc6962.entry(number))) for number in range(WIDTH)]
    assert prove_over(pieces, WIDTH, [9])[9] == tuple(rfc6962.path(9, 0, WIDTH))

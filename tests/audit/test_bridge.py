from __future__ import annotations

import pytest

from bot.audit import bridge
from bot.audit.merkle import Frontier, leaf_hash

SIZES = range(70)
LEAVES = [leaf_hash(b"%d" % number) for number in SIZES]
TREES = [Frontier().extend(LEAVES[:size]) for size in SIZES]


def test_bridge_leads_from_every_tree_to_every_longer_one() -> None:
    for start in SIZES:
        for stop in range(start, len(LEAVES)):
            built = bridge.build(start, stop, LEAVES[start:stop])
            assert bridge.cross(TREES[start], stop, built) == TREES[stop]
            assert len(built) <= 2 * max(stop.bit_length(), 1)


def test_bridge_from_another_prefix_leads_elsewhere() -> None:
    other = Frontier().extend([leaf_hash(b"other"), *LEAVES[1:40]])
    built = bridge.build(40, 69, LEAVES[40:69])
    assert bridge.cross(other, 69, built).root() != TREES[69].root()


def test_too_few_leaves_make_no_bridge() -> None:
    with pytest.raises(ValueError, match="too few leaves for a bridge from 3 to 9"):
        bridge.build(3, 9, LEAVES[3:8])


@pytest.mark.parametrize("change", [-1, 1])
def test_bridge_of_another_length_is_refused(change: int) -> None:
    built = bridge.build(3, 40, LEAVES[3:40])
    wrong = built[:change] if change < 0 else (*built, LEAVES[0])
    with pytest.raises(ValueError, match="zip"):
        bridge.cross(TREES[3], 40, wrong)

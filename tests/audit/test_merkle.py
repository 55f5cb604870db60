from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash
from tests.audit.independent_checker import mth

# The inputs and roots that the Certificate Transparency projects publish with their tests of RFC 6962.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_published_roots_for_each_size() -> None:
    assert [Frontier().extend(map(leaf_hash, LEAVES[:size])).root().hex() for size in range(9)] == ROOTS


def test_hashes_are_prefixed_as_in_the_rfc() -> None:
    assert leaf_hash(b"x") == sha256(b"\x00x").digest()
    assert node_hash(b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()
    assert sha256(b"").digest() == EMPTY_ROOT


def test_every_size_up_to_300_has_the_root_of_the_recursive_definition() -> None:
    entries = [b"entry %d" % number for number in range(300)]
    frontier = Frontier()
    for size, entry in enumerate(entries):
        assert frontier.root() == mth(entries[:size])
        frontier = frontier.append(leaf_hash(entry))
    assert frontier.root() == mth(entries)


@given(st.lists(st.binary(max_size=8), max_size=300), st.data())
def test_any_way_of_adding_gives_the_same_frontier(entries: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(entries)))
    first = Frontier().extend(map(leaf_hash, entries[:cut]))
    kept = Frontier.from_bytes(first.size, first.to_bytes())
    whole = kept.extend(map(leaf_hash, entries[cut:]))
    assert kept == first
    assert whole == Frontier().extend(map(leaf_hash, entries))
    assert whole.root() == mth(entries)
    assert len(whole.hashes) == len(entries).bit_count()


@given(st.lists(st.binary(max_size=8), min_size=2, max_size=60, unique=True), st.data())
def test_two_leaves_swapped_give_another_root(entries: list[bytes], data: st.DataObject) -> None:
    one = data.draw(st.integers(0, len(entries) - 2))
    other = data.draw(st.integers(one + 1, len(entries) - 1))
    swapped = list(entries)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    assert Frontier().extend(map(leaf_hash, swapped)).root() != Frontier().extend(map(leaf_hash, entries)).root()


@pytest.mark.parametrize(("size", "length"), [(0, 32), (1, 0), (1, 31), (3, 32), (4, 64), (-1, 32)])
def test_a_frontier_is_refused_when_bytes_and_size_do_not_fit(size: int, length: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Frontier.from_bytes(size, b"\0" * length)


def test_a_frontier_is_refused_when_a_hash_is_short() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Frontier().append(b"short")

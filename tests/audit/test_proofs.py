"""Proofs beside the published vectors, and beside the RFC's own definitions for every size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash
from bot.audit.proofs import ProofError, continues, includes, prove_consistency, prove_inclusion
from tests.audit import rfc6962
from tests.audit.test_merkle import LEAVES, ROOTS

EVERY_SIZE_TO = 130
SAMPLES = [131, 191, 192, 193, 255, 256, 257, 300, 383, 384, 385, 399, 400]
HASHES = [leaf_hash(rfc6962.entry(number)) for number in range(800)]

# Published by the Certificate Transparency projects with their tests of RFC 6962: index (or older size) and size.
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
SEAMS = {
    (1, 1): [],
    (1, 8): PATHS[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def root(size: int) -> bytes:
    return rfc6962.mth(0, size)


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_published_inclusion_paths_are_made_and_accepted(index: int, size: int) -> None:
    leaves = [leaf_hash(entry) for entry in LEAVES[:size]]
    proof = prove_inclusion(leaves, size, [index])[index]
    assert [one.hex() for one in proof] == PATHS[index, size]
    assert includes(bytes.fromhex(ROOTS[size]), size, index, leaves[index], proof)


@pytest.mark.parametrize(("older", "size"), SEAMS)
def test_published_consistency_proofs_are_made_and_accepted(older: int, size: int) -> None:
    proof = prove_consistency((leaf_hash(entry) for entry in LEAVES[:size]), older, size)
    assert [one.hex() for one in proof] == SEAMS[older, size]
    assert continues(older, bytes.fromhex(ROOTS[older]), size, bytes.fromhex(ROOTS[size]), proof)


@pytest.mark.parametrize("sizes", [range(1, EVERY_SIZE_TO + 1), SAMPLES])
def test_every_inclusion_path_is_the_rfcs_and_is_accepted(sizes: list[int]) -> None:
    for size in sizes:
        made = prove_inclusion(HASHES[:size], size, range(size))
        for index, proof in made.items():
            assert list(proof) == rfc6962.path(index, 0, size)
            assert includes(root(size), size, index, HASHES[index], proof)
        assert list(made) == list(range(size))


@pytest.mark.parametrize("sizes", [range(1, EVERY_SIZE_TO + 1), SAMPLES])
def test_every_consistency_proof_is_the_rfcs_and_is_accepted(sizes: list[int]) -> None:
    for size in sizes:
        for older in range(1, size):
            proof = prove_consistency(HASHES[:size], older, size)
            assert list(proof) == rfc6962.proof(older, size)
            assert continues(older, root(older), size, root(size), proof)


def test_the_same_tree_and_the_empty_one_need_no_proof() -> None:
    for size in range(20):
        assert prove_consistency(HASHES[:size], size, size) == prove_consistency(HASHES[:size], 0, size) == ()
        assert continues(size, root(size), size, root(size), ())
        assert continues(0, EMPTY_ROOT, size, root(size), ())
        assert not continues(size, HASHES[1], size, root(size), ())
        assert not continues(0, HASHES[1], size + 1, root(size + 1), ())
        assert not continues(0, EMPTY_ROOT, size, root(size), (HASHES[0],))


def altered(proof: tuple[bytes, ...]) -> Iterator[tuple[bytes, ...]]:
    """One bit changed in each hash, one left out, one too many anywhere, two swapped, nothing."""
    for at, one in enumerate(proof):
        yield (*proof[:at], bytes([one[0] ^ 1]) + one[1:], *proof[at + 1 :])
        yield (*proof[:at], one[:-1] + bytes([one[-1] ^ 128]), *proof[at + 1 :])
        yield (*proof[:at], *proof[at + 1 :])
        yield (*proof[:at], one, *proof[at:])
        if at:
            yield (*proof[: at - 1], one, proof[at - 1], *proof[at + 1 :])
    for more in (bytes(32), HASHES[0], proof[-1] if proof else EMPTY_ROOT):
        yield (*proof, more)
        yield (more, *proof)


def test_an_altered_short_long_or_swapped_inclusion_path_is_refused() -> None:
    for size in range(1, 40):
        for index, proof in prove_inclusion(HASHES[:size], size, range(size)).items():
            for other in altered(proof):
                assert not includes(root(size), size, index, HASHES[index], other)


def test_an_inclusion_path_holds_for_its_own_leaf_place_size_and_root_only() -> None:
    for size in range(1, 40):
        made = prove_inclusion(HASHES[:size], size, range(size))
        for index, proof in made.items():
            assert not includes(root(size), size, index, HASHES[size], proof)
            assert not includes(root(size + 1), size, index, HASHES[index], proof)
            assert not any(
                includes(root(size), size, other, HASHES[index], proof)
                for other in range(-1, size + 2)
                if other != index
            )
            assert not includes(root(size), index, index, HASHES[index], proof)


def test_an_altered_short_long_or_swapped_consistency_proof_is_refused() -> None:
    for size in range(2, 40):
        for older in range(1, size):
            proof = prove_consistency(HASHES[:size], older, size)
            for other in altered(proof):
                assert not continues(older, root(older), size, root(size), other)
            assert not continues(older, root(size), size, root(size), proof)
            assert not continues(older, root(older), size, root(size + 1), proof)
            assert not continues(size, root(size), older, root(older), proof)
            assert not continues(-1, root(older), size, root(size), proof)


@given(st.integers(0, 3), st.integers(1, 32), st.data())
def test_proofs_of_what_is_left_need_only_the_frontier_of_what_was_archived(
    pages: int, more: int, data: st.DataObject
) -> None:
    """The archived prefix is a multiple of 256 long, and its leaves are not there any more."""
    gone = 256 * pages % 768
    size = gone + more
    base = Frontier().extend(HASHES[:gone])
    wanted = data.draw(st.sets(st.integers(gone, size - 1), min_size=1))
    made = prove_inclusion(HASHES[gone:size], size, wanted, base)
    assert made == {index: tuple(rfc6962.path(index, 0, size)) for index in wanted}
    older = data.draw(st.integers(max(gone, 1), size))
    proof = prove_consistency(HASHES[gone:size], older, size, base)
    assert list(proof) == (rfc6962.proof(older, size) if older < size else [])


def test_any_prefix_will_do_as_a_base() -> None:
    for size in (64, 100, 127):
        for gone in range(size):
            base = Frontier().extend(HASHES[:gone])
            assert prove_inclusion(HASHES[gone:size], size, [size - 1, gone], base) == {
                index: tuple(rfc6962.path(index, 0, size)) for index in (size - 1, gone)
            }
            older = gone or 1
            assert list(prove_consistency(HASHES[gone:size], older, size, base)) == rfc6962.proof(older, size)


@pytest.mark.parametrize(("index", "gone"), [(-1, 0), (10, 0), (3, 4), (0, 4)])
def test_an_entry_that_is_not_there_has_no_path(index: int, gone: int) -> None:
    with pytest.raises(ProofError, match=f"entry {index} is not among the entries {gone} to 9"):
        prove_inclusion(HASHES[gone:10], 10, [index], Frontier().extend(HASHES[:gone]))


@pytest.mark.parametrize(("older", "size", "gone"), [(11, 10, 0), (-1, 10, 0), (3, 10, 4)])
def test_a_tree_that_the_leaves_do_not_reach_back_to_has_no_consistency_proof(older: int, size: int, gone: int) -> None:
    with pytest.raises(ProofError, match=f"no proof from a tree of {older} to one of {size}"):
        prove_consistency(HASHES[gone:size], older, size, Frontier().extend(HASHES[:gone]))


def test_leaves_too_few_or_too_many_are_refused() -> None:
    with pytest.raises(ProofError, match="the leaves end at 9, but the tree has 10"):
        prove_inclusion(HASHES[:9], 10, [0])
    with pytest.raises(ProofError, match="more leaves than the 10"):
        prove_consistency(HASHES[:11], 3, 10)

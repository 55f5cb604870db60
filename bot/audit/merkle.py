"""The RFC 6962 Merkle tree, kept as its frontier only. Pure.

No variation on RFC 6962 (section 2.1): the distinct prefixes keep a leaf from passing as a node, and any published
checker can recompute the same root.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00 ‖ body): what stands for one entry in the tree."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """A tree of `size` leaves, as the roots of its full subtrees: one hash per set bit of size, largest first.

    That is all that appending and the root need: O(log n) to store and O(1) hashes on average to append.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError(f"a tree of size {self.size} cannot have a frontier of {len(self.hashes)} hashes")
        if any(len(one) != HASH_BYTES for one in self.hashes):
            raise ValueError(f"each hash of a frontier has {HASH_BYTES} bytes")

    def append(self, leaf: bytes) -> Frontier:
        """The tree with one more leaf; `leaf` is a leaf *hash*."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """The tree with more leaves, in order; each is a leaf *hash*. Holds no more than the frontier in memory."""
        size, stack = self.size, list(self.hashes)
        for leaf in leaves:
            node, pairs = leaf, size
            while pairs & 1:  # each trailing one of the old size is a full subtree that now gets its right half
                node = sha256(b"\x01" + stack.pop() + node).digest()
                pairs >>= 1
            stack.append(node)
            size += 1
        return Frontier(size, tuple(stack))

    def root(self) -> bytes:
        """The tree's root; `EMPTY_ROOT` for no leaves."""
        if not self.hashes:
            return EMPTY_ROOT
        node = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            node = node_hash(left, node)
        return node

    def to_bytes(self) -> bytes:
        """The hashes one after another; with the size they make the frontier again."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: object, blob: bytes) -> Frontier:
        """What `to_bytes` gave. ValueError if the length does not fit the size, or that is no whole number: whoever
        damages a file or a database is bound by no type.
        """
        if not isinstance(size, int) or size < 0 or len(blob) != HASH_BYTES * size.bit_count():
            raise ValueError(f"a frontier of {len(blob)} bytes does not fit a tree of size {size}")
        return cls(size, tuple(blob[at : at + HASH_BYTES] for at in range(0, len(blob), HASH_BYTES)))

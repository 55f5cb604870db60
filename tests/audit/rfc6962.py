"""The definitions of RFC 6962, section 2.1, as they stand there: recursive, slow, and sharing no code with the bot.

D[n] is the list of `entry(0)`, …, `entry(n - 1)`; D[a:b] is named by a and b.
"""

from __future__ import annotations

import hashlib
from functools import cache


def entry(number: int) -> bytes:
    return b"entry %d" % number


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k = 2 * k
    return k


@cache
def mth(a: int, b: int) -> bytes:
    """2.1: MTH(D[a:b])."""
    n = b - a
    if n == 0:
        return hashlib.sha256().digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + entry(a)).digest()
    k = split(n)
    return hashlib.sha256(b"\x01" + mth(a, a + k) + mth(a + k, b)).digest()


def path(m: int, a: int, b: int) -> list[bytes]:
    """2.1.1: PATH(m, D[a:b])."""
    n = b - a
    if n == 1:
        return []
    k = split(n)
    if m < k:
        return [*path(m, a, a + k), mth(a + k, b)]
    return [*path(m - k, a + k, b), mth(a, a + k)]


def proof(m: int, n: int) -> list[bytes]:
    """2.1.2: PROOF(m, D[n]) for 0 < m < n."""
    return subproof(m, 0, n, True)


def subproof(m: int, a: int, b: int, complete: bool) -> list[bytes]:
    n = b - a
    if m == n:
        return [] if complete else [mth(a, b)]
    k = split(n)
    if m <= k:
        return [*subproof(m, a, a + k, complete), mth(a + k, b)]
    return [*subproof(m - k, a + k, b, False), mth(a, a + k)]

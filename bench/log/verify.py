"""Verifying an export, beside what reading and hashing the same bytes costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.log.fill import bodies
from bot.audit.checkpoint import Checkpoint, make_vkey, sign
from bot.audit.export import write_export
from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.parallel import with_jobs
from bot.audit.verify import ENTRIES, verify_export

ROUNDS = 3
BLOCK_BYTES = 1_000_000
ORIGIN = "bench.invalid/log"


@dataclass(frozen=True, slots=True)
class Verified:
    """The best of some rounds each, in seconds: the file hashed as one, its lines hashed one by one, and verified."""

    bytes: int
    stream: float
    lines: float
    one_job: float
    two_jobs: float


def measure(folder: Path, count: int) -> Verified:
    path = _export(folder, count) / ENTRIES
    ways = (
        lambda: _hash_stream(path),
        lambda: _hash_lines(path),
        lambda: _verify(folder, 1),
        lambda: _verify(folder, 2),
    )
    best = [min(_timed(way) for _ in range(ROUNDS)) for way in ways]
    return Verified(path.stat().st_size, *best)


def _export(folder: Path, count: int) -> Path:
    key = Ed25519PrivateKey.generate()
    root = Frontier().extend(map(leaf_hash, bodies(count))).root()
    note = sign(Checkpoint(ORIGIN, count, root), ORIGIN, key)
    write_export(
        folder, lambda start, stop: islice(bodies(stop), start, stop), note, make_vkey(ORIGIN, key.public_key())
    )
    return folder


def _timed(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def _hash_stream(path: Path) -> bytes:
    hashed = sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            hashed.update(block)
    return hashed.digest()


def _hash_lines(path: Path) -> None:
    with path.open("rb") as file:
        for line in file:
            sha256(line).digest()


def _verify(folder: Path, jobs: int) -> None:
    report = verify_export(folder, hash_file=with_jobs(jobs))
    assert report.ok, report.problems

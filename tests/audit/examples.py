"""A small log with a fixed key, for the tests of what stands on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.audit.checkpoint import Checkpoint, make_vkey, sign
from bot.audit.entry import Draft, encode
from bot.audit.export import ReadBodies, write_export
from bot.audit.merkle import Frontier, leaf_hash

ORIGIN = "example.com/pause-log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
VKEY = make_vkey(ORIGIN, KEY.public_key())
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def bodies(count: int) -> list[bytes]:
    drafts = [Draft(type="pause.confirmed", id=f"{n:032x}", actor="alice", source="agent") for n in range(count)]
    return [encode(draft, START + timedelta(seconds=n), "node-1") for n, draft in enumerate(drafts)]


def tree(of: list[bytes]) -> Frontier:
    return Frontier().extend(map(leaf_hash, of))


def note(of: list[bytes], key: Ed25519PrivateKey = KEY, origin: str = ORIGIN) -> str:
    return sign(Checkpoint(origin, len(of), tree(of).root()), origin, key)


def export(folder: Path, count: int) -> Path:
    entries = bodies(count)
    write_export(folder, reader(entries), note(entries), VKEY)
    return folder


def reader(of: Sequence[bytes]) -> ReadBodies:
    return lambda start, stop: of[start:stop]

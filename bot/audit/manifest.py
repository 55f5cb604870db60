"""What an archive says of itself: the trees at both ends, the way to its checkpoint, and a digest of each file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.audit.merkle import Frontier
from bot.audit.verify import CHECKPOINT, ENTRIES, VKEY
from bot.errors import LogError

MANIFEST = "manifest.json"
VERSION = 1
DIGESTED = (ENTRIES, CHECKPOINT, VKEY)


class ArchiveError(LogError):
    """The archive was not written, or is not what it should be; the message says why."""


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself. `until`: its youngest entry's time. `digests`: SHA-256 of each file, in hex."""

    start: Frontier
    end: Frontier
    until: datetime
    bridge: tuple[bytes, ...]
    digests: dict[str, str]

    def to_bytes(self) -> bytes:
        fields = {
            "v": VERSION,
            "start": _tree_fields(self.start),
            "end": _tree_fields(self.end),
            "until": self.until.isoformat(),
            "bridge": [one.hex() for one in self.bridge],
            "sha256": self.digests,
        }
        return json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Raises `ArchiveError`."""
        try:
            fields = json.loads(content)
            manifest = cls(
                _tree(fields["start"]),
                _tree(fields["end"]),
                datetime.fromisoformat(fields["until"]),
                tuple(bytes.fromhex(one) for one in fields["bridge"]),
                {name: str(fields["sha256"][name]) for name in DIGESTED},
            )
            if manifest.to_bytes() != content:
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise ArchiveError(f"{MANIFEST} is damaged") from None
        return manifest


def _tree_fields(tree: Frontier) -> dict[str, object]:
    return {"size": tree.size, "hashes": [one.hex() for one in tree.hashes], "root": tree.root().hex()}


def _tree(fields: dict[str, Any]) -> Frontier:
    tree = Frontier(int(fields["size"]), tuple(bytes.fromhex(one) for one in fields["hashes"]))
    if tree.root().hex() != fields["root"]:
        raise ValueError
    return tree

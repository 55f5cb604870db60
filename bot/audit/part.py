"""A part of the log as a folder that anyone can verify offline: some entries, each with its proof of inclusion.

`entries.jsonl` as in a whole export; in `proofs.jsonl` the line of the same number has the entry's place in the log
and its path to the root; `consistency`, if asked for, shows that the log continues an older checkpoint. A part proves
that its entries are in the log, never that they are all.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from bot.audit.blocks import Blocks
from bot.audit.checkpoint import Checkpoint, parse_and_verify
from bot.audit.export import ReadBodies
from bot.audit.files import sync
from bot.audit.folders import ExportError, drafted, signers, write, write_frame
from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.proofs import Proof, prove_consistency, prove_over
from bot.audit.verify import CONSISTENCY, ENTRIES, PROOFS

BATCH_ENTRIES = 20_000
"""For so many entries the proofs are made at once, in some 50 MB of memory."""

WHAT = (
    "This folder holds a part of the log, and proves of each entry in it that it is in the log as signed.\n"
    "It does not prove that the part is complete: entries that also belong to it may have been left out."
)


@dataclass(frozen=True)
class Signed:
    """The log as it was signed: the note, the keys that may have signed it (one a line), and how to read it.

    `base` is the tree over a first part of the log that lives in an archive; `read` begins after it.
    """

    note: str
    vkeys: str
    read: ReadBodies
    base: Frontier = field(default_factory=Frontier)

    def checkpoint(self) -> Checkpoint:
        return opened(self.note, self.vkeys)

    def older(self, note: str) -> Checkpoint:
        """A checkpoint that a reader kept, if a proof can lead from it to this one. Raises `LogError`."""
        older, size = opened(note, self.vkeys), self.checkpoint().size
        if not max(self.base.size, 1) <= older.size <= size:
            raise ExportError(f"no proof leads from a checkpoint of {older.size} entries to this one of {size}")
        return older

    def leaves(self) -> Iterator[bytes]:
        return map(leaf_hash, self.read(self.base.size, self.checkpoint().size))


def opened(note: str, vkeys: str) -> Checkpoint:
    """The checkpoint in a note that one of these keys signed. Raises `CheckpointError`."""
    return parse_and_verify(note, signers(note, vkeys)[0])


def write_part(
    folder: Path,
    log: Signed,
    found: Iterable[tuple[int, bytes]],
    older_note: str | None = None,
    progress: Callable[[int], None] | None = None,
    finish: Callable[[Path], None] | None = None,
) -> int:
    """Write the entries found, as (position, body) in order, with their proofs; how many.

    The folder must not exist or be empty; it appears whole or not at all. `older_note` is a checkpoint that the reader
    kept. `progress` is told how many leaves were read; `finish` may add files. Raises `ExportError` or `ProofError`.
    """
    with drafted(folder) as draft:
        count = _write_draft(draft, log, found, older_note, progress)
        if finish:
            finish(draft)
    return count


def write_consistency(folder: Path, log: Signed, older_note: str) -> None:
    """`old SIZE`, the hashes a line each, a blank line, the older note. None where the two are of one size."""
    older, newer = log.older(older_note), log.checkpoint()
    if older.size < newer.size:
        proof = prove_consistency(log.leaves(), older.size, newer.size, log.base)
        lines = [f"old {older.size}", *_base64(proof)]
        write(folder / CONSISTENCY, "".join(f"{line}\n" for line in lines).encode() + b"\n" + older_note.encode())


def _write_draft(
    draft: Path,
    log: Signed,
    found: Iterable[tuple[int, bytes]],
    older_note: str | None,
    progress: Callable[[int], None] | None,
) -> int:
    write_frame(draft, log.note, log.vkeys, WHAT)
    if older_note is not None:
        write_consistency(draft, log, older_note)
    given, size, count = iter(found), log.checkpoint().size, 0
    blocks = Blocks(log.read, log.base.size, size, progress)
    with (draft / ENTRIES).open("xb") as entries, (draft / PROOFS).open("xb") as proofs:
        while batch := list(islice(given, BATCH_ENTRIES)):
            positions = [position for position, _ in batch]
            paths = prove_over(blocks.around(positions), size, positions, log.base)
            for position, body in batch:
                if b"\n" in body:
                    raise ExportError(f"entry {position} is not one line, so it cannot be exported")
                entries.write(body + b"\n")
                proofs.write(_line(position, paths[position]))
            count += len(batch)
        for file in (entries, proofs):
            sync(file)
    return count


def _line(position: int, path: Proof) -> bytes:
    return json.dumps({"index": position, "path": _base64(path)}, separators=(",", ":")).encode() + b"\n"


def _base64(hashes: Sequence[bytes]) -> list[str]:
    return [b64encode(one).decode() for one in hashes]

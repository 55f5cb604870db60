"""An archive: the log's oldest entries in a folder, from where the database's log began up to a multiple of 256.

`entries.jsonl` (one line is exactly one leaf's bytes), `checkpoint` (a signed note that covers more than these), the
public key `log.vkey`, and `manifest.json`: the trees at both ends, the bridge from the last entry to the checkpoint,
and a digest of each file. So it can be verified by itself, with the log's public key and nothing else; the digest of
the manifest stands for all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from bot.audit import bridge
from bot.audit.archive_check import Checked, time_of, verify_archive
from bot.audit.checkpoint import Checkpoint, parse_and_verify
from bot.audit.files import sync
from bot.audit.folders import drafted, write
from bot.audit.manifest import MANIFEST, ArchiveError, Manifest
from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.verify import CHECKPOINT, ENTRIES, VKEY


def write_archive(
    folder: Path, start: Frontier, bodies: Iterable[bytes], rest: Iterable[bytes], size: int, note: str, vkey: str,
    before: datetime,
) -> Checked:  # fmt: skip
    """Write the entries start.size..size-1, all older than `before`, and read the archive back.

    `rest`: the bodies from there up to the checkpoint in `note`. The folder must not exist or be empty; it appears
    whole and verified, or not at all. Raises `ArchiveError` (also if the entries are not those that were signed) and
    `CheckpointError`.
    """
    signed = parse_and_verify(note, vkey)
    with drafted(folder, "archive", ArchiveError) as draft:
        manifest = _fill(draft, start, islice(bodies, size - start.size), rest, signed, note, vkey, before)
        checked = verify_archive(draft, vkey)
        if checked.problems or checked.manifest != manifest or manifest.end.size != size:
            first = next(iter(checked.problems), "it is not what was written")
            raise ArchiveError(f"the archive was read back and does not verify: {first}")
    return checked


def _fill(
    draft: Path, start: Frontier, bodies: Iterable[bytes], rest: Iterable[bytes], signed: Checkpoint, note: str,
    vkey: str, before: datetime,
) -> Manifest:  # fmt: skip
    with (draft / ENTRIES).open("xb") as file:
        writing = _Writing(file, before)
        end = start.extend(leaf_hash(body) for body in writing.all_of(bodies))
        sync(file)
    try:
        across = bridge.build(end.size, signed.size, map(leaf_hash, rest))
    except ValueError:
        raise ArchiveError("the log ends before its checkpoint: entries are missing") from None
    if bridge.cross(end, signed.size, across).root() != signed.root or writing.last is None:
        raise ArchiveError("these entries are not those that were signed; verify the log")
    digests = {
        ENTRIES: writing.digest.hexdigest(),
        CHECKPOINT: _write(draft / CHECKPOINT, note.encode()),
        VKEY: _write(draft / VKEY, f"{vkey}\n".encode()),
    }
    manifest = Manifest(start, end, writing.last, across, digests)
    _write(draft / MANIFEST, manifest.to_bytes())
    return manifest


class _Writing:
    """Lines on their way into the file, and what is to be known of them afterwards."""

    def __init__(self, file: BinaryIO, before: datetime) -> None:
        self._file = file
        self._before = before
        self.digest = hashlib.sha256()
        self.last: datetime | None = None

    def all_of(self, bodies: Iterable[bytes]) -> Iterator[bytes]:
        for body in bodies:
            at = time_of(body)
            if at >= self._before or b"\n" in body:
                raise ArchiveError("an entry is younger than it is filed as, or is not one line; verify the log")
            self.last = at if self.last is None else max(at, self.last)
            line = body + b"\n"
            self._file.write(line)
            self.digest.update(line)
            yield body


def _write(path: Path, content: bytes) -> str:
    """SHA-256 of what was written."""
    write(path, content)
    return hashlib.sha256(content).hexdigest()

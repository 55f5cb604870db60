"""An archive read back: every hash computed again, and nothing in it believed that no signature covers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from bot.audit import bridge
from bot.audit.checkpoint import Checkpoint, CheckpointError, parse_and_verify
from bot.audit.entry import MAX_BYTES, decode
from bot.audit.manifest import MANIFEST, ArchiveError, Manifest
from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.verify import CHECKPOINT, ENTRIES, VKEY, share_a_key

MULTIPLE = 256
MANIFEST_BYTES_MAX = 262_144
FILE_BYTES_MAX = 131_072
EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Checked:
    """An archive read back. `digest`: SHA-256 of its manifest, in hex. `trees`: what its entries make at the sizes that
    were asked for and lie inside. Only without `problems` is any of it to be believed.
    """

    manifest: Manifest
    digest: str
    note: str
    trees: dict[int, Frontier]
    problems: tuple[str, ...]
    checkpoints_checked: int


def is_archive(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def span(folder: Path) -> tuple[Frontier, int]:
    """The tree over what comes before an archive's first entry, and where it ends. Raises `ArchiveError`."""
    manifest = Manifest.from_bytes(_read(folder / MANIFEST, MANIFEST_BYTES_MAX))
    return manifest.start, manifest.end.size


def verify_archive(folder: Path, vkey: str | None, notes: Iterable[str] = (), sizes: Iterable[int] = ()) -> Checked:
    """Compute every hash again and compare with the signed checkpoint, and with what other signed `notes` end inside.

    Without `vkey` the key in the folder is used: that finds damage, not a forger with a key of their own. `sizes`:
    where the tree is wanted. Raises `ArchiveError` if there is no manifest that can be read.
    """
    content = _read(folder / MANIFEST, MANIFEST_BYTES_MAX)
    manifest = Manifest.from_bytes(content)
    problems: list[str] = []
    note, enclosed = (_text(folder / name, manifest, problems) for name in (CHECKPOINT, VKEY))
    if vkey is not None and not share_a_key(enclosed.removesuffix("\n"), vkey):
        problems.append(f"the key in {VKEY} is not the one to verify with")
    key = vkey or enclosed.removesuffix("\n")
    wanted = [one for one in _signed(notes, key, problems) if manifest.start.size < one.size <= manifest.end.size]
    stops = {*sizes, *(one.size for one in wanted), manifest.end.size}
    trees = _trees(folder / ENTRIES, manifest, stops, problems)
    if trees.get(manifest.end.size) != manifest.end:
        problems.append("the entries do not make the tree that the manifest tells of")
    problems += [
        f"the root at checkpoint size {one.size} differs from the signed one"
        for one in wanted
        if one.size in trees and trees[one.size].root() != one.root
    ]
    problems += _covered(manifest, note, key)
    return Checked(manifest, hashlib.sha256(content).hexdigest(), note, trees, tuple(problems), len(wanted) + 1)


def _covered(manifest: Manifest, note: str, key: str) -> Iterator[str]:
    """Whether the archive's own checkpoint is signed, and over a log that begins with these entries."""
    if manifest.end.size % MULTIPLE or manifest.end.size <= manifest.start.size:
        yield f"it does not end at a multiple of {MULTIPLE}"
    try:
        signed = parse_and_verify(note, key)
        if manifest.end.size > signed.size:  # else a root could be taken for that of a tree with other positions
            yield f"it ends at {manifest.end.size}, but its checkpoint covers {signed.size} entries"
        elif bridge.cross(manifest.end, signed.size, manifest.bridge).root() != signed.root:
            yield "its entries are not those that the checkpoint covers"
    except CheckpointError as error:
        yield str(error)
    except ValueError:
        yield "the bridge to its checkpoint has the wrong length"


def _signed(notes: Iterable[str], key: str, problems: list[str]) -> list[Checkpoint]:
    signed = []
    for note in notes:
        try:
            signed.append(parse_and_verify(note, key))
        except CheckpointError as error:
            problems.append(str(error))
    return signed


def _trees(path: Path, manifest: Manifest, stops: set[int], problems: list[str]) -> dict[int, Frontier]:
    """The tree at each of these sizes that lies inside the archive. Compared on the way: the file's digest, and the
    time of its youngest entry, which says what may be removed from the database.
    """
    reading, tree, found = _Reading(), manifest.start, {}
    try:
        with path.open("rb") as file:
            leaves = map(leaf_hash, reading.bodies(file))
            for stop in sorted(one for one in stops if manifest.start.size <= one <= manifest.end.size):
                tree = tree.extend(islice(leaves, stop - tree.size))
                if tree.size == stop:
                    found[stop] = tree
            if next(leaves, None) is not None:
                problems.append("there are more entries than the manifest tells of")
                for _ in leaves:
                    pass
    except OSError as error:
        problems.append(f"{ENTRIES} cannot be read: {error.strerror}")
    if reading.digest.hexdigest() != manifest.digests[ENTRIES]:
        problems.append(f"{ENTRIES} is not the file that was written")
    if reading.until != manifest.until:
        problems.append("its youngest entry is not of the time that the manifest tells of")
    return found


class _Reading:
    """Lines on their way out of the file, and what is to be known of them afterwards. `until` is None if an entry has
    no time that can be read.
    """

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.until: datetime | None = EARLIEST

    def bodies(self, file: BinaryIO) -> Iterator[bytes]:
        """Too long a line comes in pieces, so that memory stays bounded; the tree then differs."""
        while line := file.readline(MAX_BYTES + 1):
            self.digest.update(line)
            body = line.removesuffix(b"\n")
            self._note_time(body)
            yield body

    def _note_time(self, body: bytes) -> None:
        try:
            self.until = None if self.until is None else max(self.until, time_of(body))
        except ArchiveError:
            self.until = None


def time_of(body: bytes) -> datetime:
    """By the entry's own bytes: a copy beside it could have been changed. Raises `ArchiveError`."""
    try:
        at = datetime.fromisoformat(str(decode(body)["at"]))
    except (ValueError, KeyError, RecursionError):
        raise ArchiveError("an entry cannot be read; verify the log") from None
    if at.tzinfo is None:
        raise ArchiveError("an entry's time has no zone; verify the log")
    return at


def bodies(folder: Path) -> Iterator[bytes]:
    """The exact bytes of the archived entries, in order: for an archive that was verified."""
    with (folder / ENTRIES).open("rb") as file:
        while line := file.readline(MAX_BYTES + 1):
            yield line.removesuffix(b"\n")


def _text(path: Path, manifest: Manifest, problems: list[str]) -> str:
    try:
        content = _read(path, FILE_BYTES_MAX)
        if hashlib.sha256(content).hexdigest() != manifest.digests[path.name]:
            problems.append(f"{path.name} is not the file that was written")
        return content.decode()
    except ArchiveError as error:
        problems.append(str(error))
    except UnicodeDecodeError:
        problems.append(f"{path.name} is not text")
    return ""


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(bytes_max)
    except OSError as error:
        raise ArchiveError(f"{path.name} cannot be read: {error.strerror}") from None

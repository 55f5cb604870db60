"""Archives and the database's log, verified as one log: each part by itself, and that they fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from bot.audit.archive_check import Checked, verify_archive
from bot.audit.check import verify_database
from bot.audit.manifest import MANIFEST, ArchiveError, Manifest
from bot.audit.merkle import Frontier
from bot.audit.verify import MAX_PROBLEMS, Report
from bot.storage import checkpoints, entries
from bot.storage.engine import Database


def verify_whole(database: Database, vkey: str | None, folders: Sequence[Path]) -> Report:
    """The whole log, as far as these archives and the database have it.

    Each archive's own checkpoint counts against the database's log too. Raises `ArchiveError` for a folder that is no
    archive.
    """
    while True:
        with database.read() as connection:
            base, notes = entries.base(connection), checkpoints.notes(connection)
        parts = _verified(folders, vkey, notes if vkey else (), base)
        live = verify_database(database, vkey, tuple(part.note for _, part in parts))
        with database.read() as connection:
            if entries.base(connection) == base:  # else something was removed meanwhile, and all of it is read again
                break
    problems = (*live.problems, *_problems(parts, base))[:MAX_PROBLEMS]
    return replace(
        live,
        ok=not problems,
        problems=problems,
        checkpoints_checked=live.checkpoints_checked + sum(part.checkpoints_checked - 1 for _, part in parts),
        archived=parts[0][1].manifest.start.size,
    )


def verify_alone(folder: Path, vkey: str | None) -> Report:
    """An archive by itself, for somebody who has no database."""
    checked = verify_archive(folder, vkey)
    end = checked.manifest.end
    start = checked.manifest.start.size
    return Report(not checked.problems, end.size, end.root().hex(), checked.problems, 1, start)


def _verified(
    folders: Sequence[Path], vkey: str | None, notes: Sequence[str], base: Frontier
) -> list[tuple[str, Checked]]:
    """Name and finding of each archive, the oldest first."""
    manifests = {folder: _manifest(folder) for folder in folders}
    stops = {base.size, *(manifest.start.size for manifest in manifests.values())}
    parts = [(folder.name, verify_archive(folder, vkey, notes, stops)) for folder in folders]
    return sorted(parts, key=lambda part: part[1].manifest.start.size)


def _manifest(folder: Path) -> Manifest:
    try:
        return Manifest.from_bytes((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise ArchiveError(f"{folder} is not an archive: {MANIFEST} cannot be read ({error.strerror})") from None


def _problems(parts: list[tuple[str, Checked]], base: Frontier) -> Iterator[str]:
    for name, part in parts:
        yield from (f"archive {name}: {problem}" for problem in part.problems)
    for (before, earlier), (name, later) in pairwise(parts):
        start = later.manifest.start
        if start.size > earlier.manifest.end.size:
            yield f"no archive has the entries {earlier.manifest.end.size} to {start.size - 1}"
        elif earlier.trees.get(start.size) != start:
            yield f"archive {name} does not continue archive {before}"
    name, last = max(parts, key=lambda part: part[1].manifest.end.size)
    if last.manifest.end.size < base.size:
        yield f"no archive has the entries {last.manifest.end.size} to {base.size - 1}"
    elif last.trees.get(base.size) != base:
        yield f"the database's log does not continue archive {name}"

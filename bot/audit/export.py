"""An export of the whole log: a folder that anyone can verify offline, and that an interruption does not waste.

`entries.jsonl` (one line is exactly one leaf's bytes), `checkpoint` (the signed note), `log.vkey` (the keys that signed
it), `verify.py` and a README. It ends exactly at its checkpoint: what was written later belongs into the next export.
Until it is whole, a file `UNFINISHED` lies in it, which every verifier refuses; it tells how many entries are known to
be on the disk, so that the next run goes on from there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from bot.audit.checkpoint import CheckpointError
from bot.audit.files import sync, sync_folder
from bot.audit.folders import ExportError, refuse_taken, signed_size, write, write_frame
from bot.audit.verify import CHECKPOINT, ENTRIES, UNFINISHED

PROGRESS_EVERY_ENTRIES = 1_000
SYNC_EVERY_ENTRIES = 20_000

ReadBodies = Callable[[int, int], Iterable[bytes]]
"""The stored bodies of the entries start, …, stop - 1, counted from 0."""

WHAT = "This folder holds the whole log up to the signed checkpoint: every entry, in order."
MARK = "This export is not finished: run the same command again and it goes on."


def unfinished_note(folder: Path, vkeys: str) -> str | None:
    """The checkpoint that an interrupted export in this folder goes up to; None if there is none to go on with."""
    try:
        if not (folder / UNFINISHED).is_file():
            return None
        note = (folder / CHECKPOINT).read_bytes().decode()
        signed_size(note, vkeys)
    except (OSError, UnicodeDecodeError, CheckpointError):
        return None
    return note


def write_export(
    folder: Path,
    read: ReadBodies,
    checkpoint_note: str,
    vkeys: str,
    progress: Callable[[int], None] | None = None,
    finish: Callable[[Path], None] | None = None,
) -> int:
    """Write the entries that the checkpoint covers, and nothing else; the number of entries.

    The folder must not exist, be empty, or hold an unfinished export, which is continued if it has the same checkpoint
    and begun again otherwise. `progress` is told the number written so far; `finish` may add files before the mark is
    taken away. Raises `CheckpointError` if the note is of none of these keys (one a line), and `ExportError` if the
    folder is taken, cannot be written, or the bodies do not end exactly at the checkpoint. Whether the entries are what
    was signed is for verification to say: an altered log can be exported too, as evidence.
    """
    size = signed_size(checkpoint_note, vkeys)
    folder = folder.resolve()
    try:
        count, length = _begin(folder, checkpoint_note, vkeys)
        with (folder / ENTRIES).open("r+b" if length else "wb") as file:
            file.truncate(length)
            file.seek(length)
            _write_lines(folder, file, read(count, size), count, size, progress)
        if finish:
            finish(folder)
        (folder / UNFINISHED).unlink()
        sync_folder(folder)
    except OSError as error:
        raise ExportError(f"the export cannot be written to {folder}: {error.strerror}") from None
    except _WrongBodies as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ExportError(str(error)) from None
    return size


class _WrongBodies(Exception):
    """The log does not give what the checkpoint covers: to go on later would not help."""


def _begin(folder: Path, checkpoint_note: str, vkeys: str) -> tuple[int, int]:
    """How many entries are there already, and in how many bytes. Everything else of the folder is in place then."""
    if not (folder / UNFINISHED).is_file():
        refuse_taken(folder)
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
    elif unfinished_note(folder, vkeys) == checkpoint_note and (done := _done(folder)):
        return done
    (folder / UNFINISHED).touch()  # first of all: from now on the same command goes on, whatever happens
    _mark(folder, 0, 0)
    write_frame(folder, checkpoint_note, vkeys, WHAT)
    sync_folder(folder)
    return 0, 0


def _done(folder: Path) -> tuple[int, int] | None:
    """What the mark says, if that much is there."""
    try:
        _, counts = (folder / UNFINISHED).read_text().splitlines()
        count, length = map(int, counts.split())
        return (count, length) if (folder / ENTRIES).stat().st_size >= length else None
    except (OSError, ValueError):
        return None


def _mark(folder: Path, count: int, length: int) -> None:
    """Beside and then renamed: the mark is never missing while something is."""
    draft = folder / f".{UNFINISHED}.new"
    write(draft, f"{MARK}\n{count} {length}\n".encode())
    draft.replace(folder / UNFINISHED)


def _write_lines(
    folder: Path,
    file: BinaryIO,
    bodies: Iterable[bytes],
    count: int,
    size: int,
    progress: Callable[[int], None] | None,
) -> None:
    for body in bodies:
        if count == size:
            raise _WrongBodies(f"there are more entries than the {size} that the checkpoint covers")
        if b"\n" in body:
            raise _WrongBodies(f"entry {count} is not one line, so it cannot be exported")
        file.write(body + b"\n")
        count += 1
        if progress and count % PROGRESS_EVERY_ENTRIES == 0:
            progress(count)
        if count % SYNC_EVERY_ENTRIES == 0:
            sync(file)
            _mark(folder, count, file.tell())
    if count != size:
        raise _WrongBodies(f"the log ends after {count} entries, but the checkpoint covers {size}")
    sync(file)
    _mark(folder, count, file.tell())
    if progress:
        progress(count)

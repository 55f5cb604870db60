"""An export of the log: a folder that anyone can verify offline.

`entries.jsonl` (one line is exactly one leaf's bytes), `checkpoint` (the signed note) and `log.vkey` (the key that
signed it). It ends exactly at its checkpoint: what was written later belongs into the next export.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from bot.audit.checkpoint import parse_and_verify
from bot.audit.verify import CHECKPOINT, ENTRIES, VKEY
from bot.errors import LogError

PROGRESS_EVERY_ENTRIES = 1_000


class ExportError(LogError):
    """The export was not written; nothing is left of it. The message says why."""


def write_export(
    folder: Path,
    bodies: Iterable[bytes],
    checkpoint_note: str,
    vkey: str,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write the entries that the checkpoint covers, and nothing else; the number of entries.

    The folder must not exist or be empty; it appears whole or not at all. `progress` is told the number written so far,
    every `PROGRESS_EVERY_ENTRIES` and at the end. Raises `CheckpointError` if the note is not of this key, and
    `ExportError` if the folder is taken, cannot be written, or the bodies do not end exactly at the checkpoint. Whether
    the entries are what was signed is for verification to say: an altered log can be exported too, as evidence.
    """
    size = parse_and_verify(checkpoint_note, vkey).size
    folder = folder.resolve()
    try:
        _refuse_taken(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _write_lines(draft / ENTRIES, bodies, size, progress)
            _write(draft / CHECKPOINT, checkpoint_note)
            _write(draft / VKEY, vkey + "\n")
            _sync_folder(draft)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        _sync_folder(folder.parent)
    except OSError as error:
        raise ExportError(f"the export cannot be written to {folder}: {error.strerror}") from None
    return size


def _refuse_taken(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is not an empty folder; an export never overwrites anything")


def _write_lines(path: Path, bodies: Iterable[bytes], size: int, progress: Callable[[int], None] | None) -> None:
    count = 0
    with path.open("xb") as file:
        for body in bodies:
            if count == size:
                raise ExportError(f"there are more entries than the {size} that the checkpoint covers")
            if b"\n" in body:
                raise ExportError(f"entry {count} is not one line, so it cannot be exported")
            file.write(body + b"\n")
            count += 1
            if progress and count % PROGRESS_EVERY_ENTRIES == 0:
                progress(count)
        if count != size:
            raise ExportError(f"the log ends after {count} entries, but the checkpoint covers {size}")
        file.flush()
        os.fsync(file.fileno())
    if progress:
        progress(count)


def _write(path: Path, text: str) -> None:
    with path.open("xb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

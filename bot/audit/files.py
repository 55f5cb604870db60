"""Files that are there whole or not at all, whoever dies and whenever."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write beside, sync, rename, sync the folder: the old content or the new, whole. Raises `OSError`.

    `mode` holds whatever the umask is.
    What a dead process left half-written is overwritten; two must not write the same file at once.
    """
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        sync(file)
    new.replace(path)
    sync_folder(path.parent)


def sync(file: BinaryIO) -> None:
    """Make what was written outlast a power cut. Raises `OSError`."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in it outlast a power cut. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

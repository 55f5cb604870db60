"""`file:/path`: notes appended to a file, on a disk or host that the database's owner does not write to."""

from __future__ import annotations

import fcntl
import os
from datetime import timedelta
from pathlib import Path

from bot.audit.anchors.anchor import AnchorFailed

TAIL_BYTES = 131_072
"""Where a repeat is looked for. A note that was sent twice stands right before."""


class FileAnchor:
    """Each note once, with an empty line after it. Several processes may append to one file."""

    def __init__(self, path: Path, every: timedelta) -> None:
        self.name = f"file:{path}"[:200]
        self.every = every
        self._path = path

    def keep(self, note: str) -> None:
        content = note.encode()
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                tail = _tail(descriptor)
                if content not in tail:
                    _append(descriptor, _separated(tail) + content + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AnchorFailed(f"the file cannot be written: {error.strerror}") from None


def _tail(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))


def _separated(tail: bytes) -> bytes:
    """What a crash left half-written must not run into the next note."""
    return b"" if not tail or tail.endswith(b"\n\n") else b"\n\n"


def _append(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]

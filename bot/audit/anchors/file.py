"""`file:/path`: notes appended to a file, on a disk or host that the database's owner does not write to."""

from __future__ import annotations

import fcntl
import os
import time
from datetime import timedelta
from pathlib import Path

from bot.audit.anchors.anchor import AnchorFailed
from bot.audit.files import sync_folder

TAIL_BYTES = 131_072
"""Where a repeat is looked for. A note that was sent twice stands right before."""

LOCK_SECONDS = 5.0
LOCK_RETRY_SECONDS = 0.05


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
                _lock(descriptor)
                tail = _tail(descriptor)
                if content not in tail:
                    _append(descriptor, _separated(tail) + content + b"\n")
                os.fsync(descriptor)
                if not tail:  # the file may be new
                    sync_folder(self._path.parent)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AnchorFailed(f"the file cannot be written: {error.strerror}") from None


def _lock(descriptor: int) -> None:
    """Others that append are done in no time; whoever keeps the file locked is a failure like any other."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise AnchorFailed("the file is locked by another process") from None
            time.sleep(LOCK_RETRY_SECONDS)


def _tail(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))


def _separated(tail: bytes) -> bytes:
    """What a crash left half-written must not run into the next note."""
    return b"" if not tail or tail.endswith(b"\n\n") else b"\n\n"


def _append(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]

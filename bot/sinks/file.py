"""The second copy as a file: one line an entry, exactly its bytes, appended and synced for each batch.

The file may be rotated by renaming: it is opened anew once another, or none, has its name. A line that a dead process
or a full disk left torn is cut off, or closed with a newline where the file may only grow; its entry is sent again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from bot.audit.files import sync_folder
from bot.sinks import Batch, SinkFailed

MODE = 0o640
READ_BYTES = 65_536 + 2


class FileSink:
    """A disk cannot be given a time limit; the claim on the cursor has one."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._file: int | None = None

    def send(self, batch: Batch, seconds: float) -> None:  # noqa: ARG002 - see above
        try:
            file = self._opened()
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _mend(file)
            _write(file, b"".join(body + b"\n" for body in batch.bodies))
            os.fsync(file)
            fcntl.flock(file, fcntl.LOCK_UN)
        except OSError as error:
            self.close()
            raise SinkFailed(f"the file cannot be written ({errno.errorcode.get(error.errno or 0, '?')})") from None

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is not None and not _is_same(self._path, self._file):
            self.close()
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, MODE)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                self.close()
                raise SinkFailed("it is not a file")
            sync_folder(self._path.parent)
        return self._file


def _is_same(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _mend(file: int) -> None:
    """A whole line ends with a newline, and no line is longer than what is read here."""
    size = os.fstat(file).st_size
    if not size or os.pread(file, 1, size - 1) == b"\n":
        return
    start = max(0, size - READ_BYTES)
    tail = os.pread(file, size - start, start)
    try:
        os.ftruncate(file, start + tail.rfind(b"\n") + 1)
    except PermissionError:
        _write(file, b"\n")


def _write(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]

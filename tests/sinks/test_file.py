"""The second copy as a file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from bot.sinks import Batch, SinkFailed
from bot.sinks.file import FileSink
from tests.support.full_disk import full_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "copy.jsonl"


def batch(first: int, *bodies: bytes) -> Batch:
    return Batch(first, bodies)


def test_lines_are_appended_to_what_is_there(path: Path) -> None:
    path.write_bytes(b"{old}\n")
    sink = FileSink(str(path))
    sink.send(batch(0, b"{1}", b"{2}"), 5)
    sink.send(batch(2, b"{3}"), 5)
    assert path.read_bytes() == b"{old}\n{1}\n{2}\n{3}\n"
    sink.close()


def test_file_is_not_for_everybody_to_read(path: Path) -> None:
    sink = FileSink(str(path))
    sink.send(batch(0, b"{1}"), 5)
    assert path.stat().st_mode & 0o007 == 0
    sink.close()


@pytest.mark.parametrize("is_new_there", [False, True])
def test_rotated_file_is_opened_anew(path: Path, *, is_new_there: bool) -> None:
    sink = FileSink(str(path))
    sink.send(batch(0, b"{1}"), 5)
    old = path.rename(path.with_suffix(".1"))
    if is_new_there:
        path.touch()
    sink.send(batch(1, b"{2}"), 5)
    assert (old.read_bytes(), path.read_bytes()) == (b"{1}\n", b"{2}\n")
    sink.close()


def test_truncated_file_goes_on_at_its_beginning(path: Path) -> None:
    sink = FileSink(str(path))
    sink.send(batch(0, b"{1}"), 5)
    os.truncate(path, 0)
    sink.send(batch(1, b"{2}"), 5)
    assert path.read_bytes() == b"{2}\n"
    sink.close()


@pytest.mark.parametrize("whole", [b"", b"{1}\n"])
def test_torn_line_is_cut_off(path: Path, whole: bytes) -> None:
    path.write_bytes(whole + b'{"half')
    sink = FileSink(str(path))
    sink.send(batch(1, b"{2}"), 5)
    assert path.read_bytes() == whole + b"{2}\n"
    sink.close()


def test_full_disk_fails_and_what_is_sent_again_is_whole(path: Path) -> None:
    sink = FileSink(str(path))
    sink.send(batch(0, b"{1}"), 5)
    with full_disk(), pytest.raises(SinkFailed, match="EFBIG"):
        sink.send(batch(1, b"{2}"), 5)
    sink.send(batch(1, b"{2}"), 5)
    assert path.read_bytes() == b"{1}\n{2}\n"
    sink.close()


def test_what_is_no_file_is_refused(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(SinkFailed, match="not a file"):
        FileSink(str(path)).send(batch(0, b"{1}"), 5)


def test_file_that_another_process_writes_is_left_to_it(path: Path) -> None:
    sink = FileSink(str(path))
    sink.send(batch(0, b"{1}"), 5)
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SinkFailed, match="EAGAIN"):
            sink.send(batch(1, b"{2}"), 5)
    sink.send(batch(1, b"{2}"), 5)
    assert path.read_bytes() == b"{1}\n{2}\n"
    sink.close()

"""An export of the whole log that was interrupted goes on where it was, and is marked until it is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from bot.audit import verifier
from bot.audit.export import SYNC_EVERY_ENTRIES, unfinished_note, write_export
from bot.audit.folders import ExportError
from bot.audit.verify import verify_export
from tests.audit.examples import VKEY, note, reader
from tests.support.full_disk import full_disk

ROOT = Path(__file__).resolve().parents[2]
COUNT = 2 * SYNC_EVERY_ENTRIES + 11
BODY = b'{"id":"1"}'
NOTE = note([BODY] * COUNT)
FILES = ["README.txt", "checkpoint", "entries.jsonl", "log.vkey", "verify.py"]

# Kills itself when it is asked for the entry named on the command line.
KILLED_EXPORT = """
import os, signal, sys
from pathlib import Path
from bot.audit.export import write_export
from tests.audit.examples import VKEY
from tests.audit.test_export_resume import BODY, NOTE

def read(start, stop):
    for position in range(start, stop):
        if position == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        yield BODY

write_export(Path(sys.argv[1]), read, NOTE, VKEY)
"""


class Away(Exception):
    """The database went away."""


class Log:
    """A log that fails at an entry, and remembers from where it was read."""

    def __init__(self, fails_at: int = COUNT) -> None:
        self.fails_at = fails_at
        self.starts: list[int] = []

    def read(self, start: int, stop: int) -> Iterable[bytes]:
        self.starts.append(start)
        return self._bodies(start, stop)

    def _bodies(self, start: int, stop: int) -> Iterator[bytes]:
        for position in range(start, stop):
            if position == self.fails_at:
                raise Away
            yield BODY


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupted(folder: Path, fails_at: int) -> Path:
    with pytest.raises(Away):
        write_export(folder, Log(fails_at).read, NOTE, VKEY)
    return folder


def test_an_interrupted_export_is_marked_and_refused_by_both_verifiers(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "out", 5)
    assert names(folder) == sorted([*FILES, "UNFINISHED"])
    assert (folder / "UNFINISHED").read_text().startswith("This export is not finished: run the same command again")
    assert verify_export(folder, VKEY).problems[0].startswith("this export is not finished")
    with pytest.raises(ValueError, match="this export is not finished"):
        verifier.check(folder, [VKEY])
    assert unfinished_note(folder, VKEY) == NOTE


@pytest.mark.parametrize(
    ("fails_at", "goes_on_at"),
    [
        (0, 0),
        (SYNC_EVERY_ENTRIES - 1, 0),
        (SYNC_EVERY_ENTRIES, SYNC_EVERY_ENTRIES),
        (COUNT - 1, 2 * SYNC_EVERY_ENTRIES),
    ],
)
def test_it_goes_on_after_what_is_known_to_be_on_the_disk(tmp_path: Path, fails_at: int, goes_on_at: int) -> None:
    folder = interrupted(tmp_path / "out", fails_at)
    log, told = Log(), list[int]()
    assert write_export(folder, log.read, NOTE, VKEY, told.append) == COUNT
    assert log.starts == [goes_on_at]
    assert told[-1] == COUNT
    assert names(folder) == FILES
    assert verify_export(folder, VKEY).ok


@pytest.mark.parametrize("killed_at", [0, SYNC_EVERY_ENTRIES + 5])
def test_a_killed_export_goes_on(tmp_path: Path, killed_at: int) -> None:
    folder = tmp_path / "out"
    command = [sys.executable, "-c", KILLED_EXPORT, str(folder), str(killed_at)]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=30, check=False)
    assert run.returncode == -signal.SIGKILL
    assert "UNFINISHED" in names(folder)
    log = Log()
    write_export(folder, log.read, NOTE, VKEY)
    assert log.starts == [killed_at // SYNC_EVERY_ENTRIES * SYNC_EVERY_ENTRIES]
    assert verify_export(folder, VKEY).ok


def test_an_export_that_found_the_disk_full_at_its_first_file_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ExportError), full_disk():
        write_export(tmp_path / "out", Log().read, NOTE, VKEY)
    write_export(tmp_path / "out", Log().read, NOTE, VKEY)
    assert names(tmp_path / "out") == FILES
    assert verify_export(tmp_path / "out", VKEY).ok


def test_what_was_written_after_the_mark_is_not_trusted(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "out", SYNC_EVERY_ENTRIES + 9)
    with (folder / "entries.jsonl").open("ab") as file:
        file.write(b"torn by a power cut" * 1_000)
    write_export(folder, Log().read, NOTE, VKEY)
    assert verify_export(folder, VKEY).ok


@pytest.mark.parametrize("damage", ["entries.jsonl", "UNFINISHED", "checkpoint"])
def test_with_less_there_than_the_mark_says_it_begins_again(tmp_path: Path, damage: str) -> None:
    folder = interrupted(tmp_path / "out", SYNC_EVERY_ENTRIES)
    (folder / damage).write_bytes(b"")
    log = Log()
    write_export(folder, log.read, NOTE, VKEY)
    assert log.starts == [0]
    assert verify_export(folder, VKEY).ok


def test_another_checkpoint_begins_again(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "out", SYNC_EVERY_ENTRIES)
    log = Log()
    assert write_export(folder, log.read, note([BODY] * 30), VKEY) == 30
    assert log.starts == [0]
    assert verify_export(folder, VKEY).ok


def test_what_finishes_the_folder_is_under_the_mark_too(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        assert "UNFINISHED" in names(folder)
        raise Away

    with pytest.raises(Away):
        write_export(tmp_path / "out", Log().read, NOTE, VKEY, finish=fails)
    log = Log()
    write_export(tmp_path / "out", log.read, NOTE, VKEY, finish=lambda folder: (folder / "more").touch())
    assert log.starts == [COUNT]
    assert names(tmp_path / "out") == sorted([*FILES, "more"])


def test_a_folder_without_the_mark_is_never_gone_on_with(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "out", 5)
    (folder / "UNFINISHED").unlink()
    assert unfinished_note(folder, VKEY) is None
    with pytest.raises(ExportError, match="not an empty folder"):
        write_export(folder, reader([BODY] * COUNT), NOTE, VKEY)

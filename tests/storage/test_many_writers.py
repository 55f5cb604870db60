"""Several processes append at once, also while archived entries are removed: no gap, no fork, no lost entry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.audit import pruning
from bot.audit.archive_check import bodies as archived_bodies
from bot.audit.check import read_vkey, verify_database
from bot.audit.entry import decode
from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.signing import LogSigner
from bot.audit.whole import verify_whole
from bot.settings import Settings
from bot.storage import entries
from bot.storage.engine import Database
from tests.audit.old_log import OldLog, old_log

WRITERS = 4
EACH = 60
ROOT = Path(__file__).resolve().parents[2]
PROCESS_SECONDS = 50


class Writers:
    """Processes that append as fast as they can, each up to `count` entries, until they are told to stop."""

    def __init__(self, url: str, count: int, folder: Path) -> None:
        self._folder = folder
        self._names = [f"writer-{number}" for number in range(WRITERS)]
        command = [sys.executable, "-m", "tests.storage.writing", url, str(folder)]
        self._running = [
            subprocess.Popen([*command, name, str(count)], cwd=ROOT, stdout=subprocess.PIPE) for name in self._names
        ]

    def wait_until_all_write(self) -> None:
        for process in self._running:
            assert process.stdout is not None
            assert process.stdout.readline() == b"writing\n"

    def stop(self) -> None:
        (self._folder / "stop").touch()
        self.end()

    def end(self) -> None:
        for process in self._running:
            process.communicate(timeout=PROCESS_SECONDS)

    def acknowledged(self) -> dict[str, list[int]]:
        """What each process was told is durable, once it ended well."""
        self.end()
        assert [process.returncode for process in self._running] == [0] * WRITERS
        return {name: [int(line) for line in (self._folder / name).read_text().split()] for name in self._names}


@contextmanager
def writers(url: str, count: int, folder: Path) -> Iterator[Writers]:
    folder.mkdir()
    running = Writers(url, count, folder)
    try:
        yield running
    finally:
        running.stop()


def written(bodies: list[bytes]) -> dict[str, list[int]]:
    """The same as the log tells it, in its order."""
    found: dict[str, list[int]] = {}
    for fields in map(decode, bodies):
        if fields["type"] == "tested":
            found.setdefault(fields["actor"], []).append(fields["detail"]["n"])
    return found


def test_processes_that_write_at_once_make_one_log(database: Database, database_url: str, tmp_path: Path) -> None:
    with writers(database_url, EACH, tmp_path / "writers") as running:
        told = running.acknowledged()
    with database.read() as connection:
        bodies = list(entries.bodies(connection, 0, 100_000))
        head = entries.read_head(connection)
    assert list(told.values()) == [list(range(EACH))] * WRITERS
    assert written(bodies) == told
    assert head == Frontier().extend(map(leaf_hash, bodies))
    assert verify_database(database, None).ok is True


@pytest.fixture
def log(database: Database, database_url: str, tmp_path: Path) -> OldLog:
    return old_log(database, database_url, tmp_path)


def test_writing_goes_on_while_archived_entries_are_removed(log: OldLog) -> None:
    """In small steps, with checkpoints signed and the log verified between them."""
    folder = log.folder / "old"
    settings = Settings.read(_env_file=None, **{name.lower(): value for name, value in log.env.items()})
    signer = LogSigner(settings, log.database, log.journal)
    vkey = read_vkey(settings.vkey_file)
    assert vkey is not None
    with writers(log.env["DATABASE_URL"], 1_000_000, log.folder / "writers") as running:
        running.wait_until_all_write()
        assert log.archive("old").exit_code == 0
        for base in pruning.prune(log.database, log.journal, folder, vkey, step=64):
            signer.sign_if_free()
            report = verify_database(log.database, vkey)
            assert (report.problems, report.archived) == ((), base.size)
        running.stop()
        told = running.acknowledged()
    assert log.positions() == list(range(512, log.positions()[-1] + 1))
    whole = [*archived_bodies(folder), *log.bodies()]
    with log.database.read() as connection:
        assert entries.read_head(connection) == Frontier().extend(map(leaf_hash, whole))
    assert written(whole) == told
    signer.sign()
    report = verify_whole(log.database, vkey, [folder])
    assert (report.ok, report.size, report.archived) == (True, len(whole), 0)


def test_two_who_prune_at_once_remove_it_once(log: OldLog) -> None:
    """The second finds the base moved, or nothing left to do."""
    assert log.archive("old").exit_code == 0
    command = [
        sys.executable, "-m", "bot", "audit", "archive", "--before", "2015-01-01", "--prune", str(log.folder / "old"),
    ]  # fmt: skip
    both = [
        subprocess.Popen(command, cwd=log.folder, env=log.env | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=PROCESS_SECONDS)[1] for process in both]
    assert {process.returncode for process in both} <= {0, 2}
    assert 0 in {process.returncode for process in both}, said
    assert log.base().size == 512
    assert sum(int(str(one["size"])) - int(str(one["from"])) for one in log.details("log.pruned")) == 512
    assert log.verify("old").exit_code == 0

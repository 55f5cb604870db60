from __future__ import annotations

import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.audit.journal import Journal
from bot.errors import DatabaseUnavailable
from bot.storage import engine, migrate, nodes
from bot.storage.engine import POOL_SIZE, Database, is_wal_safe
from tests.support.postgres import postgres_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("version", "is_safe"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), False),
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 44, 9), True),
        ((3, 45, 0), False),
        ((3, 46, 1), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_wal_is_used_on_fixed_libraries_only(version: tuple[int, ...], is_safe: bool) -> None:
    assert is_wal_safe(version) is is_safe


def pragmas(database: Database) -> dict[str, object]:
    names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
    with database.read() as connection:
        return {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in names}


def test_sqlite_is_as_durable_as_promised(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'folder' / 'bot.sqlite3'}")
    is_fixed = is_wal_safe(engine.sqlite_module().sqlite_version_info)
    mode, synchronous = ("wal", 2) if is_fixed else ("delete", 3)
    assert pragmas(database) == {
        "journal_mode": mode, "synchronous": synchronous, "foreign_keys": 1, "secure_delete": 1,
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700
    database.close()


WITHOUT_THE_WHEEL = """
import sqlite3, sys
sys.modules["pysqlite3"] = None
from bot.storage.engine import Database, is_wal_safe, sqlite_module
database = Database(sys.argv[1])
assert sqlite_module() is sqlite3
with database.read() as connection:
    found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")]
assert found == (["wal", 2] if is_wal_safe(sqlite3.sqlite_version_info) else ["delete", 3]), found
"""


def test_standard_library_serves_where_no_wheel_fits(tmp_path: Path) -> None:
    """Behind the version gate: WAL with FULL, or the rollback journal with EXTRA."""
    url = f"sqlite:///{tmp_path / 'bot.sqlite3'}"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_WHEEL, url],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="must name a file"):
        Database(url)


def test_writers_take_turns_across_processes(tmp_path: Path) -> None:
    """Two databases stand for two processes: the second waits in line for the first's file lock."""
    url = f"sqlite:///{tmp_path / 'bot.sqlite3'}"
    first, second = Database(url), Database(url)
    migrate.upgrade(first)
    order: list[str] = []

    def write_second() -> None:
        with second.write():
            order.append("second")

    with first.write():
        waiting = threading.Thread(target=write_second)
        waiting.start()
        waiting.join(timeout=0.2)
        assert waiting.is_alive()
        order.append("first")
    waiting.join(timeout=5)
    assert order == ["first", "second"]
    first.close()
    second.close()


def test_readers_are_not_kept_waiting_by_a_writer(database: Database) -> None:
    with database.write() as writing:
        writing.execute(text("UPDATE head SET size = size + 1"))
        with database.read() as reading:
            assert reading.execute(text("SELECT size FROM head")).scalar_one() == 0


def test_write_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ValueError, match="on purpose"), database.write() as connection:  # noqa: PT012
        connection.execute(text("UPDATE head SET size = 5"))
        raise ValueError("on purpose")
    with database.read() as reading:
        assert reading.execute(text("SELECT size FROM head")).scalar_one() == 0


def test_pool_is_small_and_says_when_it_is_used_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.05)
    held = [database.engine.connect() for _ in range(POOL_SIZE)]
    with pytest.raises(DatabaseUnavailable), database.read():
        pass
    for connection in held:
        connection.close()


def test_errors_carry_neither_statement_nor_parameters(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable) as caught, database.read() as connection:
        connection.execute(text("SELECT * FROM nowhere WHERE name = :name"), {"name": "4111111111111111"})
    assert "4111" not in str(caught.value) + repr(caught.value)
    assert "4111" not in str(caught.value.__cause__)


def test_postgresql_that_goes_away_is_said_to_be_unavailable_and_comes_back() -> None:
    with postgres_server() as server:
        database = Database(server.new_database())
        migrate.upgrade(database)
        journal = Journal(database, "test-node")
        journal.write(lambda transaction: nodes.beat(transaction, "n", "web"))
        server.stop()
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable), database.read() as connection:
            connection.execute(text("SELECT 1"))
        with pytest.raises(DatabaseUnavailable):
            journal.write(lambda transaction: nodes.beat(transaction, "n", "web"))
        assert time.monotonic() - began < 5
        server.start()
        journal.write(lambda transaction: nodes.beat(transaction, "n", "worker"))
        with database.read() as connection:
            assert nodes.last_seen(connection, "web") is not None
        database.close()

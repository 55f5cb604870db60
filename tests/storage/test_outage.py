"""The database taken away and given back under one process: what a write says, and that the next one works."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, text

from bot import logs
from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.errors import DatabaseUnavailable
from bot.storage import migrate, nodes, schema, watch
from bot.storage.engine import POOL_SIZE, Database
from tests.storage.test_journal import assert_tree_fits, log_of, together
from tests.support.full_disk import full_disk
from tests.support.postgres import Server, postgres_server

LONG_SECONDS = 60.0
"""A proof that stays good for as long as any of these tests may take."""


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'bot.sqlite3'}")
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    """As in a process of the bot: a log that cannot be written is in nobody's way."""
    before = logging.getLogger().handlers[:]
    logs.set_up()
    yield
    logging.getLogger().handlers[:] = before


def entry(actor: str = "alice") -> Callable[[Transaction], str]:
    def change(transaction: Transaction) -> str:
        transaction.append(Draft(type="tested", actor=actor))
        return actor

    return change


# A full disk


def test_write_on_a_full_disk_says_so_and_leaves_nothing(sqlite: Database) -> None:
    journal = Journal(sqlite, "test-node")
    journal.write(entry())

    def change(transaction: Transaction) -> None:
        transaction.connection.execute(insert(schema.nodes).values(node="n", kind="web", seen_at=transaction.now()))
        transaction.append(Draft(type="tested"))

    with full_disk():
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable, match="do not take the card"):
                journal.write(change)
        assert len(log_of(sqlite)) == 1
    assert_tree_fits(sqlite, 1)
    with sqlite.read() as connection:
        assert connection.execute(select(schema.nodes)).all() == []


def test_first_write_after_a_full_disk_works(sqlite: Database) -> None:
    journal = Journal(sqlite, "test-node")
    for size in range(1, 4):
        with full_disk(), pytest.raises(DatabaseUnavailable):
            journal.write(entry())
        assert journal.write(entry()) == "alice"
        assert_tree_fits(sqlite, size)


def test_other_process_writes_on_while_one_cannot(sqlite: Database, tmp_path: Path) -> None:
    """A write that failed gives the file lock back."""
    other = Database(f"sqlite:///{tmp_path / 'bot.sqlite3'}")
    journal, others = Journal(sqlite, "a"), Journal(other, "b")
    with full_disk(), pytest.raises(DatabaseUnavailable):
        journal.write(entry())
    assert others.write(entry("bob")) == "bob"
    other.close()


def test_database_that_may_not_grow_says_so_and_goes_on_when_it_may(sqlite: Database) -> None:
    """SQLite's own words for a full disk, which a limit on file sizes does not bring about."""
    journal = Journal(sqlite, "test-node")

    def set_limit(pages: int) -> None:
        journal.write(lambda transaction: transaction.connection.execute(text(f"PRAGMA max_page_count = {pages}")))

    set_limit(1)
    with pytest.raises(DatabaseUnavailable) as caught:
        journal.append(Draft(type="tested", reason="x" * 60_000))
    assert "SQLITE_FULL" in repr(vars(getattr(caught.value.__cause__, "orig", None)))
    set_limit(1_000_000)
    journal.write(entry())
    assert_tree_fits(sqlite, 1)


def test_group_on_a_full_disk_fails_whole_and_succeeds_afterwards(sqlite: Database) -> None:
    """The one bad change of it fails for itself, then as now."""

    def bad(_transaction: Transaction) -> str:
        raise ValueError("on purpose")

    journal = Journal(sqlite, "test-node")
    group = [entry("a"), bad, *(entry(f"b{number}") for number in range(10))]
    with full_disk():
        kinds = [type(result) for result in together(journal, group)]
    assert kinds == [DatabaseUnavailable, ValueError, *[DatabaseUnavailable] * 10]
    assert_tree_fits(sqlite, 0)
    results = together(journal, group)
    assert [result for result in results if isinstance(result, str)] == ["a", *(f"b{n}" for n in range(10))]
    assert_tree_fits(sqlite, 11)


# PostgreSQL stopped and started


def test_pool_of_connections_recovers_at_once() -> None:
    fill = threading.Barrier(POOL_SIZE)

    def read(database: Database) -> int:
        with database.read() as connection:
            fill.wait(10)
            return int(connection.execute(text("SELECT size FROM head")).scalar_one())

    def read_by_all(database: Database) -> list[int]:
        with ThreadPoolExecutor(POOL_SIZE) as threads:
            return list(threads.map(read, [database] * POOL_SIZE))

    with postgres_server() as server:
        database = Database(server.new_database())
        migrate.upgrade(database)
        journal = Journal(database, "test-node")
        journal.write(entry())
        assert read_by_all(database) == [1] * POOL_SIZE
        server.stop()
        for _ in range(POOL_SIZE):
            with pytest.raises(DatabaseUnavailable):
                journal.write(entry())
            with pytest.raises(DatabaseUnavailable), database.read():
                pass
        server.start()
        assert journal.write(entry()) == "alice"
        assert set(read_by_all(database)) <= {2, 3}, "two, and perhaps already that the log could not be written"
        database.close()


def test_connection_to_a_host_that_is_gone_ends_within_seconds(postgres: Server) -> None:
    """What the system was told: no test can take a host off the network."""
    database = Database(postgres.new_database())
    with database.read() as connection, socket.socket(fileno=os.dup(connection.connection.fileno())) as wire:
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5_000
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 3
    database.close()


def test_standby_that_only_reads_is_unavailable_for_writing(postgres: Server) -> None:
    postgresql = Database(postgres.new_database())
    migrate.upgrade(postgresql)
    name = str(postgresql.engine.url.database)
    with postgresql.write() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    postgresql.engine.dispose()
    journal = Journal(postgresql, "test-node")
    assert log_of(postgresql) == []
    with pytest.raises(DatabaseUnavailable):
        journal.write(entry())
    with pytest.raises(DatabaseUnavailable):
        journal.prove(LONG_SECONDS)
    postgresql.close()


# What the log says of it afterwards


def test_time_in_which_nothing_could_be_written_is_told_once_it_is_over(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "QUIET_SECONDS", 0.0)
    journal = Journal(sqlite, "test-node")
    before = datetime.now(UTC)
    with full_disk():
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                journal.write(entry())
        with pytest.raises(DatabaseUnavailable):
            journal.prove(0.0)
    journal.write(entry())
    journal.write(entry())
    (failed,) = (one.fields for one in log_of(sqlite) if one.fields["type"] == "log.write_failed")
    assert (failed["outcome"], failed["detail"]["turned_away"]) == ("failure", 3)
    assert failed["reason"].startswith("OperationalError")
    since, until = (datetime.fromisoformat(failed["detail"][name]) for name in ("from", "to"))
    assert before <= since <= until <= datetime.now(UTC)


def test_write_that_is_refused_for_its_own_sake_is_no_failure_of_the_log(sqlite: Database) -> None:
    def bad(_transaction: Transaction) -> None:
        raise ValueError("on purpose")

    journal = Journal(sqlite, "test-node")
    with pytest.raises(ValueError, match="on purpose"):
        journal.write(bad)
    journal.write(entry())
    assert [one.fields["type"] for one in log_of(sqlite)] == ["tested"]


# The proof that writing works


def beat_at(database: Database) -> datetime | None:
    with database.read() as connection:
        return nodes.last_seen(connection, "web")


@pytest.fixture
def commits(database: Database) -> list[object]:
    """Grows with each commit that is tried."""
    seen: list[object] = []
    event.listen(database.engine, "commit", seen.append)
    return seen


def test_proof_right_after_an_entry_costs_nothing(database: Database, journal: Journal) -> None:
    journal.write(entry())
    journal.prove(LONG_SECONDS)
    assert beat_at(database) is None


def test_proof_without_one_is_a_heartbeat_once(database: Database, journal: Journal) -> None:
    journal.prove(LONG_SECONDS)
    first = beat_at(database)
    journal.prove(LONG_SECONDS)
    assert first is not None
    assert beat_at(database) == first
    journal.prove(0.0)
    assert beat_at(database) != first


def test_commit_that_wrote_nothing_proves_nothing(database: Database, journal: Journal) -> None:
    journal.write(lambda transaction: transaction.now())
    journal.prove(LONG_SECONDS)
    assert beat_at(database) is not None


def test_fifty_who_ask_at_once_cost_one_write(journal: Journal, commits: list[object]) -> None:
    start = threading.Barrier(50)

    def ask() -> None:
        start.wait(10)
        journal.prove(LONG_SECONDS)

    with ThreadPoolExecutor(50) as threads:
        for one in [threads.submit(ask) for _ in range(50)]:
            one.result()
    assert len(commits) == 1


def test_failed_proof_is_an_answer_too_and_one_try_serves_all(tmp_path: Path, sqlite: Database) -> None:
    journal, tried = Journal(sqlite, "test-node"), list[object]()
    event.listen(sqlite.engine, "commit", tried.append)
    with full_disk():
        for _ in range(20):
            with pytest.raises(DatabaseUnavailable):
                journal.prove(LONG_SECONDS)
    assert len(tried) == 1
    assert (tmp_path / "bot.sqlite3").exists()
    journal.prove(0.0)
    journal.prove(LONG_SECONDS)
    assert beat_at(sqlite) is not None


def test_write_that_fails_takes_an_earlier_proof_back_and_one_that_works_renews_it(sqlite: Database) -> None:
    journal = Journal(sqlite, "test-node")
    journal.write(entry())
    with full_disk():
        journal.prove(LONG_SECONDS)
        with pytest.raises(DatabaseUnavailable):
            journal.write(entry())
        with pytest.raises(DatabaseUnavailable):
            journal.prove(LONG_SECONDS)
    journal.write(entry())
    journal.prove(LONG_SECONDS)
    assert beat_at(sqlite) is None


def test_proof_of_a_database_without_tables_fails(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(DatabaseUnavailable):
        Journal(database, "test-node").prove(LONG_SECONDS)
    database.close()

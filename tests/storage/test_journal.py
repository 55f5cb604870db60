"""Group commit: many changes in one transaction, in the order of the log, none of them failing for another."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot.audit.check import verify_database
from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.errors import DatabaseUnavailable, LogError
from bot.storage import entries, migrate, schema
from bot.storage.engine import Database
from bot.storage.entries import Filter
from tests.support.postgres import Server
from tests.support.tamper import tamper


def root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root(leaves[:split]) + root(leaves[split:])).digest()


def log_of(database: Database) -> list[entries.Entry]:
    with database.read() as connection:
        return entries.oldest(connection, Filter(), None, 10_000)


def assert_tree_fits(database: Database, size: int) -> None:
    """The head is what anybody would compute from the stored bytes."""
    with database.read() as connection:
        bodies = list(entries.bodies(connection, 0, 10_000))
        head = entries.read_head(connection)
    assert (len(bodies), head.size, head.root()) == (size, size, root(bodies))
    assert verify_database(database, None).ok is True


def together(journal: Journal, changes: list[Callable[[Transaction], Any]]) -> list[object]:
    """Run them as one group: the writer is kept busy until all of them wait. Results, or the errors."""
    begun, go = threading.Event(), threading.Event()

    def block(_transaction: Transaction) -> None:
        begun.set()
        assert go.wait(10)

    def run(change: Callable[[Transaction], Any]) -> object:
        try:
            return journal.write(change)
        except Exception as error:  # noqa: BLE001 - it is what is looked at
            return error

    with ThreadPoolExecutor(len(changes) + 1) as threads:
        blocker = threads.submit(journal.write, block)
        assert begun.wait(10)
        waiting = [threads.submit(run, change) for change in changes]
        while journal._jobs.qsize() < len(changes):  # noqa: SLF001 - nothing else shows that all of them wait
            pass
        go.set()
        blocker.result()
        return [one.result() for one in waiting]


def test_fifty_threads_make_one_tree(database: Database, journal: Journal) -> None:
    start = threading.Barrier(50)

    def append(number: int) -> None:
        start.wait()
        for turn in range(4):
            journal.append(Draft(type="tested", actor=f"thread-{number}", detail={"turn": turn}))

    with ThreadPoolExecutor(50) as threads:
        list(threads.map(append, range(50)))
    assert_tree_fits(database, 200)
    turns: dict[str, list[int]] = {}
    for one in log_of(database):
        turns.setdefault(one.fields["actor"], []).append(one.fields["detail"]["turn"])
    assert turns == {f"thread-{number}": [0, 1, 2, 3] for number in range(50)}


def test_group_shares_one_commit(database: Database, journal: Journal) -> None:
    """All entries of a group have the one time of their commit."""
    together(journal, [lambda transaction: transaction.append(Draft(type="tested")) for _ in range(30)])
    assert len({one.fields["at"] for one in log_of(database)}) == 1
    assert_tree_fits(database, 30)


def test_change_that_fails_fails_alone_and_leaves_nothing(database: Database, journal: Journal) -> None:
    def good(number: int) -> Callable[[Transaction], int]:
        def change(transaction: Transaction) -> int:
            transaction.append(Draft(type="good", actor=str(number)))
            return number

        return change

    def bad(transaction: Transaction) -> None:
        transaction.append(Draft(type="bad"))
        transaction.connection.execute(insert(schema.nodes).values(node="bad", kind="bad", seen_at=transaction.now()))
        raise ValueError("on purpose")

    results = together(journal, [good(0), bad, *(good(number) for number in range(1, 20)), bad])
    assert [one for one in results if isinstance(one, int)] == list(range(20))
    assert [str(one) for one in results if not isinstance(one, int)] == ["on purpose", "on purpose"]
    assert {one.fields["type"] for one in log_of(database)} == {"good"}
    with database.read() as connection:
        assert connection.execute(select(schema.nodes)).all() == []
    assert_tree_fits(database, 20)


def test_entry_that_cannot_be_written_takes_its_change_back(database: Database, journal: Journal) -> None:
    """Neither a state without its entry, nor an entry without its state (invariant 4)."""

    def change(transaction: Transaction) -> None:
        transaction.connection.execute(insert(schema.nodes).values(node="n", kind="web", seen_at=transaction.now()))
        transaction.append(Draft(type="tested", detail={"long": "x" * 70_000}))

    with pytest.raises(LogError):
        journal.write(change)
    with database.read() as connection:
        assert connection.execute(select(schema.nodes)).all() == []
    assert_tree_fits(database, 0)


def test_two_that_race_for_the_same_new_row_both_succeed(database_url: str, database: Database) -> None:
    other = Database(database_url)
    journals = [Journal(database, "a"), Journal(other, "b")]
    name = secrets.token_hex(4)

    def beat(transaction: Transaction) -> None:
        known = update(schema.nodes).where(schema.nodes.c.node == name).values(kind="known")
        if transaction.connection.execute(known).rowcount == 0:
            transaction.connection.execute(
                insert(schema.nodes).values(node=name, kind="new", seen_at=transaction.now())
            )
        transaction.append(Draft(type="tested"))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda one: [one.write(beat) for _ in range(20)], journals))
    assert_tree_fits(database, 40)
    other.close()


def test_times_never_go_back_with_two_processes(database_url: str, database: Database) -> None:
    other = Database(database_url)
    journals = [Journal(database, "a"), Journal(other, "b")]
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(lambda n: [journals[n % 2].append(Draft(type="tested")) for _ in range(15)], range(10)))
    times = [datetime.fromisoformat(one.fields["at"]) for one in log_of(database)]
    assert times == sorted(times)
    assert {one.fields["node"] for one in log_of(database)} == {"a", "b"}
    assert_tree_fits(database, 150)
    other.close()


def test_deadlock_settles_on_another_try(postgres: Server) -> None:
    """Two processes that lock the same two calls against the lock order: one of them runs again, nobody fails."""
    url = postgres.new_database()
    databases = [Database(url), Database(url)]
    migrate.upgrade(databases[0])
    journals = [Journal(one, name) for one, name in zip(databases, "ab", strict=True)]

    def insert_both(transaction: Transaction) -> None:
        rows = [{"node": node, "kind": "-", "seen_at": transaction.now()} for node in "xy"]
        transaction.connection.execute(insert(schema.nodes), rows)

    journals[0].write(insert_both)
    both, tries = threading.Barrier(2), []

    def change(order: str) -> Callable[[Transaction], None]:
        def run(transaction: Transaction) -> None:
            tries.append(order)
            for index, node in enumerate(order):
                row = update(schema.nodes).where(schema.nodes.c.node == node).values(kind=order)
                transaction.connection.execute(row)
                if index == 0 and len(tries) <= 2:
                    both.wait(10)
            transaction.append(Draft(type="tested", actor=order))

        return run

    with ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(journals[0].write, change("xy")), threads.submit(journals[1].write, change("yx"))]:
            one.result()
    assert len(tries) >= 3, "one of the two was turned back by the other at least once"
    assert sorted(one.fields["actor"] for one in log_of(databases[0])) == ["xy", "yx"]
    assert_tree_fits(databases[0], 2)
    for database in databases:
        database.close()


def test_log_without_a_head_refuses_entries(database: Database, journal: Journal) -> None:
    with database.write() as connection:
        tamper(connection, "DELETE FROM head")
    with pytest.raises(LogError, match="init-db"):
        journal.append(Draft(type="tested"))


def test_database_without_tables_is_unavailable(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(DatabaseUnavailable):
        Journal(database, "test-node").append(Draft(type="tested"))
    database.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_journal_works_on_both_sides_of_a_fork(database: Database, journal: Journal) -> None:
    journal.append(Draft(type="before"))
    database.engine.dispose()
    child = os.fork()
    if child == 0:
        try:
            database.engine.dispose(close=False)
            journal.append(Draft(type="child"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    journal.append(Draft(type="parent"))
    assert [one.fields["type"] for one in log_of(database)] == ["before", "child", "parent"]
    assert_tree_fits(database, 3)

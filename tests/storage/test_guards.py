"""What the database itself refuses, whoever asks: the log is only ever appended to."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bot.audit.check import verify_database
from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.storage import checkpoints, guards, migrate
from bot.storage.engine import Database
from bot.storage.entries import read_head
from tests.control.bench import until
from tests.support.tamper import lift_guards

REFUSED = {
    "an entry changed": "UPDATE entries SET actor = 'mallory' WHERE position = 1",
    "an entry moved": "UPDATE entries SET position = 9 WHERE position = 1",
    "an entry removed": "DELETE FROM entries WHERE position = 1",
    "all entries removed": "DELETE FROM entries",
    "a checkpoint changed": "UPDATE checkpoints SET note = 'other'",
    "a checkpoint removed": "DELETE FROM checkpoints",
    "the head back": "UPDATE head SET size = 2",
    "the head changed at its size": "UPDATE head SET frontier = frontier",
    "the head under another number": "UPDATE head SET id = 2, size = 9",
    "the head removed": "DELETE FROM head",
    "the base back": "UPDATE base SET size = -1",
    "the base removed": "DELETE FROM base",
}
REFUSED_BY_SQLITE = {
    "an entry replaced": "INSERT OR REPLACE INTO entries SELECT position, x'00', leaf, at, type, actor, source, call,"
    " outcome FROM entries WHERE position = 1",
    "an entry before the first": "INSERT INTO entries SELECT -1, body, leaf, at, type, actor, source, call, outcome"
    " FROM entries WHERE position = 1",
    "a checkpoint replaced": "INSERT OR REPLACE INTO checkpoints SELECT size, 'other', at FROM checkpoints",
    "the head replaced": "INSERT OR REPLACE INTO head SELECT id, 9, frontier FROM head",
    "the base replaced": "INSERT OR REPLACE INTO base SELECT id, 3, frontier FROM base",
}
REFUSED_BY_POSTGRESQL = {
    **{f"{table} truncated": f"TRUNCATE {table}" for table in guards.TABLES},
    "all truncated": "TRUNCATE entries, checkpoints, head, base CASCADE",
    "an entry replaced by upsert": "INSERT INTO entries SELECT * FROM entries WHERE position = 1"
    " ON CONFLICT (position) DO UPDATE SET actor = 'mallory'",
    "an entry hidden behind a false base": "CREATE TEMPORARY TABLE base (id integer, size bigint);"
    " INSERT INTO base VALUES (1, 3); DELETE FROM entries WHERE position = 1",
}
EXPECTED = "The audit log is only ever appended to"


@pytest.fixture
def log(database: Database, journal: Journal) -> Database:
    """Three entries and a checkpoint."""
    for _ in range(3):
        journal.append(Draft(type="tested", actor="alice"))
    journal.write(lambda transaction: checkpoints.add(transaction, 3, "note"))
    return database


def attempt(database: Database, statement: str) -> None:
    with database.write() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_change_of_the_log_is_refused_in_plain_words(what: str, log: Database) -> None:
    with pytest.raises(DBAPIError, match=EXPECTED):
        attempt(log, REFUSED[what])
    assert_untouched(log)


@pytest.mark.parametrize(
    ("database_url", "statement"),
    [
        *(("sqlite", statement) for statement in REFUSED_BY_SQLITE.values()),
        *(("postgresql", statement) for statement in REFUSED_BY_POSTGRESQL.values()),
    ],
    indirect=["database_url"],
    ids=[*REFUSED_BY_SQLITE, *REFUSED_BY_POSTGRESQL],
)
def test_change_in_a_way_of_one_database_is_refused_too(statement: str, log: Database) -> None:
    with pytest.raises(DBAPIError, match=EXPECTED):
        attempt(log, statement)
    assert_untouched(log)


def assert_untouched(database: Database) -> None:
    report = verify_database(database, None)
    assert (report.ok, report.size) == (True, 3)
    with database.read() as connection:
        assert checkpoints.notes(connection) == ["note"]


def test_appending_goes_on_under_the_guards(log: Database, journal: Journal) -> None:
    journal.append(Draft(type="tested"))
    assert verify_database(log, None).size == 4


def test_entry_below_the_base_may_go_and_only_that(log: Database) -> None:
    """It lives in an archive; `audit.pruning` moves the base."""
    attempt(log, "UPDATE base SET size = 2")
    with pytest.raises(DBAPIError, match="no archive has"):
        attempt(log, "DELETE FROM entries WHERE position <= 2")
    attempt(log, "DELETE FROM entries WHERE position < 2")
    with log.read() as connection:
        assert connection.execute(text("SELECT position FROM entries")).scalars().all() == [2]


def test_fresh_database_has_every_guard(database: Database) -> None:
    with database.read() as connection:
        assert guards.missing(connection) == frozenset()


def test_guards_that_were_lifted_are_missed_and_put_back_by_init_db(log: Database) -> None:
    with log.write() as connection:
        lift_guards(connection)
    with log.read() as connection:
        assert "guard_entries_update" in guards.missing(connection)
    migrate.upgrade(log)
    with log.read() as connection:
        assert guards.missing(connection) == frozenset()
    with pytest.raises(DBAPIError, match=EXPECTED):
        attempt(log, REFUSED["an entry changed"])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", ["DISABLE", "ENABLE REPLICA"])
def test_guard_that_does_not_fire_is_missed_and_put_back(how: str, log: Database) -> None:
    """One that is there for replicas only guards nothing here."""
    attempt(log, f"ALTER TABLE entries {how} TRIGGER guard_entries_update")
    with log.read() as connection:
        assert guards.missing(connection) == {"guard_entries_update"}
    migrate.upgrade(log)
    with pytest.raises(DBAPIError, match=EXPECTED):
        attempt(log, REFUSED["an entry changed"])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_guards_are_put_back_while_an_entry_is_written_and_neither_fails(log: Database, journal: Journal) -> None:
    """Who writes an entry has the head before the entries' table; a deadlock would cost a pause a second or more."""
    tries = []

    def init_db_waits_or_is_done() -> bool:
        with log.read() as connection:
            waits = connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one()
        return bool(waits) or upgrade.done()

    def change(transaction: Transaction) -> None:
        tries.append(read_head(transaction.connection).size)
        transaction.connection.execute(text("SELECT size FROM head FOR UPDATE"))
        locked.set_result(None)
        until(init_db_waits_or_is_done)
        transaction.append(Draft(type="tested"))

    with log.write() as connection:
        lift_guards(connection)
    locked: Future[None] = Future()
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(journal.write, change)
        locked.result(timeout=5)
        upgrade = threads.submit(migrate.upgrade, log)
        assert (writing.result(), upgrade.result()) == (None, None)
    assert tries == [3]
    with log.read() as connection:
        assert guards.missing(connection) == frozenset()
    assert verify_database(log, None).size == 4

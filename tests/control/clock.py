"""The clock of both databases, moved forward together with ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import time_machine
from sqlalchemy import text

from bot.storage.engine import Database

SHIFTED = """
CREATE SCHEMA shifted;
CREATE TABLE shifted.clock (ahead_seconds double precision NOT NULL);
INSERT INTO shifted.clock VALUES (0);
CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + make_interval(secs => ahead_seconds) FROM shifted.clock';
"""
"""A clock for PostgreSQL that stands before its own on the search path."""


@dataclass
class Clock:
    """SQLite's clock is that of its process, PostgreSQL has one of its own; `advance` moves both."""

    _traveller: time_machine.Traveller
    _database: Database
    _ahead_seconds: float = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        self._ahead_seconds += seconds
        self._traveller.shift(seconds)
        if not self._database.is_sqlite:
            with self._database.engine.begin() as connection:
                connection.execute(
                    text("UPDATE shifted.clock SET ahead_seconds = :ahead"), {"ahead": self._ahead_seconds}
                )


@contextmanager
def movable_clock(database: Database) -> Iterator[Clock]:
    """Open no connection to the database before this: what it finds on its search path is fixed when it connects."""
    if not database.is_sqlite:
        name = database.engine.url.database
        with database.engine.begin() as connection:
            for statement in SHIFTED.strip().split(";\n"):
                connection.execute(text(statement))
            connection.execute(text(f'ALTER DATABASE "{name}" SET search_path = shifted, public, pg_catalog'))
    with time_machine.travel(datetime.now(UTC), tick=True) as traveller:
        yield Clock(traveller, database)

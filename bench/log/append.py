"""Appending: the journal's whole way (encoding, tree, thread, transaction) beside the least that a database can do.

Both write the same row into the same table with the same indexes, one commit each, in turn, so that whatever else the
machine does meets both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from sqlalchemy import BigInteger, select, type_coerce, update

from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.storage import migrate, nodes
from bot.storage.engine import Database
from bot.storage.schema import entries
from bot.storage.schema import nodes as nodes_table

WARM_UP = 50
WRITERS = 16
FAR_AWAY = 1_000_000_000
"""Where the bare rows go: positions that the log does not reach."""


STATE = update(nodes_table).where(nodes_table.c.node == "bench").values(kind="changed")


@dataclass(frozen=True, slots=True)
class Appended:
    """Medians in seconds: a bare INSERT, an entry alone, an entry with a row of state; and the time of an entry where
    `WRITERS` write at once, on average.
    """

    bare: float
    entry: float
    with_state: float
    together: float


def measure(database_url: str, count: int) -> Appended:
    database = Database(database_url)
    try:
        migrate.upgrade(database)
        journal = Journal(database, "bench")

        def alone() -> None:
            journal.append(draft())

        def with_state() -> None:
            journal.write(change)

        journal.write(lambda one: nodes.begin(one, "bench", "bench", datetime.now(UTC)))
        for _ in range(WARM_UP):
            alone()
            with_state()
        bare = bare_insert(database)
        times: list[list[float]] = [[], [], []]
        for number in range(WARM_UP + count):
            for kept, way in zip(times, (bare, alone, with_state), strict=True):
                began = time.perf_counter()
                way()
                if number >= WARM_UP:
                    kept.append(time.perf_counter() - began)
        medians = [median(one) for one in times]
        return Appended(medians[0], medians[1], medians[2], _together(alone, count))
    finally:
        database.close()


def _together(append: Callable[[], None], count: int) -> float:
    with ThreadPoolExecutor(WRITERS) as writers:
        began = time.perf_counter()
        for one in [writers.submit(append) for _ in range(count)]:
            one.result()
        return (time.perf_counter() - began) / count


def draft() -> Draft:
    return Draft(
        type="command.confirmed",
        actor="crm",
        source="api",
        account="AC" + "0123456789abcdef" * 2,
        call="CA" + "0123456789abcdef" * 2,
        recording="RE" + "0123456789abcdef" * 2,
        after="paused",
        detail={"wish": "paused", "safe": True, "target": "Twilio.CURRENT"},
    )


def change(transaction: Transaction) -> None:
    """A small row of state, changed in the same transaction."""
    transaction.connection.execute(STATE)
    transaction.append(draft())


def bare_insert(database: Database) -> Callable[[], None]:
    """The driver itself, over one connection: BEGIN, INSERT, COMMIT."""
    row = _row_of(database)
    names = ", ".join(f'"{name}"' for name in row)
    connection: Any = database.engine.raw_connection()
    cursor = connection.cursor()
    place = "?" if database.is_sqlite else "%s"
    statement = f"INSERT INTO entries ({names}) VALUES ({', '.join([place] * len(row))})"  # noqa: S608 - names of our own
    position = [FAR_AWAY]

    def insert() -> None:
        position[0] += 1
        if database.is_sqlite:
            cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(statement, [position[0], *list(row.values())[1:]])
        if database.is_sqlite:
            cursor.execute("COMMIT")
        else:
            connection.commit()

    return insert


def _row_of(database: Database) -> dict[str, Any]:
    columns = [type_coerce(column, BigInteger) if column.name == "at" else column for column in entries.c]
    with database.read() as connection:
        newest = select(*columns).order_by(entries.c.position.desc()).limit(1)
        values = connection.execute(newest).one()
    return dict(zip(entries.c.keys(), values, strict=True))

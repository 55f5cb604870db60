"""A long log, made quickly: entries straight into the database, with a head that fits them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, update

from bench.log.append import draft
from bot.audit.entry import encode
from bot.audit.merkle import leaf_hash
from bot.storage.engine import Database
from bot.storage.entries import read_head
from bot.storage.schema import entries, head

BATCH = 20_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def bodies(count: int) -> Iterator[bytes]:
    """Entries that differ in their ids and times, from one pattern."""
    one = draft()
    pattern = encode(one, START, "bench")
    before, _, rest = pattern.partition(b"2026-01-01T00:00:00.000000Z")
    between, _, after = rest.partition(one.id.encode())
    for number in range(count):
        at = (START + timedelta(seconds=number)).isoformat(timespec="microseconds").replace("+00:00", "Z")
        yield b"%b%b%b%032x%b" % (before, at.encode(), between, number, after)


def fill(database: Database, count: int) -> None:
    """So many entries more."""
    with database.read() as connection:
        frontier = read_head(connection)
    one = draft()
    rows: list[dict[str, Any]] = []
    columns = {name: getattr(one, name) for name in ("type", "actor", "source", "call", "outcome")}
    for number, body in enumerate(bodies(count)):
        at = START + timedelta(seconds=number)
        rows.append(columns | {"position": frontier.size + len(rows), "body": body, "leaf": leaf_hash(body), "at": at})
        if len(rows) == BATCH or number == count - 1:
            frontier = frontier.extend(row["leaf"] for row in rows)
            with database.write() as connection:
                connection.execute(insert(entries), rows)
                connection.execute(update(head).values(size=frontier.size, frontier=frontier.to_bytes()))
            rows = []

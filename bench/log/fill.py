"""A long log, made in seconds: entries straight into a database, with a head that fits them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, update

from bench.log.append import draft
from bot.audit.entry import encode
from bot.audit.merkle import Frontier, leaf_hash
from bot.storage.engine import Database
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
    """The first `count` entries of a database that has none."""
    frontier, rows = Frontier(), []
    one = draft()
    columns = {name: getattr(one, name) for name in ("type", "actor", "source", "call", "outcome")}
    for position, body in enumerate(bodies(count)):
        leaf = leaf_hash(body)
        at = START + timedelta(seconds=position)
        rows.append({"position": position, "body": body, "leaf": leaf, "at": at, **columns})
        if len(rows) == BATCH or position == count - 1:
            frontier = frontier.extend(row["leaf"] for row in rows)
            with database.write() as connection:
                connection.execute(insert(entries), rows)
                connection.execute(update(head).values(size=frontier.size, frontier=frontier.to_bytes()))
            rows = []

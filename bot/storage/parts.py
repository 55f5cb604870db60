"""Which entries belong to a part of the log: by call and by time, with their exact bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, LargeBinary, cast, select

from bot.storage.engine import Database
from bot.storage.schema import entries

FETCH_ROWS = 500
READINGS = ("log.read", "log.exported")


@dataclass(frozen=True, slots=True)
class Part:
    """Entries of any of these calls (of all and none, if none is named), from `since` on and before `until`."""

    calls: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


def find(database: Database, part: Part, size: int) -> Iterator[tuple[int, bytes]]:
    """(position, body) of those among the log's first `size` entries, in order, piece by piece."""
    wanted = select(entries.c.position, cast(entries.c.body, LargeBinary).label("body"))
    if part.calls:
        wanted = wanted.where(entries.c.call.in_(part.calls))
    if part.since is not None:
        wanted = wanted.where(entries.c.at >= part.since)
    if part.until is not None:
        wanted = wanted.where(entries.c.at < part.until)
    after = -1
    while True:
        query = wanted.where(entries.c.position > after, entries.c.position < size)
        with database.read() as connection:
            page = connection.execute(query.order_by(entries.c.position).limit(FETCH_ROWS)).all()
        for row in page:
            yield row.position, bytes(row.body)
        if len(page) < FETCH_ROWS:
            return
        after = page[-1].position


def tells_more(connection: Connection, sid: str, start: int, stop: int) -> bool:
    """Whether entries start, …, stop - 1 tell of anything in this call, other than who read about it."""
    query = select(entries.c.position).where(
        entries.c.call == sid,
        entries.c.position >= start,
        entries.c.position < stop,
        entries.c.type.not_in(READINGS),
    )
    return connection.execute(query.limit(1)).first() is not None

"""The log, read: pages for people by keyset, and its bytes in order for the verifier and the export."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, LargeBinary, Select, Table, cast, select

from bot.audit.entry import decode
from bot.audit.merkle import Frontier
from bot.storage import schema
from bot.storage.schema import entries, head

FETCH_ROWS = 500

POSITION_DIGITS_MAX = 11
"""More entries than any log will have, and fewer digits than any card number has."""

_BODY = cast(entries.c.body, LargeBinary).label("body")
_LEAF = cast(entries.c.leaf, LargeBinary).label("leaf")
"""Cast, because whoever tampers with SQLite by hand may leave text: it must be found, not stumbled over."""


class Entry(NamedTuple):
    """One entry: its leaf number and its fields."""

    position: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which entries; every one of them has an index with the position, so that a page costs the same at any depth.

    `calls`: of any of these calls, such as those of one number.
    """

    call: str | None = None
    calls: tuple[str, ...] | None = None
    actor: str | None = None
    source: str | None = None
    outcome: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def is_position(text: str) -> bool:
    """Whether a reader may go on from there. What they asked for is noted, so it must not be a card number."""
    return re.fullmatch(f"[0-9]{{1,{POSITION_DIGITS_MAX}}}", text) is not None


def newest(connection: Connection, wanted: Filter, before: int | None, limit: int) -> list[Entry]:
    """A page of entries, newest first, all of them before position `before`."""
    query = _filtered(select(entries.c.position, _BODY), wanted).order_by(entries.c.position.desc()).limit(limit)
    if before is not None:
        query = query.where(entries.c.position < before)
    return _read(connection, query)


def oldest(connection: Connection, wanted: Filter, after: int | None, limit: int) -> list[Entry]:
    """A page of entries in the order of the log, all of them after position `after`."""
    query = _filtered(select(entries.c.position, _BODY), wanted).order_by(entries.c.position).limit(limit)
    if after is not None:
        query = query.where(entries.c.position > after)
    return _read(connection, query)


def _read(connection: Connection, query: Select[Any]) -> list[Entry]:
    return [Entry(row.position, _fields(bytes(row.body))) for row in connection.execute(query)]


def _fields(body: bytes) -> dict[str, Any]:
    """An entry that somebody damaged must not hide the others."""
    try:
        return decode(body)
    except (ValueError, RecursionError):
        return {"type": "entry.unreadable"}


def _filtered(query: Select[Any], wanted: Filter) -> Select[Any]:
    for name in ("call", "actor", "source", "outcome", "type"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(entries.c[name] == value)
    if wanted.calls is not None:
        query = query.where(entries.c.call.in_(wanted.calls))
    if wanted.since is not None:
        query = query.where(entries.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(entries.c.at < wanted.until)
    return query


def read_head(connection: Connection) -> Frontier:
    """The whole log's tree. ValueError or TypeError if somebody damaged or removed it."""
    return _tree(connection, head)


def newest_at(connection: Connection) -> datetime | None:
    """When the last entry was written; None if there is none."""
    query = select(entries.c.at).order_by(entries.c.position.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none()


def oldest_at(connection: Connection, position: int) -> datetime | None:
    """When the first entry from there on was written; None if there is none."""
    query = select(entries.c.at).where(entries.c.position >= position).order_by(entries.c.position).limit(1)
    return connection.execute(query).scalar_one_or_none()


def base(connection: Connection) -> Frontier:
    """How many entries live in archives only, and the tree over them: the log in the database begins there.

    Positions never change: the first entry here has the position `base(connection).size`. ValueError or TypeError if
    somebody damaged or removed it.
    """
    return _tree(connection, schema.base)


def _tree(connection: Connection, table: Table) -> Frontier:
    row = connection.execute(select(table.c.size, table.c.frontier).where(table.c.id == 1)).one_or_none()
    if row is None:
        raise ValueError(f"the log has no {table.name}")
    return Frontier.from_bytes(row.size, bytes(row.frontier))


def bodies(connection: Connection, start: int, stop: int) -> Iterator[bytes]:
    """The exact bytes of leaves start..stop-1, in order; as many as there are."""
    for _, body, _ in rows(connection, start, stop):
        yield body


def rows(connection: Connection, start: int, stop: int) -> Iterator[tuple[int, bytes, bytes]]:
    """(position, body, stored leaf hash), in order, in constant memory."""
    while start < stop:
        query = (
            select(entries.c.position, _BODY, _LEAF)
            .where(entries.c.position >= start, entries.c.position < stop)
            .order_by(entries.c.position)
            .limit(FETCH_ROWS)
        )
        page = connection.execute(query).all()
        for row in page:
            yield row.position, bytes(row.body), bytes(row.leaf)
        if len(page) < FETCH_ROWS:
            return
        start = page[-1].position + 1

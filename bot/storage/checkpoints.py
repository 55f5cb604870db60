"""Signed checkpoints of the log, as notes. Copies: what counts is the signer's own state and the copies elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Connection, delete, func, insert, select, type_coerce

from bot.audit.journal import Transaction
from bot.storage.schema import anchorings, checkpoints

HOUR_MICROSECONDS = 3_600_000_000
SIGNED_TWICE = "%\n— %\n— %"


def add(transaction: Transaction, size: int, note: str) -> None:
    """Keep a note, unless there is one of this size already."""
    if not has(transaction.connection, size):
        transaction.connection.execute(insert(checkpoints).values(size=size, note=note, at=transaction.now()))


def has(connection: Connection, size: int) -> bool:
    return connection.execute(select(checkpoints.c.size).where(checkpoints.c.size == size)).first() is not None


def notes(connection: Connection) -> list[str]:
    """All of them, the smallest first."""
    return [note for _, note in kept(connection)]


def kept(connection: Connection) -> list[tuple[int, str]]:
    """All of them, the smallest first, with the size under which each is kept: a copy of what the note says."""
    query = select(checkpoints.c.size, checkpoints.c.note).order_by(checkpoints.c.size)
    return [(row.size, _text(row.note)) for row in connection.execute(query)]


def latest(connection: Connection) -> tuple[int, str] | None:
    query = select(checkpoints.c.size, checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.size, _text(row.note))


def surplus(connection: Connection, before: datetime) -> list[int]:
    """Sizes of the older ones that may go: all but the last of each hour and those sent to an anchor. Of those signed
    by two keys, by which an auditor passes from one key to the next, the last of each hour stays too.
    """
    hour = type_coerce(checkpoints.c.at, BigInteger) // HOUR_MICROSECONDS
    later = func.row_number().over(
        partition_by=(hour, checkpoints.c.note.like(SIGNED_TWICE)), order_by=checkpoints.c.size.desc()
    )
    ranked = select(checkpoints.c.size, later.label("later")).where(checkpoints.c.at < before).subquery()
    query = select(ranked.c.size).where(ranked.c.later > 1, ranked.c.size.not_in(select(anchorings.c.size)))
    return list(connection.execute(query.order_by(ranked.c.size)).scalars())


def remove(transaction: Transaction, sizes: Sequence[int]) -> None:
    transaction.connection.execute(delete(checkpoints).where(checkpoints.c.size.in_(sizes)))


def covering(connection: Connection, size: int, limit: int) -> list[str]:
    """The notes over at least so many entries, the smallest first."""
    query = select(checkpoints.c.note).where(checkpoints.c.size >= size).order_by(checkpoints.c.size).limit(limit)
    return [_text(note) for note in connection.execute(query).scalars()]


def _text(note: str | bytes) -> str:
    """SQLite keeps bytes in a column of text, if whoever tampers puts them there: found, not stumbled over."""
    return note if isinstance(note, str) else note.decode("utf-8", "replace")

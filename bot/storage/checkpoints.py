"""Signed checkpoints of the log, as notes. Copies: what counts is the signer's own state and the copies elsewhere."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from bot.audit.journal import Transaction
from bot.storage.schema import checkpoints


def add(transaction: Transaction, size: int, note: str) -> None:
    known = select(checkpoints.c.size).where(checkpoints.c.size == size)
    if transaction.connection.execute(known).first() is None:
        transaction.connection.execute(insert(checkpoints).values(size=size, note=note, at=transaction.now()))


def notes(connection: Connection) -> list[str]:
    """All of them, the smallest first."""
    return list(connection.execute(select(checkpoints.c.note).order_by(checkpoints.c.size)).scalars())


def latest(connection: Connection) -> tuple[int, str] | None:
    query = select(checkpoints.c.size, checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.size, row.note)

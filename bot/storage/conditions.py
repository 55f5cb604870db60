"""What is wrong right now for everybody, such as a Twilio that is away: at most one row of each kind."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from bot.audit.journal import Transaction
from bot.storage.schema import conditions


def begin(transaction: Transaction, name: str) -> bool:
    """Whether this is news."""
    if transaction.connection.execute(select(conditions.c.name).where(conditions.c.name == name)).first():
        return False
    transaction.connection.execute(insert(conditions).values(name=name, since=transaction.now()))
    return True


def end(transaction: Transaction, name: str) -> bool:
    """Whether it was on until now."""
    return transaction.connection.execute(delete(conditions).where(conditions.c.name == name)).rowcount > 0


def open_now(connection: Connection) -> frozenset[str]:
    return frozenset(connection.execute(select(conditions.c.name)).scalars())

"""Heartbeats of the processes that do the work, so that a missing worker shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, func, insert, select, update

from bot.storage.schema import nodes

if TYPE_CHECKING:  # the journal itself beats, to prove that it can write
    from bot.audit.journal import Transaction

KEPT = timedelta(days=1)


def beat(transaction: Transaction, node: str, kind: str) -> None:
    now = transaction.now()
    known = update(nodes).where(nodes.c.node == node).values(seen_at=now)
    if transaction.connection.execute(known).rowcount == 0:
        transaction.connection.execute(insert(nodes).values(node=node, kind=kind, seen_at=now))
    transaction.connection.execute(delete(nodes).where(nodes.c.seen_at < now - KEPT))


def last_seen(connection: Connection, kind: str) -> datetime | None:
    """When any process of this kind was last alive."""
    query = select(func.max(nodes.c.seen_at)).where(nodes.c.kind == kind)
    return connection.execute(query).scalar_one_or_none()

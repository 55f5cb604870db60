"""Heartbeats of the processes that do the work, so that a missing worker shows, and one that died can be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from bot.storage.schema import nodes, settings_seen

if TYPE_CHECKING:  # the journal itself beats, to prove that it can write
    from bot.audit.journal import Transaction

KEPT = timedelta(days=1)


class Node(NamedTuple):
    node: str
    kind: str
    seen_at: datetime


_LIVES = nodes.c.began_at.isnot(None) & nodes.c.ended_at.is_(None)


def beat(transaction: Transaction, node: str, kind: str) -> None:
    """This process can write. Whether it is one whose end will be told, `begin` says."""
    now = transaction.now()
    known = update(nodes).where(nodes.c.node == node).values(seen_at=now)
    if transaction.connection.execute(known).rowcount == 0:
        transaction.connection.execute(insert(nodes).values(node=node, kind=kind, seen_at=now))
    is_told = or_(nodes.c.began_at.is_(None), nodes.c.ended_at.isnot(None))
    transaction.connection.execute(delete(nodes).where(nodes.c.seen_at < now - KEPT, is_told))


def has_begun(transaction: Transaction, node: str, began_at: datetime) -> bool:
    """Whether this very process was noted as begun: it may not have heard that its first write came about."""
    found = select(nodes.c.node).where(nodes.c.node == node, nodes.c.began_at == began_at)
    return transaction.connection.execute(found).first() is not None


def begin(transaction: Transaction, node: str, kind: str, began_at: datetime) -> Node | None:
    """A process begins that will say when it ends. Returns one of the same name that never did. `began_at` is by the
    process's own clock.
    """
    found = select(nodes.c.node, nodes.c.kind, nodes.c.seen_at).where(nodes.c.node == node, _LIVES).with_for_update()
    row = transaction.connection.execute(found).one_or_none()
    beat(transaction, node, kind)
    begun = update(nodes).where(nodes.c.node == node)
    transaction.connection.execute(begun.values(kind=kind, began_at=began_at, ended_at=None))
    return None if row is None else Node(*row)


def is_alive(transaction: Transaction, node: str) -> bool:
    """A heartbeat; False if the process was given up as lost in the meantime."""
    known = update(nodes).where(nodes.c.node == node, _LIVES).values(seen_at=transaction.now())
    return transaction.connection.execute(known).rowcount > 0


def end(transaction: Transaction, node: str) -> None:
    transaction.connection.execute(update(nodes).where(nodes.c.node == node).values(ended_at=transaction.now()))


def end_lost(transaction: Transaction, silent: timedelta) -> list[Node]:
    """Processes that have said nothing for so long, each given to one caller only."""
    now = transaction.now()
    is_lost = _LIVES & (nodes.c.seen_at < now - silent)
    rows = transaction.connection.execute(select(nodes.c.node, nodes.c.kind, nodes.c.seen_at).where(is_lost)).all()
    found = []
    for row in sorted(rows, key=lambda row: row.node):
        ended = update(nodes).where(nodes.c.node == row.node, is_lost).values(ended_at=now)
        if transaction.connection.execute(ended).rowcount:
            found.append(Node(*row))
    return found


def last_seen(connection: Connection, kind: str) -> datetime | None:
    """When any process of this kind was last alive."""
    query = select(func.max(nodes.c.seen_at)).where(nodes.c.kind == kind)
    return connection.execute(query).scalar_one_or_none()


def exchange_settings(transaction: Transaction, kind: str, now: Mapping[str, str]) -> Mapping[str, str]:
    """What the last process of this kind started with; it is `now` from now on, also if there was none."""
    known = select(settings_seen.c.body).where(settings_seen.c.kind == kind).with_for_update()
    body = transaction.connection.execute(known).scalar_one_or_none()
    values = {"body": json.dumps(now, sort_keys=True), "at": transaction.now()}
    if body is None:
        transaction.connection.execute(insert(settings_seen).values(kind=kind, **values))
        return now
    seen: Mapping[str, str] = json.loads(body)
    if seen != now:
        transaction.connection.execute(update(settings_seen).where(settings_seen.c.kind == kind).values(**values))
    return seen

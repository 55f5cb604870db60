"""Which checkpoint was sent to which anchor. A row with a time was received there; the one without is being tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    delete,
    func,
    insert,
    select,
    tuple_,
    type_coerce,
    update,
)

from bot.audit.journal import Transaction
from bot.storage import checkpoints as notes
from bot.storage.schema import anchorings, checkpoints

HOUR_MICROSECONDS = 3_600_000_000


@dataclass(frozen=True)
class Turn:
    """A note that is to be sent now; `tries` is how often sending has failed since the last that was received."""

    size: int
    note: str
    tries: int


@dataclass(frozen=True)
class Anchored:
    """A note that an anchor received, with its receipt if it gives one."""

    anchor: str
    size: int
    note: str
    at: datetime
    receipt: bytes | None


def take_turn(transaction: Transaction, anchor: str, every: timedelta, lease: timedelta) -> Turn | None:
    """The newest checkpoint, if it is to be sent there now. Until the lease ends nobody else gets the turn.

    It is due when it is newer than what was received last, `every` has passed since then, and the back-off too.
    """
    now = transaction.now()
    if not is_due(transaction.connection, anchor, every, now):
        return None
    latest = notes.latest(transaction.connection)
    if latest is None:
        return None
    size, note = latest
    trying = _trying(anchor).with_for_update()
    row = transaction.connection.execute(trying).first()
    if row is not None and row.next_at is not None and row.next_at > now:
        return None  # another was faster
    tries = row.tries if row else 0
    transaction.connection.execute(delete(anchorings).where(anchorings.c.anchor == anchor, anchorings.c.at.is_(None)))
    transaction.connection.execute(
        insert(anchorings).values(anchor=anchor, size=size, tries=tries, next_at=now + lease)
    )
    return Turn(size, note, tries)


def is_due(connection: Connection, anchor: str, every: timedelta, now: datetime) -> bool:
    """Whether there is something newer to send, and its time has come."""
    latest = notes.latest(connection)
    sent = connection.execute(
        select(anchorings.c.size, anchorings.c.at)
        .where(anchorings.c.anchor == anchor, anchorings.c.at.is_not(None))
        .order_by(anchorings.c.size.desc())
        .limit(1)
    ).first()
    trying = connection.execute(_trying(anchor)).first()
    if latest is None or (sent is not None and sent.size >= latest[0]):
        return False
    is_early = sent is not None and now < sent.at + every
    is_waiting = trying is not None and trying.next_at is not None and now < trying.next_at
    return not is_early and not is_waiting


def received(transaction: Transaction, anchor: str, size: int, receipt: bytes | None) -> None:
    """Note that it arrived. Doing it twice changes nothing but the time."""
    connection = transaction.connection
    connection.execute(delete(anchorings).where(anchorings.c.anchor == anchor, anchorings.c.at.is_(None)))
    connection.execute(delete(anchorings).where(anchorings.c.anchor == anchor, anchorings.c.size == size))
    connection.execute(
        insert(anchorings).values(anchor=anchor, size=size, at=transaction.now(), receipt=receipt, tries=0)
    )


def failed(transaction: Transaction, anchor: str, size: int, tries: int, again_in: timedelta) -> None:
    trying = update(anchorings).where(
        anchorings.c.anchor == anchor, anchorings.c.size == size, anchorings.c.at.is_(None)
    )
    transaction.connection.execute(trying.values(tries=tries, next_at=transaction.now() + again_in))


def last_received(connection: Connection) -> dict[str, datetime]:
    """When each anchor last received a checkpoint."""
    query = (
        select(anchorings.c.anchor, func.max(anchorings.c.at).label("at"))
        .where(anchorings.c.at.is_not(None))
        .group_by(anchorings.c.anchor)
    )
    return {row.anchor: row.at for row in connection.execute(query)}


def with_receipt(connection: Connection) -> list[Anchored]:
    """Every note for which there is a receipt, the smallest first."""
    return _with_receipt(connection, anchorings.c.size)


def newest_with_receipt(connection: Connection) -> Anchored | None:
    return next(iter(_with_receipt(connection, anchorings.c.size.desc(), limit=1)), None)


def surplus(connection: Connection, before: datetime) -> list[tuple[str, int]]:
    """Rows that may go: older ones without a receipt, but for the last of each anchor and hour."""
    hour = type_coerce(anchorings.c.at, BigInteger) // HOUR_MICROSECONDS
    later = func.row_number().over(partition_by=(anchorings.c.anchor, hour), order_by=anchorings.c.size.desc())
    ranked = (
        select(anchorings.c.anchor, anchorings.c.size, later.label("later"))
        .where(anchorings.c.at < before, anchorings.c.receipt.is_(None))
        .subquery()
    )
    query = select(ranked.c.anchor, ranked.c.size).where(ranked.c.later > 1)
    return [(row.anchor, row.size) for row in connection.execute(query)]


def remove(transaction: Transaction, rows: Sequence[tuple[str, int]]) -> None:
    transaction.connection.execute(delete(anchorings).where(tuple_(anchorings.c.anchor, anchorings.c.size).in_(rows)))


def _trying(anchor: str) -> Select[Any]:
    return select(anchorings.c.size, anchorings.c.tries, anchorings.c.next_at).where(
        anchorings.c.anchor == anchor, anchorings.c.at.is_(None)
    )


def _with_receipt(connection: Connection, order: ColumnElement[Any], limit: int | None = None) -> list[Anchored]:
    columns = (anchorings.c.anchor, anchorings.c.size, checkpoints.c.note, anchorings.c.at, anchorings.c.receipt)
    query = (
        select(*columns)
        .join(checkpoints, checkpoints.c.size == anchorings.c.size)
        .where(anchorings.c.receipt.is_not(None), anchorings.c.at.is_not(None))
        .order_by(order, anchorings.c.anchor)
        .limit(limit)
    )
    return [Anchored(row.anchor, row.size, row.note, row.at, bytes(row.receipt)) for row in connection.execute(query)]

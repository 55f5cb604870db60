"""How far each second copy of the log has come. Which worker sends is a claim in the row, by the database's clock.

`position` is the next entry to send. It moves only after the sink has received what lies before it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from bot.audit.journal import Transaction
from bot.storage.schema import entries, sinks


class Cursor(NamedTuple):
    """`at`: when it last moved. `failures`: tries in a row that came to nothing, the next one not before `next_at`."""

    position: int
    at: datetime | None
    holder: str | None
    held_until: datetime | None
    failures: int
    next_at: datetime | None

    def is_free(self, holder: str, now: datetime) -> bool:
        """Whether this holder may send now."""
        is_taken = self.holder not in {None, holder} and self.held_until is not None and self.held_until > now
        return not is_taken and (self.next_at is None or self.next_at <= now)


class Lag(NamedTuple):
    """What the sink has not received yet; `seconds` is the age of the oldest such entry that the database still has."""

    entries: int
    seconds: float


_COLUMNS = (sinks.c.position, sinks.c.at, sinks.c.holder, sinks.c.held_until, sinks.c.failures, sinks.c.next_at)


def find(connection: Connection, name: str) -> Cursor | None:
    row = connection.execute(select(*_COLUMNS).where(sinks.c.name == name)).one_or_none()
    return None if row is None else Cursor(*row)


def claim(transaction: Transaction, name: str, holder: str, seconds: float) -> int | None:
    """Where to go on, if nobody else sends just now. A sink that is new begins with the oldest entry there is."""
    row = transaction.connection.execute(select(*_COLUMNS).where(sinks.c.name == name).with_for_update()).one_or_none()
    now = transaction.now()
    until = now + timedelta(seconds=seconds)
    if row is None:
        first = transaction.connection.execute(select(func.min(entries.c.position))).scalar_one() or 0
        new = {"name": name, "position": first, "holder": holder, "held_until": until, "failures": 0}
        transaction.connection.execute(insert(sinks).values(**new))
        return int(first)
    cursor = Cursor(*row)
    if not cursor.is_free(holder, now):
        return None
    _change(transaction, name, holder=holder, held_until=until)
    return cursor.position


def move(transaction: Transaction, name: str, holder: str, position: int, seconds: float) -> bool:
    """All before `position` was received; the claim is renewed. False if it was lost: then nothing changes."""
    now = transaction.now()
    moved = {"position": position, "at": now, "held_until": now + timedelta(seconds=seconds)}
    return _change_own(transaction, name, holder, **moved, failures=0, next_at=None)


def fail(transaction: Transaction, name: str, holder: str, wait_seconds: float) -> bool:
    """One more try came to nothing; whoever is there tries again after the wait."""
    later = transaction.now() + timedelta(seconds=wait_seconds)
    return _change_own(
        transaction, name, holder, failures=sinks.c.failures + 1, next_at=later, holder=None, held_until=None
    )


def release(transaction: Transaction, name: str, holder: str) -> None:
    _change_own(transaction, name, holder, holder=None, held_until=None)


def lag(connection: Connection, name: str, size: int, now: datetime) -> Lag:
    cursor = find(connection, name)
    position = 0 if cursor is None else cursor.position
    oldest = select(entries.c.at).where(entries.c.position >= position).order_by(entries.c.position).limit(1)
    at = connection.execute(oldest).scalar_one_or_none()
    return Lag(max(0, size - position), max(0.0, (now - at).total_seconds()) if at and position < size else 0.0)


def _change(transaction: Transaction, name: str, **values: object) -> None:
    transaction.connection.execute(update(sinks).where(sinks.c.name == name).values(**values))


def _change_own(transaction: Transaction, name: str, holder_now: str, **values: object) -> bool:
    own = update(sinks).where(sinks.c.name == name, sinks.c.holder == holder_now)
    return transaction.connection.execute(own.values(**values)).rowcount > 0

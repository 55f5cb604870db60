"""How often something was tried lately, shared by all processes."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, insert, select, update

from bot.audit.journal import Transaction
from bot.storage.schema import throttles


def count(transaction: Transaction, key: str, window: timedelta) -> int:
    """Count one more try for `key` in its window and return how many there are now."""
    now = transaction.now()
    row = transaction.connection.execute(
        select(throttles.c.since, throttles.c.count.label("tries")).where(throttles.c.key == key).with_for_update()
    ).one_or_none()
    if row is None:
        transaction.connection.execute(insert(throttles).values(key=key, since=now, count=1))
        return 1
    fresh = now - row.since >= window
    tries = 1 if fresh else row.tries + 1
    since = now if fresh else row.since
    transaction.connection.execute(update(throttles).where(throttles.c.key == key).values(since=since, count=tries))
    return tries


def forget_old(transaction: Transaction, window: timedelta) -> None:
    transaction.connection.execute(delete(throttles).where(throttles.c.since < transaction.now() - window))

"""Webhooks already taken in, so that a repeat changes nothing. Only a keyed hash of the allowed fields is kept."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, insert, select

from bot.audit.journal import Transaction
from bot.storage.schema import deliveries

KEPT = timedelta(days=2)


def is_repeat(transaction: Transaction, digest: bytes) -> bool:
    """Whether this delivery was taken in before; if not, it is from now on."""
    if transaction.connection.execute(select(deliveries.c.digest).where(deliveries.c.digest == digest)).first():
        return True
    transaction.connection.execute(insert(deliveries).values(digest=digest, at=transaction.now()))
    return False


def forget_old(transaction: Transaction) -> None:
    transaction.connection.execute(delete(deliveries).where(deliveries.c.at < transaction.now() - KEPT))

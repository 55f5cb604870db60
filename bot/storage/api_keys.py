"""API keys: other systems that pause and resume. Only the SHA-256 of a key is kept; the key itself is shown once."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from bot.audit.journal import Transaction
from bot.storage.schema import api_keys

_FIND = select(api_keys.c.name, api_keys.c.scopes).where(
    api_keys.c.digest == bindparam("digest"), api_keys.c.revoked_at.is_(None)
)

SCOPES = ("pause", "read", "review")


class ApiKey(NamedTuple):
    name: str
    scopes: frozenset[str]


def digest(key: str) -> bytes:
    """A plain hash is enough: keys are random, 256 bits, so there is nothing to guess."""
    return sha256(key.encode()).digest()


def add(transaction: Transaction, name: str, key: str, scopes: tuple[str, ...]) -> None:
    transaction.connection.execute(
        insert(api_keys).values(name=name, digest=digest(key), scopes=",".join(scopes), created_at=transaction.now())
    )


def exists(connection: Connection, name: str) -> bool:
    return connection.execute(select(api_keys.c.name).where(api_keys.c.name == name)).first() is not None


def revoke(transaction: Transaction, name: str) -> bool:
    """Whether there was a live key of that name."""
    live = (api_keys.c.name == name) & api_keys.c.revoked_at.is_(None)
    return (
        transaction.connection.execute(update(api_keys).where(live).values(revoked_at=transaction.now())).rowcount > 0
    )


def find(connection: Connection, key: str) -> ApiKey | None:
    row = connection.execute(_FIND, {"digest": digest(key)}).one_or_none()
    return None if row is None else ApiKey(row.name, frozenset(row.scopes.split(",")))

"""What is kept of callers' numbers, beside the log and never in it, so that it can be erased: a keyed digest to search
by, and the last four digits.

An erased row stays as an empty one: what Twilio still reports of that call does not bring the number back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from bot.audit.journal import Transaction
from bot.storage import calls
from bot.storage.schema import callers

CALLS_MAX = 500
"""How many of a number's calls a search looks at, the latest first."""


class Kept(NamedTuple):
    """How many calls of a number, and when they first were reported. Times are None without any."""

    calls: int
    first: datetime | None
    last: datetime | None


def is_erased(connection: Connection, call: str) -> bool:
    row = connection.execute(select(callers.c.last_four).where(callers.c.call == call)).one_or_none()
    return row is not None and row.last_four is None


def note(transaction: Transaction, call: str, digest: bytes | None, last_four: str) -> None:
    """Keep it, once: what was reported first, or erased, stays so."""
    row = transaction.connection.execute(select(callers).where(callers.c.call == call)).one_or_none()
    if row is None:
        values = {"call": call, "digest": digest, "last_four": last_four, "at": transaction.now()}
        transaction.connection.execute(insert(callers).values(values))
    elif row.digest is None and row.last_four == last_four and digest is not None:  # known before there were digests
        transaction.connection.execute(update(callers).where(callers.c.call == call).values(digest=digest))


def calls_of(connection: Connection, digest: bytes, limit: int = CALLS_MAX) -> tuple[str, ...]:
    """The calls of a number, and what they were merged into."""
    query = select(callers.c.call).where(callers.c.digest == digest).order_by(callers.c.at.desc()).limit(limit)
    found = list(connection.execute(query).scalars())
    now = [call.sid for sid in found if (call := calls.find(connection, sid)) is not None]
    return tuple(dict.fromkeys([*found, *now]))


def kept_of(connection: Connection, digest: bytes) -> Kept:
    query = select(func.count(), func.min(callers.c.at), func.max(callers.c.at)).where(callers.c.digest == digest)
    return Kept(*connection.execute(query).one())


def with_number(connection: Connection, digest: bytes, limit: int) -> list[str]:
    """SIDs of calls of which this number is kept."""
    return list(connection.execute(select(callers.c.call).where(callers.c.digest == digest).limit(limit)).scalars())


def older_than(connection: Connection, at: datetime, limit: int) -> list[str]:
    """SIDs of calls from before then of which a number is kept, the oldest first."""
    is_old = (callers.c.at < at) & callers.c.last_four.isnot(None)
    return list(connection.execute(select(callers.c.call).where(is_old).order_by(callers.c.at).limit(limit)).scalars())


def erase(transaction: Transaction, sids: Iterable[str]) -> int:
    """Forget the number in these calls' rows and documents; of how many calls one was kept. The log is not touched."""
    return sum(_erase(transaction, sid) for sid in sorted(sids))  # the order of locks


def _erase(transaction: Transaction, sid: str) -> bool:
    was_in_call = calls.forget_caller(transaction, sid)
    row = transaction.connection.execute(select(callers.c.last_four).where(callers.c.call == sid)).one_or_none()
    if row is not None:
        emptied = update(callers).where(callers.c.call == sid).values(digest=None, last_four=None)
        transaction.connection.execute(emptied)
    elif was_in_call is not None:
        values = {"call": sid, "digest": None, "last_four": None, "at": transaction.now()}
        transaction.connection.execute(insert(callers).values(values))
    return bool(was_in_call) or (row is not None and row.last_four is not None)

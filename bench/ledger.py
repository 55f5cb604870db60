"""What the bot's log says after a run: whether it verifies, and whether every pause answered 200 is in it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from bot.audit.check import read_vkey, verify_database
from bot.storage.engine import Database
from bot.storage.schema import entries

PAUSE = ("hold.opened", "command.sent", "command.confirmed")
"""The entries that make a pause an audited one."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """`missing` pauses were answered 200 without all their entries; `seconds` is what verifying took."""

    size: int
    verified: bool
    problems: tuple[str, ...]
    seconds: float
    answered: int
    missing: int


def read(database_url: str, vkey: Path, answered: Iterable[str]) -> Ledger:
    """Verify the whole log as `bot audit verify` does, and look for the calls that were answered 200."""
    database = Database(database_url)
    try:
        began = time.perf_counter()
        found = verify_database(database, read_vkey(vkey))
        seconds = time.perf_counter() - began
        audited = _audited(database)
    finally:
        database.close()
    calls = set(answered)
    return Ledger(found.size, found.ok, tuple(found.problems), seconds, len(calls), len(calls - audited))


def _audited(database: Database) -> set[str]:
    """CallSids that have each kind of entry."""
    kinds = select(entries.c.call).where(entries.c.type.in_(PAUSE)).group_by(entries.c.call)
    query = kinds.having(func.count(entries.c.type.distinct()) == len(PAUSE))
    with database.read() as connection:
        return set(connection.execute(query).scalars())

"""A log in a real database with its signer, and what tests do to it behind its back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from bot.audit.check import archived, read_vkey, verify_database
from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.audit.keys import create_signing_key, public_vkey
from bot.audit.merkle import Frontier
from bot.audit.patrol import Patrol
from bot.audit.rounds import QUIET, Rounds
from bot.audit.signing import LogSigner, write_vkey
from bot.audit.verify import Report
from bot.settings import Settings
from bot.storage import checkpoints, conditions, entries
from bot.storage.engine import Database
from bot.storage.entries import Filter


@dataclass
class Bench:
    """One log. `settings` name its database and its key."""

    settings: Settings
    database: Database
    journal: Journal

    def __post_init__(self) -> None:
        key = create_signing_key(self.settings.audit_signing_key_file)
        write_vkey(self.settings.vkey_file, public_vkey(self.settings.audit_origin, key))
        self.signer = LogSigner(self.settings, self.database, self.journal)

    def rounds(self, quiet: timedelta = QUIET) -> Rounds:
        """As a process that has just started makes them; its patrol never rests."""
        patrol = Patrol(
            self.signer.read,
            lambda: self.signer.last().frontier,
            start=lambda: archived(self.database),
            piece_entries=1000,
            rest_seconds=0,
        )
        return Rounds(self.signer, self.database, self.journal, patrol, quiet)

    def write(self, count: int = 1) -> None:
        def change(transaction: Transaction) -> None:
            for _ in range(count):
                transaction.append(Draft(type="hold.opened", actor="alice", source="agent"))

        self.journal.write(change)

    def entries(self, *types: str) -> list[dict[str, Any]]:
        """Of these types, in order."""
        with self.database.read() as connection:
            found = entries.oldest(connection, Filter(), None, 10_000)
        return [dict(one.fields) for one in found if not types or one.fields["type"] in types]

    def findings(self) -> list[tuple[str, str]]:
        told = {"finding.raised": "raised", "finding.cleared": "cleared"}
        return [(told[one["type"]], one["reason"]) for one in self.entries(*told)]

    def conditions(self) -> frozenset[str]:
        with self.database.read() as connection:
            return conditions.open_now(connection)

    def notes(self) -> list[str]:
        with self.database.read() as connection:
            return checkpoints.notes(connection)

    def head(self) -> Frontier:
        with self.database.read() as connection:
            return entries.read_head(connection)

    def verify(self) -> Report:
        return verify_database(self.database, read_vkey(self.settings.vkey_file))

    def tamper(self, *statements: str, **values: object) -> None:
        """As the owner of the database can, who takes away whatever guards it first."""
        with self.database.write() as connection:
            for name, table in self._triggers(connection):
                on = "" if self.database.is_sqlite else f" ON {table}"
                connection.execute(text(f"DROP TRIGGER {name}{on}"))
            for statement in statements:
                connection.execute(text(statement), values)

    def _triggers(self, connection: Any) -> Sequence[tuple[str, str]]:
        query = (
            "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
            if self.database.is_sqlite
            else "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid WHERE NOT tgisinternal"
        )
        return [(row[0], row[1]) for row in connection.execute(text(query)).all()]

"""A log whose first entries are years old, on a real database and signed, for the tests of archives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner, Result

from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction, append_all
from bot.audit.merkle import Frontier
from bot.cli import main
from bot.storage import entries
from bot.storage.engine import Database
from tests.simulator.process import ACCOUNT, TOKEN

OLD = datetime(2010, 1, 1, tzinfo=UTC)
OLD_ENTRIES = 700
NEW_ENTRIES = 100
BEFORE = "2015-01-01"
CALL = "CA" + "a" * 32


class Past(Transaction):
    """A transaction whose clock shows the past."""

    at = OLD

    def now(self) -> datetime:
        return self.at


def append_old(database: Database, count: int, at: datetime) -> None:
    with database.write() as connection:
        past = Past(connection, is_sqlite=True)  # there the transaction's own clock is asked
        past.at = at
        for number in range(count):
            past.append(Draft(type="hold.opened", actor="alice", source="agent", call=CALL, detail={"n": number}))
        append_all(past, "then")


@dataclass(frozen=True)
class OldLog:
    """700 entries of 2010, signed, and 100 of now; and the commands that work on it."""

    database: Database
    journal: Journal
    env: dict[str, str]
    folder: Path

    def run(self, *arguments: str, **env: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env=self.env | env)

    def archive(self, name: str, *options: str, before: str = BEFORE) -> Result:
        return self.run("audit", "archive", "--before", before, str(self.folder / name), *options)

    def verify(self, *names: str) -> Result:
        """The database's log, and these archives with it."""
        archives = [option for name in names for option in ("--archive", str(self.folder / name))]
        return self.run("audit", "verify", *archives)

    def base(self) -> Frontier:
        with self.database.read() as connection:
            return entries.base(connection)

    def positions(self) -> list[int]:
        with self.database.read() as connection:
            return [entry.position for entry in entries.oldest(connection, entries.Filter(), None, 100_000)]

    def bodies(self) -> list[bytes]:
        with self.database.read() as connection:
            return list(entries.bodies(connection, 0, 100_000))

    def details(self, type_: str) -> list[dict[str, object]]:
        with self.database.read() as connection:
            found = entries.oldest(connection, entries.Filter(type=type_), None, 1_000)
        return [entry.fields["detail"] for entry in found]


def old_log(database: Database, url: str, folder: Path) -> OldLog:
    env = {
        "SECRET_KEY": "a secret of the tests",
        "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "AUDIT_ORIGIN": "example.org/log",
        "AUDIT_SIGNING_KEY_FILE": str(folder / "signing-key.pem"),
        "DATABASE_URL": url,
    }
    log = OldLog(database, Journal(database, "now"), env, folder)
    for number in range(7):
        append_old(database, OLD_ENTRIES // 7, OLD + timedelta(days=number))
    assert log.run("init-db").exit_code == 0
    assert log.run("audit", "checkpoint").exit_code == 0
    for _ in range(NEW_ENTRIES):
        log.journal.append(Draft(type="hold.opened", actor="bob", source="agent", call=CALL))
    assert log.run("audit", "checkpoint").exit_code == 0
    return log

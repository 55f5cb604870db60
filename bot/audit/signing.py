"""The signer at work: its own state on one side, the database on the other, a copy of each note into the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bot.audit.journal import Journal
from bot.audit.keys import load_signing_key, public_vkey
from bot.audit.signer import Signer, SignerBusy
from bot.errors import LogError
from bot.settings import Settings
from bot.storage import checkpoints, entries
from bot.storage.engine import Database

SIGNER_WAIT_SECONDS = 5


class LogSigner:
    """Only the worker and the commands make one: the web process never reads the key."""

    def __init__(self, settings: Settings, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        key = load_signing_key(settings.audit_signing_key_file)
        self.vkey = public_vkey(settings.audit_origin, key)
        self._signer = Signer(settings.audit_origin, key, settings.signer_state_file, self._read)

    def sign(self) -> str:
        """Sign the log as it is now and keep a copy of the note. Raises `LogError`."""
        with self._database.read() as connection:
            size = entries.read_head(connection).size
            latest = checkpoints.latest(connection)
        if latest is not None and latest[0] > size:
            raise LogError(
                f"The log has {size} entries, but a signed checkpoint covers {latest[0]}: some were removed."
            )
        note = self._signer.sign_up_to(size, wait_seconds=SIGNER_WAIT_SECONDS)
        signed = int(note.split("\n", 2)[1])
        self._journal.write(lambda transaction: checkpoints.add(transaction, signed, note))
        return note

    def sign_if_new(self) -> str | None:
        """A checkpoint if something was written since the last; None if not, or if another process signs just now."""
        with self._database.read() as connection:
            size = entries.read_head(connection).size
            latest = checkpoints.latest(connection)
        if latest is not None and latest[0] == size:
            return None
        try:
            return self.sign()
        except SignerBusy:
            return None

    def _read(self, start: int, stop: int) -> Iterator[bytes]:
        with self._database.read() as connection:
            yield from entries.bodies(connection, start, stop)


def write_vkey(path: Path, vkey: str) -> None:
    """The public key, for everyone to read."""
    path.write_text(f"{vkey}\n", encoding="ascii")

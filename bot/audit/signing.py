"""The signer at work: its own state on one side, the database on the other, a copy of each note into the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bot.audit.journal import Journal
from bot.audit.keyring import KeyRing, load_ring, publish
from bot.audit.merkle import Frontier
from bot.audit.signer import LogDoesNotExtend, Signer, SignerBusy, SignerState
from bot.settings import Settings
from bot.storage import checkpoints, entries
from bot.storage.engine import Database

SIGNER_WAIT_SECONDS = 5


class LogSigner:
    """Only the signer's process and the commands make one: the web process never reads the key.

    The keys are read anew for each note, so that a rotation takes effect in a process that runs already.
    """

    def __init__(self, settings: Settings, database: Database, journal: Journal) -> None:
        """Raises `KeyFileError` if there is no key that can be used."""
        self._settings = settings
        self._database = database
        self._journal = journal
        self.ring()

    def ring(self) -> KeyRing:
        return load_ring(self._settings.audit_origin, self._settings.audit_signing_key_file)

    @property
    def vkey(self) -> str:
        """The verifier keys, one a line, the current one first."""
        return self.ring().text

    def last(self) -> SignerState:
        """What was signed last, by the signer's own memory."""
        return self._signer().last()

    def sign(self, wait_seconds: float = SIGNER_WAIT_SECONDS) -> str:
        """Sign the log as it is now and keep a copy of the note. Raises `LogError`."""
        note = self._signer().sign_head(self._head, wait_seconds=wait_seconds)
        size = int(note.split("\n", 2)[1])
        with self._database.read() as connection:
            is_kept = checkpoints.has(connection, size)
        if not is_kept:
            self._journal.write(lambda transaction: checkpoints.add(transaction, size, note))
        return note

    def sign_if_free(self) -> str | None:
        """The same, or None if another process signs just now. If nothing is new, nothing is written."""
        try:
            return self.sign(wait_seconds=0)
        except SignerBusy:
            return None

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """The entries' bytes, as the database has them."""
        with self._database.read() as connection:
            yield from entries.bodies(connection, start, stop)

    def _read_on(self, start: int, stop: int) -> Iterator[bytes]:
        """The same for the signer, that goes on from its state and needs every entry from there."""
        with self._database.read() as connection:
            for position, body, _ in entries.rows(connection, start, stop):
                if position != start:
                    raise LogDoesNotExtend(
                        f"entry {start} is not in the database: it was removed, or, if it was archived and pruned, the"
                        f" signer's state {self._settings.signer_state_file} is lost or older: put back its last copy"
                    )
                yield body
                start += 1

    def _head(self) -> Frontier:
        """The tree as the database has it; a copy of a larger signed one beside it says that it was cut."""
        with self._database.snapshot() as connection:
            try:
                head = entries.read_head(connection)
            except (ValueError, TypeError):
                raise LogDoesNotExtend("the log's head is damaged: its size and hashes do not fit") from None
            latest = checkpoints.latest(connection)
        if latest is not None and latest[0] > head.size:
            raise LogDoesNotExtend(
                f"the log has {head.size} entries, but a signed checkpoint covers {latest[0]}: some were removed"
            )
        return head

    def _signer(self) -> Signer:
        ring = self.ring()
        return Signer(
            self._settings.audit_origin,
            ring.current,
            self._settings.signer_state_file,
            self._read_on,
            next_key=ring.next,
            earlier_vkeys=ring.vkeys,
        )


def write_vkey(path: Path, vkey: str) -> None:
    """Publish the key for everyone to read, as the current one; those published before stay after it."""
    publish(path, vkey)

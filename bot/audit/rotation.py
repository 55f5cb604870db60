"""Rotation of the signing key, in two steps with a period between them in which both keys sign every checkpoint.

An auditor who holds the old public key can then accept the new one: the log itself names it (`key.rotation_begun`),
under checkpoints that the old key signed. Each step may be interrupted anywhere and is then simply asked for again:
what has been done shows in the files and in the log, and the step does what is left.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.audit.checkpoint import is_signed_by, parse_vkey
from bot.audit.entry import Draft
from bot.audit.files import sync_folder
from bot.audit.journal import Journal
from bot.audit.keyring import load_ring, next_file, publish, vkey_file
from bot.audit.keys import KeyFileError, create_signing_key, load_signing_key, public_vkey
from bot.audit.signing import LogSigner
from bot.errors import UsageError
from bot.storage import entries
from bot.storage.engine import Database
from bot.storage.entries import Filter

BEGUN = "key.rotation_begun"
FINISHED = "key.rotation_finished"


class Rotation:
    """For the operator's commands. Raises `UsageError` for a step in the wrong order, and `LogError`."""

    def __init__(self, signer: LogSigner, database: Database, journal: Journal, origin: str, key_file: Path) -> None:
        self._signer = signer
        self._database = database
        self._journal = journal
        self._origin = origin
        self._key_file = key_file

    def begin(self) -> tuple[str, str]:
        """Make the next key; from now on both sign. Returns the verifier keys, the current and the next."""
        with self._alone():
            current = public_vkey(self._origin, load_signing_key(self._key_file))
            path = next_file(self._key_file)
            if not path.exists() and self._interrupted():
                raise UsageError("The last step was interrupted: run `bot audit rotate-key finish` again.")
            coming = public_vkey(self._origin, load_signing_key(path) if path.exists() else create_signing_key(path))
            if self._is_told(BEGUN, current, coming):
                raise UsageError("A rotation is under way: finish it with `bot audit rotate-key finish`.")
            publish(vkey_file(self._key_file), current, coming)
            self._tell(BEGUN, current, coming)
            self._signer.sign()
            return current, coming

    def finish(self) -> tuple[str, str]:
        """Make the next key the current one. Returns the verifier keys, the one before and the one that signs now."""
        with self._alone():
            changed = self._change_keys() if next_file(self._key_file).exists() else self._interrupted()
            if changed is None:
                raise UsageError("No rotation is under way: begin one with `bot audit rotate-key begin`.")
            before, now = changed
            self._tell(FINISHED, before, now)
            self._signer.sign()
            return before, now

    def _change_keys(self) -> tuple[str, str]:
        """The rename is the step: before it both sign, after it the new one alone."""
        ring = load_ring(self._origin, self._key_file)
        before, now = ring.vkeys[:2]
        if not self._is_told(BEGUN, before, now):
            raise UsageError("The rotation was interrupted as it began: run `bot audit rotate-key begin` again.")
        note = self._signer.sign()
        if not (is_signed_by(note, before) and is_signed_by(note, now)):
            raise KeyFileError("the last checkpoint is not signed by both keys; try again")
        publish(vkey_file(self._key_file), now, before)
        try:
            next_file(self._key_file).replace(self._key_file)
            sync_folder(self._key_file.parent)
        except OSError as error:
            raise KeyFileError(f"the key {self._key_file} cannot be replaced: {error.strerror}") from None
        return before, now

    def _interrupted(self) -> tuple[str, str] | None:
        """The keys that were changed, if the log does not say so yet."""
        ring = load_ring(self._origin, self._key_file)
        now = ring.vkeys[0]
        for before in ring.vkeys[1:]:
            if self._is_told(BEGUN, before, now) and not self._is_told(FINISHED, before, now):
                return before, now
        return None

    def _is_told(self, type_: str, key: str, next_key: str) -> bool:
        with self._database.read() as connection:
            newest = entries.newest(connection, Filter(type=type_), None, 1)
        detail = newest[0].fields.get("detail") if newest else None
        return isinstance(detail, dict) and (detail.get("key"), detail.get("next_key")) == (_id(key), _id(next_key))

    def _tell(self, type_: str, key: str, next_key: str) -> None:
        """Under the tree that the old key signs, the log so vouches for the next public key, whole."""
        detail = {"key": _id(key), "next_key": _id(next_key), "next_vkey": next_key}
        self._journal.append(Draft(type=type_, actor="operator", detail=detail))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two operators at once would trip over one another."""
        path = self._key_file.with_name(f"{self._key_file.name}.rotation.lock")
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise KeyFileError(f"{path} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _id(vkey: str) -> str:
    return parse_vkey(vkey).key_id.hex()

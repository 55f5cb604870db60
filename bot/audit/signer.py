"""The one signer of checkpoints.

It trusts only its own memory: the last (size, frontier) that it signed, kept in a state file that should lie where the
database's owner cannot write. From there it extends its tree with the entries' own bytes, so it never signs two
different trees of one size, whatever the database says. It forgets everything if the state file is deleted: it then
starts again from the first entry, and only checkpoints kept elsewhere can tell.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.audit.checkpoint import Checkpoint, CheckpointError, make_vkey, parse_and_verify, sign
from bot.audit.merkle import Frontier, leaf_hash
from bot.errors import LogError

ReadBodies = Callable[[int, int], Iterable[bytes]]

LOCK_RETRY_SECONDS = 0.05
MAX_STATE_BYTES = 131_072


class SignerRefused(LogError):
    """Signing would contradict what was signed before, or cannot be done safely; the message says why."""


class SignerBusy(LogError):
    """Another process holds the signer's lock."""


@dataclass(frozen=True)
class SignerState:
    """What was signed last: the tree, the hash of its last leaf, and the note that was handed out."""

    frontier: Frontier = field(default_factory=Frontier)
    last_leaf: bytes = b""
    note: str = ""


class Signer:
    """Signs how the log stands.

    read_leaves(start, stop) yields the stored *bodies* of the entries start, …, stop - 1, counted from 0.
    """

    def __init__(self, origin: str, key: Ed25519PrivateKey, state_file: Path, read_leaves: ReadBodies) -> None:
        self._origin = origin
        self._key = key
        self._vkey = make_vkey(origin, key.public_key())
        self._state_file = state_file
        self._read_leaves = read_leaves

    def sign_up_to(self, size: int, *, wait_seconds: float = 0) -> str:
        """A note over the first `size` entries, durable in the state file before it is returned.

        The same size again gives the same note. Raises `SignerBusy` if another still signs after `wait_seconds`, and
        `SignerRefused` if the log has become shorter than what was signed or does not continue it.
        """
        with self._locked(wait_seconds):
            state = self._load()
            if size < state.frontier.size:
                raise SignerRefused(
                    f"the log has {size} entries, but {state.frontier.size} were signed before: entries are missing"
                )
            frontier, last_leaf = self._extended(state, size)
            if state.note and size == state.frontier.size:
                return state.note
            note = sign(Checkpoint(self._origin, size, frontier.root()), self._origin, self._key)
            self._save(SignerState(frontier, last_leaf, note))
            return note

    def _extended(self, state: SignerState, size: int) -> tuple[Frontier, bytes]:
        """The tree of this size over the one signed before, and the hash of its last leaf."""
        start = max(state.frontier.size - 1, 0)
        leaves = _Leaves(self._read_leaves(start, size))
        if state.frontier.size and next(leaves, None) != state.last_leaf:
            raise SignerRefused(f"entry {start} is not the one that was signed before: the log was rewritten")
        frontier = state.frontier.extend(leaves)
        if frontier.size != size:
            raise SignerRefused(f"the log gave {frontier.size} entries where {size} were expected")
        return frontier, leaves.last

    @contextmanager
    def _locked(self, wait_seconds: float) -> Iterator[None]:
        """Exclusive across processes and threads. The lock is a file beside the state, which itself gets replaced."""
        deadline = time.monotonic() + wait_seconds
        try:
            self._state_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._beside(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SignerRefused(f"the signer's state {self._state_file} cannot be locked: {error.strerror}") from None
        try:
            while not _try_lock(lock):
                if time.monotonic() >= deadline:
                    raise SignerBusy(f"another process is signing with {self._state_file}")
                time.sleep(LOCK_RETRY_SECONDS)
            yield
        finally:
            os.close(lock)

    def _load(self) -> SignerState:
        """The state, checked against its own signed note; a fresh one if there is no file yet."""
        try:
            with self._state_file.open("rb") as file:
                return self._parse(file.read(MAX_STATE_BYTES))
        except FileNotFoundError:
            return SignerState()
        except OSError as error:
            raise SignerRefused(f"the signer's state {self._state_file} cannot be read: {error.strerror}") from None

    def _parse(self, content: bytes) -> SignerState:
        try:
            fields = json.loads(content)
            frontier = Frontier.from_bytes(fields["size"], bytes.fromhex(fields["frontier"]))
            state = SignerState(frontier, bytes.fromhex(fields["last_leaf"]), str(fields["note"]))
        except (ValueError, KeyError, TypeError):
            raise SignerRefused(f"the signer's state {self._state_file} is damaged; restore it from a copy") from None
        try:
            signed = parse_and_verify(state.note, self._vkey)
        except CheckpointError as error:
            raise SignerRefused(f"the signer's state {self._state_file} is not of this log and key: {error}") from None
        if (signed.size, signed.root) != (frontier.size, frontier.root()):
            raise SignerRefused(f"the signer's state {self._state_file} and its own checkpoint differ")
        return state

    def _save(self, state: SignerState) -> None:
        """Atomic and durable: whoever dies at any point leaves the old state or the new one, whole."""
        fields = {
            "size": state.frontier.size,
            "frontier": state.frontier.to_bytes().hex(),
            "last_leaf": state.last_leaf.hex(),
            "note": state.note,
        }
        try:
            _replace(self._state_file, self._beside(".new"), json.dumps(fields).encode())
        except OSError as error:
            raise SignerRefused(f"the signer's state {self._state_file} cannot be kept: {error.strerror}") from None

    def _beside(self, ending: str) -> Path:
        return self._state_file.with_name(self._state_file.name + ending)


class _Leaves(Iterator[bytes]):
    """Leaf hashes of bodies; remembers the last one."""

    def __init__(self, bodies: Iterable[bytes]) -> None:
        self._bodies = iter(bodies)
        self.last = b""

    def __next__(self) -> bytes:
        self.last = leaf_hash(next(self._bodies))
        return self.last


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _replace(path: Path, new: Path, content: bytes) -> None:
    """Write beside, sync, rename, sync the folder. What a dead process left at `new` is overwritten."""
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

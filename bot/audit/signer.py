"""The one signer of checkpoints.

It trusts only its own memory: the last (size, frontier) that it signed, kept in a state file that should lie where the
database's owner cannot write. From there it extends its tree with the entries' own bytes, so it never signs two
different trees of one size, whatever the database says. It forgets everything if the state file is deleted: it then
starts again from the first entry, and only checkpoints kept elsewhere can tell.

While keys are rotated, every note has two signatures over one text: of the current key and of the next.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.audit.checkpoint import Checkpoint, CheckpointError, is_signed_by, make_vkey, parse_and_verify, sign
from bot.audit.files import replace_file, sync_folder
from bot.audit.merkle import Frontier, leaf_hash
from bot.errors import LogError

ReadBodies = Callable[[int, int], Iterable[bytes]]

LOCK_RETRY_SECONDS = 0.05
MAX_STATE_BYTES = 131_072


class SignerRefused(LogError):
    """Signing would contradict what was signed before, or cannot be done safely; the message says why."""


class LogDoesNotExtend(SignerRefused):
    """The log lost, changed or moved something that was signed: the database was altered behind the bot's back."""


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

    read_leaves(start, stop) yields the stored *bodies* of the entries start, …, stop - 1, counted from 0. `next_key`
    signs beside `key` while keys are rotated; `earlier_vkeys` are of keys that may have signed the state.
    """

    def __init__(
        self,
        origin: str,
        key: Ed25519PrivateKey,
        state_file: Path,
        read_leaves: ReadBodies,
        *,
        next_key: Ed25519PrivateKey | None = None,
        earlier_vkeys: Sequence[str] = (),
    ) -> None:
        self._origin = origin
        self._keys = (key, next_key) if next_key else (key,)
        self._vkeys = tuple(make_vkey(origin, one.public_key()) for one in self._keys)
        self._known = "\n".join(dict.fromkeys((*self._vkeys, *earlier_vkeys)))
        self._state_file = state_file
        self._read_leaves = read_leaves

    def sign_up_to(self, size: int, *, wait_seconds: float = 0) -> str:
        """A note over the first `size` entries, durable in the state file before it is returned.

        The same size and keys again give the same note. Raises `SignerBusy` if another still signs after
        `wait_seconds`, `LogDoesNotExtend` if the log has become shorter than what was signed or does not continue it,
        `SignerRefused` for anything else.
        """
        with self._locked(wait_seconds):
            return self._sign(size, None)

    def sign_head(self, read_head: Callable[[], Frontier], *, wait_seconds: float = 0) -> str:
        """The same up to the head of the log, which is read when it is our turn. A head whose tree is not the one that
        our own grows to is not signed.
        """
        with self._locked(wait_seconds):
            head = read_head()
            return self._sign(head.size, head)

    def _sign(self, size: int, head: Frontier | None) -> str:
        state = self._load()
        if size < state.frontier.size:
            raise LogDoesNotExtend(
                f"the log has {size} entries, but {state.frontier.size} were signed before: entries are missing"
            )
        frontier, last_leaf = self._extended(state, size)
        if head is not None and head != frontier:
            raise LogDoesNotExtend(f"the head's tree of {size} entries is not what the signed one grows to")
        if state.note and size == state.frontier.size and self._is_by_all(state.note):
            self._sync()
            return state.note
        note = sign(Checkpoint(self._origin, size, frontier.root()), self._origin, *self._keys)
        self._save(SignerState(frontier, last_leaf, note))
        return note

    def last(self) -> SignerState:
        """What was signed last. Raises `SignerRefused` if it cannot be read."""
        return self._load()

    def _is_by_all(self, note: str) -> bool:
        return all(is_signed_by(note, vkey) for vkey in self._vkeys)

    def _extended(self, state: SignerState, size: int) -> tuple[Frontier, bytes]:
        """The tree of this size over the one signed before, and the hash of its last leaf."""
        start = max(state.frontier.size - 1, 0)
        leaves = _Leaves(self._read_leaves(start, size))
        if state.frontier.size and next(leaves, None) != state.last_leaf:
            raise LogDoesNotExtend(f"entry {start} is not the one that was signed before: the log was rewritten")
        frontier = state.frontier.extend(leaves)
        if frontier.size != size:
            raise LogDoesNotExtend(f"the log gave {frontier.size} entries where {size} were expected")
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
            while not self._try_lock(lock):
                if time.monotonic() >= deadline:
                    raise SignerBusy(f"another process is signing with {self._state_file}")
                time.sleep(LOCK_RETRY_SECONDS)
            yield
        finally:
            with suppress(OSError):  # released all the same
                os.close(lock)

    def _try_lock(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise SignerRefused(f"the signer's state {self._state_file} cannot be locked: {error.strerror}") from None
        return True

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
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SignerRefused(f"the signer's state {self._state_file} is damaged; restore it from a copy") from None
        try:
            signed = parse_and_verify(state.note, self._known)
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
            replace_file(self._state_file, json.dumps(fields).encode())
        except OSError as error:
            raise SignerRefused(f"the signer's state {self._state_file} cannot be kept: {error.strerror}") from None

    def _sync(self) -> None:
        """Whoever put this state there may have died, or failed, before it was sure to outlast a power cut."""
        try:
            sync_folder(self._state_file.parent)
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

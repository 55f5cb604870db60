"""The keys of one log: the one that signs, the next one while keys are rotated, and the public keys of all there were.

Private keys lie in FILE and FILE.next (0600). FILE.vkey is for everyone to read, and is what an export holds as
`log.vkey`: one verifier key a line, the current one first. A key that was replaced stays in it, because what it signed
is still to be verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.audit.checkpoint import CheckpointError, parse_vkey
from bot.audit.files import replace_file
from bot.audit.keys import KeyFileError, load_signing_key, public_vkey

MAX_VKEYS_BYTES = 65_536


@dataclass(frozen=True)
class KeyRing:
    """`vkeys` has the public key of `current`, then of `next` if there is one, then those published before."""

    current: Ed25519PrivateKey
    next: Ed25519PrivateKey | None
    vkeys: tuple[str, ...]

    @property
    def text(self) -> str:
        """As published, without the last newline."""
        return "\n".join(self.vkeys)


def next_file(key_file: Path) -> Path:
    return key_file.with_name(f"{key_file.name}.next")


def vkey_file(key_file: Path) -> Path:
    return key_file.with_name(f"{key_file.name}.vkey")


def load_ring(origin: str, key_file: Path) -> KeyRing:
    """Raises `KeyFileError` if a file that must be there cannot be used."""
    current = load_signing_key(key_file)
    coming = load_signing_key(next_file(key_file)) if next_file(key_file).exists() else None
    own = [public_vkey(origin, key) for key in (current, coming) if key is not None]
    return KeyRing(current, coming, tuple(dict.fromkeys((*own, *read_vkeys(vkey_file(key_file))))))


def read_vkeys(path: Path) -> tuple[str, ...]:
    """The verifier keys in this file, none if there is no such file. `KeyFileError` if it cannot be used."""
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_VKEYS_BYTES).decode().splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError):
        raise KeyFileError(f"the public keys {path} cannot be read") from None
    vkeys = tuple(line for line in lines if line)
    try:
        for vkey in vkeys:
            parse_vkey(vkey)
    except CheckpointError as error:
        raise KeyFileError(f"the public keys {path} are damaged: {error}") from None
    return vkeys


def publish(path: Path, *first: str) -> None:
    """Put these verifier keys first, keep the others that the file holds, and let everyone read it."""
    vkeys = dict.fromkeys((*first, *read_vkeys(path)))
    try:
        replace_file(path, "".join(f"{vkey}\n" for vkey in vkeys).encode(), mode=0o644)
    except OSError as error:
        raise KeyFileError(f"the public keys {path} cannot be written: {error.strerror}") from None

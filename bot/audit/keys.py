"""The log's signing key: one Ed25519 key in a file that only its owner may read.

Only the signer (worker and commands) reads it. The web process never does, so that whoever takes over a page cannot
sign.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from uuid import uuid4

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from bot.audit.checkpoint import make_vkey
from bot.audit.files import sync, sync_folder
from bot.errors import LogError

MAX_KEY_FILE_BYTES = 16_384


class KeyFileError(LogError):
    """The signing key cannot be made or used; the message names the file and what to do."""


def create_signing_key(path: Path) -> Ed25519PrivateKey:
    """A new key in PKCS8 PEM at `path`, mode 0600; a missing folder is made with 0700. Never overwrites.

    The file is written beside and then linked: it exists whole or not at all, and of two that try at once one fails.
    """
    key = Ed25519PrivateKey.generate()
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(draft, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        try:
            os.link(draft, path)
        finally:
            draft.unlink()
        sync_folder(path.parent)
    except FileExistsError:
        raise KeyFileError(f"{path} exists already; a signing key is never overwritten") from None
    except OSError as error:
        raise KeyFileError(f"the signing key {path} cannot be made: {error.strerror}") from None
    return key


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """The key in this file. `KeyFileError` if it is missing, open to others than its owner, or no Ed25519 key."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pem = file.read(MAX_KEY_FILE_BYTES)
    except FileNotFoundError:
        raise KeyFileError(f"there is no signing key at {path}; the command init-db makes one") from None
    except OSError as error:
        raise KeyFileError(f"the signing key {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(
            f"the signing key {path} is open to other users (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}"
        )
    return _parse(path, pem)


def public_vkey(origin: str, key: Ed25519PrivateKey) -> str:
    """The verifier key to hand to auditors, in one line."""
    return make_vkey(origin, key.public_key())


def _parse(path: Path, pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} holds no private key in PEM form without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a key that is not Ed25519")
    return key


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        sync(file)

"""What every export has, whole or in part: the signed checkpoint, its keys, the verifier, a text to read first."""

from __future__ import annotations

import os
from pathlib import Path

from bot.audit import verifier
from bot.audit.checkpoint import CheckpointError, parse_and_verify
from bot.audit.verify import CHECKPOINT, VKEY
from bot.errors import LogError

VERIFIER = "verify.py"
README = "README.txt"
TOKEN = "checkpoint.tsr"  # noqa: S105 - a time-stamp token, RFC 3161

HOW = """\
To check it: python -I verify.py --vkey FILE, where FILE holds the log's public key, got another way than in this
folder. With -I Python imports nothing that lies here. It needs Python and the package `cryptography`. Read verify.py
first, or get it another way too: it is short.
"""


class ExportError(LogError):
    """The export was not written, or not to its end. The message says why."""


def signed_size(checkpoint_note: str, vkeys: str) -> int:
    """The size in a checkpoint that one of these keys (one a line) signed. Raises `CheckpointError`."""
    return parse_and_verify(checkpoint_note, signers(checkpoint_note, vkeys)[0]).size


def signers(checkpoint_note: str, vkeys: str) -> list[str]:
    """Those of the keys that signed. Raises `CheckpointError` if none did."""
    signed: list[str] = []
    refusal = CheckpointError("there is no public key to check the checkpoint with")
    for vkey in vkeys.split():
        try:
            parse_and_verify(checkpoint_note, vkey)
            signed.append(vkey)
        except CheckpointError as error:
            refusal = error
    if not signed:
        raise refusal
    return signed


def write_frame(folder: Path, checkpoint_note: str, vkeys: str, what: str) -> None:
    """Everything of an export but its entries. `what` is said first in its README. Only keys that signed are put in."""
    write(folder / CHECKPOINT, checkpoint_note.encode())
    write(folder / VKEY, "".join(f"{vkey}\n" for vkey in signers(checkpoint_note, vkeys)).encode())
    write(folder / VERIFIER, Path(verifier.__file__).read_bytes())
    write(folder / README, f"{what}\n{HOW}".encode())


def refuse_taken(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is not an empty folder; an export never overwrites anything")


def write(path: Path, content: bytes) -> None:
    """Durable when it returns."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

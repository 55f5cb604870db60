"""What every export has, whole or in part: the signed checkpoint, its keys, the verifier, a text to read first."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.audit import verifier
from bot.audit.checkpoint import CheckpointError, parse_and_verify
from bot.audit.files import sync, sync_folder
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


def refuse_taken(folder: Path, what: str = "export", refusal: type[LogError] = ExportError) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise refusal(f"{folder} is not an empty folder; an {what} never overwrites anything")


@contextmanager
def drafted(folder: Path, what: str = "export", refusal: type[LogError] = ExportError) -> Iterator[Path]:
    """A folder beside this one, which becomes it with the end of the block: it appears whole or not at all.

    Raises `refusal` if there is something in `folder` already, or if it cannot be written.
    """
    folder = folder.resolve()
    try:
        refuse_taken(folder, what, refusal)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            yield draft
            sync_folder(draft)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_folder(folder.parent)
    except OSError as error:
        raise refusal(f"the {what} cannot be written to {folder}: {error.strerror}") from None


def write(path: Path, content: bytes) -> None:
    """Durable when it returns."""
    with path.open("wb") as file:
        file.write(content)
        sync(file)

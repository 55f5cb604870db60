"""Checkpoints: a signed statement of the log's size and root, as C2SP signed notes. Pure.

Sources: c2sp.org/signed-note and c2sp.org/tlog-checkpoint. The key's name is the log's origin. Everything is parsed
strictly (one spelling for each meaning), so that no changed bit of a note goes unnoticed.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bot.audit.merkle import HASH_BYTES
from bot.errors import LogError

MAX_NOTE_CHARACTERS = 65_536
MAX_SIZE = 2**63 - 1  # what a database column and every other reader can hold
_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
NOT_SIGNED = "the checkpoint is not signed by this key, but by that of another log or person"
_HEX_ID = re.compile(r"[0-9a-f]{8}")


class CheckpointError(LogError, ValueError):
    """The note, its signature or the key is not what it should be; the message says which, in plain words."""


class NotSignedBy(CheckpointError):
    """The note may be good, but the key that was asked for did not sign it."""


@dataclass(frozen=True)
class Checkpoint:
    """The log called `origin` had `size` entries, and this root over them."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        _check_name(self.origin)
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != HASH_BYTES:
            raise CheckpointError("a checkpoint has a size and a root of 32 bytes")

    def note_text(self) -> str:
        """The text that is signed: three lines, each with its newline."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@dataclass(frozen=True)
class VerifierKey:
    """A public key with the name it signs under."""

    name: str
    public_key: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key): a hint which key signed, no proof."""
        digest = sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key.public_bytes_raw())
        return digest.digest()[:_KEY_ID_BYTES]


def sign(checkpoint: Checkpoint, name: str, *private_keys: Ed25519PrivateKey) -> str:
    """The whole signed note, with a signature line for each key. `name` must be the checkpoint's origin."""
    if name != checkpoint.origin:
        raise CheckpointError("a checkpoint is signed under the name of its own log")
    return sign_note(checkpoint.note_text(), name, *private_keys)


def parse_and_verify(note: str, vkeys: str) -> Checkpoint:
    """The checkpoint in a note signed by at least one of these keys, one a line as in `log.vkey`.

    `CheckpointError` says what is wrong otherwise; a signature that claims to be of any of them must verify.
    """
    name, text = _opened_by_any(note, vkeys.split("\n"))
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not _DECIMAL.fullmatch(lines[1]):
        raise CheckpointError("the checkpoint is malformed: its text is origin, size and root, one a line")
    checkpoint = Checkpoint(lines[0], int(lines[1]), _decode_base64(lines[2], "the checkpoint's root"))
    if checkpoint.origin != name:
        raise CheckpointError(f"the checkpoint is of another log: {checkpoint.origin}")
    return checkpoint


def is_signed_by(note: str, vkey: str) -> bool:
    """Whether this one key signed the note. `CheckpointError` if the note or the signature is damaged."""
    try:
        open_note(note, vkey)
    except NotSignedBy:
        return False
    return True


def _opened_by_any(note: str, vkeys: list[str]) -> tuple[str, str]:
    """The name under which the note was signed, and its text."""
    opened: tuple[str, str] | None = None
    for vkey in vkeys:
        try:
            opened = parse_vkey(vkey).name, open_note(note, vkey)
        except NotSignedBy:
            continue
    if opened is None:
        raise NotSignedBy(NOT_SIGNED)
    return opened


def make_vkey(name: str, public_key: Ed25519PublicKey) -> str:
    """The key as one line of text, `name+hex(key id)+base64(0x01 ‖ public key)`, to be handed to whoever verifies."""
    _check_name(name)
    key = VerifierKey(name, public_key)
    return f"{name}+{key.key_id.hex()}+{b64encode(_ED25519 + public_key.public_bytes_raw()).decode()}"


def parse_vkey(vkey: str) -> VerifierKey:
    """What `make_vkey` made. `CheckpointError` if it is malformed or its key id does not fit."""
    parts = vkey.split("+", 2)
    if len(parts) != 3 or not _HEX_ID.fullmatch(parts[1]):
        raise CheckpointError("the verifier key is malformed: it is name+key id+base64")
    _check_name(parts[0])
    raw = _decode_base64(parts[2], "the verifier key")
    if len(raw) != 33 or raw[:1] != _ED25519:
        raise CheckpointError("the verifier key is not an Ed25519 key")
    key = VerifierKey(parts[0], Ed25519PublicKey.from_public_bytes(raw[1:]))
    if key.key_id.hex() != parts[1]:
        raise CheckpointError("the verifier key is malformed: its key id does not fit its name and key")
    return key


def sign_note(text: str, name: str, *private_keys: Ed25519PrivateKey) -> str:
    """Any text as a note signed by each of the keys; it must end with a newline."""
    _check_name(name)
    if not text.endswith("\n"):
        raise CheckpointError("the text of a note ends with a newline")
    return "\n".join((text, *(_signature_line(text, name, key) for key in private_keys), ""))


def _signature_line(text: str, name: str, private_key: Ed25519PrivateKey) -> str:
    key_id = VerifierKey(name, private_key.public_key()).key_id
    signature = b64encode(key_id + private_key.sign(text.encode())).decode()
    return f"— {name} {signature}"


def open_note(note: str, vkey: str) -> str:
    """The text of a note that this key signed.

    Signatures of other keys (witnesses) may stand beside it and are ignored; one that claims to be of this key and does
    not verify spoils the note.
    """
    key = parse_vkey(vkey)
    text, lines = _split(note)
    ours = [signature for name, signature in map(_signature, lines) if name == key.name]
    ours = [signature for signature in ours if signature[:_KEY_ID_BYTES] == key.key_id]
    if not ours:
        raise NotSignedBy(NOT_SIGNED)
    for signature in ours:
        try:
            key.public_key.verify(signature[_KEY_ID_BYTES:], text.encode())
        except InvalidSignature:
            raise CheckpointError("the checkpoint's signature is wrong: it or its text was changed") from None
    return text


def _split(note: str) -> tuple[str, list[str]]:
    """The signed text, and its signature lines without their newlines."""
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if len(note) > MAX_NOTE_CHARACTERS or not blank or len(lines) < 2 or lines.pop():
        raise CheckpointError("the checkpoint is malformed: it is a text, a blank line and signature lines")
    if not all(character == "\n" or character.isprintable() for character in note):
        raise CheckpointError("the checkpoint is malformed: it holds control characters")
    return text + "\n", lines


def _signature(line: str) -> tuple[str, bytes]:
    """Name of the key, and key id ‖ signature."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—":
        raise CheckpointError("the checkpoint is malformed: a signature line begins with a dash and a space")
    _check_name(name)
    signature = _decode_base64(encoded, "a signature")
    if len(signature) <= _KEY_ID_BYTES:
        raise CheckpointError("the checkpoint is malformed: a signature is too short")
    return name, signature


def _check_name(name: str) -> None:
    printable = all(character.isprintable() and not character.isspace() for character in name)
    if not name or "+" in name or not printable:
        raise CheckpointError("the name of a log has no spaces, plus signs or control characters, and is not empty")


def _decode_base64(text: str, what: str) -> bytes:
    """Standard base64 with padding. Encoding it again must give the same text: unused bits could hide a change."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raise CheckpointError(f"{what} is not base64") from None
    if b64encode(raw).decode() != text:
        raise CheckpointError(f"{what} is not base64 as it is usually written")
    return raw

"""Check an export of the audit log, sharing no code with the bot: python independent_checker.py FOLDER

Written from RFC 6962 and c2sp.org/signed-note alone, with the definitions as they stand there (the tree is the
recursive one), so that a mistake in the bot's own hashing or verification cannot hide here. Needs Python and
`cryptography`. Exit code 0: the export is what its key signed. 1: it is not, one line of output for each reason.

It uses the key that lies in the folder: compare what is printed with the key you were given another way.
"""

import base64
import binascii
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class BadExportError(Exception):
    """Why the export is refused."""


def mth(entries: list[bytes]) -> bytes:
    """RFC 6962, 2.1: the Merkle Tree Hash of an ordered list."""
    n = len(entries)
    if n == 0:
        return hashlib.sha256().digest()
    if n == 1:
        return hashlib.sha256(bytes([0]) + entries[0]).digest()
    k = 1
    while 2 * k < n:
        k = 2 * k
    return hashlib.sha256(bytes([1]) + mth(entries[:k]) + mth(entries[k:])).digest()


def unbase64(text: str, length: int, what: str) -> bytes:
    """Exactly `length` bytes, in the only spelling that base64 has for them."""
    try:
        data = binascii.a2b_base64(text.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadExportError(f"{what}: not base64") from error
    if base64.standard_b64encode(data).decode() != text or len(data) != length:
        raise BadExportError(f"{what}: not base64 of {length} bytes")
    return data


def read_key(data: bytes) -> tuple[str, bytes, bytes]:
    """(name, key id, public key) of a verifier key file: one line."""
    try:
        line = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadExportError("log.vkey: not text") from error
    if line[-1:] == "\n":
        line = line[:-1]
    name, key_id, encoded = [*line.split("+", 2), "", ""][:3]
    raw = unbase64(encoded, 33, "log.vkey")
    if raw[0] != 1:
        raise BadExportError("log.vkey: not an Ed25519 key")
    digest = hashlib.sha256(name.encode() + bytes([10]) + raw).hexdigest()
    if digest[:8] != key_id:
        raise BadExportError("log.vkey: the key id does not belong to name and key")
    return name, bytes.fromhex(key_id), raw[1:]


def read_checkpoint(data: bytes, name: str, key_id: bytes, public_key: bytes) -> tuple[int, bytes]:
    """(size, root) of the checkpoint, if it is of this log and signed by this key and no other."""
    parts = data.split(b"\n")
    if len(parts) != 6 or parts[3] or parts[5]:
        raise BadExportError("checkpoint: not three lines, a blank one and one signature")
    signed = b"".join(part + b"\n" for part in parts[:3])
    opening = f"\u2014 {name} ".encode()
    if not parts[4].startswith(opening):
        raise BadExportError("checkpoint: not signed under the name of the key")
    signature = unbase64(parts[4][len(opening) :].decode("latin-1"), 68, "checkpoint signature")
    if signature[:4] != key_id:
        raise BadExportError("checkpoint: signed by another key")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature[4:], signed)
    except InvalidSignature as error:
        raise BadExportError("checkpoint: the signature is wrong") from error
    if parts[0] != name.encode():
        raise BadExportError("checkpoint: of another log")
    if not parts[1].isdigit() or str(int(parts[1])).encode() != parts[1]:
        raise BadExportError("checkpoint: the size is not a number")
    return int(parts[1]), unbase64(parts[2].decode("latin-1"), 32, "checkpoint root")


def read_entries(data: bytes) -> list[bytes]:
    """The leaves: what stands between the newlines, each a JSON object."""
    if data and data[-1:] != b"\n":
        raise BadExportError("entries.jsonl: the last line does not end")
    lines = data.split(b"\n")[:-1]
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise BadExportError(f"entries.jsonl: line {number} is not JSON") from error
        if not isinstance(entry, dict):
            raise BadExportError(f"entries.jsonl: line {number} is not an object")
    return lines


def check(folder: pathlib.Path | str) -> list[str]:
    """What is wrong with the export, in words; an empty list if nothing is."""
    folder = pathlib.Path(folder)
    problems = []
    try:
        name, key_id, public_key = read_key((folder / "log.vkey").read_bytes())
        size, root = read_checkpoint((folder / "checkpoint").read_bytes(), name, key_id, public_key)
        lines = read_entries((folder / "entries.jsonl").read_bytes())
        if len(lines) != size:
            problems.append(f"entries.jsonl: {len(lines)} lines, but the checkpoint covers {size}")
        if mth(lines) != root:
            problems.append("the root made from the lines is not the signed one")
    except (BadExportError, OSError) as error:
        problems.append(str(error))
    return problems


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: independent_checker.py FOLDER", file=sys.stderr)
        return 2
    problems = check(arguments[0])
    for problem in problems:
        print(problem)
    if not problems:
        key = (pathlib.Path(arguments[0]) / "log.vkey").read_text(encoding="utf-8").strip()
        print(f"good, if this is the log's key: {key}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

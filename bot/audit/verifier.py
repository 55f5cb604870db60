"""Check an export of the pause log, with nothing of the program that wrote it. Python 3.9 or newer and `cryptography`.

    python -I verify.py [FOLDER] --vkey FILE_OR_LINE [--vkey …] [--old-checkpoint FILE]

-I keeps Python from importing what lies beside this file. FOLDER is where it lies, if not named. --vkey is the log's
key, got another way; of several any counts. --old-checkpoint: one you kept. Exit code: 0 proven, 1 not, 2 wrong usage.

The log is a Merkle tree (RFC 6962). Its leaves are the lines of `entries.jsonl`; its size and root are signed in
`checkpoint` (c2sp.org/tlog-checkpoint). A part of the log has a path from each line to the root in `proofs.jsonl`;
`consistency` shows that an older checkpoint is continued. Everything is read strictly: no changed bit goes unnoticed.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from base64 import b64decode
from collections import namedtuple
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NAME, NUMBER, BASE64, LAST = r"[^\s+\0-\x1f\x7f-\x9f]+", r"0|[1-9][0-9]{0,18}", r"[A-Za-z0-9+/]", r"[AEIMQUYcgkosw048]="
HASH, SIGNATURE = f"{BASE64}{{42}}{LAST}", f"{BASE64}{{90}}{LAST}"  # 32 and 68 bytes; LAST has no unused bit set
KEY = re.compile(rf"({NAME})\+([0-9a-f]{{8}})\+({BASE64}{{44}})")  # NAME has nothing that steers a terminal
NOTE = re.compile(rf"(({NAME})\n({NUMBER})\n({HASH})\n)\n((?:— {NAME} {BASE64}+=*\n)+)")
PROOF = re.compile(rf'{{"index":({NUMBER}),"path":\[((?:"{HASH}"(?:,"{HASH}")*)?)\]}}')
LINK = re.compile(rf"old ({NUMBER})\n((?:{HASH}\n)+)\n(.*)", re.DOTALL)
STAMP = "A time-stamp is there: openssl ts -verify -data {} -in {} -CAfile THE_AUTHORITYS_CERTIFICATES.pem"
# The log `origin` had `size` entries under this root: so say the `signers`, known keys by `name+key id`.
Note = namedtuple("Note", "origin size root signers")


def check(folder: Path, vkeys: Iterable[str] = (), old_note: str | None = None) -> str:
    """What is proven, in words. Trusts `vkeys` (lines), else the enclosed keys. Raises ValueError or OSError."""
    need(not (folder / "UNFINISHED").exists(), "this export is not finished: let its maker run the same command again")
    given, enclosed = read_keys(vkeys), read_keys(read(folder / "log.vkey").removesuffix("\n").split("\n"))
    keys, trusted = {**enclosed, **given}, set(given or enclosed)
    note, is_part = read_note(read(folder / "checkpoint"), keys, trusted), (folder / "proofs.jsonl").exists()
    linked = [note, *(check_link(read(path), note, keys, trusted) for path in folder.glob("consistency"))]
    need(enclosed.keys() <= note.signers, "log.vkey holds a key that did not sign the checkpoint")
    olds = [] if old_note is None else [read_note(old_note, keys, trusted)]
    for old in olds:
        need(old.size <= note.size, f"the log was cut: it had {old.size} entries once, and now {note.size}")
        is_linked = not is_part or old[:3] in [one[:3] for one in linked]
        need(is_linked, "nothing links your older checkpoint to this one: ask for a part --since-checkpoint that one")
    count = check_part(folder, note) if is_part else check_whole(folder, [*linked, *olds])
    what = f"these are all {count} entries of the log {note.origin} as signed"
    what = f"these {count} entries are in the log {note.origin} as signed at {note.size} entries" if is_part else what
    then = "".join(f", which continues the checkpoint of {old.size}" for old in olds or linked[1:])
    limits = ["that they say the truth", "what was logged later", *["that none was left out"] * is_part]
    limits += ["whose key that is: it came with the export (see --vkey)"] * (not given)
    return f"PROVEN: {what} by {', '.join(sorted(note.signers))}{then}. NOT proven: {'; '.join(limits)}."


def check_whole(folder: Path, notes: Iterable[Note]) -> int:
    """Make every hash again from the lines, and compare the root with each note where the tree has its size."""
    count = 0
    stack: list[bytes] = []  # the roots of the full subtrees so far, one for each set bit of `count`, largest first
    with (folder / "entries.jsonl").open("rb") as file:
        entries = lines(file)
        for note in sorted(notes, key=lambda one: one.size):
            for line in islice(entries, note.size - count):
                node, pairs = sha256(b"\0" + line).digest(), count
                while pairs & 1:
                    node, pairs = sha256(b"\1" + stack.pop() + node).digest(), pairs >> 1
                stack.append(node)
                count += 1
            need(count == note.size, f"entries.jsonl ends after {count} entries, but {note.size} were signed")
            root = stack[-1] if stack else sha256(b"").digest()
            for left in stack[-2::-1]:
                root = sha256(b"\1" + left + root).digest()
            need(root == note.root, f"the first {count} entries are not those signed: some were changed or moved")
        need(next(entries, None) is None, f"entries.jsonl goes on after the {count} entries that were signed")
    return count


def check_part(folder: Path, note: Note) -> int:
    """For each line of entries.jsonl a line of proofs.jsonl: its place in the log and its path; in the log's order."""
    count, last = 0, -1
    with (folder / "entries.jsonl").open("rb") as bodies, (folder / "proofs.jsonl").open("rb") as file:
        proofs = lines(file)
        for count, body in enumerate(lines(bodies), 1):
            proof = PROOF.fullmatch(next(proofs, b"").decode("latin-1"))
            index, hashes = need(proof, f"line {count} of proofs.jsonl is missing or malformed").groups()
            index, path = int(index), [b64decode(one) for one in re.findall(HASH, hashes)]
            is_later = last < index < note.size
            ends = climb(index, note.size - 1, sha256(b"\0" + body).digest(), path) if is_later else None
            need(ends and ends[1] == note.root, f"line {count} of entries.jsonl is not proven to be entry {index}")
            last = index
        need(next(proofs, None) is None, "proofs.jsonl has more lines than entries.jsonl")
    return count


def check_link(text: str, note: Note, keys: dict[str, Ed25519PublicKey], trusted: set[str]) -> Note:
    """`old SIZE`, the hashes of a proof a line each, a blank line, the older note: `note` continues it."""
    size, hashes, older = need(LINK.fullmatch(text), "`consistency` is malformed").groups()
    old = read_note(older, keys, trusted)
    path, fn, sn = [b64decode(one) for one in hashes.split()], old.size - 1, note.size - 1
    path = path if old.size & fn else [old.root, *path]
    while fn > 0 and fn & 1:
        fn, sn = fn >> 1, sn >> 1
    is_older = old.origin == note.origin and 0 < int(size) == old.size < note.size
    is_continued = is_older and climb(fn, sn, path[0], path[1:]) == (old.root, note.root)
    need(is_continued, f"the log does not continue its older checkpoint of {old.size}, or the proof was changed")
    return old


def climb(fn: int, sn: int, start: bytes, path: Iterable[bytes]) -> tuple[bytes, bytes] | None:
    """RFC 9162, 2.1.4.2 from step 5 on: (fr, sr); sr alone is r of 2.1.3.2. None if the path's length does not fit."""
    fr = sr = start
    for c in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            fr, sr = sha256(b"\1" + c + fr).digest(), sha256(b"\1" + c + sr).digest()
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\1" + sr + c).digest()
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr) if sn == 0 else None


def read_note(text: str, keys: dict[str, Ed25519PublicKey], trusted: set[str]) -> Note:
    """A signed note. Every signature of a known key must be good; one of a trusted key must be there."""
    found = need(NOTE.fullmatch(text), "a checkpoint is malformed: it is origin, size, root, blank line, signatures")
    signers = set()
    for name, encoded in re.findall(f"— ({NAME}) ({SIGNATURE})\n", found[5]):
        raw = b64decode(encoded)
        key = f"{name}+{raw[:4].hex()}"
        if name == found[2] and key in keys:  # others are of witnesses, or of keys of the log that are not known here
            try:
                keys[key].verify(raw[4:], found[1].encode())
            except InvalidSignature:
                raise ValueError(f"the signature of {key} under a checkpoint is wrong") from None
            signers.add(key)
    need(signers & trusted, f"a checkpoint of {found[2]} ({found[3]} entries) is signed by none of the keys given")
    return Note(found[2], int(found[3]), b64decode(found[4]), frozenset(signers))


def read_keys(vkeys: Iterable[str]) -> dict[str, Ed25519PublicKey]:
    """Lines `name+key id+base64(1 ‖ Ed25519 key)`, by `name+key id`. The key id must fit."""
    keys = {}
    for line in vkeys:
        name, key_id, encoded = need(KEY.fullmatch(line), "a public key is malformed: name+key id+base64").groups()
        raw = b64decode(encoded)
        fits = raw[0] == 1 and sha256(f"{name}\n".encode() + raw).hexdigest()[:8] == key_id
        keys[f"{name}+{key_id}"] = Ed25519PublicKey.from_public_bytes(need(fits and raw[1:], f"{line} was changed"))
    return keys


def read(path: Path) -> str:
    return path.read_bytes().decode()


def lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(65_536):
        yield need(line.endswith(b"\n") and line[:-1], "a line is empty, too long or does not end")


def need(what: Any, otherwise: str) -> Any:
    if not what:
        raise ValueError(otherwise)
    return what


def main() -> int:
    parser = argparse.ArgumentParser(description="Check an export of the pause log; see the top of this file.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).absolute().parent)
    parser.add_argument("--vkey", action="append", default=[], metavar="FILE_OR_LINE")
    parser.add_argument("--old-checkpoint", type=Path, metavar="FILE")
    asked = parser.parse_args()
    try:
        vkeys = [line for one in asked.vkey for line in ([one] if KEY.fullmatch(one) else read(Path(one)).split())]
        need(not asked.vkey or read_keys(vkeys), "there is no key in the file named with --vkey")
        old_note = read(asked.old_checkpoint) if asked.old_checkpoint else None
        need(asked.folder.is_dir(), f"{asked.folder} is not a folder")
    except (ValueError, OSError) as error:
        parser.error(str(error))
    try:
        print(check(asked.folder, vkeys, old_note))
    except (ValueError, OSError) as error:
        print(f"NOT PROVEN: {error}.")
        return 1
    if (asked.folder / "checkpoint.tsr").exists():
        print(STAMP.format(*(shlex.quote(str(asked.folder / name)) for name in ("checkpoint", "checkpoint.tsr"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())

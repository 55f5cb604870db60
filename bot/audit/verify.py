"""Verification: every hash made again from the stored bytes, and nothing stored believed.

One pass, O(log n) memory: the tree's frontier runs along and is compared with each signed checkpoint when it has that
checkpoint's size. A changed entry shows at its own leaf hash where one is stored, and at the first checkpoint after it
in any case. Positions count from 0, as in the tree; lines of an export from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from bot.audit import verifier
from bot.audit.checkpoint import MAX_NOTE_CHARACTERS, Checkpoint, CheckpointError, parse_and_verify
from bot.audit.chunks import HashFile, Irregular, hash_file
from bot.audit.entry import MAX_BYTES, is_canonical
from bot.audit.merkle import Frontier, leaf_hash

MAX_PROBLEMS = 100

# The files of an export.
ENTRIES = "entries.jsonl"
CHECKPOINT = "checkpoint"
VKEY = "log.vkey"
PROOFS = "proofs.jsonl"
CONSISTENCY = "consistency"
UNFINISHED = "UNFINISHED"


@dataclass(frozen=True)
class Report:
    """What verification found. `root` is the recomputed one, in hex; at most `MAX_PROBLEMS` problems.

    `archived`: how many of the first entries live in an archive and were not read.
    """

    ok: bool
    size: int
    root: str
    problems: tuple[str, ...]
    checkpoints_checked: int
    archived: int = 0

    def summary(self) -> str:
        """The result in plain words."""
        entries = _count(self.size, "entry", "entries")
        if self.archived:
            entries = f"{entries} ({self.archived} of them live in an archive and were not read)"
        if not self.ok:
            problems = _count(len(self.problems), "problem", "problems")
            return f"The log does NOT verify: {problems} in {entries}. First: {self.problems[0]}."
        if not self.checkpoints_checked:
            return f"The log of {entries} is consistent, but there was no signed checkpoint to compare it with."
        checkpoints = _count(self.checkpoints_checked, "signed checkpoint agrees", "signed checkpoints agree")
        return f"The log verifies: {entries}, {checkpoints}, root {self.root}."


def verify_bodies(bodies: Iterable[bytes], *, checkpoints: Sequence[str], vkey: str, deep: bool = False) -> Report:
    """Check entries, given as stored bytes from the first on, against signed notes.

    `deep` also makes each entry's canonical JSON again (tens of µs an entry).
    """
    check = _Check(deep=deep)
    return check.run(((None, body, None) for body in bodies), None, checkpoints, vkey)


def verify_log(
    rows: Iterable[tuple[int, bytes, bytes]],
    head: Frontier,
    checkpoints: Sequence[str],
    vkey: str,
    deep: bool = False,
    base: Frontier | None = None,
) -> Report:
    """Check the database's log: rows of (position, body, leaf hash) in order, the head's tree, and the signed notes.

    `base`: the tree over the entries before the first row, which live in an archive. It is believed only if a signed
    checkpoint of at least that size agrees; smaller ones cannot be checked without the archive.
    Rows and head must be of one moment (one transaction); the notes may be older, but none newer than the head.
    """
    return _Check(deep=deep).run(rows, head, checkpoints, vkey, base=base or Frontier())


def verify_export(folder: Path, vkey: str | None = None, deep: bool = False, hash_file: HashFile = hash_file) -> Report:
    """Check an export, which must end exactly at its checkpoint.

    With the `vkey` that the auditor got another way, it is proof against anyone without the signing key. Without, the
    key in the folder is used: that finds damage, not a forger who put in a key of their own. Both may be several keys,
    one a line, of which one must have signed. `hash_file` may use several processes: `parallel.with_jobs`.
    """
    if not deep and (good := _as_it_should_be(folder, vkey, hash_file)):
        return good
    check = _Check(deep=deep)
    if (folder / UNFINISHED).exists():
        check.note("this export is not finished: the command that makes it has to be run again")
    note = check.read(folder / CHECKPOINT)
    enclosed = check.read(folder / VKEY).removesuffix("\n")
    if vkey is not None and not share_a_key(enclosed, vkey):
        check.note(f"the key in {VKEY} is not the one to verify with")
    if problem := _link_problem(folder, note, vkey or enclosed):
        check.note(problem)
    if problem := _others_problem(note, enclosed, vkey):
        check.note(problem)
    try:
        with (folder / ENTRIES).open("rb") as file:
            rows = ((None, line, None) for line in check.lines(file))
            return check.run(rows, None, [note] if note else [], vkey or enclosed, ends_at_checkpoint=True)
    except OSError as error:
        check.note(f"{ENTRIES} cannot be read: {error.strerror}")
        return check.run((), None, [], vkey or enclosed)


def _as_it_should_be(folder: Path, vkey: str | None, hash_file: HashFile) -> Report | None:
    """The quick way for an export without fault; what is wrong with another one, the check line by line says."""
    check = _Check(deep=False)
    note, enclosed = check.read(folder / CHECKPOINT), check.read(folder / VKEY).removesuffix("\n")
    if (folder / UNFINISHED).exists() or (vkey is not None and not share_a_key(enclosed, vkey)):
        return None
    try:
        signed = parse_and_verify(note, vkey or enclosed)
        frontier = hash_file(folder / ENTRIES)
    except (CheckpointError, Irregular, OSError):
        return None
    is_linked = not (_link_problem(folder, note, vkey or enclosed) or _others_problem(note, enclosed, vkey))
    if (frontier.size, frontier.root()) != (signed.size, signed.root) or not is_linked:
        return None
    return Report(ok=True, size=frontier.size, root=frontier.root().hex(), problems=(), checkpoints_checked=1)


def _link_problem(folder: Path, note: str, vkeys: str) -> str | None:
    """What is wrong with the proof that an older checkpoint is continued, where there is one."""
    if not (folder / CONSISTENCY).exists():
        return None
    try:
        keys = verifier.read_keys(vkeys.split("\n"))
        newer = verifier.read_note(note, keys, set(keys))
        verifier.check_link(verifier.read(folder / CONSISTENCY), newer, keys, set(keys))
    except (ValueError, OSError) as error:
        return f"{CONSISTENCY} does not hold: {error}"
    return None


def _others_problem(note: str, enclosed: str, vkey: str | None) -> str | None:
    """While keys are changed, the key to verify with is one of two: what is wrong with the other, or its signature."""
    if vkey is None or not share_a_key(enclosed, vkey):
        return None
    try:
        keys = verifier.read_keys(enclosed.split("\n"))
        if keys.keys() <= verifier.read_note(note, keys, set(keys)).signers:
            return None
    except ValueError:
        pass
    return f"{VKEY} holds a key that did not sign the checkpoint"


def share_a_key(some: str, others: str) -> bool:
    return not set(some.split("\n")).isdisjoint(others.split("\n"))


_Rows = Iterable[tuple[int | None, bytes, bytes | None]]
_NOTHING = Frontier()


class _Check:
    """One verification under way: gathers problems instead of stopping at the first."""

    def __init__(self, *, deep: bool) -> None:
        self._deep = deep
        self._problems: list[str] = []

    def note(self, problem: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)

    def run(
        self,
        rows: _Rows,
        head: Frontier | None,
        notes: Sequence[str],
        vkey: str,
        ends_at_checkpoint: bool = False,
        base: Frontier = _NOTHING,
    ) -> Report:
        signed = [one for one in self._checkpoints(notes, vkey) if one.size >= base.size]
        leaves = self._leaves(rows, base.size)
        frontier, checked = base, 0
        for checkpoint in signed:
            frontier = frontier.extend(islice(leaves, checkpoint.size - frontier.size))
            if frontier.size < checkpoint.size:
                self.note(f"the log ends at {frontier.size} but a signed checkpoint covers {checkpoint.size}")
            elif frontier.root() != checkpoint.root:
                self.note(f"the root at checkpoint size {checkpoint.size} differs from the signed one")
            else:
                checked += 1
        frontier = frontier.extend(leaves)
        if ends_at_checkpoint and signed and frontier.size > signed[-1].size:
            self.note(f"there are {frontier.size} entries, but the checkpoint covers {signed[-1].size}")
        if head is not None:
            self._compare_head(frontier, head)
        if base.size and not checked:
            self.note(f"the log begins at entry {base.size}, and no signed checkpoint confirms what was before it")
        problems = tuple(self._problems)
        return Report(not problems, frontier.size, frontier.root().hex(), problems, checked, base.size)

    def read(self, path: Path) -> str:
        """A small text file of the export; empty, with a problem noted, if it cannot be read."""
        try:
            with path.open("rb") as file:
                content = file.read(MAX_NOTE_CHARACTERS + 1)
            if content:
                return content.decode()
            self.note(f"{path.name} is empty")
        except OSError as error:
            self.note(f"{path.name} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self.note(f"{path.name} is not text")
        return ""

    def lines(self, file: BinaryIO) -> Iterator[bytes]:
        """The lines without their newlines. A line that is too long comes in pieces, so memory stays bounded."""
        number = 0
        while line := file.readline(MAX_BYTES + 1):
            number += 1
            if not line.endswith(b"\n"):
                self.note(f"line {number} of {ENTRIES} is longer than {MAX_BYTES} bytes or has no newline at its end")
            yield line.removesuffix(b"\n")

    def _checkpoints(self, notes: Sequence[str], vkey: str) -> list[Checkpoint]:
        """The notes that this key signed, by size."""
        signed = []
        for note in notes:
            try:
                signed.append(parse_and_verify(note, vkey))
            except CheckpointError as error:
                self.note(str(error))
        return sorted(signed, key=lambda checkpoint: checkpoint.size)

    def _leaves(self, rows: _Rows, first: int = 0) -> Iterator[bytes]:
        """Leaf hashes, made from the bytes; what is stored beside them is only compared."""
        expected = first
        for at, (position, body, stored) in enumerate(rows, first):
            if position is not None and position != expected:
                self._note_gap(expected, position)
            expected = (at if position is None else position) + 1
            leaf = leaf_hash(body)
            if stored is not None and stored != leaf:
                self.note(f"the stored leaf hash differs from the entry's own at {position}")
            self._look_at(body, expected - 1)
            yield leaf

    def _note_gap(self, expected: int, found: int) -> None:
        if found == expected + 1:
            self.note(f"entry {expected} is missing")
        elif found > expected:
            self.note(f"the entries {expected} to {found - 1} are missing")
        else:
            self.note(f"entry {found} stands where entry {expected} belongs")

    def _look_at(self, body: bytes, position: int) -> None:
        if not (body.startswith(b"{") and body.endswith(b"}")) or b"\n" in body or len(body) > MAX_BYTES:
            self.note(f"entry {position} is not one line with a JSON object of at most {MAX_BYTES} bytes")
        elif self._deep and not is_canonical(body):
            self.note(f"entry {position} is not canonical JSON")

    def _compare_head(self, frontier: Frontier, head: Frontier) -> None:
        if head.size != frontier.size:
            self.note(f"the head says {head.size} entries, but there are {frontier.size}")
        elif head != frontier:
            self.note(f"the head's root at size {head.size} differs from the one recomputed")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"

"""The log checked against what anchors keep: notes in a file, or a folder of notes and their time-stamp tokens.

What lies elsewhere cannot be changed by the database's owner. Each anchored size must be on the log's history, with the
root that was signed then; one that is larger than the log tells that its tail was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

from bot.audit.anchors.timestamp import imprint
from bot.audit.checkpoint import Checkpoint, CheckpointError, parse_and_verify
from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.verify import MAX_PROBLEMS, Report
from bot.errors import UsageError
from bot.storage.anchors import Anchored

SOURCE_BYTES_MAX = 1_000_000_000
FILE_BYTES_MAX = 1_000_000
SHOWN_MAX = 100
_NOTE = re.compile(r"[^\n]+\n[0-9]+\n[^\n]+\n\n(?:— \S+ [A-Za-z0-9+/]{91}=\n)+")


@dataclass(frozen=True)
class Anchors:
    """Checkpoints by the place where each stands, and what is wrong with the sources themselves."""

    checkpoints: tuple[tuple[str, Checkpoint], ...]
    problems: tuple[str, ...]
    left_out: int
    """Pieces that are no whole notes, such as a crash leaves at the end of a file."""

    @property
    def size(self) -> int:
        """How many entries are needed to compare with all of them."""
        return max((checkpoint.size for _, checkpoint in self.checkpoints), default=0)

    def within(self, first: int, last: int | None) -> Anchors:
        """Only the checkpoints of these sizes."""
        chosen = (one for one in self.checkpoints if first <= one[1].size and (last is None or one[1].size <= last))
        return replace(self, checkpoints=tuple(chosen))


def read_sources(sources: Iterable[Path], vkeys: str) -> Anchors:
    """Raises `UsageError` if a source is not there or holds no note at all."""
    found: list[tuple[str, Checkpoint]] = []
    problems: list[str] = []
    left_out = 0
    for source in sources:
        count = 0
        for name, text in _texts(source):
            notes, rest = split_notes(text)
            count, left_out = count + len(notes), left_out + rest
            for number, note in enumerate(notes, 1):
                place = name if len(notes) == 1 else f"{name} (number {number})"
                try:
                    found.append((place, parse_and_verify(note, vkeys)))
                except CheckpointError as error:
                    problems.append(f"the anchored note in {place} does not count: {error}")
        if not count:
            raise UsageError(f"There is no signed checkpoint in {source}.")
        problems.extend(_token_problems(source))
    return Anchors(tuple(sorted(found, key=lambda one: one[1].size)), tuple(problems[:SHOWN_MAX]), left_out)


def compare(
    bodies: Iterable[bytes], anchors: Anchors, cut: str = "its tail was cut", base: Frontier | None = None
) -> list[str]:
    """What is wrong, one sentence each; one pass over the entries, in O(log n) memory. `cut` says what it means that
    an anchored checkpoint is larger. `base` is the tree over what comes before `bodies` and lives in an archive: what
    was anchored within it can be compared only with the archive.
    """
    leaves = map(leaf_hash, bodies)
    frontier = base or Frontier()
    problems = []
    for place, checkpoint in anchors.checkpoints:
        if base is not None and checkpoint.size < base.size:
            continue
        frontier = frontier.extend(islice(leaves, checkpoint.size - frontier.size))
        if frontier.size < checkpoint.size:
            problems.append(
                f"the log ends after {frontier.size} entries, but the checkpoint in {place} covers {checkpoint.size}: "
                f"{cut}"
            )
        elif frontier.root() != checkpoint.root:
            problems.append(
                f"the first {checkpoint.size} entries are not those that the checkpoint in {place} covers: "
                "at least one was changed, moved, put in or taken out"
            )
    return problems[:SHOWN_MAX]


def with_anchors(
    report: Report,
    bodies: Iterable[bytes],
    anchors: Anchors,
    cut: str = "its tail was cut",
    base: Frontier | None = None,
) -> Report:
    """The report with what the anchors tell, first."""
    problems = (*compare(bodies, anchors, cut, base), *anchors.problems, *report.problems)[:MAX_PROBLEMS]
    return replace(report, ok=not problems, problems=problems)


def write_pairs(folder: Path, kept: Iterable[Anchored]) -> list[str]:
    """A `.note` and a `.tsr` file for each, of the same name; the names. What is there already is written anew."""
    names = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in kept:
            name = f"{one.size:012}-{sha256(one.anchor.encode()).hexdigest()[:8]}"
            (folder / f"{name}.note").write_bytes(one.note.encode())
            (folder / f"{name}.tsr").write_bytes(one.receipt or b"")
            names.append(name)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}.") from None
    return names


def split_notes(text: str) -> tuple[list[str], int]:
    """The whole notes in a text, whatever stands between them, and how many pieces beside them are none."""
    notes = [found[0] for found in _NOTE.finditer(text)]
    return notes, sum(bool(rest.strip()) for rest in _NOTE.split(text))


def _texts(source: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of a file, or of the `.note` files in a folder."""
    for path in sorted(source.glob("*.note")) if source.is_dir() else [source]:
        yield path.name, _raw(path, SOURCE_BYTES_MAX).decode("utf-8", "replace")


def _token_problems(source: Path) -> Iterator[str]:
    """A token beside a note must be over this note. Who signed it, `openssl ts -verify` tells."""
    for token in sorted(source.glob("*.tsr")) if source.is_dir() else ():
        note = token.with_suffix(".note")
        try:
            stamped = imprint(_raw(token, FILE_BYTES_MAX))
        except ValueError:
            yield f"the time stamp {token.name} cannot be read"
            continue
        if not note.exists():
            yield f"there is no note to the time stamp {token.name}"
        elif stamped != sha256(_raw(note, FILE_BYTES_MAX)).digest():
            yield f"the time stamp {token.name} is not of the note beside it"


def _raw(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > bytes_max:
        raise UsageError(f"{path} has more than {bytes_max:,} bytes: split it, and name each piece.")
    return content

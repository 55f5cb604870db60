"""An export for people: its entries as a CSV with a sentence each, beside the lines that are proven."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bot.audit.entry import decode
from bot.audit.verify import ENTRIES, PROOFS
from bot.review.sentences import sentence
from bot.review.table import COLUMNS, cell, csv_of
from bot.storage.entries import Entry

TABLE = "entries.csv"


def write_table(folder: Path) -> None:
    """Write `entries.csv` from the folder's own lines, in constant memory. It proves nothing itself."""
    first, *others = COLUMNS
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        file.write(csv_of([[first, "sentence", *others]]))
        for entry in entries_in(folder):
            words = [str(entry.position), cell(sentence(entry.fields))]
            file.write(csv_of([[*words, *(cell(entry.fields.get(name)) for name in others)]]))


def entries_in(folder: Path) -> Iterator[Entry]:
    """The entries of an export, whole or in part. One that cannot be read any more is named so."""
    with (folder / ENTRIES).open("rb") as file:
        for position, line in zip(_positions(folder), file, strict=False):
            try:
                yield Entry(position, decode(line))
            except (ValueError, RecursionError):
                yield Entry(position, {"type": "entry.unreadable"})


def _positions(folder: Path) -> Iterator[int]:
    if not (folder / PROOFS).exists():
        yield from count()
    with (folder / PROOFS).open("rb") as file:
        for line in file:
            yield json.loads(line)["index"]

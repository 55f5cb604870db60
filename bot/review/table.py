"""The filtered log as CSV, for a spreadsheet: streamed, and harmless when opened there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize

from bot.storage import entries
from bot.storage.engine import Database
from bot.storage.entries import Entry, Filter

ROWS_MAX = 200_000
FETCH_ROWS = 1_000
COLUMNS = (
    "position", "at", "type", "actor", "source", "origin", "call", "recording",
    "outcome", "reason", "before", "after", "detail",
)  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def lines(database: Database, wanted: Filter, size: int, rows_max: int = ROWS_MAX) -> Iterator[str]:
    """The CSV in pieces: of the log's first `size` entries those that are wanted, in order, at most `rows_max`.

    Each piece is read on a connection of its own, so that a slow download keeps none. If it
    is cut, the last line says so.
    """
    yield csv_of([list(COLUMNS)])
    after: int | None = None
    left = rows_max
    while True:
        with database.read() as connection:
            found = entries.oldest(connection, wanted, after, min(FETCH_ROWS, left) + 1)
        page = [entry for entry in found if entry.position < size]
        shown = page[: min(FETCH_ROWS, left)]
        yield csv_of([_row(entry) for entry in shown])
        left -= len(shown)
        if len(page) <= len(shown):
            return
        if not left:
            yield csv_of([[f"CUT: only the first {rows_max} entries are here and there are more; narrow the filter."]])
            return
        after = shown[-1].position


def _row(entry: Entry) -> list[str]:
    fields = entry.fields
    return [str(entry.position), *(cell(fields.get(name)) for name in COLUMNS[1:])]


def cell(value: Any) -> str:
    """Text that no spreadsheet takes for a formula, whether it cuts off space or not (OWASP, "CSV injection")."""
    if value is None:
        return ""
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    )
    plain = normalize("NFKC", text)
    is_formula = plain.startswith(FORMULA_STARTS) or plain.lstrip().startswith(FORMULA_STARTS)
    return f"'{text}" if is_formula else text


def csv_of(rows: list[list[str]]) -> str:
    """Rows as lines of CSV (RFC 4180)."""
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()

"""The database's log checked against itself and its signed checkpoints, for the page and the command line alike.

The head and the checkpoints are read at one moment. The entries below that head never change again, so they are read
piece by piece: a long check keeps no connection, and on SQLite's rollback journal it keeps no writer waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, LargeBinary, Row, cast, func, select, type_coerce

from bot.audit.checkpoint import CheckpointError, parse_vkey
from bot.audit.entry import decode
from bot.audit.merkle import Frontier
from bot.audit.verify import MAX_PROBLEMS, Report, verify_log
from bot.errors import LogError
from bot.storage import checkpoints
from bot.storage.engine import Database
from bot.storage.entries import read_head
from bot.storage.schema import entries, to_micros

FETCH_ROWS = 2_000
VKEY_CHARACTERS_MAX = 1_000
COPIES = ("type", "actor", "source", "call", "outcome")


def read_vkey(path: Path) -> str | None:
    """The log's public key; None if there is no such file. Raises `LogError` if it cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(VKEY_CHARACTERS_MAX).strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise LogError(f"The log's public key {path.name} cannot be read.") from None


def verify_database(database: Database, vkey: str | None) -> Report:
    """Recompute every hash from the stored bytes and compare with the head and all stored checkpoints.

    Without `vkey` only the tree and the head are checked, and no checkpoint counts as checked. What the reviewer's
    filters go by (copies of an entry's fields beside its bytes) is compared with the bytes too.
    """
    try:
        moment = _read_moment(database)
    except _HeadDamaged:
        return Report(
            ok=False,
            size=0,
            root="",
            problems=("the log's head is damaged: its size and hashes do not fit",),
            checkpoints_checked=0,
        )
    problems = list(_outside(moment))
    notes = moment.notes if vkey else ()
    if vkey is not None and (problem := _key_problem(vkey)):
        problems.append(problem)
        notes = ()
    report = verify_log(_rows(database, moment.head.size, problems), moment.head, notes, vkey or "")
    found = (*report.problems, *problems)[:MAX_PROBLEMS]
    return replace(report, ok=not found, problems=found)


class _HeadDamaged(Exception):
    """Its size and its hashes do not fit each other."""


class _Moment(NamedTuple):
    """What belongs together. Positions are None in an empty log."""

    head: Frontier
    notes: tuple[str, ...]
    first: int | None
    last: int | None


def _read_moment(database: Database) -> _Moment:
    with database.snapshot() as connection:
        return _moment(connection)


def _moment(connection: Connection) -> _Moment:
    try:
        head = read_head(connection)
    except (ValueError, TypeError):
        raise _HeadDamaged from None
    first = connection.execute(select(func.min(entries.c.position))).scalar_one()
    last = connection.execute(select(func.max(entries.c.position))).scalar_one()
    return _Moment(head, tuple(checkpoints.notes(connection)), first, last)


def _outside(moment: _Moment) -> Iterator[str]:
    """Entries that the tree does not cover would be seen on pages, but by no check of the tree."""
    if moment.first is not None and moment.first < 0:
        yield f"there is an entry at position {moment.first}, before the first"
    if moment.last is not None and moment.last >= moment.head.size:
        yield f"there is an entry at position {moment.last}, but the head says {moment.head.size} entries"


def _key_problem(vkey: str) -> str | None:
    try:
        parse_vkey(vkey)
    except CheckpointError as error:
        return str(error)
    return None


def _rows(database: Database, size: int, problems: list[str]) -> Iterator[tuple[int, bytes, bytes]]:
    """(position, body, stored leaf hash) up to the head; notes where the columns beside a body say something else."""
    start = 0
    while start < size:
        with database.read() as connection:
            page = _page(connection, start, size)
        for row in page:
            body = bytes(row.body)
            if len(problems) < MAX_PROBLEMS and (problem := _copies_problem(row, body)):
                problems.append(problem)
            yield row.position, body, bytes(row.leaf)
        if len(page) < FETCH_ROWS:
            return
        start = page[-1].position + 1


def _page(connection: Connection, start: int, stop: int) -> list[Row[Any]]:
    """Whoever tampers with SQLite by hand leaves text where bytes belong, or no number for a time: taken as it is."""
    columns = (
        entries.c.position,
        cast(entries.c.body, LargeBinary).label("body"),
        cast(entries.c.leaf, LargeBinary).label("leaf"),
        type_coerce(entries.c.at, BigInteger).label("at"),
        *(entries.c[name] for name in COPIES),
    )
    query = select(*columns).where(entries.c.position >= start, entries.c.position < stop)
    return list(connection.execute(query.order_by(entries.c.position).limit(FETCH_ROWS)).all())


def _copies_problem(row: Row[Any], body: bytes) -> str | None:
    """A filter that goes by a changed copy would hide an entry whose bytes are untouched."""
    try:
        fields = decode(body)
    except (ValueError, RecursionError):
        return f"entry {row.position} cannot be read"
    differing = [name for name in COPIES if fields.get(name) != getattr(row, name)]
    if _micros(fields.get("at")) != row.at:
        differing.append("at")
    return f"beside entry {row.position} stand other values than in it: {', '.join(differing)}" if differing else None


def _micros(at: object) -> int | None:
    try:
        return to_micros(datetime.fromisoformat(str(at)))
    except (ValueError, TypeError):
        return None

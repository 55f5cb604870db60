"""The database's log checked against itself and its signed checkpoints, for the page and the command line alike.

The head and the checkpoints are read at one moment. The entries below that head never change again, so they are read
piece by piece: a long check keeps no connection, and on SQLite's rollback journal it keeps no writer waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, LargeBinary, Row, cast, func, select, type_coerce

from bot.audit.checkpoint import CheckpointError, parse_vkey
from bot.audit.entry import decode
from bot.audit.merkle import Frontier
from bot.audit.signer import LogDoesNotExtend
from bot.audit.verify import MAX_PROBLEMS, Report, verify_log
from bot.errors import LogError
from bot.storage import checkpoints
from bot.storage.engine import Database
from bot.storage.entries import Filter, newest, read_head
from bot.storage.entries import base as read_base
from bot.storage.schema import entries, to_micros

FETCH_ROWS = 2_000
VKEY_CHARACTERS_MAX = 65_536
COPIES = ("type", "actor", "source", "call", "outcome")


def read_vkey(path: Path) -> str | None:
    """The log's public keys, one a line; None if there is no such file. Raises `LogError` if it cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(VKEY_CHARACTERS_MAX).strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise LogError(f"The log's public key {path.name} cannot be read.") from None


def verify_database(database: Database, vkey: str | None, more: tuple[str, ...] = ()) -> Report:
    """Recompute every hash from the stored bytes and compare with the head and all stored checkpoints.

    `more`: signed notes that were kept elsewhere. Without `vkey` only the tree and the head are checked, and no
    checkpoint counts as checked. What the reviewer's filters go by (copies of an entry's fields beside its bytes) is
    compared with the bytes too.
    """
    while True:
        try:
            moment = _read_moment(database)
        except _HeadDamaged as damage:
            return _damaged(str(damage))
        report = _verify_moment(database, moment, vkey, more)
        if report.ok or not _is_pruned_since(database, moment):
            return report


def archived(database: Database) -> Frontier:
    """The tree over the entries that live in archives only, as the log itself tells of it. Raises `LogDoesNotExtend`
    where it does not: a base that somebody just set would hide what they changed below it.
    """
    with database.snapshot() as connection:
        try:
            base = read_base(connection)
        except (ValueError, TypeError):
            raise LogDoesNotExtend("the log's base is damaged: its size and hashes do not fit") from None
        pruned, first = _told_of_pruning(connection), _first(connection)
    for problem in _outside_base(base, pruned, first):
        raise LogDoesNotExtend(problem)
    return base


def _damaged(what: str) -> Report:
    return Report(
        ok=False,
        size=0,
        root="",
        problems=(f"the log's {what} is damaged: its size and hashes do not fit",),
        checkpoints_checked=0,
    )


def _verify_moment(database: Database, moment: _Moment, vkey: str | None, more: tuple[str, ...]) -> Report:
    problems = list(_outside(moment))
    notes = (*(note for _, note in moment.notes), *more) if vkey else ()
    if vkey is not None:
        problems += _misfiled(moment)
    if vkey is not None and (problem := _key_problem(vkey)):
        problems.append(problem)
        notes = ()
    rows = _rows(database, moment.base.size, moment.head.size, problems)
    report = verify_log(rows, moment.head, notes, vkey or "", base=moment.base)
    found = (*report.problems, *problems)[:MAX_PROBLEMS]
    return replace(report, ok=not found, problems=found)


def _is_pruned_since(database: Database, moment: _Moment) -> bool:
    """Entries that went to an archive while they were read here are not missing: the check begins again."""
    with database.read() as connection:
        return read_base(connection) != moment.base


class _HeadDamaged(Exception):
    """Its size and its hashes do not fit each other."""


class _Moment(NamedTuple):
    """What belongs together. Positions are None in an empty log. `pruned`: what the log says of its own last pruning,
    as (size, root). `notes`: with the size under which each is kept.
    """

    head: Frontier
    base: Frontier
    notes: tuple[tuple[int, str], ...]
    first: int | None
    last: int | None
    pruned: tuple[object, object] | None


def _read_moment(database: Database) -> _Moment:
    with database.snapshot() as connection:
        return _moment(connection)


def _moment(connection: Connection) -> _Moment:
    head, base = _tree(read_head, connection, "head"), _tree(read_base, connection, "base")
    first = _first(connection)
    last = connection.execute(select(func.max(entries.c.position))).scalar_one()
    return _Moment(head, base, tuple(checkpoints.kept(connection)), first, last, _told_of_pruning(connection))


def _first(connection: Connection) -> int | None:
    first: int | None = connection.execute(select(func.min(entries.c.position))).scalar_one()
    return first


def _tree(read: Callable[[Connection], Frontier], connection: Connection, what: str) -> Frontier:
    try:
        return read(connection)
    except (ValueError, TypeError):
        raise _HeadDamaged(what) from None


def _told_of_pruning(connection: Connection) -> tuple[object, object] | None:
    found = newest(connection, Filter(type="log.pruned"), None, 1)
    if not found:
        return None
    detail = found[0].fields.get("detail")
    return (detail.get("size"), detail.get("root")) if isinstance(detail, dict) else None


def _outside(moment: _Moment) -> Iterator[str]:
    """Entries that the tree does not cover would be seen on pages, but by no check of the tree."""
    yield from _outside_base(moment.base, moment.pruned, moment.first)
    if moment.last is not None and moment.last >= moment.head.size:
        yield f"there is an entry at position {moment.last}, but the head says {moment.head.size} entries"


def _outside_base(base: Frontier, pruned: tuple[object, object] | None, first: int | None) -> Iterator[str]:
    if first is not None and first < base.size:
        yield f"there is an entry at position {first}, before the first"
    if base.size and pruned != (base.size, base.root().hex()):
        yield f"the log begins at entry {base.size}, but does not tell of a pruning up to there"


def _misfiled(moment: _Moment) -> Iterator[str]:
    """A good note under a false size would pass for a later one, which stops the signer and lets others be deleted."""
    for size, note in moment.notes:
        if note.split("\n")[1:2] != [str(size)]:
            yield f"a checkpoint of another size is kept as that of {size} entries"


def _key_problem(vkey: str) -> str | None:
    try:
        for one in vkey.split("\n"):
            parse_vkey(one)
    except CheckpointError as error:
        return str(error)
    return None


def _rows(database: Database, start: int, size: int, problems: list[str]) -> Iterator[tuple[int, bytes, bytes]]:
    """(position, body, stored leaf hash) up to the head; notes where the columns beside a body say something else."""
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

"""The oldest entries: chosen and archived; and, once an archive has them, removed from the database.

Removing goes in steps, so that nobody who pauses a call waits long. Each step is one transaction: the base moves up,
the entries below it go, and `log.pruned` tells of it. Between two steps, and after a crash, the log is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, update

from bot.audit.archive import write_archive
from bot.audit.archive_check import MULTIPLE, Checked, verify_archive
from bot.audit.checkpoint import CheckpointError, parse_and_verify
from bot.audit.entry import JSON, Draft
from bot.audit.journal import Journal, Transaction
from bot.audit.manifest import ArchiveError
from bot.audit.merkle import Frontier, leaf_hash
from bot.storage import checkpoints, entries, schema
from bot.storage.engine import Database
from bot.storage.entries import Filter

STEP_ENTRIES = 4_096
CANDIDATES = 50
READ_ENTRIES = 2_000


class _Prefix(NamedTuple):
    """`note` is a signed checkpoint over `covered` entries, more than the `size` that are to be archived."""

    base: Frontier
    size: int
    note: str
    covered: int


def months_before(now: datetime, months: int) -> datetime:
    """The same day and time so many months ago; the month's last day where it has no such day."""
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    for day in range(now.day, 27, -1):
        try:
            return now.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    return now.replace(year=year, month=month + 1)


def archive(database: Database, vkey: str, before: datetime, folder: Path) -> Checked:
    """Write the oldest entries, all older than `before`, into a new folder, and read them back.

    Raises `ArchiveError` if there is nothing to archive or the archive does not verify.
    """
    with database.read() as connection:
        prefix = _choose(connection, vkey, before)
    kept, rest = _bodies(database, prefix.base.size, prefix.size), _bodies(database, prefix.size, prefix.covered)
    return write_archive(folder, prefix.base, kept, rest, prefix.size, prefix.note, vkey, before)


def _choose(connection: Connection, vkey: str, before: datetime) -> _Prefix:
    """As many whole 256s as are old enough and lie below a signed checkpoint, for the signer looks at its last entry
    again.
    """
    base = entries.base(connection)
    table = schema.entries.c
    young = connection.execute(select(func.min(table.position)).where(table.at >= before)).scalar_one()
    latest = checkpoints.latest(connection)
    end = min(entries.read_head(connection).size if young is None else young, latest[0] - 1 if latest else 0)
    size = end // MULTIPLE * MULTIPLE
    if size <= base.size:
        raise ArchiveError(
            f"There is nothing to archive: the database has fewer than {MULTIPLE} entries that are older than"
            f" {before:%Y-%m-%d %H:%M} UTC and below a signed checkpoint."
        )
    for note in checkpoints.covering(connection, size + 1, CANDIDATES):
        try:
            return _Prefix(base, size, note, parse_and_verify(note, vkey).size)
        except CheckpointError:
            continue
    raise ArchiveError(
        "No checkpoint signed by the log's key covers these entries: sign one with `bot audit checkpoint`."
    )


def _bodies(database: Database, start: int, stop: int) -> Iterator[bytes]:
    """In pieces, each on a connection of its own: entries never change."""
    while start < stop:
        with database.read() as connection:
            page = list(entries.bodies(connection, start, min(start + READ_ENTRIES, stop)))
        yield from page
        if not page:
            return
        start += len(page)


def is_noted(database: Database, digest: str) -> bool:
    """Whether the log tells of this archive already."""
    with database.read() as connection:
        told = entries.newest(connection, Filter(type="log.archived"), None, CANDIDATES)
    return any((entry.fields.get("detail") or {}).get("digest") == digest for entry in told)


def archived(checked: Checked) -> Draft:
    manifest = checked.manifest
    return _told("log.archived", manifest.start.size, manifest.end, checked.digest)


def _told(type_: str, start: int, end: Frontier, digest: str) -> Draft:
    detail: dict[str, JSON] = {"from": start, "size": end.size, "root": end.root().hex(), "digest": digest}
    return Draft(type=type_, actor="operator", detail=detail)


def prune(
    database: Database, journal: Journal, folder: Path, vkey: str, step: int = STEP_ENTRIES
) -> Iterator[Frontier]:
    """Remove from the database what this archive has, step by step; the base after each.

    The archive is verified again, and compared with what is to be removed, entry by entry. Raises `ArchiveError`.
    """
    with database.read() as connection:
        base = entries.base(connection)
    checked = verify_archive(folder, vkey, sizes=(base.size,))
    if checked.problems:
        raise ArchiveError(f"The archive does not verify, so nothing was removed: {checked.problems[0]}.")
    end = checked.manifest.end
    if base == end:
        return
    if checked.trees.get(base.size) != base:
        raise ArchiveError("The archive does not begin where the database's log begins, so nothing was removed.")
    if base.extend(map(leaf_hash, _bodies(database, base.size, end.size))) != end:
        raise ArchiveError("The archive and the database differ, so nothing was removed: verify the log.")
    while base != end:
        leaves = map(leaf_hash, _bodies(database, base.size, min(base.size + step, end.size)))
        base = journal.write(_step(base, base.extend(leaves), checked.digest))
        yield base


def _step(base: Frontier, target: Frontier, digest: str) -> Callable[[Transaction], Frontier]:
    def change(transaction: Transaction) -> Frontier:
        _move(transaction.connection, base, target)
        transaction.append(_told("log.pruned", base.size, target, digest))
        return target

    return change


def _move(connection: Connection, base: Frontier, target: Frontier) -> None:
    unmoved = (schema.base.c.id == 1) & (schema.base.c.size == base.size)
    moved = update(schema.base).where(unmoved).values(size=target.size, frontier=target.to_bytes())
    if connection.execute(moved).rowcount != 1:
        raise ArchiveError("Another process is removing entries; what it removed is in its archive.")
    gone = connection.execute(delete(schema.entries).where(schema.entries.c.position < target.size)).rowcount
    if gone != target.size - base.size:
        raise ArchiveError("The database has other entries than its log, so nothing was removed: verify the log.")

"""Evidence for one call: a folder, or a zip, that stands by itself and tells of no other call."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from bot.audit.folders import TOKEN, write
from bot.audit.part import Signed, write_part
from bot.errors import UnknownThing, Unprocessable
from bot.review import evidence
from bot.review.spoken import entries_in
from bot.storage import anchors, calls, checkpoints, entries, parts
from bot.storage.engine import Database
from bot.storage.parts import Part

ENTRIES_MAX = 50_000
"""Of one call: more than any has, and as much as is held in memory."""

_CALL_SID = re.compile(rb"CA[0-9a-fA-F]{32}")


def signed_log(database: Database, note: str, vkeys: str) -> Signed:
    """The log up to a checkpoint, read from the database piece by piece, from where it begins there.

    `vkeys` are the log's keys, one a line.
    """

    def read(start: int, stop: int) -> Iterator[bytes]:
        with database.read() as connection:
            yield from entries.bodies(connection, start, stop)

    with database.read() as connection:
        base = entries.base(connection)
    return Signed(note, vkeys, read, base)


def write_evidence(
    folder: Path, database: Database, log: Signed, sid: str, progress: Callable[[int], None] | None = None
) -> int:
    """The call's entries with their proofs, checkpoint, keys, verifier and a page to print; how many entries.

    An entry that also names another call (a conference that two calls share) is left out, and the page says how many.
    Raises `UnknownThing` if the signed log has no entry of this call, `Unprocessable` if it has too many, and what
    `write_part` raises.
    """
    ours = _names(database, sid)
    found = list(islice(parts.find(database, Part((sid,)), log.checkpoint().size), ENTRIES_MAX + 1))
    if len(found) > ENTRIES_MAX:
        raise Unprocessable(f"This call has more than {ENTRIES_MAX:,} entries: use `bot audit export --call {sid}`.")
    kept = [(position, body) for position, body in found if set(_CALL_SID.findall(body)) <= ours]
    if not kept:
        raise UnknownThing("The signed log says nothing of this call.")

    def finish(made: Path) -> None:
        text = evidence.page(sid, list(entries_in(made)), log.note, len(found) - len(kept))
        (made / evidence.PAGE).write_text(text, encoding="utf-8")

    return write_part(folder, log, kept, progress=progress, finish=finish)


def best_checkpoint(connection: Connection, sid: str) -> tuple[str, bytes | None] | None:
    """The note that evidence for this call ends at, and a time-stamp token over it.

    The newest checkpoint with a time stamp, unless more has happened in the call since than that it was read about;
    then the newest, without one. None if nothing was ever signed.
    """
    latest = checkpoints.latest(connection)
    if latest is None:
        return None
    stamped = anchors.newest_with_receipt(connection)
    if stamped is None or parts.tells_more(connection, sid, stamped.size, latest[0]):
        return latest[1], None
    return stamped.note, stamped.receipt


def zipped(database: Database, log: Signed, sid: str, token: bytes | None = None) -> bytes:
    """The same as a zip with one folder in it, and the time-stamp token over the log's note, if there is one."""
    name = f"evidence-{sid}"
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as place:
        write_evidence(Path(place) / name, database, log, sid)
        if token:
            write(Path(place) / name / TOKEN, token)
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted((Path(place) / name).iterdir()):
                file.write(path, f"{name}/{path.name}")
    return content.getvalue()


def _names(database: Database, sid: str) -> set[bytes]:
    """The call's own SID and its legs'."""
    with database.read() as connection:
        call = calls.find(connection, sid)
    return {sid.encode(), *(leg.sid.encode() for leg in (call.legs if call and call.sid == sid else ()))}

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.audit.entry import Draft
from bot.audit.journal import Journal
from bot.sinks import Sink
from bot.sinks.stream import Stream
from bot.storage import entries
from bot.storage.engine import Database


class Log:
    """The log of a test: entries written to it, and their bytes as they are kept."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self.database = database
        self.journal = journal

    def write(self, count: int, letters: int = 0) -> None:
        def change(transaction: object) -> None:
            for number in range(count):
                transaction.append(Draft(type="tested", detail={"number": number, "text": "x" * letters}))  # type: ignore[attr-defined]

        self.journal.write(change)

    def bodies(self) -> list[bytes]:
        with self.database.read() as connection:
            return list(entries.bodies(connection, 0, 100_000))

    def told(self) -> list[tuple[str, str | None]]:
        """Type and reason of every entry that a test did not write itself."""
        with self.database.read() as connection:
            found = entries.oldest(connection, entries.Filter(), None, 100_000)
        return [(one.fields["type"], one.fields["reason"]) for one in found if one.fields["type"] != "tested"]


@pytest.fixture
def log(database: Database, journal: Journal) -> Log:
    return Log(database, journal)


@pytest.fixture
def copy_file(tmp_path: Path) -> Path:
    return tmp_path / "copy.jsonl"


@pytest.fixture
def worker(database: Database, database_url: str) -> Iterator[Callable[..., Stream]]:
    """Makes the streams of several workers, each with a database and journal of its own."""
    made: list[tuple[Stream, Database]] = []

    def make(sink: Sink, name: str = "worker", claim_seconds: float = 20.0) -> Stream:
        own = Database(database_url)
        stream = Stream(own, Journal(own, name), sink, "the-sink", claim_seconds)
        made.append((stream, own))
        return stream

    yield make
    for stream, own in made:
        stream.close()
        own.close()
    database.close()

"""Whether anybody signs the log, for the worker where the signer is a process of its own: one that was never started,
or that died, cannot say so itself. That it is over says the signer, once it has signed.
"""

from __future__ import annotations

from datetime import timedelta

from bot.audit.alarm import Alarm
from bot.audit.journal import Journal, Transaction
from bot.errors import DatabaseUnavailable
from bot.messages import Finding
from bot.storage import checkpoints, entries
from bot.storage.engine import Database


class Unsigned:
    """`limit`: how old an entry may become before a checkpoint covers it."""

    def __init__(self, database: Database, journal: Journal, limit: timedelta) -> None:
        self._database = database
        self._limit = limit
        self._alarm = Alarm(database, journal)

    def look(self) -> None:
        """Tell it if it is so. A database that is away is looked at again the next time."""
        try:
            is_late = self._is_late()
        except DatabaseUnavailable:
            return
        if is_late:
            self._alarm.ring(Finding.LOG_NOT_SIGNED, "nothing signs it: is the signer's process running?")

    def _is_late(self) -> bool:
        with self._database.read() as connection:
            latest = checkpoints.latest(connection)
            oldest = entries.oldest_at(connection, latest[0] if latest else 0)
            now = Transaction(connection, self._database.is_sqlite).now()
        return oldest is not None and now - oldest > self._limit

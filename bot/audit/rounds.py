"""What the signer does in each of its rounds: sign what is new, look whether the log is still what was signed, say that
the log is alive, and keep the stored checkpoints few. Raises nothing: whatever goes wrong is told, and the bot goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog

from bot.audit.alarm import Alarm
from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.audit.patrol import Patrol
from bot.audit.signer import LogDoesNotExtend
from bot.audit.signing import LogSigner
from bot.errors import BotError, DatabaseUnavailable, LogError
from bot.messages import Finding
from bot.storage import anchors, checkpoints, entries
from bot.storage.engine import Database

QUIET = timedelta(hours=1)
BUSY_SECONDS = 60.0
"""Several signers meet now and then. One that is never let in for so long has met one that hangs."""

THIN_SECONDS = 3600.0
THIN_ROWS = 500
KEPT_WHOLE = timedelta(days=1)
"""How long every checkpoint stays in the database; then one for each hour, and what has a receipt."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Rounds:
    """For one thread. `quiet` is how long nothing may be written before a heartbeat is."""

    def __init__(
        self, signer: LogSigner, database: Database, journal: Journal, patrol: Patrol, quiet: timedelta = QUIET
    ) -> None:
        self._signer = signer
        self._database = database
        self._journal = journal
        self._patrol = patrol
        self._quiet = quiet
        self._alarm = Alarm(database, journal)
        self._let_in_at = self._thin_at = time.monotonic()

    def make(self) -> None:
        """One round."""
        try:
            self._sign()
            self._beat_if_quiet()
            self._thin_if_due()
        except DatabaseUnavailable:
            pass  # `storage.watch` says so, and the next round tries again
        except (BotError, ValueError) as error:
            log.error("checkpoint.failed", why=str(error))

    def _sign(self) -> None:
        """Sign, then look. It is over only when a whole pass over the log found nothing."""
        try:
            if self._signer.sign_if_free() is not None:
                self._let_in_at = time.monotonic()
                self._alarm.end(Finding.LOG_NOT_SIGNED)
            elif time.monotonic() - self._let_in_at > BUSY_SECONDS:
                self._alarm.ring(
                    Finding.LOG_NOT_SIGNED, "another process keeps the signer's lock, perhaps a frozen one"
                )
            if self._patrol.step():
                self._alarm.end(Finding.LOG_DOES_NOT_EXTEND)
        except LogDoesNotExtend as error:
            log.error("checkpoint.refused", why=str(error))
            self._alarm.ring(Finding.LOG_DOES_NOT_EXTEND, str(error))
        except DatabaseUnavailable:
            raise
        except LogError as error:
            log.error("checkpoint.failed", why=str(error))
            self._alarm.ring(Finding.LOG_NOT_SIGNED, str(error))

    def _beat_if_quiet(self) -> None:
        """Looked at again in the transaction, so that several processes seldom write more than one. More do no harm."""

        def change(transaction: Transaction) -> None:
            newest = entries.newest_at(transaction.connection)
            if newest is not None and transaction.now() - newest >= self._quiet:
                transaction.append(Draft(type="log.heartbeat", actor="system"))

        with self._database.read() as connection:
            newest = entries.newest_at(connection)
            now = Transaction(connection, self._database.is_sqlite).now()
        if newest is not None and now - newest >= self._quiet:
            self._journal.write(change)

    def _thin_if_due(self) -> None:
        """In small pieces, because pauses wait for the same transactions."""
        if time.monotonic() < self._thin_at:
            return
        self._thin_at = time.monotonic() + THIN_SECONDS
        with self._database.read() as connection:
            before = Transaction(connection, self._database.is_sqlite).now() - KEPT_WHOLE
            surplus = anchors.surplus(connection, before)
        for piece in batched(surplus, THIN_ROWS):
            self._journal.write(partial(anchors.remove, rows=piece))
        with self._database.read() as connection:
            sizes = checkpoints.surplus(connection, before)
        for some in batched(sizes, THIN_ROWS):
            self._journal.write(partial(checkpoints.remove, sizes=some))


def batched(of: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(of), count):
        yield of[start : start + count]

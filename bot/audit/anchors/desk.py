"""Sends the newest checkpoint to one anchor: when its time has come, again after a failure, at least once.

After an outage the newest note is what is sent, not each that was missed: it covers them all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

import structlog

from bot.audit.alarm import Alarm
from bot.audit.anchors.anchor import Anchor, AnchorFailed
from bot.audit.checkpoint import CheckpointError, parse_and_verify
from bot.audit.journal import Journal, Transaction
from bot.audit.keys import KeyFileError
from bot.errors import DatabaseUnavailable
from bot.messages import Finding
from bot.storage import anchors
from bot.storage.engine import Database

LEASE = timedelta(seconds=60)
"""Longer than any anchor takes: whoever dies while sending leaves the turn to others after that."""

AGAIN_FIRST = timedelta(seconds=5)
AGAIN_MAX = timedelta(minutes=10)
TRIES_UNTOLD = 3
"""So many failures in a row are a hiccup; with one more compliance is told."""

log = structlog.get_logger(__name__)


class Desk:
    """For one thread, so that a slow anchor keeps nobody waiting. `vkey()` gives the keys that the log is signed with,
    `again` is the first wait after a failure.
    """

    def __init__(
        self,
        anchor: Anchor,
        vkey: Callable[[], str],
        database: Database,
        journal: Journal,
        *,
        again: timedelta = AGAIN_FIRST,
        tries_untold: int = TRIES_UNTOLD,
    ) -> None:
        self._anchor = anchor
        self._vkey = vkey
        self._database = database
        self._journal = journal
        self._again = again
        self._tries_untold = tries_untold
        self._alarm = Alarm(database, journal)
        self.mark = sha256(anchor.name.encode()).hexdigest()[:8]

    def look(self) -> None:
        """Send, if it is time to. Raises nothing but what is a mistake in this program."""
        try:
            turn = self._turn()
            if turn is not None:
                self._send(turn)
        except DatabaseUnavailable:
            log.debug("anchor.deferred", anchor=self._anchor.name)

    def _turn(self) -> anchors.Turn | None:
        with self._database.read() as connection:
            now = Transaction(connection, self._database.is_sqlite).now()
            if not anchors.is_due(connection, self._anchor.name, self._anchor.every, now):
                return None
        return self._journal.write(
            lambda transaction: anchors.take_turn(transaction, self._anchor.name, self._anchor.every, LEASE)
        )

    def _send(self, turn: anchors.Turn) -> None:
        try:
            self._check(turn)
            receipt = self._anchor.keep(turn.note)
        except (AnchorFailed, KeyFileError) as error:
            self._failed(turn, str(error))
            return
        self._journal.write(lambda transaction: anchors.received(transaction, self._anchor.name, turn.size, receipt))
        log.info("anchor.received", anchor=self._anchor.name, size=turn.size)
        self._alarm.end(Finding.LOG_NOT_ANCHORED, of=self.mark, anchor=self._anchor.name)

    def _check(self, turn: anchors.Turn) -> None:
        """The note lay in the database, whose owner would like to see anything else anchored, or nothing new."""
        try:
            is_as_signed = parse_and_verify(turn.note, self._vkey()).size == turn.size
        except CheckpointError:
            is_as_signed = False
        if not is_as_signed:
            raise AnchorFailed(f"the stored checkpoint of {turn.size} entries is not the one that was signed")

    def _failed(self, turn: anchors.Turn, why: str) -> None:
        tries = turn.tries + 1
        again_in = min(self._again * 2 ** min(turn.tries, 10), AGAIN_MAX)
        log.warning("anchor.failed", anchor=self._anchor.name, size=turn.size, tries=tries, why=why)
        self._journal.write(
            lambda transaction: anchors.failed(transaction, self._anchor.name, turn.size, tries, again_in)
        )
        if tries > self._tries_untold:
            self._alarm.ring(Finding.LOG_NOT_ANCHORED, why, of=self.mark, anchor=self._anchor.name)

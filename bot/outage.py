"""Whether Twilio as a whole is away, or refuses our credentials: told once, not once for each call.

Every process counts what Twilio says to it. What it concludes stands in the table `conditions`, shared by all, so that
there is one entry when it begins, one when it ends, and one banner on every page in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.errors import DatabaseUnavailable
from bot.messages import Answered, Finding, Kind
from bot.storage import conditions
from bot.storage.engine import Database

SILENCES_IN_A_ROW = 3
SILENT_SECONDS = 3.0
REREAD_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Outage:
    """Safe for any number of threads. `later` runs what needs the database, so that nobody who waits for Twilio waits
    for that too.
    """

    def __init__(self, database: Database, journal: Journal, later: Callable[[Callable[[], None]], object]) -> None:
        self._database = database
        self._journal = journal
        self._later = later
        self._lock = threading.Lock()
        self._silences = 0
        self._silent_since = 0.0
        self._open: frozenset[str] = frozenset()
        self._read_at = 0.0

    def heard(self, answered: Answered) -> None:
        """What came of one effect."""
        reply = answered.reply
        is_barred = any(listing.barred for listing in answered.listings)
        if is_barred or (reply is not None and reply.http_status in {401, 403}):
            self._change(Finding.CREDENTIALS, is_on=True)
        elif _is_answer(answered):
            self._answered(is_welcome=reply is not None and reply.kind is Kind.CONFIRMED)
        else:
            self._silence()

    def known(self) -> frozenset[str]:
        """Which of `Finding.OUTAGE` and `Finding.CREDENTIALS` are on, at most some seconds old."""
        if time.monotonic() - self._read_at > REREAD_SECONDS:
            with self._database.read() as connection:
                self._open = conditions.open_now(connection)
            self._read_at = time.monotonic()
        return self._open

    def _silence(self) -> None:
        with self._lock:
            now = time.monotonic()
            if self._silences == 0:
                self._silent_since = now
            self._silences += 1
            is_away = self._silences >= SILENCES_IN_A_ROW and now - self._silent_since >= SILENT_SECONDS
        if is_away:
            self._change(Finding.OUTAGE, is_on=True)

    def _answered(self, *, is_welcome: bool) -> None:
        with self._lock:
            self._silences = 0
        if Finding.OUTAGE in self._open:
            self._change(Finding.OUTAGE, is_on=False)
        if is_welcome and Finding.CREDENTIALS in self._open:
            self._change(Finding.CREDENTIALS, is_on=False)

    def _change(self, what: Finding, *, is_on: bool) -> None:
        """Once: who finds it said already says nothing."""
        with self._lock:
            if (what in self._open) is is_on:
                return
            self._open = self._open | {what} if is_on else self._open - {what}
        self._later(lambda: self._save(what, is_on=is_on))

    def _save(self, what: Finding, *, is_on: bool) -> None:
        def change(transaction: Transaction) -> bool:
            changed = conditions.begin(transaction, what) if is_on else conditions.end(transaction, what)
            if changed:
                transaction.append(_draft(what, is_on=is_on))
            return changed

        try:
            is_news = self._journal.write(change)
            if is_news and is_on:
                log.error("twilio.trouble", what=what.value)
            elif is_news:
                log.info("twilio.trouble_over", what=what.value)
        except DatabaseUnavailable:
            self._read_at = 0.0  # what is known is read anew, and the change found again


def _is_answer(answered: Answered) -> bool:
    """Whether Twilio said anything that it said on purpose."""
    if answered.reply is not None:
        return answered.reply.kind in {Kind.CONFIRMED, Kind.REFUSED}
    seen = answered.seen
    is_seen = seen is not None and (seen.ok or (seen.http_status is not None and seen.http_status < 500))
    return is_seen or any(listing.ok or listing.missing for listing in answered.listings)


def _draft(what: Finding, *, is_on: bool) -> Draft:
    return Draft(
        type="finding.raised" if is_on else "finding.cleared",
        actor="system",
        source="system",
        outcome="failure" if is_on else "success",
        reason=what.value,
    )

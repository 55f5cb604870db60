"""What is wrong with the log itself: told once, and once more when it is over; the banner shows it in between.

Like an outage of Twilio's, it stands in the table `conditions`, shared by all processes.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog

from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.errors import BotError
from bot.messages import Finding
from bot.storage import conditions
from bot.storage.engine import Database

log = structlog.get_logger(__name__)


class Alarm:
    """Safe for any number of threads. Raises nothing: what raises an alarm must go on."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal

    def ring(self, finding: Finding, why: str, of: str = "", **detail: str) -> None:
        """Say that it is so, unless that was said. `of` tells several of a kind apart, such as anchors."""
        name = _name(finding, of)
        try:
            if name in self._open():
                return
            if self._begin(finding, name, {**detail, "why": why}):
                log.error("log.trouble", what=finding.value, why=why, **detail)
        except BotError as error:
            log.error("log.trouble_untold", what=finding.value, why=why, because=str(error))

    def end(self, finding: Finding, of: str = "", **detail: str) -> None:
        """Say that it is over, if it was."""
        name = _name(finding, of)

        def change(transaction: Transaction) -> bool:
            was_on = conditions.end(transaction, name)
            if was_on:
                transaction.append(_draft("finding.cleared", "success", finding, detail))
            return was_on

        try:
            if name in self._open() and self._journal.write(change):
                log.info("log.trouble_over", what=finding.value, **detail)
        except BotError as error:
            log.error("log.trouble_untold", what=finding.value, because=str(error))

    def end_others(self, finding: Finding, of: Collection[str]) -> None:
        """Say that it is over for whatever is not there any more, such as an anchor taken out of the setting."""
        try:
            names = [name for name in self._open() if name.startswith(f"{finding.value}:")]
        except BotError:
            return  # the next start does it
        for mark in {name.partition(":")[2] for name in names} - set(of):
            self.end(finding, mark)

    def _open(self) -> frozenset[str]:
        with self._database.read() as connection:
            return conditions.open_now(connection)

    def _begin(self, finding: Finding, name: str, detail: dict[str, str]) -> bool:
        def change(transaction: Transaction) -> bool:
            is_news = conditions.begin(transaction, name)
            if is_news:
                transaction.append(_draft("finding.raised", "failure", finding, detail))
            return is_news

        try:
            return self._journal.write(change)
        except Exception:  # noqa: BLE001 - a log that is damaged in whatever way may take no entry
            # Then at least the banner says it.
            return self._journal.write(lambda transaction: conditions.begin(transaction, name))


def _name(finding: Finding, of: str) -> str:
    return f"{finding.value}:{of}" if of else finding.value


def _draft(type_: str, outcome: str, finding: Finding, detail: dict[str, str]) -> Draft:
    return Draft(type=type_, actor="system", outcome=outcome, reason=finding.value, detail=detail or None)

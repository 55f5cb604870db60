"""A process that writes the log: its start, its heartbeats, its end, and whether another one died without a word.

Everything is written in the transaction of a heartbeat, beside the work and never before it: while the database is away
a start is not held up, and it is told once the database is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import structlog

from bot.audit.entry import JSON, Draft, instant
from bot.audit.journal import WRITE_SECONDS, Journal, Transaction
from bot.errors import BotError, DatabaseUnavailable
from bot.life.changes import fingerprint, settings_changed
from bot.life.clock import Sample, jump_seconds
from bot.settings import Settings
from bot.storage import nodes

BEAT_SECONDS = 5.0
LOST_SECONDS = 30.0
"""So long without a heartbeat, while ours went through, and a process is lost."""

log = structlog.get_logger(__name__)


class Life:
    """The life of this process, as the log tells it. `kind` is web, worker or signer.

    `steady` is a clock that nobody sets, in seconds; `wall` the database's, if not as the transaction says.
    """

    def __init__(
        self,
        journal: Journal,
        kind: str,
        settings: Settings,
        *,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[Transaction], datetime] = Transaction.now,
    ) -> None:
        self._journal = journal
        self._kind = kind
        self._settings = fingerprint(settings)
        self._began_at = datetime.now(UTC)
        self._steady = steady
        self._wall = wall
        self._has_begun = False
        self._sample: Sample | None = None
        self._beating_since = 0.0
        self._beaten_at = float("-inf")
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def beat(self) -> None:
        """Tell that this process lives, and what else there is to tell. Raises `DatabaseUnavailable`."""
        now = self._steady()
        if now - self._beaten_at > LOST_SECONDS / 2:
            self._beating_since = now  # others could not be heard, either
        may_judge = now - self._beating_since >= LOST_SECONDS
        self._sample = self._journal.write(lambda one: self._change(one, may_judge=may_judge), is_heartbeat=True)
        self._has_begun = True
        self._beaten_at = self._steady()

    def end(self, why: str | None = None) -> None:
        """Tell that this process ends: in good order, or because of an error. Nothing if it never began."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(WRITE_SECONDS)
        if not self._has_begun:
            return

        def change(transaction: Transaction) -> None:
            nodes.end(transaction, self._journal.node)
            detail: dict[str, JSON] = {**self._named(), "orderly": why is None}
            outcome = "success" if why is None else "failure"
            transaction.append(
                Draft(type="process.stopped", actor="system", outcome=outcome, reason=why, detail=detail)
            )

        try:
            self._journal.write(change)
        except BotError as error:
            log.error("process.end_not_told", why=str(error))

    @contextmanager
    def living(self) -> Iterator[None]:
        """The process ends with the block; an error that ends it is named by its kind."""
        try:
            yield
        except BaseException as error:
            self.end(type(error).__name__)
            raise
        self.end()

    def beat_beside(self) -> None:
        """Heartbeats in a thread of their own, until `end`."""
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                self.beat()
            except DatabaseUnavailable:
                log.debug("heartbeat.deferred")
            except Exception:
                log.exception("heartbeat.failed")
            self._is_over.wait(BEAT_SECONDS)

    def _change(self, transaction: Transaction, *, may_judge: bool) -> Sample:
        earliest = self._steady()
        at = self._wall(transaction)
        sample = Sample(earliest, at, self._steady())
        if not self._has_begun and not nodes.has_begun(transaction, self._journal.node, self._began_at):
            self._begin(transaction)
        elif not nodes.is_alive(transaction, self._journal.node):
            nodes.begin(transaction, self._journal.node, self._kind, self._began_at)
            transaction.append(Draft(type="process.returned", actor="system", detail=self._named()))
        if may_judge:
            self._tell_lost(transaction)
        jump = jump_seconds(self._sample, sample) if self._sample and self._kind != "web" else None
        if jump is not None:
            detail: dict[str, JSON] = {"milliseconds": round(jump * 1000)}
            transaction.append(Draft(type="clock.jumped", actor="system", outcome="failure", detail=detail))
        return sample

    def _begin(self, transaction: Transaction) -> None:
        """One of the same name that never ended is dead: names are not used twice at a time."""
        predecessor = nodes.begin(transaction, self._journal.node, self._kind, self._began_at)
        if predecessor is not None:
            transaction.append(_lost(predecessor))
        detail: dict[str, JSON] = {**self._named(), "began": instant(self._began_at)}
        transaction.append(Draft(type="process.started", actor="system", detail=detail))
        changed = settings_changed(
            nodes.exchange_settings(transaction, self._kind, self._settings), self._settings, self._kind
        )
        if changed is not None:
            transaction.append(changed)

    def _tell_lost(self, transaction: Transaction) -> None:
        for one in nodes.end_lost(transaction, timedelta(seconds=LOST_SECONDS)):
            transaction.append(_lost(one))

    def _named(self) -> dict[str, JSON]:
        return {"kind": self._kind, "version": version("pci-pause-bot")}


def _lost(one: nodes.Node) -> Draft:
    detail: dict[str, JSON] = {"kind": one.kind, "process": one.node, "last_seen": instant(one.seen_at)}
    return Draft(type="process.lost", actor="system", outcome="failure", detail=detail)

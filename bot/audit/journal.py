"""The one write transaction: a change of state and its entries commit together, or neither does (invariant 4).

Group commit: one writer thread for each process takes all changes that wait into one transaction, each reading and
writing its own rows, and extends the tree once for all of them. A change is a function of the transaction; it may run
more than once, so it must do nothing but read and write through it. If one of a group fails, the group is rolled back
and each runs alone, so that nobody fails for another.

Lock order: calls by SID (the group is sorted), then the log's head, last. An entry's time is taken under the head's
lock, so that the order of times is the order of the log.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from bot.audit.entry import JSON, Draft, encode, instant
from bot.audit.merkle import Frontier, leaf_hash
from bot.errors import DatabaseUnavailable, LogError
from bot.storage import nodes, schema
from bot.storage.engine import Database
from bot.storage.watch import Gap, Watch

GROUP_MAX = 128
ATTEMPTS_MAX = 4
WRITE_SECONDS = 8.0
PROOF_WAIT_SECONDS = 2.0

T = TypeVar("T")

# Made once: building a statement costs more than running it.
_CLOCK = select(func.clock_timestamp())
_HEAD = select(schema.head.c.size, schema.head.c.frontier).where(schema.head.c.id == 1).with_for_update()
_LOCK = _HEAD.subquery()
_HEAD_WITH_CLOCK = select(_LOCK.c.size, _LOCK.c.frontier, func.clock_timestamp().label("now"))
"""The clock stands outside the locking query, or it would show the time before the wait for the lock."""

_APPEND = insert(schema.entries)
_GROW = (
    update(schema.head)
    .where(schema.head.c.id == 1)
    .values(size=bindparam("grown_size"), frontier=bindparam("grown_frontier"))
)
_APPEND_ONE_AND_GROW = insert(schema.entries).add_cte(_GROW.cte("grown"))
"""Both in one round trip; SQLite, where there is none, knows no such statement."""


@dataclass
class Transaction:
    """One group's transaction, as a change sees it. `append` adds an entry; it gets its place and time at the end."""

    connection: Connection
    is_sqlite: bool
    drafts: list[Draft] = field(default_factory=list)

    def append(self, draft: Draft) -> None:
        self.drafts.append(draft)

    def now(self) -> datetime:
        """The database's clock; SQLite's is its host's, which is ours."""
        if self.is_sqlite:
            return datetime.now(UTC)
        now: datetime = self.connection.execute(_CLOCK).scalar_one()
        return now.astimezone(UTC)


@dataclass(order=True)
class _Job(Generic[T]):
    key: str
    change: Callable[[Transaction], T] = field(compare=False)
    is_heartbeat: bool = field(compare=False, default=False)
    future: Future[T] = field(compare=False, default_factory=Future)


class Journal:
    """The log's only writer in this process. Safe for any number of threads, and across a fork."""

    def __init__(self, database: Database, node: str) -> None:
        self.node = node
        self._database = database
        self._jobs: SimpleQueue[_Job[Any]] = SimpleQueue()
        self._starting = threading.Lock()
        self._writer: threading.Thread | None = None
        self._pid = os.getpid()
        self._writing_works = Watch("writing", self._tell_gap)
        self._telling = threading.Lock()
        self._untold: tuple[Draft, ...] = ()
        self._proving = threading.Lock()
        self._proof: Future[None] | None = None

    def write(self, change: Callable[[Transaction], T], key: str = "", *, is_heartbeat: bool = False) -> T:
        """Run `change` in a transaction and return its result once that is durable.

        `key` is the SID of the call it locks, if any. A heartbeat is not missed in the log. Raises
        `DatabaseUnavailable` when the database is busy or away (what was asked may then still happen if it was already
        being committed), and whatever `change` itself raises.
        """
        future = self._submit(change, key, is_heartbeat=is_heartbeat)
        try:
            return future.result(timeout=WRITE_SECONDS)
        except FutureTimeoutError as error:
            is_turned_away = future.cancel() and not is_heartbeat
            self._writing_works.failed(error, int(is_turned_away))
            raise DatabaseUnavailable from None

    def append(self, draft: Draft) -> None:
        """An entry without a change of state: a sign-in, a reading of the log."""
        self.write(lambda transaction: transaction.append(draft))

    def prove(self, within_seconds: float) -> None:
        """Return if the database can be written, as this process saw within that time; else try. However many ask at
        once, or go on asking, it costs one small write in that time. Raises `DatabaseUnavailable`.
        """
        with self._proving:
            works = self._writing_works.last_seen(within_seconds)
            if works is None and (self._proof is None or self._proof.done()):
                self._proof = self._submit(self._beat, is_heartbeat=True)
            proof = self._proof
        if works is False:
            raise DatabaseUnavailable
        if works is None and proof is not None:
            try:
                proof.result(timeout=PROOF_WAIT_SECONDS)
            except FutureTimeoutError:
                raise DatabaseUnavailable from None

    def _beat(self, transaction: Transaction) -> None:
        nodes.beat(transaction, self.node, "web")

    def _tell_gap(self, gap: Gap) -> None:
        """PCI DSS 10.7.3: from when until when logging failed, and why. What cannot be told yet goes with the next."""
        with self._telling:
            untold = self._untold = (*self._untold, _draft_of(gap))

        def append_all_of_them(transaction: Transaction) -> None:
            for draft in untold:
                transaction.append(draft)

        def forget(done: Future[None]) -> None:
            if done.exception() is None:
                with self._telling:
                    self._untold = tuple(draft for draft in self._untold if draft not in untold)

        self._submit(append_all_of_them, is_heartbeat=True).add_done_callback(forget)

    def _submit(self, change: Callable[[Transaction], T], key: str = "", *, is_heartbeat: bool = False) -> Future[T]:
        job = _Job(key, change, is_heartbeat)
        self._ensure_writer()
        self._jobs.put(job)
        return job.future

    def _ensure_writer(self) -> None:
        if self._writer is not None and self._pid == os.getpid() and self._writer.is_alive():
            return
        with self._starting:
            if self._pid != os.getpid():
                self._jobs, self._pid, self._writer, self._proof = SimpleQueue(), os.getpid(), None, None
            if self._writer is None or not self._writer.is_alive():
                self._writer = threading.Thread(target=self._run, name="journal", daemon=True)
                self._writer.start()

    def _run(self) -> None:
        while True:
            group = sorted(self._waiting())
            running = [job for job in group if job.future.set_running_or_notify_cancel()]
            if running:
                self._commit(running)

    def _waiting(self) -> list[_Job[Any]]:
        group = [self._jobs.get()]
        while len(group) < GROUP_MAX:
            try:
                group.append(self._jobs.get_nowait())
            except Empty:
                break
        return group

    def _commit(self, group: list[_Job[Any]]) -> None:
        try:
            results = self._transact(group)
        except BaseException as error:  # noqa: BLE001 - it goes to the one who waits
            is_shared = isinstance(error, DatabaseUnavailable) and not _is_worth_retrying(error)
            for job in group:
                if is_shared:
                    job.future.set_exception(error)
                else:
                    self._alone(job, error if len(group) == 1 else None)
            return
        for job, result in zip(group, results, strict=True):
            job.future.set_result(result)

    def _alone(self, job: _Job[Any], error: BaseException | None) -> None:
        """Run one change by itself; two that raced for the same new row, or a deadlock, settle on another try."""
        for _ in range(ATTEMPTS_MAX):
            if error is not None and not _is_worth_retrying(error):
                break
            try:
                job.future.set_result(self._transact([job])[0])
                return
            except BaseException as failure:  # noqa: BLE001 - it goes to the one who waits
                error = failure
        if error is not None and _is_worth_retrying(error):
            error, cause = DatabaseUnavailable(), error
            error.__cause__ = cause
        job.future.set_exception(error)

    def _transact(self, group: list[_Job[Any]]) -> list[Any]:
        try:
            with self._database.write() as connection:
                transaction = Transaction(connection, self._database.is_sqlite)
                results = [job.change(transaction) for job in group]
                if transaction.drafts:
                    append_all(transaction, self.node)
        except DatabaseUnavailable as error:
            if not _is_worth_retrying(error):
                self._writing_works.failed(error, sum(not job.is_heartbeat for job in group))
            raise
        if transaction.drafts or any(job.is_heartbeat for job in group):  # a commit that wrote nothing proves nothing
            self._writing_works.worked()
        return results


def append_all(transaction: Transaction, node: str) -> None:
    """Give the drafts their place and time under the head's lock, and extend the tree."""
    connection = transaction.connection
    row = connection.execute(_HEAD if transaction.is_sqlite else _HEAD_WITH_CLOCK).one_or_none()
    if row is None:
        raise LogError("The log has no head: run `bot init-db` first.")
    frontier = Frontier.from_bytes(row.size, bytes(row.frontier))
    at = transaction.now() if transaction.is_sqlite else row.now.astimezone(UTC)
    bodies = [encode(draft, at, node) for draft in transaction.drafts]
    leaves = [leaf_hash(body) for body in bodies]
    rows = [
        {
            "position": frontier.size + index,
            "body": body,
            "leaf": leaf,
            "at": at,
            "type": draft.type,
            "actor": draft.actor,
            "source": draft.source,
            "call": draft.call,
            "outcome": draft.outcome,
        }
        for index, (draft, body, leaf) in enumerate(zip(transaction.drafts, bodies, leaves, strict=True))
    ]
    grown = frontier.extend(leaves)
    growth = {"grown_size": grown.size, "grown_frontier": grown.to_bytes()}
    if len(rows) == 1 and not transaction.is_sqlite:
        connection.execute(_APPEND_ONE_AND_GROW, rows[0] | growth)
        return
    connection.execute(_APPEND, rows)
    connection.execute(_GROW, growth)


def _draft_of(gap: Gap) -> Draft:
    """`turned_away`: changes with their entries that did not happen, as far as this process knows."""
    detail: dict[str, JSON] = {
        "from": instant(gap.since),
        "to": instant(gap.until),
        "turned_away": gap.turned_away,
    }
    return Draft(type="log.write_failed", actor="system", outcome="failure", reason=gap.why, detail=detail)


def _is_worth_retrying(error: BaseException) -> bool:
    if isinstance(error, IntegrityError):
        return True
    cause = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
    if not isinstance(cause, DBAPIError):
        return False
    return getattr(cause.orig, "sqlstate", None) in {"40001", "40P01"}

"""Who sends the second copy, how far it has come, and what is said when it cannot be sent.

One worker at a time sends: a claim in the cursor's row, with a time limit by the database's clock. The cursor moves in
a transaction after the batch was received, so a worker that dies in between leaves duplicates and never a gap. Nothing
here is on the way of a pause: it has a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from bot.audit.alarm import Alarm
from bot.audit.entry import JSON, Draft
from bot.audit.journal import Journal, Transaction
from bot.errors import DatabaseUnavailable
from bot.messages import Finding
from bot.settings import Settings
from bot.sinks import Batch, Sink, SinkFailed, TooLarge
from bot.sinks.address import open_sink, sink_name
from bot.storage import conditions, entries, sinks
from bot.storage.engine import Database

BATCH_ENTRIES_MAX = 2_000
BATCH_BYTES_MAX = 1_000_000
SEND_SECONDS = 10.0
CLAIM_SECONDS = 20.0
"""Longer than a batch may take, with what the transaction after it needs."""

POLL_SECONDS = 0.5
AGAIN_SECONDS_MAX = 60.0
FAILURES_TOLD = 3
"""So many in a row are a finding; one restart of the receiver is none."""

END_SECONDS = 2 * SEND_SECONDS

log = structlog.get_logger(__name__)


class Stream:
    """One sink and its cursor. `step` is for one thread; several processes may each have a stream of the same name."""

    def __init__(
        self, database: Database, journal: Journal, sink: Sink, name: str, claim_seconds: float = CLAIM_SECONDS
    ) -> None:
        self._database = database
        self._journal = journal
        self._sink = sink
        self._name = name
        self._claim_seconds = claim_seconds
        self._position: int | None = None
        self._claimed_until = 0.0
        self._bytes_max = BATCH_BYTES_MAX

    def step(self) -> bool:
        """Send one batch, if one waits and it is ours to send. Whether more may wait.

        Raises `DatabaseUnavailable`: the same batch is then sent again.
        """
        size = self._waiting_up_to()
        position = self._claimed() if size is not None else None
        if size is None or position is None:
            return False
        batch = self._read(position, size)
        if not batch.bodies:
            return False
        try:
            self._sink.send(batch, SEND_SECONDS)
        except SinkFailed as error:
            if isinstance(error, TooLarge):
                self._bytes_max = sum(map(len, batch.bodies)) // 2
            self._failed(error)
            return False
        self._received(position, batch)
        return self._position is not None and self._position < size

    def close(self) -> None:
        """Leave the claim to whoever comes next."""
        if self._position is not None:
            self._position = None
            with suppress(DatabaseUnavailable):
                self._journal.write(lambda transaction: sinks.release(transaction, self._name, self._journal.node))
        self._sink.close()

    def _waiting_up_to(self) -> int | None:
        """The log's size, if there is something to send and nobody else sends it. Reads only."""
        with self._database.read() as connection:
            size = entries.read_head(connection).size
            cursor = sinks.find(connection, self._name)
            now = Transaction(connection, self._database.is_sqlite).now()
            is_told = Finding.SINK_AHEAD in conditions.open_now(connection)
        if cursor is None:
            return size or None
        if (cursor.position > size) is not is_told:
            self._compared(cursor.position, size)
        return size if cursor.position < size and cursor.is_free(self._journal.node, now) else None

    def _compared(self, position: int, size: int) -> None:
        """A copy that has more than the log is evidence: somebody cut off the log's end, or put an old one back."""
        is_ahead = position > size
        if is_ahead:
            log.error("sink.ahead", sink=self._name, received=position, size=size)
        self._journal.write(lambda transaction: self._tell(transaction, Finding.SINK_AHEAD, is_on=is_ahead))

    def _claimed(self) -> int | None:
        """Where to go on; None if another got there first. A claim that lasts for another batch is not renewed."""
        if self._position is not None and time.monotonic() < self._claimed_until - SEND_SECONDS:
            return self._position
        began = time.monotonic()
        self._position = self._journal.write(
            lambda transaction: sinks.claim(transaction, self._name, self._journal.node, self._claim_seconds)
        )
        self._claimed_until = began + self._claim_seconds
        return self._position

    def _read(self, position: int, size: int) -> Batch:
        """What was pruned or deleted before it was sent cannot be waited for."""
        bodies: list[bytes] = []
        length, first = 0, position
        with self._database.read() as connection:
            for at, body, _ in entries.rows(connection, position, size):
                if not bodies:
                    first = at
                if at != first + len(bodies) or len(bodies) == BATCH_ENTRIES_MAX or length > self._bytes_max:
                    break
                bodies.append(body)
                length += len(body)
        return Batch(first, tuple(bodies))

    def _received(self, position: int, batch: Batch) -> None:
        """`position` was to be sent next: if the batch begins later, the log says so as the cursor passes the gap."""
        after = batch.first + len(batch.bodies)

        def change(transaction: Transaction) -> tuple[bool, bool]:
            is_ours = sinks.move(transaction, self._name, self._journal.node, after, self._claim_seconds)
            if is_ours and batch.first > position:
                transaction.append(self._skipped(position, batch.first - 1))
            return is_ours, is_ours and self._tell(transaction, Finding.SINK_AWAY, is_on=False)

        self._position = None  # until it is known: if this fails, the row is asked again
        began = time.monotonic()
        is_ours, is_back = self._journal.write(change)
        if is_ours:
            self._position, self._claimed_until = after, began + self._claim_seconds
            if batch.first > position:
                log.error("sink.skipped", sink=self._name, first=position, last=batch.first - 1)
        if is_back:
            log.info("sink.back", sink=self._name)

    def _skipped(self, first: int, last: int) -> Draft:
        detail: dict[str, JSON] = {"first": first, "last": last, "sink": self._name}
        return Draft(type="sink.skipped", actor="system", outcome="failure", detail=detail)

    def _failed(self, error: SinkFailed) -> None:
        self._position = None

        def change(transaction: Transaction) -> bool:
            cursor = sinks.find(transaction.connection, self._name)
            failures = 1 if cursor is None else cursor.failures + 1
            wait_seconds = min(AGAIN_SECONDS_MAX, 2.0 ** min(failures - 1, 10))
            is_ours = sinks.fail(transaction, self._name, self._journal.node, wait_seconds)
            return is_ours and failures >= FAILURES_TOLD and self._tell(transaction, Finding.SINK_AWAY, is_on=True)

        if self._journal.write(change):
            log.error("sink.away", sink=self._name, why=str(error))

    def _tell(self, transaction: Transaction, what: Finding, *, is_on: bool) -> bool:
        """Once, when it begins and when it is over."""
        is_news = conditions.begin(transaction, what) if is_on else conditions.end(transaction, what)
        if is_news:
            transaction.append(
                Draft(
                    type="finding.raised" if is_on else "finding.cleared",
                    actor="system",
                    outcome="failure" if is_on else "success",
                    reason=what.value,
                    detail={"sink": self._name},
                )
            )
        return is_news


class Streaming:
    """The thread that sends, from `start` to `close`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Soon: a batch that is being sent comes to its end."""
        self._is_over.set()
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._is_over.is_set():
            if not self._step():
                self._is_over.wait(POLL_SECONDS)
        self._step()  # what was written at the very end
        self._stream.close()

    def _step(self) -> bool:
        try:
            return self._stream.step()
        except DatabaseUnavailable:
            return False
        except Exception:
            log.exception("sink.failed")
            return False


@contextmanager
def copying(settings: Settings, database: Database, journal: Journal) -> Iterator[None]:
    """The second copy is sent for as long as the block lasts, if `AUDIT_SINK` is set. If not, what was wrong with one
    before is over.
    """
    sink = open_sink(settings)
    if sink is None or settings.audit_sink is None:
        for finding in (Finding.SINK_AWAY, Finding.SINK_AHEAD):
            Alarm(database, journal).end(finding)
        yield
        return
    streaming = Streaming(Stream(database, journal, sink, sink_name(settings.audit_sink)))
    streaming.start()
    try:
        yield
    finally:
        streaming.close()

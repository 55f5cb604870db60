"""Every entry reaches the sink at least once and in order, whoever dies and whatever is away."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.audit.journal import Journal
from bot.settings import Settings
from bot.sinks import Batch, Sink, TooLarge
from bot.sinks.file import FileSink
from bot.sinks.stream import FAILURES_TOLD, Stream, Streaming, copying
from bot.sinks.syslog import TcpSyslog
from bot.storage import conditions, schema, sinks
from bot.storage.engine import Database
from tests.sinks.conftest import Log
from tests.sinks.receivers import SyslogServer, first_seen, until
from tests.support.tamper import tamper

ROOT = Path(__file__).resolve().parents[2]
MakeWorker = Callable[..., Stream]


class NoSink(FileSink):
    """A destination that is away: its folder does not exist."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder / "missing" / "copy.jsonl"))


class NarrowSink(FileSink):
    """Takes only so much at once, as a receiver that answers 413."""

    def send(self, batch: Batch, seconds: float) -> None:
        if sum(map(len, batch.bodies)) > 20_000:
            raise TooLarge("answered with 413")
        super().send(batch, seconds)


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def try_now(log: Log, stream: Stream) -> bool:
    """A step without waiting for the back-off."""
    log.journal.write(lambda one: one.connection.execute(update(schema.sinks).values(next_at=None)))
    return stream.step()


def test_entries_arrive_in_order_and_as_their_exact_bytes(log: Log, worker: MakeWorker, copy_file: Path) -> None:
    stream = worker(FileSink(str(copy_file)))
    assert stream.step() is False, "an empty log has nothing to send"
    log.write(5)
    log.write(3)
    assert stream.step() is False
    assert copy_file.read_bytes() == b"".join(body + b"\n" for body in log.bodies())
    log.write(1)
    stream.step()
    assert lines(copy_file) == log.bodies()
    assert len(log.bodies()) == 9, "sending makes no entries of its own"


def test_long_log_goes_in_batches(log: Log, worker: MakeWorker, copy_file: Path) -> None:
    log.write(40, letters=60_000)
    stream = worker(FileSink(str(copy_file)))
    steps = 1
    while stream.step():
        steps += 1
    assert steps == 3, "a batch has about a million bytes"
    assert lines(copy_file) == log.bodies()


def test_receiver_that_takes_less_at_once_gets_smaller_batches(log: Log, worker: MakeWorker, copy_file: Path) -> None:
    log.write(40, letters=5_000)
    stream = worker(NarrowSink(str(copy_file)))
    steps = 0
    while lines(copy_file)[:40] != log.bodies()[:40]:
        try_now(log, stream)
        steps += 1
        assert steps < 30, "what it takes is found once, and kept to"


def test_killed_between_sending_and_noting_leaves_duplicates_and_no_gap(
    log: Log, worker: MakeWorker, copy_file: Path, database_url: str
) -> None:
    log.write(10)
    command = [sys.executable, "-m", "tests.sinks.dying", database_url, str(copy_file)]
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    assert len(lines(copy_file)) == 10, "all was sent, and nothing noted"
    log.write(5)
    heir = worker(FileSink(str(copy_file)))
    until(lambda: heir.step() or len(lines(copy_file)) > 10)
    assert lines(copy_file) == [*log.bodies()[:10], *log.bodies()]


def test_claim_keeps_a_second_worker_away_until_it_runs_out(log: Log, worker: MakeWorker, copy_file: Path) -> None:
    first, second = (worker(FileSink(str(copy_file)), name, claim_seconds=1.5) for name in ("first", "second"))
    log.write(1)
    first.step()
    log.write(1)
    second.step()
    assert len(lines(copy_file)) == 1, "the first may still be sending"
    until(lambda: second.step() or len(lines(copy_file)) == 2)
    assert lines(copy_file) == log.bodies()


def test_worker_that_ends_leaves_its_claim_at_once(log: Log, worker: MakeWorker, copy_file: Path) -> None:
    first, second = (worker(FileSink(str(copy_file)), name) for name in ("first", "second"))
    log.write(1)
    first.step()
    first.close()
    log.write(1)
    second.step()
    assert lines(copy_file) == log.bodies()


def test_two_workers_at_once_leave_no_gap_and_keep_the_order(log: Log, worker: MakeWorker) -> None:
    with SyslogServer() as server:
        running = [
            Streaming(worker(TcpSyslog("127.0.0.1", server.port, None), name, claim_seconds=11.0)) for name in "ab"
        ]
        for one in running:
            one.start()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(log.write, [3] * 40))
        until(lambda: len(first_seen(server.entries())) == 120)
        for one in running:
            one.close()
        assert first_seen(server.entries()) == log.bodies()


def test_sink_that_is_away_is_told_once_and_gets_everything_when_it_is_back(
    log: Log, worker: MakeWorker, tmp_path: Path
) -> None:
    stream = worker(NoSink(tmp_path))
    log.write(3)
    for _ in range(FAILURES_TOLD + 2):
        try_now(log, stream)
    assert log.told() == [("finding.raised", "sink-away")]
    (tmp_path / "missing").mkdir()
    try_now(log, stream)
    assert log.told() == [("finding.raised", "sink-away"), ("finding.cleared", "sink-away")]
    try_now(log, stream)
    assert lines(tmp_path / "missing" / "copy.jsonl") == log.bodies()
    with log.database.read() as connection:
        assert conditions.open_now(connection) == frozenset()


def test_worker_that_starts_without_a_sink_says_that_it_is_over(
    log: Log, worker: MakeWorker, tmp_path: Path, settings: Settings
) -> None:
    """Nobody would ever say so otherwise."""
    stream = worker(NoSink(tmp_path))
    log.write(1)
    for _ in range(FAILURES_TOLD):
        try_now(log, stream)
    for _ in range(2):
        with copying(settings, log.database, log.journal):
            pass
    assert log.told() == [("finding.raised", "sink-away"), ("finding.cleared", "sink-away")]
    with log.database.read() as connection:
        assert conditions.open_now(connection) == frozenset()


def test_single_failure_is_no_finding(log: Log, worker: MakeWorker, tmp_path: Path) -> None:
    stream = worker(NoSink(tmp_path))
    log.write(1)
    stream.step()
    assert log.told() == []


def test_failures_back_off(log: Log, worker: MakeWorker, tmp_path: Path) -> None:
    stream = worker(NoSink(tmp_path))
    log.write(1)
    waits = []
    for _ in range(8):
        try_now(log, stream)
        with log.database.read() as connection:
            cursor = sinks.find(connection, "the-sink")
        assert cursor is not None
        assert cursor.next_at is not None
        waits.append(round((cursor.next_at - datetime.now(UTC)).total_seconds()))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert stream.step() is False, "nobody tries before that"


def test_receiver_that_closes_gets_the_last_batch_again(log: Log, worker: MakeWorker) -> None:
    """What it had taken and not yet read is lost with its connection."""
    with SyslogServer() as server:
        stream = worker(TcpSyslog("127.0.0.1", server.port, None))
        log.write(2)
        stream.step()
        until(lambda: len(server.messages) == 2)
        server.cut()
        log.write(1)
        stream.step()
        until(lambda: len(server.messages) == 5)
        first_two, third = log.bodies()[:2], log.bodies()[2]
        assert server.entries() == [*first_two, *first_two, third]


def test_receiver_that_hung_and_died_gets_all_that_it_had_not_read(log: Log, worker: MakeWorker) -> None:
    """Its kernel had acknowledged every batch, and resets the connection when unread bytes are thrown away."""
    hung = socket.create_server(("127.0.0.1", 0))
    port = hung.getsockname()[1]
    stream = worker(TcpSyslog("127.0.0.1", port, None))
    for _ in range(3):
        log.write(2)
        stream.step()
    hung.close()
    with SyslogServer(port) as server:
        log.write(1)
        until(lambda: try_now(log, stream) or len(server.messages) >= 7)
        assert server.entries() == log.bodies()


def test_entries_that_are_gone_are_skipped_and_told(log: Log, worker: MakeWorker, copy_file: Path) -> None:
    stream = worker(FileSink(str(copy_file)))
    log.write(1)
    stream.step()
    log.write(9)
    with log.database.write() as connection:
        tamper(connection, "DELETE FROM entries WHERE position BETWEEN 1 AND 4")
    stream.step()
    stream.step()
    assert lines(copy_file) == log.bodies()
    assert log.told() == [("sink.skipped", None)]


def test_gap_is_told_once_however_often_the_sink_fails_before_it(log: Log, worker: MakeWorker, tmp_path: Path) -> None:
    stream = worker(NoSink(tmp_path))
    log.write(9)
    stream.step()
    with log.database.write() as connection:
        tamper(connection, "DELETE FROM entries WHERE position < 4")
    try_now(log, stream)
    assert log.told() == []
    (tmp_path / "missing").mkdir()
    try_now(log, stream)
    assert log.told() == [("sink.skipped", None)]
    assert log.bodies()[:5] == lines(tmp_path / "missing" / "copy.jsonl")


def test_log_that_was_cut_is_a_finding(log: Log, worker: MakeWorker, copy_file: Path) -> None:
    """Somebody put an older database back: the second copy has more."""
    stream = worker(FileSink(str(copy_file)))
    log.write(4)
    stream.step()
    with log.database.write() as connection:
        connection.execute(update(schema.sinks).values(position=9))
    stream.step()
    stream.step()
    assert log.told() == [("finding.raised", "sink-ahead")]


def test_lag_counts_what_was_not_received(log: Log, worker: MakeWorker, copy_file: Path) -> None:
    log.write(2)
    with log.database.read() as connection:
        before = sinks.lag(connection, "the-sink", 2, datetime.now(UTC))
    assert before.entries == 2
    assert 0 < before.seconds < 60
    worker(FileSink(str(copy_file))).step()
    with log.database.read() as connection:
        assert sinks.lag(connection, "the-sink", 2, datetime.now(UTC)) == (0, 0.0)


def test_lag_behind_what_was_pruned_is_that_of_the_oldest_entry_still_there(
    log: Log, worker: MakeWorker, tmp_path: Path
) -> None:
    log.write(3)
    worker(NoSink(tmp_path)).step()
    with log.database.write() as connection:
        tamper(connection, "DELETE FROM entries WHERE position < 2")
    with log.database.read() as connection:
        lag = sinks.lag(connection, "the-sink", 3, datetime.now(UTC))
    assert lag.entries == 3
    assert 0 < lag.seconds < 60


def test_thread_goes_on_while_the_database_is_away(tmp_path: Path) -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    sink: Sink = FileSink(str(tmp_path / "copy"))
    streaming = Streaming(Stream(database, Journal(database, "w"), sink, "the-sink"))
    streaming.start()
    streaming.close()
    database.close()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")

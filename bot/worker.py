"""The worker: whatever falls due in the database, whoever left it. Several may run, on several hosts.

It looks at an index of due times, so a sweep costs the same whether ten or a million calls lie in the past. Claims
decide who acts; the worker only asks each due call to converge. It also tells that it is alive, and unless a process of
its own does it, the signer runs beside it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog

from bot.audit.journal import Journal, Transaction
from bot.audit.loop import Loop
from bot.control import CallControl
from bot.errors import DatabaseUnavailable
from bot.storage import calls, deliveries, nodes, throttles
from bot.storage.engine import Database

SWEEP_SECONDS = 0.25
SWEEP_CALLS_MAX = 200
HEARTBEAT_SECONDS = 5.0
PROBE_SECONDS = 5.0
TIDY_SECONDS = 600.0
THREADS = 64
THROTTLE_KEPT = timedelta(hours=1)

log = structlog.get_logger(__name__)


class Worker:
    """Runs until `stop`; then it finishes the commands that it has begun, and begins no others."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        control: CallControl,
        signing: Loop | None = None,
        tidy: Callable[[str], None] = lambda _: None,
        beat: Callable[[], object] | None = None,
    ) -> None:
        """`signing`, or its watch, runs in threads of its own. `tidy` does what else falls due for a call: closing
        the session of a payment that is over. `beat` tells that this process lives; without it, only the table of
        heartbeats does.
        """
        self._database = database
        self._journal = journal
        self._control = control
        self._signing = signing
        self._tidy_call = tidy
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="worker")
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._is_stopping = False
        self._duties = [
            _Duty(HEARTBEAT_SECONDS, beat or self._beat),
            _Duty(PROBE_SECONDS, self._probe),
            _Duty(TIDY_SECONDS, self._tidy),
        ]

    def run(self) -> None:
        """Sweep until stopped, whatever fails. A database that is away is waited for; `storage.watch` logs it once."""
        was_away = False
        if self._signing is not None:
            self._signing.start()
        while not self._is_stopping:
            try:
                self.sweep()
                self._do_duties()
                was_away = False
            except DatabaseUnavailable:
                was_away = True
            except Exception:
                log.exception("sweep.failed")
                was_away = True
            time.sleep(SWEEP_SECONDS * (4 if was_away else 1))
        self._control.wind_down()
        log.info("worker.stopping")
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._control.close()
        if self._signing is not None:
            self._signing.stop()

    def stop(self) -> None:
        """Soon, and not at once: an event that a signal handler sets can lock up with the thread that waits for it."""
        self._is_stopping = True

    def close(self) -> None:
        """Let the calls that were handed to threads come to their end."""
        self._pool.shutdown(wait=True)

    def stop_on_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())

    def sweep(self) -> int:
        """Hand each due call to a thread; returns how many were due."""
        with self._database.read() as connection:
            now = Transaction(connection, self._database.is_sqlite).now()
            due = calls.due_now(connection, now, SWEEP_CALLS_MAX)
        for sid in due:
            with self._lock:
                if sid in self._busy or len(self._busy) >= THREADS:
                    continue
                self._busy.add(sid)
            self._pool.submit(self._converge, sid)
        return len(due)

    def _converge(self, sid: str) -> None:
        try:
            self._control.converge(sid)
            self._tidy_call(sid)
        except DatabaseUnavailable:
            log.debug("converge.deferred", call=sid)
        except Exception:
            log.exception("converge.failed", call=sid)
        finally:
            with self._lock:
                self._busy.discard(sid)

    def _do_duties(self) -> None:
        for duty in self._duties:
            duty.do_if_due()

    def _beat(self) -> None:
        self._journal.write(lambda transaction: nodes.beat(transaction, self._journal.node, "worker"))

    def _probe(self) -> None:
        self._pool.submit(self._control.probe)

    def _tidy(self) -> None:
        self._journal.write(deliveries.forget_old)
        self._journal.write(lambda transaction: throttles.forget_old(transaction, THROTTLE_KEPT))


class _Duty:
    """Something to do every so many seconds, the first time at once. Where it fails, holds run out all the same."""

    def __init__(self, seconds: float, what: Callable[[], object]) -> None:
        self._seconds = seconds
        self._what = what
        self._next = 0.0

    def do_if_due(self) -> None:
        if time.monotonic() < self._next:
            return
        try:
            self._what()
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("duty.failed")
        self._next = time.monotonic() + self._seconds

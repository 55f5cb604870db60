"""Connections to SQLite or PostgreSQL: few for each process, however many threads it has.

SQLite: WAL with `synchronous=FULL` on a library free of the WAL bug (sqlite.org/wal.html, "WAL-reset bug"), else the
rollback journal with `EXTRA`. Writers of all processes take a file lock in turn before BEGIN IMMEDIATE, because
SQLite's own busy handler starves them for seconds. PostgreSQL: row locks, READ COMMITTED, and a limit on every wait.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bot.errors import DatabaseUnavailable
from bot.storage.watch import Watch

POOL_SIZE = 10
POOL_WAIT_SECONDS = 5
CONNECT_SECONDS = 3
IDLE_SECONDS = 1.0
UNANSWERED_MILLISECONDS = 5_000
"""How long what we sent may stay unacknowledged: a host that is gone, unlike a server that stopped, refuses nothing."""
LOCK_WAIT_MILLISECONDS = 5_000
STATEMENT_MILLISECONDS = 30_000
WAL_TRIES, WAL_TRY_MILLISECONDS = 10, 200
WAL_SAFE = ((3, 51, 3), (3, 50, 7), (3, 44, 6))


class Database:
    """One process's way to the database. `read()` gives a connection; writing is the journal's alone."""

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self.path = _sqlite_path(url) if self.is_sqlite else None
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgresql_engine(url)
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writing = self.engine.execution_options(writes=True)
        self._lock_file: int | None = None
        self._lock = threading.Lock()
        self._reading_works = Watch("reading")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for single readings, each for itself, given back at the end. Raises `DatabaseUnavailable`."""
        try:
            with translated(), self._reading.connect() as connection:
                yield connection
        except DatabaseUnavailable as error:
            self._reading_works.failed(error)
            raise
        self._reading_works.worked()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection on which all readings see one moment."""
        with translated(), self.engine.connect() as connection:
            if not self.is_sqlite:  # in SQLite a read transaction is a snapshot anyway
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction, committed at the end. For the journal only."""
        with translated(), self._turn(), self._writing.begin() as connection:
            yield connection

    def empty_wal(self) -> bool:
        """SQLite's write-ahead log keeps what was erased until it is written over: empty it. False if somebody reads
        for so long that it cannot be. On PostgreSQL there is nothing to do here: that is for VACUUM.
        """
        return not self.is_sqlite or any(self._try_to_empty_wal() for _ in range(WAL_TRIES))

    def _try_to_empty_wal(self) -> bool:
        """Not for long: whoever wants to write waits meanwhile."""
        with translated(), self._turn(), self._reading.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={WAL_TRY_MILLISECONDS}")
            try:
                is_busy: int = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_WAIT_MILLISECONDS}")
        return not is_busy

    def close(self) -> None:
        self.engine.dispose()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for our turn among the processes that write to this SQLite file."""
        if self.path is None:
            yield
            return
        if self._lock_file is None:
            self._lock_file = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self._lock:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)


@contextmanager
def translated() -> Iterator[None]:
    """The driver's errors as ours: neither statement nor parameters reach a log or a page."""
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailable from error
    except DBAPIError as error:
        if isinstance(error, OperationalError) or error.connection_invalidated or _is_not_as_we_need_it(error):
            raise DatabaseUnavailable from error
        raise
    except OSError as error:
        raise DatabaseUnavailable from error


def is_wal_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the bug that can corrupt a WAL database with two connections."""
    if version < (3, 7, 0):
        return False
    return version >= WAL_SAFE[0] or any(version[:2] == fixed[:2] and version >= fixed for fixed in WAL_SAFE)


def sqlite_module() -> ModuleType:
    """`pysqlite3`, whose wheel brings a fixed SQLite, else the standard library's."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return sqlite3


def _sqlite_path(url: str) -> Path:
    database = make_url(url).database
    if not database or database == ":memory:":
        raise DatabaseUnavailable(
            "DATABASE_URL must name a file: an SQLite database in memory is lost with the process."
        )
    return Path(database).absolute()


def _sqlite_engine(url: str) -> Engine:
    module = sqlite_module()
    _sqlite_path(url).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_engine(
        url.replace("sqlite://", "sqlite+pysqlite://", 1) if url.startswith("sqlite://") else url,
        module=module,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        connect_args={"timeout": LOCK_WAIT_MILLISECONDS / 1000, "check_same_thread": False, "isolation_level": None},
        hide_parameters=True,
    )
    wal = is_wal_safe(module.sqlite_version_info)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            f"journal_mode={'WAL' if wal else 'DELETE'}",
            f"synchronous={'FULL' if wal else 'EXTRA'}",
            "foreign_keys=ON",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return
        writes = options.get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(url: str) -> Engine:
    options = (
        f"-c statement_timeout={STATEMENT_MILLISECONDS} -c lock_timeout={LOCK_WAIT_MILLISECONDS} "
        "-c synchronous_commit=on -c timezone=UTC -c idle_in_transaction_session_timeout=30000"
    )
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": UNANSWERED_MILLISECONDS,
            "keepalives_idle": CONNECT_SECONDS,
            "keepalives_interval": 1,
            "options": options,
            "application_name": "pci-pause-bot",
        },
        hide_parameters=True,
    )

    @event.listens_for(engine, "checkout")
    def _still_there(connection: Any, record: Any, _proxy: Any) -> None:
        """A connection that lay idle may be dead; one just used is not worth the round trip."""
        if time.monotonic() - record.info.get("used", 0.0) > IDLE_SECONDS and not _answers(connection):
            raise DisconnectionError

    @event.listens_for(engine, "checkin")
    def _note_use(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    return engine


def _answers(connection: Any) -> bool:
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except Exception:  # noqa: BLE001 - whatever the driver says, the connection is of no use
        return False
    return True


def _is_not_as_we_need_it(error: DBAPIError) -> bool:
    """Not migrated yet, or a standby that only reads. SQLite has no names of its own for these."""
    return type(error.orig).__name__ in {"UndefinedTable", "UndefinedColumn", "ReadOnlySqlTransaction"}

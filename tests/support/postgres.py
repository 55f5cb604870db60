"""A throw-away PostgreSQL server for one test run.

`$TEST_DATABASE_URL` names a server to use instead; databases are then made in it and dropped at the end. Otherwise the
system's own binaries run a server on a free port of 127.0.0.1, with its data in a new temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from tests.support.missing import MissingPartError
from tests.support.postgres_process import PostgresProcess

ENVIRONMENT_NAME = "TEST_DATABASE_URL"
DEBIAN_VERSIONS = Path("/usr/lib/postgresql")
CONNECT_TIMEOUT_SECONDS = 10


class Server:
    """Databases of their own for tests, in one server."""

    def __init__(self, url: URL, process: PostgresProcess | None) -> None:
        """`url` is any database that may be connected to; `process` is None for a server that is not ours."""
        self._url = url.set(drivername="postgresql+psycopg")
        self._process = process
        self._made: set[str] = set()

    def new_database(self) -> str:
        """An empty database, as a SQLAlchemy URL."""
        name = f"test_{uuid.uuid4().hex}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = self._url.set(database=name).render_as_string(hide_password=False)
        self._made.add(url)
        return url

    def drop(self, url: str) -> None:
        """Remove a database that `new_database` made, whoever is still connected to it.

        Raises KeyError for any other: a test never drops what it did not make.
        """
        self._made.remove(url)
        name = sql.Identifier(make_url(url).database or "")
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def stop(self) -> None:
        """Take the server away: connections are cut, new ones are refused. Returns once it is gone."""
        self._own_process().stop()

    def start(self) -> None:
        """Give the server back, at the same port and with the same data. Returns once it answers."""
        self._own_process().start()

    def drop_all(self) -> None:
        for url in list(self._made):
            self.drop(url)

    def _own_process(self) -> PostgresProcess:
        if self._process is None:
            raise RuntimeError(f"the server of ${ENVIRONMENT_NAME} is not ours to stop or start")
        return self._process

    def _execute(self, statement: sql.Composed) -> None:
        address = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            connection.execute(statement)


@contextlib.contextmanager
def postgres_server() -> Iterator[Server]:
    """A server that is ready for connections. Raises MissingPartError where there are no binaries to run one."""
    given = os.environ.get(ENVIRONMENT_NAME)
    if given:
        server = Server(make_url(given), process=None)
        try:
            yield server
        finally:
            server.drop_all()
        return
    binaries = postgres_binaries()
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder, PostgresProcess(binaries, Path(folder)) as process:
        yield Server(make_url(process.url), process)


def postgres_binaries(debian_versions: Path = DEBIAN_VERSIONS) -> Path:
    """The folder with `initdb` and `postgres`: Debian's newest version, else where the PATH's `initdb` really lies."""
    versions = [path for path in debian_versions.glob("*/bin") if path.parent.name.isdecimal()]
    folders = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    for folder in folders:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    raise MissingPartError("postgresql", f"no initdb and postgres found, and ${ENVIRONMENT_NAME} is not set")

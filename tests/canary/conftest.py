"""The house on either database, and how that database is taken away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.canary.canary import Canary, canary_in
from tests.canary.house import House
from tests.support.full_disk import full_disk
from tests.support.postgres import Server, postgres_binaries
from tests.support.postgres_process import PostgresProcess
from tests.web.conftest import password


@pytest.fixture
def sqlite_canary(tmp_path: Path) -> Iterator[Canary]:
    """Its disk is full while the database is away."""
    with canary_in(tmp_path, f"sqlite:///{tmp_path / 'bot.sqlite3'}", password(), _full) as canary:
        yield canary


def _full(house: House) -> AbstractContextManager[None]:
    return full_disk(*house.pids)


@pytest.fixture
def postgresql_canary(tmp_path: Path) -> Iterator[Canary]:
    """Its server, one of its own, is stopped while the database is away."""
    binaries = postgres_binaries()
    with tempfile.TemporaryDirectory(prefix="postgres-") as files, PostgresProcess(binaries, Path(files)) as process:

        @contextmanager
        def stopped(_house: House) -> Iterator[None]:
            process.stop()
            try:
                yield
            finally:
                process.start()

        url = Server(make_url(process.url), process).new_database()
        with canary_in(tmp_path, url, password(), stopped) as canary:
            canary.files = Path(files)
            yield canary

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.support.missing import MissingPartError
from tests.support.postgres import ENVIRONMENT_NAME, Server, postgres_binaries, postgres_server

# A test run in small: it says where its server is, then waits to be killed.
ABANDONED_RUN = """
import sys
from tests.support.postgres import postgres_server
with postgres_server() as server:
    print(server.new_database(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv(ENVIRONMENT_NAME, raising=False)
        with postgres_server() as server:
            yield server


def ask(url: str, query: str) -> object:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def wait_until(true: Callable[[], bool], deadline_seconds: float = 20) -> None:
    deadline = time.monotonic() + deadline_seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_new_database_is_empty_and_durable(server: Server) -> None:
    url = server.new_database()
    assert make_url(url).drivername == "postgresql+psycopg"
    assert ask(url, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0
    assert ask(url, "SELECT current_setting('fsync')") == "on"
    assert ask(url, "SELECT current_setting('listen_addresses')") == "127.0.0.1"


def test_two_databases_know_nothing_of_each_other(server: Server) -> None:
    first, second = server.new_database(), server.new_database()
    ask(first, "CREATE TABLE calls (sid text)")
    assert ask(second, "SELECT to_regclass('calls')") is None


def test_drop_with_open_connection_cuts_it(server: Server) -> None:
    url = server.new_database()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        server.drop(url)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        ask(url, "SELECT 1")


def test_drop_of_a_database_not_made_here_is_refused(server: Server) -> None:
    url = make_url(server.new_database()).set(database="postgres").render_as_string(hide_password=False)
    with pytest.raises(KeyError):
        server.drop(url)
    assert ask(url, "SELECT 1") == 1


def test_stop_and_start_keep_port_and_data(server: Server) -> None:
    url = server.new_database()
    ask(url, "CREATE TABLE calls AS SELECT 'CA1' AS sid")
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        ask(url, "SELECT 1")
    server.start()
    assert ask(url, "SELECT sid FROM calls") == "CA1"


def test_given_server_is_used_and_left_clean(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    given = server.new_database()
    monkeypatch.setenv(ENVIRONMENT_NAME, given.replace("+psycopg", ""))
    with postgres_server() as borrowed:
        url = borrowed.new_database()
        assert make_url(url).port == make_url(given).port
        assert ask(url, "SELECT 1") == 1
        with pytest.raises(RuntimeError, match="not ours to stop"):
            borrowed.stop()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        ask(url, "SELECT 1")
    assert ask(given, "SELECT 1") == 1


def test_killed_run_leaves_neither_server_nor_folder() -> None:
    environment = {name: value for name, value in os.environ.items() if name != ENVIRONMENT_NAME}
    command = [sys.executable, "-c", ABANDONED_RUN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        folder = Path(str(ask(url, "SHOW data_directory"))).parent
        assert folder.is_dir()
        run.kill()
    wait_until(lambda: not folder.exists())
    with pytest.raises(psycopg.OperationalError):
        ask(url, "SELECT 1")


def test_binaries_newest_of_debian_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for version in ("9.6", "15", "17", "9"):
        make_binaries(tmp_path / version / "bin")
    (tmp_path / "18" / "bin").mkdir(parents=True)
    assert postgres_binaries(tmp_path) == tmp_path / "17" / "bin"


def test_binaries_on_path_are_followed_to_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_binaries(tmp_path / "real")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "initdb").symlink_to(tmp_path / "real" / "initdb")
    monkeypatch.setenv("PATH", str(tmp_path / "linked"))
    assert postgres_binaries(tmp_path / "none") == tmp_path / "real"


def test_binaries_nowhere_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPartError, match="no initdb and postgres found"):
        postgres_binaries(tmp_path)


def make_binaries(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).touch(mode=0o755)

"""One PostgreSQL server process in a folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict

import psycopg

START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 20
POLL_SECONDS = 0.02

# PostgreSQL refuses to run as root: root runs it as this user instead ("nobody" on most systems).
NOBODY = 65534

# The server must not outlive the tests, even those that are killed: this shell waits on a pipe from us. A line on it
# means that we ended the server ourselves; its bare end means that we are gone. Then the server gets 20 seconds.
GUARD = """
read -r order && exit
kill -INT "$1"
polls=0
while [ -e "$2/data/postmaster.pid" ] && [ "$polls" -lt 100 ]; do
    sleep 0.2
    polls=$((polls + 1))
done
rm -rf "$2"
"""

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
fsync = on
"""


class PostgresProcess:
    """Runs from entering to leaving; `stop` and `start` in between keep data and port."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        """`folder` is empty, and only this server's."""
        self._binaries = binaries
        self._folder = folder
        self._port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The maintenance database, as a libpq URI."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Self:
        self._initialise()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return once the server answers. Raises RuntimeError with the server's own words if it does not."""
        if self._server is not None:
            return
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self._port)]
        with self._log.open("ab") as log:
            # Its own session: Ctrl-C is for the tests, and the server ends after them.
            self._server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                **_user(),
            )
        try:
            self._guard = _start_guard(self._server.pid, self._folder)
            _wait_until_ready(self._server, self.url)
        except BaseException as error:
            self.stop()
            if isinstance(error, TimeoutError):
                raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text(errors='replace')}") from error
            raise

    def stop(self) -> None:
        """A fast shutdown: sessions are cut, what was committed stays. Nothing to do if it is stopped already."""
        server, self._server = self._server, None
        guard, self._guard = self._guard, None
        if server is not None:
            _end(server)
        if guard is not None:
            guard.communicate(b"ended\n")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _initialise(self) -> None:
        if os.geteuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
        command = [str(self._binaries / "initdb"), "--pgdata", str(self._data), "--username", "postgres"]
        command += ["--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder, **_user())
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(SETTINGS)
        (self._data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")


class _User(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _user() -> _User:
    """Who runs the server, as arguments for `subprocess`: ourselves, unless we are root."""
    return _User(user=NOBODY, group=NOBODY, extra_groups=[]) if os.geteuid() == 0 else _User()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _start_guard(server: int, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "guard", str(server), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        **_user(),
    )


def _wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    """Raises TimeoutError if the server ended, or does not answer in time."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError from error
            time.sleep(POLL_SECONDS)
        else:
            return


def _end(server: subprocess.Popen[bytes]) -> None:
    for order in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(order)
        try:
            server.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return
    raise RuntimeError(f"PostgreSQL, process {server.pid}, does not end")

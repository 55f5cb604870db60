"""`bot demo` as `make demo` starts it, in a copy of the program, so that its `instance/` is the test's own.

The environment it gets is that of somebody who has a real account and a proxy: nothing of it may be used.
"""

from __future__ import annotations

import http.cookiejar
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.simulator.client import SimulatorClient
from tests.e2e.api import Answer, Api
from tests.e2e.processes import HOST, ROOT, Running, clean_environment, free_port, start, until

START_SECONDS = 45.0
QUICK_SECONDS = 20.0
"""A second start; 8 s at most on a machine that does nothing else."""
END_SECONDS = 12.0
NAMES = ("alice", "bob", "carol", "sam")
REAL_ACCOUNT = "AC" + "c0ffee00" * 4
OF_SOMEBODY = {
    "TWILIO_ACCOUNT_SID": REAL_ACCOUNT,
    "TWILIO_AUTH_TOKEN": "5ec2e7" * 5,
    "TWILIO_API_KEY_SID": "SK" + "c0ffee00" * 4,
    "TWILIO_API_KEY_SECRET": "5ec2e7" * 5,
    "TWILIO_REGION": "ie1",
    "TWILIO_EDGE": "dublin",
    "TWILIO_API_BASE_URL": "http://127.0.0.1:9",
    "DATABASE_URL": "postgresql://127.0.0.1:9/somebodys",
    "PUBLIC_BASE_URL": "https://somebodys.example.com",
    "SECRET_KEY": "a secret key of somebody's own",
    "http_proxy": "http://127.0.0.1:9",
}


@dataclass(frozen=True)
class Demo:
    """What was seen of one start, from its first word to its end."""

    output: str
    start_seconds: float
    listening: frozenset[str]
    account: str
    signed_in: dict[str, bool]
    pause: Answer
    entries: int
    exit_code: int | None
    left_over: list[int]
    end_seconds: float

    @property
    def passwords(self) -> dict[str, str]:
        """As printed: name, role, password."""
        return dict(re.findall(rf"^ +({'|'.join(NAMES)}) +\w+ +(\S+)$", self.output, re.MULTILINE))


@dataclass(frozen=True)
class Home:
    """The copy, and the ports that it is started on."""

    folder: Path
    port: int
    simulator_port: int

    def command(self) -> list[str]:
        ports = ["--port", str(self.port), "--simulator-port", str(self.simulator_port)]
        return [sys.executable, "-m", "bot", "demo", *ports]

    def environment(self) -> dict[str, str]:
        return clean_environment() | OF_SOMEBODY | {"PYTHONPATH": str(self.folder)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("demo")
    for name in ("bot", "templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    lines = [f'{name}="{value}"' for name, value in OF_SOMEBODY.items()]
    (folder / ".env").write_text("\n".join(lines), encoding="utf-8")
    return Home(folder, free_port(), free_port())


@pytest.fixture(scope="module")
def first(home: Home) -> Demo:
    return watch(home, signal.SIGTERM)


@pytest.fixture(scope="module")
def second(home: Home, first: Demo) -> Demo:
    assert first.exit_code is not None
    return watch(home, signal.SIGINT)


def watch(home: Home, end_with: int) -> Demo:
    """Start it, use it, end it."""
    began = time.monotonic()
    demo = start(home.command(), home.environment(), home.folder / f"{end_with}.log", home.folder)
    family: list[int] = []
    try:
        until(lambda: is_told(demo), START_SECONDS, "it says what to open")
        took = time.monotonic() - began
        family = descendants(demo.pid)
        output = demo.output()
        facts = _use(home, output)
        listening = listening_addresses(family)
        asked = time.monotonic()
        os.kill(demo.pid, end_with)
        with suppress(subprocess.TimeoutExpired):
            demo.process.wait(END_SECONDS)
        code = demo.process.poll()
        left_over = [pid for pid in family if is_running(pid)]
        return Demo(output, took, listening, *facts, code, left_over, time.monotonic() - asked)
    finally:
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        demo.end()


def is_told(demo: Running) -> bool:
    assert demo.process.poll() is None, demo.output()
    return "Ctrl-C" in demo.output()


def _use(home: Home, output: str) -> tuple[str, dict[str, bool], Answer, int]:
    """Everybody signs in, and the printed key pauses a call that was placed."""
    url = f"http://{HOST}:{home.port}"
    key = re.search(r"^ +API key +(\S+)$", output, re.MULTILINE)
    assert key is not None, output
    state = SimulatorClient(f"http://{HOST}:{home.simulator_port}").state()
    api = Api(url, key.group(1))
    paused = api.pause(state["calls"][0]["sid"])
    passwords = dict(re.findall(rf"^ +({'|'.join(NAMES)}) +\w+ +(\S+)$", output, re.MULTILINE))
    signed_in = {name: can_sign_in(url, name, password) for name, password in passwords.items()}
    page: dict[str, Any] = api.send("GET", "/entries?limit=500").body
    return str(state["account"]), signed_in, paused, len(page["entries"])


def can_sign_in(url: str, name: str, password: str) -> bool:
    """By the form, as a browser does it."""
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    opener = urllib.request.build_opener(cookies, urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/login", timeout=20) as page:
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.read().decode())
    assert token is not None
    form = {"csrf_token": token.group(1), "username": name, "password": password}
    try:
        with opener.open(f"{url}/login", urllib.parse.urlencode(form).encode(), timeout=20) as reply:
            return b"Sign out" in reply.read()
    except urllib.error.HTTPError:
        return False


def descendants(pid: int) -> list[int]:
    """The process and everything that it, or what it started, has started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def is_running(pid: int) -> bool:
    """A zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listening_addresses(pids: list[int]) -> frozenset[str]:
    """Where these processes listen, as the kernel names it: `0100007F` is 127.0.0.1."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                sockets.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return frozenset(row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets)


def test_demo_says_what_to_open_and_who_may_sign_in(home: Home, first: Demo) -> None:
    assert f"http://{HOST}:{home.port}/" in first.output
    assert f"http://{HOST}:{home.simulator_port}/" in first.output
    assert first.signed_in == dict.fromkeys(NAMES, True)


def test_demo_listens_on_loopback_only(first: Demo) -> None:
    assert first.listening == {"0100007F"}


def test_demo_uses_nothing_of_a_real_account(first: Demo) -> None:
    """Its simulator has an account of its own, and a pause reaches that."""
    assert first.account != REAL_ACCOUNT
    assert first.pause.is_safe
    assert first.pause.body["account"] == first.account


@pytest.mark.parametrize("which", ["first", "second"])
def test_demo_ends_whole(which: str, request: pytest.FixtureRequest) -> None:
    """The first by TERM, the second by INT."""
    demo: Demo = request.getfixturevalue(which)
    assert (demo.exit_code, demo.left_over) == (0, [])
    assert demo.end_seconds < END_SECONDS


def test_demo_started_again_keeps_passwords_and_log_and_is_quick(first: Demo, second: Demo) -> None:
    assert second.passwords == first.passwords
    assert second.signed_in == dict.fromkeys(NAMES, True)
    assert second.account == first.account
    assert second.entries > first.entries
    assert second.start_seconds < QUICK_SECONDS


def test_demo_keeps_its_secrets_to_itself(home: Home, first: Demo) -> None:
    assert first.exit_code == 0
    instance = home.folder / "instance"
    assert instance.stat().st_mode & 0o077 == 0
    assert {path.name for path in instance.glob("demo*.json") if path.stat().st_mode & 0o077} == set()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        yield int(taken.getsockname()[1])


@pytest.mark.parametrize("option", ["port", "simulator_port"])
def test_demo_with_a_taken_port_says_so_in_one_line(home: Home, taken_port: int, option: str) -> None:
    other = Home(**{**vars(home), "port": free_port(), "simulator_port": free_port(), option: taken_port})
    done = subprocess.run(
        other.command(),
        cwd=home.folder,
        env=home.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert str(taken_port) in done.stderr
    assert f"--{option.replace('_', '-')}" in done.stderr

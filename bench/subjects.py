"""What is put under load: the stand-in itself, the naive bot and the bot, each ready to be asked."""

from __future__ import annotations

import json
import secrets
import shlex
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from bench.load import Target
from bench.plan import DELAY_SECONDS
from bench.processes import ROOT, Processes, StartError, environment, free_port
from bot import cli

ACCOUNT = "AC" + "0123456789abcdef" * 2
WEB_CONCURRENCY = "2"
BODY = b'{"reason": "card"}'


@dataclass(frozen=True, slots=True)
class StandIn:
    """A running stand-in for Twilio."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def target(self) -> Target:
        """Bare requests, as the bot sends them for a pause."""
        form = b"Status=paused&PauseBehavior=skip"
        head = (
            f"POST /2010-04-01/Accounts/{ACCOUNT}/Calls/%s/Recordings/Twilio.CURRENT.json HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\n\r\n"
        )
        return Target(self.port, lambda call: (head % call).encode() + form)

    def cpu_seconds(self) -> float:
        """CPU time it has used since it began."""
        with urllib.request.urlopen(f"{self.url}/count", timeout=10) as reply:  # noqa: S310 - http on loopback
            return float(json.load(reply)["cpu_seconds"])


@dataclass(frozen=True, slots=True)
class Bot:
    """The bot while it runs. The log's public key is in the file `vkey`; `cpu_seconds` is what its processes used."""

    target: Target
    vkey: Path
    cpu_seconds: Callable[[], float]


def start_standin(processes: Processes) -> StandIn:
    child = processes.start("standin", environment(), "bench.standin", str(DELAY_SECONDS))
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    if not line.isdecimal():
        raise StartError("The stand-in for Twilio did not start.")
    return StandIn(int(line))


@contextmanager
def naive(folder: Path, standin: StandIn) -> Iterator[Target]:
    """gunicorn's sync workers, two of them, over SQLite."""
    folder.mkdir()
    port = free_port()
    env = environment(
        TWILIO_API_BASE_URL=standin.url,
        TWILIO_ACCOUNT_SID=ACCOUNT,
        TWILIO_AUTH_TOKEN=secrets.token_hex(16),
        NAIVE_DATABASE=str(folder / "naive.sqlite3"),
    )
    options = ("--workers", WEB_CONCURRENCY, "--bind", f"127.0.0.1:{port}", "--no-control-socket")
    with Processes(folder) as processes:
        processes.start("naive", env, "gunicorn", *options, "bench.naive:app")
        processes.wait_ready(f"http://127.0.0.1:{port}/readyz")
        yield Target(port, _pause(port, ""))


@contextmanager
def bot(folder: Path, standin: StandIn, database_url: str) -> Iterator[Bot]:
    """Both of Procfile's processes, on a database made for this run."""
    folder.mkdir()
    port = free_port()
    key_file = folder / "key.pem"
    env = environment(
        SECRET_KEY=secrets.token_urlsafe(32),
        PUBLIC_BASE_URL=f"http://127.0.0.1:{port}",
        TWILIO_ACCOUNT_SID=ACCOUNT,
        TWILIO_AUTH_TOKEN=secrets.token_hex(16),
        TWILIO_API_BASE_URL=standin.url,
        AUDIT_ORIGIN="bench.invalid/pci-pause-bot",
        AUDIT_SIGNING_KEY_FILE=str(key_file),
        DATABASE_URL=database_url,
        HOST="127.0.0.1",
        PORT=str(port),
        WEB_CONCURRENCY=WEB_CONCURRENCY,
    )
    _command(env, "init-db")
    api_key = _command(env, "create-api-key", "bench")
    with Processes(folder) as processes:
        for name, arguments in procfile().items():
            processes.start(name, env, *arguments)
        processes.wait_ready(f"http://127.0.0.1:{port}/readyz")
        target = Target(port, _pause(port, f"Authorization: Bearer {api_key}\r\n"))
        yield Bot(target, Path(f"{key_file}.vkey"), processes.cpu_seconds)


def _command(env: dict[str, str], *arguments: str) -> str:
    """What a command of the bot prints. In this process: importing it anew for each would take longer."""
    done = CliRunner().invoke(cli.main, arguments, env=dict(env))
    if done.exit_code != 0:
        raise StartError(f"`bot {' '.join(arguments)}` ended with {done.exit_code}: {done.output.strip()[-1000:]}")
    return done.stdout.strip()


def procfile() -> dict[str, list[str]]:
    """Procfile's commands by name, as arguments of `python -m` and for any working folder."""
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    named = [line.partition(":") for line in lines if line.strip()]
    return {name: [_anywhere(word) for word in shlex.split(command)] for name, _, command in named}


def _anywhere(word: str) -> str:
    return str(ROOT / word) if (ROOT / word).is_file() else word


def _pause(port: int, authorization: str) -> Callable[[str], bytes]:
    head = f"POST /api/v1/calls/%s/pause HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{authorization}"
    head += f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    return lambda call: (head % call).encode() + BODY

"""The whole bot as a platform runs it: simulated Twilio, `bot init-db`, users and keys by the commands, and the two
lines of the Procfile.
"""

from __future__ import annotations

import base64
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.simulator.client import SimulatorClient
from tests.conftest import ALICE, BOB, CAROL, SAM, Person
from tests.e2e.api import Api
from tests.e2e.processes import HOST, ROOT, Running, clean_environment, free_port, running, start, until
from tests.simulator.process import ACCOUNT, TOKEN
from tests.simulator.process import running as running_simulator

COMMAND_SECONDS = 60.0
READY_SECONDS = 30.0
DAVE = Person("dave", ALICE.role, "client:dave")
"""An agent whose password is changed under him."""
PEOPLE = (ALICE, BOB, CAROL, SAM, DAVE)
KEYS = (("crm", "pause,read"), ("audit", "read,review"))
BASE_URL = "TWILIO_API_BASE_URL"
Way = Callable[[str, str], str]
"""Where the process of this line of the Procfile finds the simulator at this URL."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Stack:
    """A running bot. `web` is the master of the web processes."""

    url: str
    twilio: SimulatorClient
    environment: dict[str, str]
    folder: Path
    web: Running
    worker: Running
    api: Api
    auditor: Api
    ways: dict[str, str]

    def start(self, name: str) -> Running:
        """A process of the Procfile anew. Who starts one ends it, but for one that becomes this stack's `worker`."""
        return start(procfile(name), self.environment | {BASE_URL: self.ways[name]}, self.folder / f"{name}.log")

    def bot(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """`bot …` as an operator types it."""
        return subprocess.run(
            ["bot", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )


def straight(_name: str, simulator_url: str) -> str:
    """No proxy between."""
    return simulator_url


@contextmanager
def running_stack(folder: Path, database_url: str, way: Way = straight, **settings: str) -> Iterator[Stack]:
    """The whole of it for as long as the block runs. What it printed stays in the folder's `*.log`."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    with ExitStack() as open_parts:
        simulator = open_parts.enter_context(running_simulator(url))
        environment = environment_of(folder, database_url, port, simulator.url) | settings
        keys = _set_up(environment, folder)
        ways = {name: way(name, simulator.url) for name in ("web", "worker")}
        web, worker = (
            open_parts.enter_context(running(procfile(name), environment | {BASE_URL: url}, folder / f"{name}.log"))
            for name, url in ways.items()
        )
        until(lambda: is_ready(url, web, worker), READY_SECONDS, "the web process and the worker")
        crm, auditor = (Api(url, key) for key in keys)
        stack = Stack(url, simulator.client, environment, folder, web, worker, crm, auditor, ways)
        try:
            yield stack
        finally:
            stack.worker.end()


def procfile(name: str) -> list[str]:
    """The command of one line of the Procfile, as a platform's shell would split it."""
    lines = dict(line.split(":", 1) for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines() if line)
    return shlex.split(lines[name])


def platform_path(folder: Path) -> str:
    """A PATH with the programs of this interpreter first; where the bot is not installed, with a `bot` of our own."""
    programs = Path(sys.executable).parent
    if not (programs / "bot").exists():
        made = folder / "bin" / "bot"
        made.parent.mkdir(exist_ok=True)
        made.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bot "$@"\n', encoding="utf-8")
        made.chmod(0o755)
    return f"{programs}:{folder / 'bin'}:{clean_environment()['PATH']}"


def environment_of(folder: Path, database_url: str, port: int, simulator_url: str) -> dict[str, str]:
    """What the platform sets for both processes."""
    return clean_environment() | {
        "PATH": platform_path(folder),
        "PORT": str(port),
        "HOST": HOST,
        "WEB_CONCURRENCY": "2",
        "SECRET_KEY": "a secret of the tests",
        "PUBLIC_BASE_URL": f"http://{HOST}:{port}",
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        BASE_URL: simulator_url,
        "AUDIT_ORIGIN": "example.org/log",
        "AUDIT_SIGNING_KEY_FILE": str(folder / "signing-key.pem"),
        "DATABASE_URL": database_url,
        "PAYMENT_CONNECTOR": "Default",
        "PAYMENT_RESULT_URL": f"{simulator_url}/results",
        "PAYMENT_RESULT_SECRET": "whsec_" + base64.b64encode(b"k" * 24).decode(),
    }


def _set_up(environment: dict[str, str], folder: Path) -> list[str]:
    """The commands of a first installation; users and keys all at once, to be quick. The keys, in the order of KEYS."""
    words = folder / "password"
    words.write_text(ALICE.password + "\n", encoding="utf-8")
    _said(_begin(environment, words, "init-db"))
    people = [_begin(environment, words, *_create_user(person)) for person in PEOPLE]
    keys = [_begin(environment, words, "create-api-key", name, "--scope", scope) for name, scope in KEYS]
    said = [_said(process) for process in (*people, *keys)]
    words.unlink()
    return said[len(people) :]


def _create_user(person: Person) -> list[str]:
    contact = ["--contact", person.contact] if person.contact else []
    return ["create-user", person.name, "--role", person.role.value, *contact, "--password-stdin"]


def _begin(environment: dict[str, str], stdin: Path, *arguments: str) -> subprocess.Popen[str]:
    with stdin.open("rb") as file:
        return subprocess.Popen(
            ["bot", *arguments], cwd=ROOT, env=environment, stdin=file, stdout=subprocess.PIPE, text=True
        )


def _said(process: subprocess.Popen[str]) -> str:
    """What a command printed, which must have gone well."""
    try:
        said = process.communicate(timeout=COMMAND_SECONDS)[0].strip()
    finally:
        process.kill()
    assert process.returncode == 0, said
    return said


def is_ready(url: str, *processes: Running) -> bool:
    for one in processes:
        assert one.process.poll() is None, one.output()
    try:
        with _DIRECT.open(f"{url}/readyz", timeout=5) as reply:
            return b'"worker":"ok"' in reply.read()
    except (urllib.error.URLError, OSError):
        return False

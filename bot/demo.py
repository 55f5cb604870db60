"""`make demo`: everything on one machine, with the simulator where Twilio would be. Listens on loopback only.

Makes its own secrets, users and API key, keeps them in `instance/demo.json` (0600) for the next start, and never uses a
Twilio account: whatever the environment says of Twilio is left out.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

from bot.app import wire
from bot.audit.entry import Draft
from bot.audit.journal import Transaction
from bot.audit.keys import create_signing_key, load_signing_key, public_vkey
from bot.audit.signing import write_vkey
from bot.errors import UsageError
from bot.settings import INSTANCE, Settings
from bot.simulator.client import SimulatorClient
from bot.storage import api_keys, migrate, users
from bot.storage.users import Role
from bot.web.passwords import hash_password, new_password
from bot.web.services import Services

HOST = "127.0.0.1"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is asked directly, whatever proxy the environment names."""

READY_SECONDS = 30
ENDING_SECONDS = 10
CAST = (
    ("alice", Role.AGENT, ("client:alice",)),
    ("bob", Role.AGENT, ("client:bob",)),
    ("carol", Role.REVIEWER, ()),
    ("sam", Role.SUPERVISOR, ("client:sam",)),
)


@dataclass
class Kept:
    """What one start of the demo leaves to the next."""

    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    account_sid: str = field(default_factory=lambda: "AC" + secrets.token_hex(16))
    auth_token: str = field(default_factory=lambda: secrets.token_hex(16))
    result_secret: str = field(default_factory=lambda: "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode())
    api_key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    passwords: dict[str, str] = field(default_factory=lambda: {name: new_password() for name, _, _ in CAST})


def run(port: int, simulator_port: int, instance: Path = INSTANCE) -> None:
    """Start it all, say what to open, and wait; Ctrl-C or TERM ends it. Raises `UsageError` if it cannot start."""
    if port == simulator_port:
        raise UsageError("The pages and the simulator need two different ports.")
    _refuse_taken(port, "--port (or make demo PORT=…)")
    _refuse_taken(simulator_port, "--simulator-port (or make demo SIMULATOR_PORT=…)")
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_new = not (instance / "demo.json").exists()
    kept = _kept(instance / "demo.json")
    environment = _environment(kept, port, simulator_port, instance)
    _write_private(instance / "demo.env", "".join(f"{name}='{value}'\n" for name, value in environment.items()))
    os.environ.update(environment)
    _prepare(kept)
    children = _Children({**_clean_environment(), **environment, "PORT": str(port), "HOST": HOST}, instance)
    try:
        _start(children, port, simulator_port)
        _place_calls(simulator_port)
        _tell(kept, port, simulator_port, instance, is_new=is_new)
        children.wait()
    finally:
        _hang_up(simulator_port)
        children.end()


def _refuse_taken(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise UsageError(f"Port {port} is taken: choose another with {option}.") from None


def _kept(path: Path) -> Kept:
    if path.exists():
        return Kept(**json.loads(path.read_text(encoding="utf-8")))
    kept = Kept()
    _write_private(path, json.dumps(asdict(kept), indent=2) + "\n")
    return kept


def _write_private(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        new.unlink()
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def _environment(kept: Kept, port: int, simulator_port: int, instance: Path) -> dict[str, str]:
    return {
        "SECRET_KEY": kept.secret_key,
        "PUBLIC_BASE_URL": f"http://{HOST}:{port}",
        "TWILIO_ACCOUNT_SID": kept.account_sid,
        "TWILIO_AUTH_TOKEN": kept.auth_token,
        "TWILIO_API_BASE_URL": f"http://{HOST}:{simulator_port}",
        "AUDIT_ORIGIN": "demo.invalid/pci-pause-bot",
        "AUDIT_SIGNING_KEY_FILE": str(instance / "demo-key.pem"),
        "PAYMENT_CONNECTOR": "Default",
        "PAYMENT_RESULT_URL": f"http://{HOST}:{simulator_port}/results",
        "PAYMENT_RESULT_SECRET": kept.result_secret,
        "DATABASE_URL": f"sqlite:///{instance / 'demo.sqlite3'}",
    }


def _clean_environment() -> dict[str, str]:
    """Ours, without anything that would lead to a real account."""
    theirs = (
        "TWILIO_", "DATABASE_", "PAUSE_", "WEB_", "GUNICORN_", "TRUSTED_", "REDIRECT_", "AUDIT_", "PAYMENT_", "VOICE_",
        "DTMF_",
    )  # fmt: skip
    return {name: value for name, value in os.environ.items() if not name.startswith(theirs)}


def _prepare(kept: Kept) -> None:
    """Database, key, users and API key, as far as they are not there yet."""
    for name in [name for name in os.environ if name.startswith("TWILIO_API_KEY")]:
        del os.environ[name]
    settings = Settings.read(_env_file=None)
    services = wire(settings, "demo")
    migrate.upgrade(services.database)
    path = settings.audit_signing_key_file
    key = load_signing_key(path) if path.exists() else create_signing_key(path)
    write_vkey(settings.vkey_file, public_vkey(settings.audit_origin, key))
    _add_people(services, kept)
    services.control.close()
    services.database.close()


def _add_people(services: Services, kept: Kept) -> None:
    with services.database.read() as connection:
        missing = [one for one in CAST if users.find(connection, one[0]) is None]
        has_key = api_keys.exists(connection, "demo")
    hashes = {name: hash_password(kept.passwords[name]) for name, _, _ in missing}

    def change(transaction: Transaction) -> None:
        for name, role, contacts in missing:
            users.add(transaction, name, role, hashes[name], is_temporary=False)
            users.set_contacts(transaction, name, contacts)
            transaction.append(Draft(type="user.created", actor="demo", detail={"user": name, "role": role.value}))
        if not has_key:
            api_keys.add(transaction, "demo", kept.api_key, ("pause", "read", "review"))
            transaction.append(Draft(type="api_key.created", actor="demo", detail={"key": "demo"}))

    if missing or not has_key:
        services.journal.write(change)


class _Children:
    """The processes of the demo: if one ends, all end."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._interrupt)

    @staticmethod
    def _interrupt(*_: object) -> None:
        raise SystemExit(0)

    def start(self, name: str, *command: str) -> None:
        """In a session of its own, so that Ctrl-C reaches it through us, and in a folder without anybody's `.env`."""
        child = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._running.append((name, child))

    def check(self) -> None:
        for name, child in self._running:
            if child.poll() is not None:
                raise UsageError(f"The {name} ended unexpectedly (exit code {child.returncode}).")

    def wait(self) -> None:
        while True:
            self.check()
            time.sleep(0.5)

    def end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for _, child in reversed(self._running):
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + ENDING_SECONDS
        for _, child in reversed(self._running):
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _start(children: _Children, port: int, simulator_port: int) -> None:
    children.start(
        "simulated Twilio",
        *("bot.simulator", "--host", HOST, "--port", str(simulator_port), "--webhook-base", f"http://{HOST}:{port}"),
    )
    children.start("web process", "gunicorn", "--config", str(_beside("gunicorn_conf.py")), "bot.app:create_app()")
    children.start("worker", "bot", "worker")
    _wait_for(children, f"http://{HOST}:{simulator_port}/sim/clock")
    _wait_for(children, f"http://{HOST}:{port}/readyz")


def _beside(name: str) -> Path:
    return Path(__file__).resolve().parent / name


def _wait_for(children: _Children, url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        children.check()
        with suppress(urllib.error.URLError, OSError), _DIRECT.open(url, timeout=2):
            return
        time.sleep(0.1)
    raise UsageError(f"{url} did not answer within {READY_SECONDS} s.")


def _place_calls(simulator_port: int) -> None:
    simulator = SimulatorClient(f"http://{HOST}:{simulator_port}")
    simulator.place_call(customer="+4930901820001", agent="client:alice")
    simulator.place_call(customer="+4930901820002", agent="client:alice", recordings=2)
    simulator.place_call(customer="+4930901820003", agent="client:bob", conference="sales", conference_recordings=1)
    simulator.place_call(customer="+4930901820004", agent=None)


def _hang_up(simulator_port: int) -> None:
    """The calls end with the demo, as the simulator forgets them."""
    with suppress(Exception):
        simulator = SimulatorClient(f"http://{HOST}:{simulator_port}")
        for call in simulator.state()["calls"]:
            simulator.hang_up(call["sid"])
        simulator.settle(3)


def _tell(kept: Kept, port: int, simulator_port: int, instance: Path, *, is_new: bool) -> None:
    people = "\n".join(f"    {name:<6} {role.value:<11} {kept.passwords[name]}" for name, role, _ in CAST)
    click.echo(
        f"""
The demo is running{"" if is_new else " (with the data of the last start)"}.

  Sign in at            http://{HOST}:{port}/
{people}
  Simulated Twilio      http://{HOST}:{simulator_port}/   (place calls, press keys, listen, switch faults on)
  API key               {kept.api_key}
    curl -X POST -H "Authorization: Bearer {kept.api_key}" http://{HOST}:{port}/api/v1/calls/CallSid/pause
  The log               set -a; . {instance / "demo.env"}; set +a; .venv/bin/bot audit verify

Ctrl-C ends it all; the data stays under {instance}/.
"""
    )

"""The signer as a process of its own, beside a worker that has no key."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.audit.check import read_vkey, verify_database
from bot.audit.checkpoint import parse_and_verify
from bot.audit.entry import Draft
from bot.audit.journal import Journal
from bot.messages import Finding
from bot.storage import checkpoints, conditions, entries, nodes
from bot.storage.engine import Database
from tests.audit.old_log import append_old
from tests.e2e.processes import ROOT, Running, clean_environment, running, until
from tests.simulator.process import ACCOUNT, TOKEN
from tests.support.smtp import MailServer
from tests.support.tamper import lift_guards

TOO_MANY_RIGHTS = "database.more_rights_than_needed"


class Log:
    """A database and a key in one folder, and the processes that work on them."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.environment = clean_environment() | {
            "SECRET_KEY": "a secret of the tests",
            "PUBLIC_BASE_URL": "https://pause.example.org",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_API_BASE_URL": "http://127.0.0.1:1",
            "AUDIT_ORIGIN": "example.org/log",
            "AUDIT_SIGNING_KEY_FILE": str(folder / "keys" / "key.pem"),
            "AUDIT_CHECKPOINT_SECONDS": "0.05",
            "AUDIT_ANCHOR_SECONDS": "1",
            "AUDIT_SIGNER": "process",
            "DATABASE_URL": database_url,
            "PYTHONPATH": str(ROOT),
        }
        for arguments in (["init-db"], ["audit", "keygen"]):
            command = [sys.executable, "-m", "bot", *arguments]
            done = subprocess.run(command, env=self.environment, cwd=folder, check=True, capture_output=True)
            assert done.stderr == b""
        self.database = Database(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
        self.journal = Journal(self.database, "test-node")

    def process(self, *command: str, name: str = "", **environment: str) -> AbstractContextManager[Running]:
        log = self.folder / f"{name or '-'.join(command)}.log"
        return running([sys.executable, "-m", "bot", *command], self.environment | environment, log, self.folder)

    def write(self) -> None:
        self.journal.append(Draft(type="hold.opened", actor="alice", source="agent"))

    def signed(self) -> int:
        with self.database.read() as connection:
            latest = checkpoints.latest(connection)
        return latest[0] if latest else 0

    def size(self) -> int:
        with self.database.read() as connection:
            return entries.read_head(connection).size

    def verify(self) -> bool:
        return verify_database(self.database, self.vkey).ok

    @property
    def vkey(self) -> str:
        vkey = read_vkey(Path(f"{self.environment['AUDIT_SIGNING_KEY_FILE']}.vkey"))
        assert vkey is not None
        return vkey


@pytest.fixture
def log(tmp_path: Path, database_url: str) -> Iterator[Log]:
    log = Log(tmp_path, database_url)
    yield log
    log.database.close()


def events(of: Running) -> list[Mapping[str, str]]:
    return [json.loads(line) for line in of.output().splitlines() if line.startswith("{")]


def warnings(of: Running) -> list[str]:
    """But for the one that on PostgreSQL the tests run as a superuser, who owns everything."""
    found = [one["event"] for one in events(of) if one["level"] in {"warning", "error"}]
    return [event for event in found if event != TOO_MANY_RIGHTS]


def ended(process: Running) -> int:
    process.process.send_signal(signal.SIGTERM)
    return process.process.wait(10)


def test_signer_signs_and_anchors_until_it_is_ended(log: Log) -> None:
    notes = log.folder / "elsewhere"
    with log.process("audit", "signer", AUDIT_ANCHORS=f"file:{notes}") as signer:
        for size in (1, 2, 3):
            until(lambda size=size: size <= log.size() == log.signed(), 20, "a checkpoint")  # type: ignore[misc]
            log.write()
        until(lambda: log.signed() == log.size() == 4, 20, "the last checkpoint, over its own start too")
        until(lambda: notes.exists() and "\n4\n" in notes.read_text(), 20, "the anchor")
        assert ended(signer) == 0
    assert log.verify()
    assert warnings(signer) == []


def test_worker_beside_it_needs_no_key_and_signs_nothing(log: Log) -> None:
    nowhere = str(log.folder / "nowhere" / "key.pem")
    with log.process("worker", AUDIT_SIGNING_KEY_FILE=nowhere) as worker:

        def is_alive() -> bool:
            assert worker.process.poll() is None, worker.output()
            with log.database.read() as connection:
                return nodes.last_seen(connection, "worker") is not None

        until(is_alive, 20, "the worker")
        assert ended(worker) == 0
    assert log.signed() == 0
    assert not Path(nowhere).parent.exists()
    with log.process("worker", AUDIT_SIGNER="worker", AUDIT_SIGNING_KEY_FILE=nowhere, name="again") as worker:
        assert worker.process.wait(20) == 2
    assert "there is no signing key" in worker.output()


def test_worker_says_that_nothing_signs_and_the_signer_that_it_is_over(log: Log) -> None:
    append_old(log.database, 3, datetime.now(UTC) - timedelta(minutes=2))

    def is_said() -> bool:
        with log.database.read() as connection:
            return Finding.LOG_NOT_SIGNED in conditions.open_now(connection)

    with log.process("worker") as worker:
        until(is_said, 20, "the finding")
        with log.process("audit", "signer") as signer:
            until(lambda: not is_said(), 20, "its end")
            assert (ended(signer), ended(worker)) == (0, 0)


def test_of_two_signers_one_signs_each_size(log: Log) -> None:
    with log.process("audit", "signer", name="one") as one, log.process("audit", "signer", name="two") as two:
        for size in range(1, 21):
            until(lambda size=size: log.signed() >= size, 20, "a checkpoint")  # type: ignore[misc]
            log.write()
        assert (ended(one), ended(two)) == (0, 0)
    assert log.verify()
    with log.database.read() as connection:
        sizes = [parse_and_verify(note, log.vkey).size for note in checkpoints.notes(connection)]
    assert sizes == sorted(set(sizes))
    assert [event["event"] for event in (*events(one), *events(two)) if event["level"] == "error"] == []


def test_signer_killed_and_started_again_goes_on(log: Log) -> None:
    for size in range(1, 6):
        with log.process("audit", "signer", name=f"signer-{size}") as signer:
            until(lambda size=size: size <= log.size() == log.signed(), 20, "a checkpoint")  # type: ignore[misc]
            signer.process.kill()
            signer.process.wait()
        log.write()
    assert log.verify()


def test_anchor_that_never_answers_holds_up_neither_signing_nor_the_end(log: Log) -> None:
    with MailServer(silent=True) as hole:
        anchor = f"http://127.0.0.1:{hole.port}/"
        with log.process("audit", "signer", AUDIT_ANCHORS=anchor) as signer:
            for size in (1, 2, 3):
                until(lambda size=size: size <= log.size() == log.signed(), 20, "a checkpoint")  # type: ignore[misc]
                log.write()
            signer.process.send_signal(signal.SIGTERM)
            assert signer.process.wait(20) == 0


def test_production_without_an_anchor_is_warned_of(log: Log) -> None:
    with log.process("audit", "signer") as signer:
        until(lambda: log.signed() >= 1, 20, "a checkpoint")
        assert ended(signer) == 0
    assert warnings(signer) == ["audit.no_anchor"]


@pytest.mark.parametrize("command", ["bot worker", "bot audit signer", "flask --app bot routes"])
def test_each_process_says_at_start_what_guards_the_log_less_than_it_could(log: Log, command: str) -> None:
    with log.database.write() as connection:
        lift_guards(connection)
    expected = {"database.guards_missing"}
    if not log.database.is_sqlite:
        expected.add(TOO_MANY_RIGHTS)
    whole = [sys.executable, "-m", *command.split()]
    with running(whole, log.environment, log.folder / "process.log", log.folder) as process:
        until(lambda: expected <= {event["event"] for event in events(process)}, 20, "the warnings")

"""`bot audit export` and `bot audit evidence` as an operator types them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.audit.entry import Draft
from bot.audit.journal import Journal, Transaction
from bot.cli import main
from bot.settings import Settings
from bot.storage.engine import Database
from bot.storage.entries import Entry, Filter, oldest
from tests.simulator.process import ACCOUNT, TOKEN
from tests.support.tsa import TimestampAuthority

ALICES_CALL = "CA" + "a" * 32
BOBS_CALL = "CA" + "b" * 32
UNKNOWN_CALL = "CA" + "9" * 32


class Shell:
    """A folder with a fresh log of two calls, and the commands run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'bot.sqlite3'}"
        self.vkey = folder / "key.pem.vkey"
        self.env = {
            "SECRET_KEY": "a secret of the tests",
            "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "AUDIT_ORIGIN": "example.org/log",
            "AUDIT_SIGNING_KEY_FILE": str(folder / "key.pem"),
            "DATABASE_URL": self.url,
        }

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env=self.env)

    def export(self, *arguments: str) -> Path:
        """The folder of an export that went well."""
        reply = self.run("audit", "export", "out", *arguments)
        assert reply.exit_code == 0, reply.output
        return self.folder / "out"

    def log(self, *drafts: Draft) -> None:
        def change(transaction: Transaction) -> None:
            for draft in drafts:
                transaction.append(draft)

        database = Database(self.url)
        Journal(database, "node").write(change)
        database.close()

    def entries(self) -> list[Entry]:
        database = Database(self.url)
        with database.read() as connection:
            found = oldest(connection, Filter(), None, 1_000)
        database.close()
        return found

    def verify(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """By the file that lies in the export, as a program of its own."""
        command = [sys.executable, "-I", str(folder / "verify.py"), "--vkey", str(self.vkey), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=30, check=False)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    shell = Shell(tmp_path)
    assert shell.run("init-db").exit_code == 0
    shell.log(
        Draft(type="hold.opened", actor="alice", source="agent", call=ALICES_CALL, reason="=1+1"),
        Draft(type="hold.opened", actor="bob", source="agent", call=BOBS_CALL),
        Draft(type="pause.proven", call=ALICES_CALL),
        Draft(type="sign_in.succeeded", actor="carol", source="agent"),
    )
    return shell


def lines(folder: Path) -> list[bytes]:
    return (folder / "entries.jsonl").read_bytes().splitlines()


def test_whole_export_is_proven_by_its_own_file_and_by_the_bot(shell: Shell) -> None:
    folder = shell.export()
    done = shell.verify(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PROVEN: these are all 5 entries of the log example.org/log")
    assert CliRunner().invoke(main, ["audit", "verify", "out"], env={}).exit_code == 0


@pytest.mark.parametrize(
    ("calls", "positions"),
    [((ALICES_CALL,), [1, 3]), ((BOBS_CALL,), [2]), ((BOBS_CALL, ALICES_CALL), [1, 2, 3]), ((UNKNOWN_CALL,), [])],
)
def test_export_of_calls_is_a_part_with_proofs(shell: Shell, calls: tuple[str, ...], positions: list[int]) -> None:
    folder = shell.export(*(word for call in calls for word in ("--call", call)))
    done = shell.verify(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"PROVEN: these {len(positions)} entries are in the log example.org/log")
    proofs = (folder / "proofs.jsonl").read_text().splitlines()
    assert [int(proof.split(":")[1].split(",")[0]) for proof in proofs] == positions
    says = (folder / "README.txt").read_text()
    assert "proves of each entry in it that it is in the log" in says
    assert "does not prove that the part is complete" in says
    reply = CliRunner().invoke(main, ["audit", "verify", "out", "--vkey", str(shell.vkey)], env={})
    assert (reply.exit_code, reply.output) == (0, done.stdout)


def test_export_of_a_time_holds_what_was_logged_then_both_ends_included(shell: Shell) -> None:
    times = [entry.fields["at"] for entry in shell.entries()]
    assert len(lines(shell.export("--from", times[1], "--to", times[1]))) == 4
    reply = shell.run("audit", "export", "later", "--from", "2999-01-01T00:00:00Z")
    assert (reply.exit_code, lines(shell.folder / "later")) == (0, [])
    assert shell.run("audit", "export", "both", "--from", times[0], "--call", BOBS_CALL).exit_code == 0
    assert len(lines(shell.folder / "both")) == 1


def test_damaged_part_is_exit_code_1_for_the_bot_too(shell: Shell) -> None:
    path = shell.export("--call", ALICES_CALL) / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b"alice", b"alicf"))
    reply = shell.run("audit", "verify", "out")
    assert reply.exit_code == 1
    assert reply.output.startswith("NOT PROVEN: line 1 of entries.jsonl is not proven to be entry 1")


@pytest.mark.parametrize("arguments", [(), ("--call", ALICES_CALL)])
def test_key_file_without_a_key_does_not_let_the_export_s_own_key_pass(
    shell: Shell, arguments: tuple[str, ...]
) -> None:
    shell.export(*arguments)
    (shell.folder / "empty").write_text("\n")
    reply = shell.run("audit", "verify", "out", "--vkey", "empty")
    assert (reply.exit_code, reply.output) == (2, "bot: There is no key in empty.\n")


def test_part_is_not_called_proven_where_a_checkpoint_that_was_kept_would_go_unread(shell: Shell) -> None:
    shell.export("--call", ALICES_CALL)
    (shell.folder / "kept").write_bytes(shell.run("audit", "checkpoint").stdout_bytes)
    reply = shell.run("audit", "verify", "out", "--anchor", "kept")
    assert (reply.exit_code, reply.stdout) == (2, "")
    assert "Use verify.py with --old-checkpoint" in reply.stderr


@pytest.mark.parametrize(
    ("name", "why"), [("missing", "No such file"), ("x" * 300, "name too long"), ("kept", "folder")]
)
def test_what_is_no_folder_is_said_to_be_none(name: str, why: str, shell: Shell) -> None:
    (shell.folder / "kept").touch()
    reply = shell.run("audit", "verify", name)
    assert (reply.exit_code, reply.stdout) == (2, "")
    assert why in reply.stderr


@pytest.mark.parametrize("arguments", [(), ("--call", BOBS_CALL)])
def test_export_links_to_a_checkpoint_that_was_kept(shell: Shell, arguments: tuple[str, ...]) -> None:
    kept = shell.folder / "kept"
    kept.write_bytes(shell.run("audit", "checkpoint").stdout_bytes)
    shell.log(Draft(type="sign_out", actor="carol", source="agent"))
    folder = shell.export("--since-checkpoint", str(kept), *arguments)
    assert (folder / "consistency").read_bytes().endswith(b"\n\n" + kept.read_bytes())
    done = shell.verify(folder, "--old-checkpoint", str(kept))
    assert (done.returncode, done.stderr) == (0, "")
    assert "which continues the checkpoint of 5" in done.stdout


def test_export_that_cannot_be_linked_is_refused_before_anything_is_written_or_noted(shell: Shell) -> None:
    kept = shell.folder / "kept"
    before = len(shell.entries())
    for content in (b"", b"\xff", b"example.org/log\n5\n"):
        kept.write_bytes(content)
        assert shell.run("audit", "export", "out", "--since-checkpoint", str(kept)).exit_code == 2
    assert not (shell.folder / "out").exists()
    assert len(shell.entries()) == before


def test_csv_has_a_sentence_for_each_entry_and_no_formula(shell: Shell) -> None:
    for folder, arguments in (("whole", ()), ("part", ("--call", ALICES_CALL))):
        assert shell.run("audit", "export", folder, "--csv", *arguments).exit_code == 0
        with (shell.folder / folder / "entries.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(lines(shell.folder / folder))
        row = next(row for row in rows if row["actor"] == "alice")
        assert (row["position"], row["reason"]) == ("1", "'=1+1")
        assert row["sentence"] == "Alice asked for a pause (=1+1)."
        assert shell.verify(shell.folder / folder).returncode == 0


def test_export_is_an_entry_with_its_filter(shell: Shell) -> None:
    for number, (arguments, call, asked) in enumerate(
        (
            ((), None, None),
            (("--call", ALICES_CALL), ALICES_CALL, {"call": ALICES_CALL}),
            (("--call", UNKNOWN_CALL), None, {"call": UNKNOWN_CALL}),
            (
                ("--call", ALICES_CALL, "--call", BOBS_CALL, "--from", "2026-01-01"),
                None,
                {"call": f"{ALICES_CALL}, {BOBS_CALL}", "from": "2026-01-01"},
            ),
        )
    ):
        size = len(shell.entries())
        assert shell.run("audit", "export", f"out-{number}", *arguments).exit_code == 0
        fields = shell.entries()[-1].fields
        assert (fields["type"], fields["actor"], fields["call"]) == ("log.exported", "operator", call)
        assert fields["detail"] == {"size": size} | ({"filter": asked} if asked else {})


@pytest.mark.parametrize(
    "arguments",
    [
        ("--call", "CA1"),
        ("--from", "yesterday"),
        ("--from", "2026-01-02", "--to", "2026-01-01"),
        ("--to", "2026-01-01T00:00:00"),
        ("--since-checkpoint", "no-such-file"),
    ],
)
def test_export_that_is_asked_for_wrongly_is_exit_code_2(shell: Shell, arguments: tuple[str, ...]) -> None:
    before = len(shell.entries())
    reply = shell.run("audit", "export", "out", *arguments)
    assert (reply.exit_code, reply.stdout) == (2, "")
    assert not (shell.folder / "out").exists()
    assert len(shell.entries()) == before


def test_interrupted_export_goes_on_to_its_own_checkpoint(shell: Shell) -> None:
    folder = shell.export()
    (folder / "entries.jsonl").write_bytes(lines(folder)[0] + b"\ntorn")
    (folder / "UNFINISHED").write_text(f"not finished\n1 {len(lines(folder)[0]) + 1}\n")
    assert shell.run("audit", "verify", "out").exit_code == 1
    assert shell.verify(folder).returncode == 1
    assert shell.run("audit", "export", "out", "--call", ALICES_CALL).exit_code == 2
    shell.export()
    assert shell.verify(folder).stdout.startswith("PROVEN: these are all 5 entries of the log")
    assert shell.run("audit", "export", "out").exit_code == 2


def test_export_of_an_altered_log_is_made_as_evidence_with_exit_code_1(shell: Shell) -> None:
    assert shell.run("audit", "checkpoint").exit_code == 0
    database = Database(shell.url)
    with database.write() as connection:
        for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql("UPDATE entries SET body = replace(body, 'bob', 'bot') WHERE position = 2")
    database.close()
    reply = shell.run("audit", "export", "out")
    assert reply.exit_code == 1
    assert "this export does not verify" in reply.stderr
    assert shell.verify(shell.folder / "out").returncode == 1


def test_evidence_of_a_call_is_proven_and_noted(shell: Shell) -> None:
    reply = shell.run("audit", "evidence", ALICES_CALL, "out")
    assert (reply.exit_code, reply.output) == (0, "Wrote 2 entries to out; the page to print is evidence.html.\n")
    done = shell.verify(shell.folder / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert shell.entries()[-1].fields["call"] == ALICES_CALL
    assert shell.run("audit", "evidence", ALICES_CALL, "out").exit_code == 2


@pytest.mark.parametrize("sid", ["CA1", UNKNOWN_CALL])
def test_evidence_of_no_call_is_exit_code_2(shell: Shell, sid: str) -> None:
    before = len(shell.entries())
    assert shell.run("audit", "evidence", sid, "out").exit_code == 2
    assert not (shell.folder / "out").exists()
    assert len(shell.entries()) == before


def test_export_and_evidence_carry_a_time_stamp_that_openssl_verifies(shell: Shell, tmp_path: Path) -> None:
    with TimestampAuthority(tmp_path / "tsa") as tsa:
        shell.env |= {"AUDIT_ANCHORS": f"rfc3161:{tsa.url}", "AUDIT_TSA_CA_FILE": str(tsa.ca.certificate)}
        assert shell.run("audit", "export", "out").exit_code == 0
        assert shell.run("audit", "evidence", ALICES_CALL, "evidence").exit_code == 0
    for folder in ("out", "evidence"):
        there = shell.folder / folder
        command = ["openssl", "ts", "-verify", "-data", "checkpoint", "-in", "checkpoint.tsr", "-CAfile"]
        done = subprocess.run(
            [*command, str(tsa.ca.certificate)], cwd=there, capture_output=True, text=True, timeout=30, check=False
        )
        assert "Verification: OK" in done.stdout + done.stderr


def test_authority_that_is_away_is_warned_of_and_hinders_nothing(shell: Shell) -> None:
    shell.env |= {"AUDIT_ANCHORS": "rfc3161:http://127.0.0.1:9/tsr"}
    reply = shell.run("audit", "export", "out")
    assert reply.exit_code == 0
    assert "the checkpoint has no time stamp" in reply.output
    assert not (shell.folder / "out" / "checkpoint.tsr").exists()

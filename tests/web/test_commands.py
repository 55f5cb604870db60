"""The commands as an operator types them: what they print, what they change, their exit codes, their refusals.

Starting Python takes longer than most commands, so only the longer stories run as processes; the refusals run the same
commands inside this one.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli import main
from bot.settings import Settings
from bot.storage.engine import Database, sqlite_module
from bot.storage.entries import Filter, oldest
from tests.simulator.process import ACCOUNT, ROOT, TOKEN
from tests.web.conftest import DATABASE_FILE

COMMANDS = [
    ["init-db"],
    ["create-user"],
    ["set-password"],
    ["disable-user"],
    ["create-api-key"],
    ["revoke-api-key"],
    ["worker"],
    ["demo"],
    ["audit"],
    ["audit", "verify"],
    ["audit", "export"],
    ["audit", "checkpoint"],
    ["audit", "signer"],
    ["audit", "keygen"],
    ["audit", "rotate-key"],
    ["audit", "rotate-key", "begin"],
    ["audit", "rotate-key", "finish"],
    ["audit", "archive"],
    ["grant-sql"],
    ["audit", "anchors"],
    ["privacy"],
    ["privacy", "show"],
    ["privacy", "erase"],
]
PASSWORD = "typed by hand 2026"
PROCESS_SECONDS = 40


@dataclass(frozen=True)
class Shell:
    """A folder with its environment, and the commands run there."""

    folder: Path
    env: dict[str, str]

    @property
    def key_file(self) -> Path:
        return Path(self.env["AUDIT_SIGNING_KEY_FILE"])

    def run(self, *arguments: str, typed: str | None = None) -> Result:
        """In this process. `Result.output` has both streams."""
        return CliRunner().invoke(main, list(arguments), input=typed, env=self.env)

    def process(
        self, *arguments: str, program: tuple[str, ...] = ("bot",), typed: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *program, *arguments]
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
        path = os.pathsep.join((str(ROOT), str(self.folder)))
        return subprocess.run(
            command, cwd=self.folder, env=kept | self.env | {"PYTHONPATH": path} | env, input=typed,
            capture_output=True, text=True, timeout=PROCESS_SECONDS, check=False,
        )  # fmt: skip

    def entries(self) -> list[dict[str, object]]:
        database = Database(self.env["DATABASE_URL"])
        with database.read() as connection:
            found = [entry.fields for entry in oldest(connection, Filter(), None, 1_000)]
        database.close()
        return found

    def types(self) -> list[object]:
        return [entry["type"] for entry in self.entries()]


@pytest.fixture
def web_empty_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Nothing there yet but the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return Shell(
        tmp_path,
        {
            "SECRET_KEY": "a secret of the tests",
            "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "AUDIT_ORIGIN": "example.org/log",
            "AUDIT_SIGNING_KEY_FILE": str(tmp_path / "keys" / "signing-key.pem"),
            "DATABASE_URL": f"sqlite:///{tmp_path / DATABASE_FILE}",
        },
    )


@pytest.fixture
def web_shell(web_empty_shell: Shell, web_template: Path) -> Shell:
    """A database with the cast, and its signing key."""
    shutil.copy(web_template, web_empty_shell.folder / DATABASE_FILE)
    assert web_empty_shell.run("init-db").exit_code == 0
    return web_empty_shell


# As processes


def test_log_is_kept_verified_exported_and_tampering_is_found(web_empty_shell: Shell) -> None:
    shell = web_empty_shell
    first = shell.process("init-db")
    assert (first.returncode, first.stderr) == (0, "")
    assert "A new signing key" in first.stdout
    key = shell.process("create-api-key", "crm")
    assert key.returncode == 0
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}\n", key.stdout)
    assert key.stdout.strip() not in str(shell.entries())
    assert shell.process("audit", "export", str(shell.folder / "out")).returncode == 0
    names = ["README.txt", "checkpoint", "entries.jsonl", "log.vkey", "verify.py"]
    assert sorted(path.name for path in (shell.folder / "out").iterdir()) == names
    assert shell.process("audit", "verify").returncode == 0
    _tamper(shell)
    found = shell.process("audit", "verify")
    assert found.returncode == 1
    assert "does NOT verify" in found.stdout


def test_missing_and_bad_variables_are_all_named_with_exit_code_2(web_empty_shell: Shell) -> None:
    bad = dict.fromkeys(web_empty_shell.env, "") | {"TRUSTED_PROXIES": "many", "PAUSE_BEHAVIOR": "mute"}
    for program in (("bot",), ("flask", "--app", "bot")):
        reply = web_empty_shell.process(
            "init-db", program=program, **bad, PYTHONPATH=str(_entry_points(web_empty_shell))
        )
        assert reply.returncode == 2
        for name in (
            *(name for name in web_empty_shell.env if name != "DATABASE_URL"),
            "TRUSTED_PROXIES",
            "PAUSE_BEHAVIOR",
        ):
            assert re.search(rf"^  {name}: ", reply.stderr, re.MULTILINE), name
        assert "Traceback" not in reply.stderr
    assert list(web_empty_shell.folder.glob("*.sqlite3")) == []


def test_flask_has_the_same_commands(web_shell: Shell) -> None:
    reply = web_shell.process(
        "create-user", "dave", "--role", "agent", "--password-stdin",
        program=("flask", "--app", "bot"), typed=PASSWORD + "\n", PYTHONPATH=str(_entry_points(web_shell)),
    )  # fmt: skip
    assert (reply.returncode, reply.stdout) == (0, "Created dave.\n")


def test_project_offers_every_command_to_flask() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    offered = points["flask.commands"]
    assert set(offered) == set(main.commands)
    for name, target in offered.items():
        module, attribute = target.split(":")
        assert getattr(sys.modules[module], attribute) is main.commands[name]


def _entry_points(shell: Shell) -> str:
    """What installing the project tells Flask, for a checkout that is not installed."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    info = shell.folder / "pci_pause_bot-0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pci-pause-bot\nVersion: 0\n", encoding="utf-8")
    lines = [f"{name} = {target}" for name, target in points["flask.commands"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[flask.commands]", *lines, ""]), encoding="utf-8")
    return os.pathsep.join((str(ROOT), str(shell.folder)))


def _tamper(shell: Shell, statement: str = "UPDATE entries SET body = replace(body, 'crm', 'crn')") -> None:
    module = sqlite_module()
    connection: sqlite3.Connection = module.connect(shell.folder / DATABASE_FILE)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(statement)
    connection.commit()
    connection.close()


# Setting up


def test_init_db_twice_keeps_the_key_and_the_log(web_empty_shell: Shell) -> None:
    assert web_empty_shell.run("init-db").exit_code == 0
    key, log = web_empty_shell.key_file.read_bytes(), web_empty_shell.entries()
    again = web_empty_shell.run("init-db")
    assert (again.exit_code, again.output) == (0, "The database is ready.\n")
    assert web_empty_shell.key_file.read_bytes() == key
    assert web_empty_shell.entries() == log
    assert web_empty_shell.types() == ["key.created"]


def test_init_db_keeps_off_the_key_of_a_signer_of_its_own(web_empty_shell: Shell) -> None:
    first = web_empty_shell.process("init-db", AUDIT_SIGNER="process")
    assert (first.returncode, "as the signer's user, with `bot audit keygen`" in first.stdout) == (0, True)
    assert not web_empty_shell.key_file.exists()
    assert web_empty_shell.run("audit", "keygen").exit_code == 0
    web_empty_shell.key_file.chmod(0)
    again = web_empty_shell.process("init-db", AUDIT_SIGNER="process")
    assert (again.returncode, again.stdout) == (0, "The database is ready.\n")


def test_signing_key_is_its_owner_s_alone(web_shell: Shell) -> None:
    assert stat.S_IMODE(web_shell.key_file.stat().st_mode) == 0o600
    vkey = Path(f"{web_shell.key_file}.vkey").read_text(encoding="utf-8")
    assert vkey.startswith("example.org/log+")
    assert "PRIVATE" not in vkey


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_signing_key_that_others_can_read_is_refused(mode: int, web_shell: Shell) -> None:
    web_shell.key_file.chmod(mode)
    for arguments in (["init-db"], ["audit", "checkpoint"], ["audit", "export", "out"], ["worker"]):
        reply = web_shell.run(*arguments)
        assert reply.exit_code == 2
        assert "chmod 600" in reply.output
    assert not (web_shell.folder / "out").exists()


def test_command_before_init_db_says_what_to_do(web_empty_shell: Shell) -> None:
    reply = web_empty_shell.run("create-api-key", "crm")
    assert reply.exit_code == 2
    assert reply.output.startswith("bot: ")


# Users


def test_create_user_prints_a_temporary_password_alone(web_shell: Shell) -> None:
    reply = web_shell.run("create-user", "dave", "--role", "agent", "--contact", "client:dave")
    assert reply.exit_code == 0
    assert re.fullmatch(r"[a-z2-9]{5}(-[a-z2-9]{5}){3}\n", reply.output)
    last = web_shell.entries()[-1]
    assert (last["type"], last["actor"], last["source"]) == ("user.created", "operator", "system")
    assert last["detail"] == {"user": "dave", "role": "agent"}
    assert reply.output.strip() not in str(web_shell.entries())


def test_password_from_standard_input_is_not_temporary_and_not_shown(web_shell: Shell) -> None:
    reply = web_shell.run("create-user", "dave", "--role", "reviewer", "--password-stdin", typed=PASSWORD + "\n")
    assert (reply.exit_code, reply.output) == (0, "Created dave.\n")
    reply = web_shell.run("set-password", "dave", "--password-stdin", typed=PASSWORD + " 2\n")
    assert (reply.exit_code, reply.output) == (0, "Changed the password of dave.\n")
    assert PASSWORD not in str(web_shell.entries())


def test_weak_password_is_taken_with_a_warning(web_shell: Shell) -> None:
    reply = web_shell.run("create-user", "dave", "--role", "agent", "--password-stdin", typed="short\n")
    assert (reply.exit_code, reply.stdout) == (0, "Created dave.\n")
    assert "warning" in reply.stderr


def test_set_password_and_disable_user_are_told_in_the_log(web_shell: Shell) -> None:
    assert re.fullmatch(r"[a-z2-9-]{23}\n", web_shell.run("set-password", "alice").output)
    assert web_shell.run("disable-user", "alice").output == "Disabled alice.\n"
    assert web_shell.types()[-2:] == ["user.password_set", "user.disabled"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["create-user", "alice", "--role", "agent"],
        ["create-user", "two words", "--role", "agent"],
        ["create-user", "", "--role", "agent"],
        ["create-user", "x" * 101, "--role", "agent"],
        ["create-user", "dave\n", "--role", "agent"],
        ["create-user", "dave", "--role", "king"],
        ["create-user", "dave"],
        ["create-user", "dave", "--role", "agent", "--password-stdin"],
        ["create-user", "dave", "--role", "agent", "--contact", "client:alice"],
        ["set-password", "nobody"],
        ["disable-user", "nobody"],
        ["create-api-key", "two words"],
        ["create-api-key", "crm"],
        ["create-api-key", "new", "--scope", "everything"],
        ["create-api-key", "new", "--scope", ""],
        ["revoke-api-key", "nothing"],
        ["no-such-command"],
        ["audit", "verify", "no-such-folder"],
        ["audit", "export", "keys"],
        ["audit", "export"],
        ["demo", "--port", "0"],
    ],
    ids=" ".join,
)
def test_command_that_cannot_be_carried_out_exits_with_2_and_changes_nothing(
    arguments: list[str], web_shell: Shell
) -> None:
    before = web_shell.types()
    reply = web_shell.run(*arguments, typed="")
    assert reply.exit_code == 2, reply.exception
    assert reply.stdout == ""
    assert reply.stderr
    assert [type_ for type_ in web_shell.types() if type_ != "log.checkpoint"] == before


# API keys


def test_api_key_is_printed_once_and_kept_as_its_hash(web_shell: Shell) -> None:
    reply = web_shell.run("create-api-key", "shop", "--scope", "pause, review")
    assert (reply.exit_code, reply.stderr) == (0, "")
    key = reply.stdout.strip()
    assert len(key) == 43
    raw = b"".join(path.read_bytes() for path in web_shell.folder.glob("bot.sqlite3*"))
    assert key.encode() not in raw
    assert web_shell.entries()[-1]["detail"] == {"key": "shop", "scopes": ["pause", "review"]}
    assert web_shell.run("revoke-api-key", "shop").exit_code == 0
    assert web_shell.run("revoke-api-key", "shop").exit_code == 2
    assert web_shell.run("create-api-key", "shop").exit_code == 2
    assert web_shell.types()[-2:] == ["api_key.created", "api_key.revoked"]


# The log


def test_checkpoint_prints_the_signed_note(web_shell: Shell) -> None:
    reply = web_shell.run("audit", "checkpoint")
    assert reply.exit_code == 0, reply.output
    origin, size, root, blank, signature = reply.output.rstrip("\n").split("\n")
    assert (origin, size, blank, len(root)) == ("example.org/log", str(len(web_shell.entries())), "", 44)
    assert signature.startswith("\u2014 example.org/log ")


def test_verify_notes_itself_and_an_export_verifies_without_an_environment(web_shell: Shell) -> None:
    assert web_shell.run("audit", "checkpoint").exit_code == 0
    assert web_shell.run("audit", "verify").exit_code == 0
    assert web_shell.types()[-1] == "log.verified"
    assert web_shell.run("audit", "export", "out").exit_code == 0
    bare = Shell(web_shell.folder, {})
    assert bare.run("audit", "verify", "out").exit_code == 0
    assert bare.run("audit", "verify", "out", "--vkey", f"{web_shell.key_file}.vkey").exit_code == 0
    path = web_shell.folder / "out" / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b"operator", b"0perator", 1))
    assert bare.run("audit", "verify", "out").exit_code == 1


def test_export_into_a_folder_that_is_there_changes_nothing_in_it(web_shell: Shell) -> None:
    assert web_shell.run("audit", "export", "out").exit_code == 0
    before = {path.name: path.read_bytes() for path in (web_shell.folder / "out").iterdir()}
    assert web_shell.run("audit", "export", "out").exit_code == 2
    assert {path.name: path.read_bytes() for path in (web_shell.folder / "out").iterdir()} == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = replace(body, 'operator', 'mallory')",
        "UPDATE entries SET actor = 'mallory' WHERE position = 0",
        "DELETE FROM entries WHERE position = 0",
        "DELETE FROM entries WHERE position = (SELECT max(position) FROM entries)",
        "UPDATE head SET size = size - 1",
        "UPDATE entries SET leaf = zeroblob(32) WHERE position = 1",
    ],
)
def test_verify_after_tampering_exits_with_1(statement: str, web_shell: Shell) -> None:
    for name in ("one", "two", "three"):
        web_shell.run("create-api-key", name)
    assert web_shell.run("audit", "checkpoint").exit_code == 0
    _tamper(web_shell, statement)
    reply = web_shell.run("audit", "verify")
    assert (reply.exit_code, "does NOT verify" in reply.output) == (1, True)


def test_keygen_makes_a_key_for_its_owner_alone_and_never_overwrites(web_empty_shell: Shell) -> None:
    shell = web_empty_shell
    made = shell.run("audit", "keygen")
    assert made.exit_code == 0, made.output
    assert made.stdout == Path(f"{shell.key_file}.vkey").read_text(encoding="utf-8")
    assert stat.S_IMODE(shell.key_file.stat().st_mode) == 0o600
    before = shell.key_file.read_bytes()
    again = shell.run("audit", "keygen")
    assert (again.exit_code, again.stdout, shell.key_file.read_bytes()) == (2, "", before)
    assert "never overwritten" in again.stderr
    other = shell.run("audit", "keygen", str(shell.folder / "other.pem"))
    assert other.stdout.startswith("example.org/log+")
    assert other.stdout != made.stdout


def test_key_is_rotated_by_two_commands_in_their_order(web_shell: Shell) -> None:
    vkeys = Path(f"{web_shell.key_file}.vkey")
    assert web_shell.run("audit", "rotate-key", "finish").exit_code == 2
    begun = web_shell.run("audit", "rotate-key", "begin")
    assert begun.exit_code == 0, begun.output
    old, new = vkeys.read_text(encoding="utf-8").splitlines()
    assert old in begun.stdout
    assert new in begun.stdout
    assert web_shell.run("audit", "checkpoint").stdout.count("\u2014 example.org/log ") == 2
    assert web_shell.run("audit", "rotate-key", "begin").exit_code == 2
    assert web_shell.run("init-db").exit_code == 0
    assert web_shell.run("audit", "rotate-key", "finish").exit_code == 0
    assert vkeys.read_text(encoding="utf-8").splitlines() == [new, old]
    assert web_shell.run("audit", "export", "out").exit_code == 0
    assert web_shell.run("audit", "verify", "out").exit_code == 0
    assert web_shell.run("audit", "verify").exit_code == 0
    assert [type_ for type_ in web_shell.types() if str(type_).startswith("key.")] == [
        "key.created", "key.rotation_begun", "key.rotation_finished",
    ]  # fmt: skip


# Help


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_needs_no_environment(option: str, web_empty_shell: Shell) -> None:
    for arguments in COMMANDS:
        reply = Shell(web_empty_shell.folder, {}).run(*arguments, option)
        assert (reply.exit_code, reply.stderr) == (0, "")
        assert reply.stdout.startswith("Usage: ")


def test_help_names_every_command(web_empty_shell: Shell) -> None:
    text = Shell(web_empty_shell.folder, {}).run("--help").stdout
    assert {path[0] for path in COMMANDS} == set(main.commands)
    assert all(f"\n  {path[0]} " in text for path in COMMANDS)

"""A signer at which every system call fails in turn, or that is killed there: it never signs two trees of one size, and
the next one goes on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from bot.audit.checkpoint import Checkpoint, parse_and_verify
from bot.audit.journal import Journal
from bot.audit.signer import LogDoesNotExtend, Signer, SignerRefused
from bot.settings import Settings
from bot.storage import migrate
from bot.storage.engine import Database
from tests.audit.bench import Bench
from tests.audit.examples import KEY, ORIGIN, VKEY, bodies, tree
from tests.support.faults import Done, Fault, Faults, PythonCalls, Strace, does_strace_work, faults

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOG = bodies(8)
REWRITTEN = [*LOG[:6], b"{}", LOG[7]]

TOOLS: list[Faults] = [PythonCalls(), *([Strace()] if does_strace_work() else [])]


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def signer(state: Path, log: list[bytes]) -> Signer:
    return Signer(ORIGIN, KEY, state, lambda start, stop: log[start:stop])


def files(state: Path) -> list[Path]:
    return [state.parent, *(state.with_name(state.name + ending) for ending in ("", ".new", ".lock"))]


class Seen:
    """Every note that anybody came to see, of which no two may say different things of one size."""

    def __init__(self) -> None:
        self._checkpoints: dict[int, Checkpoint] = {}

    def note(self, text: str) -> None:
        found = parse_and_verify(text, VKEY)
        assert self._checkpoints.setdefault(found.size, found) == found

    def state(self, path: Path) -> None:
        """Whole, whatever happened."""
        if path.exists():
            self.note(json.loads(path.read_bytes())["note"])


def given_state(folder: Path, *, is_first: bool) -> Path:
    """Of a signer that signed five entries, or none yet."""
    state = folder / "signer" / "state"
    if not is_first:
        signer(state, LOG).sign_up_to(5)
    return state


@pytest.mark.parametrize("is_first", [False, True], ids=["going on", "for the first time"])
@pytest.mark.parametrize("fault", get_args(Fault))
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_no_fault_anywhere_makes_a_signer_sign_two_trees_of_one_size(
    tool: Faults, fault: Fault, is_first: bool, tmp_path: Path
) -> None:
    """After each fault the log is rewritten above what was signed for sure, and another signer comes."""
    script = str(HERE / "sign_once.py")
    undisturbed = given_state(tmp_path / "undisturbed", is_first=is_first)
    places = tool.places((script, str(undisturbed)), files(undisturbed))
    assert len(places) >= 7
    for number, place in enumerate(places):
        state = given_state(tmp_path / str(number), is_first=is_first)
        seen = Seen()
        seen.state(state)
        done = tool.run((script, str(state)), files(state), place, fault)
        assert done.was_hit
        judge(done, fault, seen)
        seen.state(state)
        recover(state, seen)


def judge(done: Done, fault: Fault, seen: Seen) -> None:
    """A note, or a refusal in plain words; never a traceback."""
    if done.output:
        seen.note(done.output)
    if fault != "KILL":
        assert "Traceback" not in done.errors, done.errors
        assert bool(done.output) is (done.code == 0)


def recover(state: Path, seen: Seen) -> None:
    try:
        note = signer(state, REWRITTEN).sign_up_to(8)
    except LogDoesNotExtend:
        note = signer(state, LOG).sign_up_to(8)
    else:
        assert parse_and_verify(note, VKEY).root in {tree(LOG).root(), tree(REWRITTEN).root()}
    seen.note(note)
    seen.state(state)
    assert not state.with_name(state.name + ".new").exists()


def test_state_that_a_full_disk_left_half_written_is_never_taken_for_one(tmp_path: Path) -> None:
    state = given_state(tmp_path, is_first=False)
    whole = state.read_bytes()
    for length in range(len(whole)):
        state.write_bytes(whole[:length])
        with pytest.raises(SignerRefused, match=r"damaged|not of this log"):
            signer(state, LOG).sign_up_to(8)


# The whole round, with the database

CHANGING = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "flock", "open", "replace")


@pytest.mark.timeout(300)
def test_round_that_is_killed_anywhere_is_made_up_for_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every call on the key's folder and the database that opens, changes, syncs or locks something."""
    tool = faults()
    script = str(HERE / "round_once.py")
    bench = new_log(tmp_path / "undisturbed", monkeypatch)
    places = [place for place in tool.places((script,), log_files(bench)) if place.call in CHANGING]
    bench.database.close()
    assert len(places) >= 6
    for number, place in enumerate(places):
        bench = new_log(tmp_path / str(number), monkeypatch)
        done = tool.run((script,), log_files(bench), place, "KILL")
        assert done.was_hit, place
        bench.write()
        bench.rounds().make()
        report = bench.verify()
        assert (report.problems, bench.findings()) == ((), []), place
        assert [parse_and_verify(note, bench.signer.vkey).size for note in bench.notes()][-1] == 9
        bench.database.close()


def new_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Five entries that were signed, and three that were not."""
    folder.mkdir()
    variables = {
        "SECRET_KEY": "a secret of the tests",
        "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "token",
        "AUDIT_ORIGIN": "example.org/log",
        "AUDIT_SIGNING_KEY_FILE": str(folder / "keys" / "key.pem"),
        "DATABASE_URL": f"sqlite:///{folder / 'bot.sqlite3'}",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = Settings.read(_env_file=None)
    database = Database(settings.database_url)
    migrate.upgrade(database)
    bench = Bench(settings, database, Journal(database, "test-node"))
    bench.write(5)
    bench.signer.sign()
    bench.write(3)
    return bench


def log_files(bench: Bench) -> list[Path]:
    key, database = bench.settings.audit_signing_key_file, bench.database.path
    assert database is not None
    beside = [f"{key}{ending}" for ending in ("", ".vkey", ".state", ".state.new", ".state.lock")]
    beside += [f"{database}{ending}" for ending in ("", "-wal", "-shm", "-journal", ".lock")]
    return [key.parent, *map(Path, beside)]

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bot.audit.checkpoint import Checkpoint, parse_and_verify
from bot.audit.keys import KeyFileError, create_signing_key, load_signing_key, public_vkey
from bot.audit.signer import LogDoesNotExtend, Signer, SignerBusy, SignerRefused
from tests.audit.examples import KEY, ORIGIN, OTHER_KEY, VKEY, bodies, tree

ROOT = Path(__file__).resolve().parents[2]

# Signs 8 entries where 5 were signed before, and kills itself at the place named on the command line.
KILLED_SIGNER = """
import os, signal, sys
from pathlib import Path
from bot.audit.signer import Signer
from tests.audit.examples import KEY, ORIGIN, bodies

def die_at(event, arguments):
    if event == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

def read(start, stop):
    yield from bodies(8)[start:stop]
    if sys.argv[2] == "reading":
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die_at)
Signer(ORIGIN, KEY, Path(sys.argv[1]), read).sign_up_to(8)
"""


class Log:
    """Entries in a list, where a test can rewrite them."""

    def __init__(self, count: int) -> None:
        self.entries = bodies(count)
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> Iterable[bytes]:
        self.reads.append((start, stop))
        return iter(self.entries[start:stop])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "signer" / "state.json"


def signer(log: Log, state: Path) -> Signer:
    return Signer(ORIGIN, KEY, state, log.read)


def test_each_size_is_signed_over_the_entries_own_bytes(state: Path) -> None:
    log = Log(20)
    for size in (0, 1, 2, 7, 8, 20):
        note = signer(log, state).sign_up_to(size)
        assert parse_and_verify(note, VKEY) == Checkpoint(ORIGIN, size, tree(log.entries[:size]).root())


def test_only_new_entries_and_the_last_signed_one_are_read(state: Path) -> None:
    log = Log(20)
    one = signer(log, state)
    one.sign_up_to(7)
    one.sign_up_to(20)
    assert log.reads == [(0, 7), (6, 20)]


def test_the_same_size_again_gives_the_same_note_after_a_restart(state: Path) -> None:
    log = Log(5)
    first = signer(log, state).sign_up_to(5)
    before = state.stat().st_ino
    assert signer(log, state).sign_up_to(5) == first
    assert state.stat().st_ino == before


def test_a_shrunken_log_is_refused(state: Path) -> None:
    log = Log(5)
    signer(log, state).sign_up_to(5)
    with pytest.raises(SignerRefused, match="has 4 entries, but 5 were signed"):
        signer(log, state).sign_up_to(4)


@pytest.mark.parametrize("size", [5, 9])
def test_a_log_that_lost_signed_entries_is_refused_whatever_size_it_claims(state: Path, size: int) -> None:
    log = Log(5)
    signer(log, state).sign_up_to(5)
    del log.entries[4:]
    with pytest.raises(SignerRefused, match="entry 4 is not the one that was signed"):
        signer(log, state).sign_up_to(size)


@pytest.mark.parametrize("size", [4, 5, 6, 7, 8])
@pytest.mark.parametrize("more", [0, 1, 5])
def test_a_log_whose_last_signed_entry_was_rewritten_is_refused(state: Path, size: int, more: int) -> None:
    log = Log(size + more)
    signer(log, state).sign_up_to(size)
    log.entries[size - 1] = b"{}"
    with pytest.raises(SignerRefused, match="rewritten"):
        signer(log, state).sign_up_to(size + more)


def test_an_earlier_entry_that_was_rewritten_never_gets_a_tree_of_its_own_signed(state: Path) -> None:
    log = Log(9)
    original = list(log.entries)
    signer(log, state).sign_up_to(6)
    log.entries[2] = b"{}"
    signed = parse_and_verify(signer(log, state).sign_up_to(9), VKEY)
    assert signed.root == tree(original).root()
    assert signed.root != tree(log.entries).root()


@pytest.mark.parametrize("given", [7, 9])
def test_a_log_that_gives_another_number_of_entries_than_asked_is_refused(state: Path, given: int) -> None:
    with pytest.raises(SignerRefused, match=f"gave {given} entries where 8"):
        Signer(ORIGIN, KEY, state, lambda _start, _stop: bodies(given)).sign_up_to(8)
    assert not state.exists()


@pytest.mark.parametrize("signed", [0, 5])
def test_an_entry_that_was_rewritten_before_it_was_signed_is_refused(state: Path, signed: int) -> None:
    """The head that it was appended under still tells of it."""
    log = Log(8)
    if signed:
        signer(log, state).sign_up_to(signed)
    head = tree(log.entries)
    log.entries[6] = b"{}"
    with pytest.raises(LogDoesNotExtend, match="the head's tree of 8 entries is not what the signed one grows to"):
        signer(log, state).sign_head(lambda: head)
    assert signer(log, state).last().frontier.size == signed


def test_a_second_signer_at_the_same_time_is_turned_away(state: Path) -> None:
    log = Log(5)
    seen: list[str] = []

    def read_while_another_tries(start: int, stop: int) -> Iterable[bytes]:
        for wait_seconds in (0, 0.1):
            with pytest.raises(SignerBusy) as busy:
                signer(log, state).sign_up_to(4, wait_seconds=wait_seconds)
            seen.append(str(busy.value))
        return log.read(start, stop)

    Signer(ORIGIN, KEY, state, read_while_another_tries).sign_up_to(5)
    assert len(seen) == 2
    assert signer(log, state).sign_up_to(5, wait_seconds=1)


def test_the_state_is_kept_when_the_note_is_handed_out_and_closed_to_others(state: Path) -> None:
    note = signer(Log(5), state).sign_up_to(5)
    assert json.loads(state.read_bytes())["note"] == note
    assert state.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in state.parent.iterdir()) == ["state.json", "state.json.lock"]


@pytest.mark.parametrize("place", ["reading", "os.rename"])
def test_a_signer_killed_before_its_state_is_in_place_leaves_the_old_one(state: Path, place: str) -> None:
    log = Log(8)
    first = signer(log, state).sign_up_to(5)
    command = [sys.executable, "-c", KILLED_SIGNER, str(state), place]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=30, check=False)
    assert run.returncode == -signal.SIGKILL
    assert state.with_name("state.json.new").exists() == (place == "os.rename")
    assert json.loads(state.read_bytes())["note"] == first
    note = signer(log, state).sign_up_to(8)
    assert parse_and_verify(note, VKEY).root == tree(log.entries).root()
    assert not state.with_name("state.json.new").exists()


def test_no_note_is_handed_out_when_the_state_cannot_be_kept(state: Path) -> None:
    state.with_name("state.json.new").mkdir(parents=True)
    with pytest.raises(SignerRefused, match="cannot be kept"):
        signer(Log(5), state).sign_up_to(5)
    assert not state.exists()


def test_a_note_whose_state_may_not_outlast_a_power_cut_is_not_handed_out(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new state is in place, but its folder could not be synced: not at first, and not when it was tried again."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == state.parent:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        for _ in range(2):
            with pytest.raises(SignerRefused, match="cannot be kept"):
                signer(Log(5), state).sign_up_to(5)
    assert signer(Log(5), state).sign_up_to(5) == json.loads(state.read_bytes())["note"]


def rewritten(state: Path, **fields: object) -> None:
    state.write_text(json.dumps({**json.loads(state.read_bytes()), **fields}))


def test_a_damaged_state_is_refused(state: Path) -> None:
    log = Log(5)
    signer(log, state).sign_up_to(5)
    whole = state.read_bytes()
    sizes = (whole.replace(b'"size": 5', size) for size in (b'"size": "5"', b'"size": 5.0', b'"size": -5'))
    for content in (b"", whole[:-1], b"[]", b"[" * 100_000, b"null", b"{}", *sizes):
        state.write_bytes(content)
        with pytest.raises(SignerRefused, match="damaged"):
            signer(log, state).sign_up_to(5)


def test_a_state_that_does_not_fit_its_note_is_refused(state: Path) -> None:
    log = Log(5)
    signer(log, state).sign_up_to(5)
    shorter = tree(log.entries[:4])
    rewritten(state, size=4, frontier=shorter.to_bytes().hex())
    with pytest.raises(SignerRefused, match="its own checkpoint differ"):
        signer(log, state).sign_up_to(5)


def test_a_state_of_another_key_or_log_is_refused(state: Path) -> None:
    log = Log(5)
    signer(log, state).sign_up_to(5)
    with pytest.raises(SignerRefused, match="not of this log and key"):
        Signer(ORIGIN, OTHER_KEY, state, log.read).sign_up_to(5)
    with pytest.raises(SignerRefused, match="not of this log and key"):
        Signer("other.example/log", KEY, state, log.read).sign_up_to(5)


def test_a_new_key_is_private_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "log.pem"
    key = create_signing_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["log.pem"]
    assert public_vkey(ORIGIN, load_signing_key(path)) == public_vkey(ORIGIN, key)
    assert path.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "log.pem"
    create_signing_key(path)
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        create_signing_key(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "log.pem"
    create_signing_key(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600"):
        load_signing_key(path)


def test_what_is_no_signing_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.pem"
    with pytest.raises(KeyFileError, match="no signing key at"):
        load_signing_key(path)
    path.touch(0o600)
    with pytest.raises(KeyFileError, match="no private key in PEM"):
        load_signing_key(path)
    curve = generate_private_key(SECP256R1())
    path.write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyFileError, match="not Ed25519"):
        load_signing_key(path)

"""Rotation of the signing key: the order of its steps, a crash at any of them, and how an auditor follows."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.audit.checkpoint import NotSignedBy, is_signed_by, parse_and_verify
from bot.audit.export import write_export
from bot.audit.keyring import next_file, read_vkeys
from bot.audit.keys import KeyFileError, create_signing_key, load_signing_key, public_vkey
from bot.audit.rotation import Rotation
from bot.audit.signing import write_vkey
from bot.audit.verify import verify_export
from bot.errors import LogError, UsageError
from tests.audit.bench import Bench
from tests.audit.examples import ORIGIN, OTHER_KEY, VKEY, bodies, note


def rotation(bench: Bench) -> Rotation:
    settings = bench.settings
    return Rotation(bench.signer, bench.database, bench.journal, settings.audit_origin, settings.audit_signing_key_file)


def published(bench: Bench) -> tuple[str, ...]:
    return read_vkeys(bench.settings.vkey_file)


def told(bench: Bench) -> list[str]:
    return [entry["type"] for entry in bench.entries("key.rotation_begun", "key.rotation_finished")]


def signed_by(bench: Bench, *vkeys: str) -> list[bool]:
    last = bench.notes()[-1]
    return [is_signed_by(last, vkey) for vkey in vkeys]


def test_between_its_steps_both_keys_sign_one_text(bench: Bench) -> None:
    bench.write(3)
    bench.signer.sign()
    (old,) = published(bench)
    assert rotation(bench).begin() == (old, published(bench)[1])
    old, new = published(bench)
    assert signed_by(bench, old, new) == [True, True]
    bench.write()
    bench.signer.sign()
    assert signed_by(bench, old, new) == [True, True]
    assert parse_and_verify(bench.notes()[-1], old) == parse_and_verify(bench.notes()[-1], new)
    assert rotation(bench).finish() == (old, new)
    assert signed_by(bench, old, new) == [False, True]
    assert published(bench) == (new, old)
    assert bench.verify().ok
    assert bench.verify().checkpoints_checked == len(bench.notes()) == 4


def test_the_key_files_are_their_owners_alone_and_the_old_private_key_is_gone(bench: Bench) -> None:
    path = bench.settings.audit_signing_key_file
    old = path.read_bytes()
    rotation(bench).begin()
    coming = next_file(path).read_bytes()
    assert next_file(path).stat().st_mode & 0o777 == 0o600
    assert bench.settings.vkey_file.stat().st_mode & 0o777 == 0o644
    rotation(bench).finish()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (coming, 0o600)
    assert not next_file(path).exists()
    assert all(old not in file.read_bytes() for file in path.parent.iterdir())


def test_both_steps_are_in_the_log_with_both_ids_and_no_private_key(bench: Bench) -> None:
    rotation(bench).begin()
    rotation(bench).finish()
    new, old = published(bench)
    detail = {"key": old.split("+")[1], "next_key": new.split("+")[1], "next_vkey": new}
    entries = bench.entries("key.rotation_begun", "key.rotation_finished")
    assert [(entry["type"], entry["detail"]) for entry in entries] == [
        ("key.rotation_begun", detail),
        ("key.rotation_finished", detail),
    ]


def test_a_step_in_the_wrong_order_is_refused_and_changes_nothing(bench: Bench) -> None:
    before = published(bench)
    with pytest.raises(UsageError, match="No rotation is under way"):
        rotation(bench).finish()
    assert (published(bench), told(bench)) == (before, [])
    rotation(bench).begin()
    before = published(bench)
    with pytest.raises(UsageError, match="under way: finish it"):
        rotation(bench).begin()
    assert (published(bench), told(bench)) == (before, ["key.rotation_begun"])
    rotation(bench).finish()
    with pytest.raises(UsageError, match="No rotation is under way"):
        rotation(bench).finish()
    assert told(bench) == ["key.rotation_begun", "key.rotation_finished"]


def test_keys_are_rotated_again_and_again(bench: Bench) -> None:
    for _ in range(3):
        bench.write()
        rotation(bench).begin()
        rotation(bench).finish()
    assert len(published(bench)) == 4
    assert bench.verify().ok


# A crash at any step


class Crash(BaseException):
    """The process is dead: nothing of ours may catch this."""


def crashing(monkeypatch: pytest.MonkeyPatch, at: int) -> list[str]:
    """From now on the process dies at the so-and-so-many-th change it makes to a file or flush of one to disk."""
    seen: list[str] = []

    def dying(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            seen.append(name)
            if len(seen) == at:
                raise Crash
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    for name in ("open", "fsync", "link", "unlink", "rename", "replace"):
        dying(name)
    return seen


@pytest.mark.parametrize("step", ["begin", "finish"])
def test_a_step_that_was_interrupted_anywhere_is_continued_by_the_same_command(
    step: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new rotation for each place to die, until one is not reached any more."""
    at, is_through = 0, False
    while not is_through:
        at += 1
        bench.write()
        if step == "finish":
            rotation(bench).begin()
        with monkeypatch.context() as patch:
            crashing(patch, at)
            try:
                getattr(rotation(bench), step)()
                is_through = True
            except Crash:
                pass
        bench.rounds().make()  # the signer goes on meanwhile, with whatever keys there are
        if not is_through:
            with suppress(UsageError):  # it died after the last thing that mattered
                getattr(rotation(bench), step)()
        if step == "begin":
            rotation(bench).finish()
        assert told(bench) == ["key.rotation_begun", "key.rotation_finished"] * at
        assert bench.findings() == []
        report = bench.verify()
        assert (report.problems, report.checkpoints_checked) == ((), len(bench.notes()))
    assert at > 10
    assert len(published(bench)) == at + 1


def test_no_rotation_begins_before_the_log_tells_that_the_last_one_is_finished(bench: Bench) -> None:
    """It died between changing the keys and telling of it."""
    rotation(bench).begin()
    key = bench.settings.audit_signing_key_file
    write_vkey(bench.settings.vkey_file, public_vkey(bench.settings.audit_origin, load_signing_key(next_file(key))))
    next_file(key).replace(key)
    with pytest.raises(UsageError, match="run `bot audit rotate-key finish` again"):
        rotation(bench).begin()
    assert not next_file(key).exists()
    rotation(bench).finish()
    rotation(bench).begin()
    assert told(bench) == ["key.rotation_begun", "key.rotation_finished", "key.rotation_begun"]


# An auditor who holds only the old key


def test_an_auditor_with_the_old_key_comes_to_accept_the_new_one(bench: Bench, tmp_path: Path) -> None:
    """The log names the new key, under a checkpoint that the old one signed, and the new one signed that too."""
    (old,) = published(bench)
    bench.write(3)
    rotation(bench).begin()
    folder = exported(bench, tmp_path / "both")
    assert verify_export(folder, old).ok
    named = bench.entries("key.rotation_begun")[-1]["detail"]["next_vkey"]
    assert verify_export(folder, named).ok
    rotation(bench).finish()
    later = exported(bench, tmp_path / "later")
    assert verify_export(later, named).ok
    assert not verify_export(later, old).ok
    assert verify_export(later, f"{old}\n{named}").ok
    # The later log goes on from the one that the old key signed.
    entries = (folder / "entries.jsonl").read_bytes()
    assert (later / "entries.jsonl").read_bytes().startswith(entries)


def test_a_key_that_the_old_one_never_vouched_for_is_not_accepted(bench: Bench, tmp_path: Path) -> None:
    """Mallory replaces the key files and signs on, with her own key published beside the old one."""
    (old,) = published(bench)
    bench.write(3)
    folder = exported(bench, tmp_path / "export")
    mallory = Ed25519PrivateKey.generate()
    (folder / "checkpoint").write_text(note(bodies(2), mallory, "example.org/log"), encoding="utf-8")
    with (folder / "log.vkey").open("a", encoding="utf-8") as file:
        file.write(public_vkey("example.org/log", mallory) + "\n")
    report = verify_export(folder, old)
    assert (report.ok, report.checkpoints_checked) == (False, 0)


def exported(bench: Bench, folder: Path) -> Path:
    signed = bench.signer.sign()
    write_export(folder, bench.signer.read, signed, bench.signer.vkey)
    return folder


# Several keys


def test_a_note_needs_one_of_the_keys_and_no_wrong_signature_of_any() -> None:
    other = public_vkey(ORIGIN, OTHER_KEY)
    both = f"{VKEY}\n{other}"
    of_one, of_other = note(bodies(2)), note(bodies(2), OTHER_KEY)
    assert parse_and_verify(of_one, both) == parse_and_verify(of_other, both)
    with pytest.raises(NotSignedBy):
        parse_and_verify(of_one, other)
    spoiled = of_one + note(bodies(3), OTHER_KEY).split("\n\n")[1]
    assert parse_and_verify(spoiled, VKEY).size == 2
    with pytest.raises(LogError, match="signature is wrong"):
        parse_and_verify(spoiled, both)


def test_published_keys_that_are_damaged_are_refused(bench: Bench) -> None:
    bench.settings.vkey_file.write_text("nonsense\n")
    with pytest.raises(KeyFileError, match="are damaged"):
        bench.signer.sign()


def test_publishing_a_key_keeps_those_before(tmp_path: Path) -> None:
    path = tmp_path / "log.vkey"
    for name in ("a.pem", "b.pem"):
        write_vkey(path, public_vkey(ORIGIN, create_signing_key(tmp_path / name)))
    keys = [public_vkey(ORIGIN, load_signing_key(tmp_path / name)) for name in ("b.pem", "a.pem")]
    assert read_vkeys(path) == tuple(keys)
    write_vkey(path, keys[1])
    assert read_vkeys(path) == (keys[1], keys[0])

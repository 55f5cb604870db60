"""The log and its exports checked against what anchors keep, as the auditor's command does it."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.audit.anchored import compare, read_sources, split_notes
from bot.audit.anchors.desk import Desk
from bot.audit.anchors.file import FileAnchor
from bot.audit.anchors.timestamp import TimestampAnchor
from bot.audit.export import write_export
from bot.audit.merkle import Frontier, leaf_hash
from bot.cli import main
from bot.errors import UsageError
from tests.audit.bench import Bench
from tests.audit.examples import OTHER_KEY, VKEY, bodies, note
from tests.support.tsa import TimestampAuthority

SIZES = (1, 3, 8, 13)


def kept(path: Path, *notes: str) -> Path:
    anchor = FileAnchor(path, timedelta(0))
    for one in notes:
        anchor.keep(one)
    return path


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    """A file with the checkpoints of a log of 13 entries."""
    return kept(tmp_path / "notes", *(note(bodies(size)) for size in SIZES))


def problems(of: list[bytes], *sources: Path, vkeys: str = VKEY) -> list[str]:
    anchors = read_sources(sources, vkeys)
    return [*compare(of, anchors), *anchors.problems]


def test_log_that_goes_on_from_what_was_anchored_is_good(anchor: Path) -> None:
    for size in (13, 14, 40):
        assert problems(bodies(size), anchor) == []


def test_cut_tail_is_found_by_each_anchored_checkpoint_beyond_it(anchor: Path) -> None:
    assert problems(bodies(7), anchor) == [
        f"the log ends after 7 entries, but the checkpoint in notes (number {number}) covers {size}: its tail was cut"
        for number, size in ((3, 8), (4, 13))
    ]
    assert len(problems([], anchor)) == 4


@pytest.mark.parametrize("at", range(13))
def test_any_entry_changed_dropped_or_swapped_before_an_anchor_is_found(at: int, anchor: Path) -> None:
    of = bodies(20)
    changed = [*of[:at], b"{}", *of[at + 1 :]]
    dropped = [*of[:at], *of[at + 1 :]]
    swapped = [*of[:at], of[at + 1], of[at], *of[at + 2 :]]
    for log in (changed, dropped, swapped) if at < 12 else (changed, dropped):
        found = problems(log, anchor)
        assert found
        assert all("are not those that the checkpoint" in one for one in found)


def test_anchored_note_of_another_key_does_not_count(tmp_path: Path) -> None:
    source = kept(tmp_path / "notes", note(bodies(3), OTHER_KEY), note(bodies(3)))
    assert problems(bodies(5), source) == [
        "the anchored note in notes (number 1) does not count: "
        "the checkpoint is not signed by this key, but by that of another log or person"
    ]


def test_notes_run_together_or_with_anything_between_them_are_read() -> None:
    one, two = note(bodies(2)), note(bodies(3))
    both = one.rstrip("\n") + "\n" + OTHER_SIGNATURE
    assert split_notes(one + two) == ([one, two], 0)
    assert split_notes(f"\n\n{one}\n\n\n{two}\n") == ([one, two], 0)
    assert split_notes(f"From: a colleague\n\n{one}\nthank you\n\n{both}") == ([one, both], 2)
    assert split_notes("") == ([], 0)


OTHER_SIGNATURE = note(bodies(2), OTHER_KEY).split("\n\n")[1]


def test_note_that_a_crash_cut_short_says_nothing_and_spoils_nothing(tmp_path: Path) -> None:
    torn = note(bodies(2)).encode()
    for length in range(1, len(torn)):
        path = tmp_path / str(length)
        path.write_bytes(torn[:length])
        kept(path, note(bodies(8)))
        anchors = read_sources([path], VKEY)
        assert [checkpoint.size for _, checkpoint in anchors.checkpoints] == [8] or length >= len(torn) - 1
        assert anchors.problems == ()


def test_source_without_a_checkpoint_is_no_proof(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("nothing here\n")
    for source in (tmp_path / "empty", tmp_path / "text"):
        with pytest.raises(UsageError, match="no signed checkpoint"):
            read_sources([source], VKEY)
    with pytest.raises(UsageError, match="cannot be read"):
        read_sources([tmp_path / "missing"], VKEY)


def test_source_that_is_too_long_is_not_read_in_part(anchor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest checkpoints stand at its end."""
    size = anchor.stat().st_size
    monkeypatch.setattr("bot.audit.anchored.SOURCE_BYTES_MAX", size)
    assert problems(bodies(13), anchor) == []
    monkeypatch.setattr("bot.audit.anchored.SOURCE_BYTES_MAX", size - 1)
    with pytest.raises(UsageError, match="split it"):
        problems(bodies(13), anchor)


# The commands

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""Commands run inside this process leave their connections to it."""


def run(bench: Bench, *arguments: str | Path, **env: str) -> Result:
    settings = bench.settings
    variables = {
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "PUBLIC_BASE_URL": settings.public_base_url,
        "TWILIO_ACCOUNT_SID": settings.twilio_account_sid,
        "TWILIO_AUTH_TOKEN": settings.twilio_auth_token.get_secret_value(),
        "AUDIT_ORIGIN": settings.audit_origin,
        "AUDIT_SIGNING_KEY_FILE": str(settings.audit_signing_key_file),
        "DATABASE_URL": settings.database_url,
    }
    return CliRunner().invoke(main, ["audit", *map(str, arguments)], env=variables | env)


@ON_SQLITE
def test_database_that_was_cut_consistently_is_found_by_its_anchor_alone(bench: Bench, tmp_path: Path) -> None:
    """Mallory owns the database and the signer's state: everything that is left fits together."""
    bench.write(3)
    small = bench.signer.sign()
    bench.write(4)
    anchor = kept(tmp_path / "notes", small, bench.signer.sign())
    assert run(bench, "verify", "--anchor", anchor).exit_code == 0
    bench.tamper("DELETE FROM entries WHERE position >= 3", "DELETE FROM checkpoints WHERE size > 3")
    head = bench_head(bench, 3)
    bench.tamper("UPDATE head SET size = 3, frontier = :frontier", frontier=head)
    assert run(bench, "verify").exit_code == 0
    found = run(bench, "verify", "--anchor", anchor)
    assert found.exit_code == 1
    assert "covers 7: its tail was cut" in found.output


def bench_head(bench: Bench, size: int) -> bytes:
    return Frontier().extend(map(leaf_hash, bench.signer.read(0, size))).to_bytes()


def reader(log: list[bytes]) -> Callable[[int, int], list[bytes]]:
    """The entries start, …, stop - 1."""
    return lambda start, stop: log[start:stop]


@pytest.mark.parametrize(("size", "code"), [(13, 0), (8, 1)])
def test_export_is_compared_without_an_environment(size: int, code: int, tmp_path: Path, anchor: Path) -> None:
    write_export(tmp_path / "export", reader(bodies(size)), note(bodies(size)), VKEY)
    done = CliRunner().invoke(main, ["audit", "verify", str(tmp_path / "export"), "--anchor", str(anchor)])
    assert done.exit_code == code, done.output
    assert ("its tail was cut, or the export is older" in done.output) is (code == 1)


def test_two_histories_signed_by_a_stolen_key_are_found(tmp_path: Path) -> None:
    """The export verifies by itself; the anchor knows another past."""
    forged = [b'{"forged":1}', *bodies(12)]
    write_export(tmp_path / "export", reader(forged), note(forged), VKEY)
    anchor = kept(tmp_path / "notes", note(bodies(5)))
    assert CliRunner().invoke(main, ["audit", "verify", str(tmp_path / "export")]).exit_code == 0
    done = CliRunner().invoke(main, ["audit", "verify", str(tmp_path / "export"), "--anchor", str(anchor)])
    assert (done.exit_code, "at least one was changed" in done.output) == (1, True)


@ON_SQLITE
def test_anchor_that_is_not_there_is_a_mistake_of_usage(bench: Bench, tmp_path: Path) -> None:
    assert run(bench, "verify", "--anchor", tmp_path / "missing").exit_code == 2


def test_part_is_not_said_to_agree_with_anchors(tmp_path: Path, anchor: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "proofs.jsonl").touch()
    done = CliRunner().invoke(main, ["audit", "verify", str(tmp_path / "part"), "--anchor", str(anchor)])
    assert (done.exit_code, "A part cannot be compared with anchors" in done.stderr) == (2, True)


@ON_SQLITE
def test_anchored_checkpoint_within_an_archive_does_not_count_as_compared(bench: Bench, tmp_path: Path) -> None:
    bench.write(3)
    small = bench.signer.sign()
    bench.write(4)
    anchor = kept(tmp_path / "notes", small, bench.signer.sign())
    base = bench_head(bench, 4)
    bench.tamper("DELETE FROM entries WHERE position < 4")
    bench.tamper("UPDATE base SET size = 4, frontier = :frontier", frontier=base)
    done = run(bench, "verify", "--anchor", anchor)
    assert "Compared with 1 anchored checkpoint." in done.stdout
    assert "not compared, as they end in another archive or the log: 1" in done.stderr


@ON_SQLITE
def test_time_stamps_are_written_out_and_the_printed_commands_verify_them(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "stamps"
    assert run(bench, "anchors", folder).exit_code == 2
    with TimestampAuthority(tmp_path / "tsa") as tsa:
        desk = Desk(
            TimestampAnchor(tsa.url, tsa.ca.certificate, timedelta(0)),
            lambda: bench.signer.vkey,
            bench.database,
            bench.journal,
        )
        for _ in range(2):
            bench.write(2)
            bench.signer.sign()
            desk.look()
    done = run(bench, "anchors", folder, AUDIT_TSA_CA_FILE=str(tsa.ca.certificate))
    assert done.exit_code == 0, done.output
    commands = done.stdout.splitlines()
    assert len(commands) == 2
    for command in commands:
        verified = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True, timeout=30)
        assert "Verification: OK" in verified.stdout
    assert sorted(re.sub("-[0-9a-f]{8}", "", path.name) for path in folder.iterdir()) == [
        "000000000002.note", "000000000002.tsr", "000000000004.note", "000000000004.tsr",
    ]  # fmt: skip
    assert run(bench, "verify", "--anchor", folder).exit_code == 0
    first, second = sorted(folder.glob("*.note"))
    second.write_bytes(first.read_bytes())
    found = run(bench, "verify", "--anchor", folder)
    assert (found.exit_code, "is not of the note beside it" in found.output) == (1, True)


def test_log_whose_beginning_is_archived_is_compared_from_there(anchor: Path) -> None:
    """What was anchored within the archive can be compared only with that."""
    log = bodies(max(SIZES))
    base = Frontier().extend(map(leaf_hash, log[:8]))
    anchors = read_sources([anchor], VKEY)
    assert compare(log[8:], anchors, base=base) == []
    assert compare([*log[8:-1], b'{"other":1}'], anchors, base=base) != []
    assert compare(log[8:-1], anchors, base=base) != []

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.audit import verifier
from bot.audit.checkpoint import Checkpoint, CheckpointError, make_vkey, sign
from bot.audit.export import write_export
from bot.audit.folders import ExportError
from bot.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash
from bot.audit.part import Signed, write_consistency
from bot.audit.verify import MAX_PROBLEMS, verify_bodies, verify_export, verify_log
from tests.audit import independent_checker
from tests.audit.examples import KEY, ORIGIN, OTHER_KEY, VKEY, bodies, export, note, reader, tree

ENTRIES = 12


def rows(of: list[bytes]) -> list[tuple[int, bytes, bytes]]:
    return [(position, body, leaf_hash(body)) for position, body in enumerate(of)]


def test_an_export_has_exactly_these_files(tmp_path: Path) -> None:
    entries = bodies(3)
    told: list[int] = []
    assert write_export(tmp_path / "out", reader(entries), note(entries), VKEY, told.append) == 3
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert files.pop("README.txt").startswith(b"This folder holds the whole log up to the signed checkpoint")
    assert files == {
        "verify.py": Path(verifier.__file__).read_bytes(),
        "entries.jsonl": b"".join(body + b"\n" for body in entries),
        "checkpoint": note(entries).encode(),
        "log.vkey": VKEY.encode() + b"\n",
    }
    assert told == [3]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("count", [0, 1, 2, 12, 100])
def test_an_export_verifies_for_both_checkers(tmp_path: Path, count: int) -> None:
    folder = export(tmp_path / "out", count)
    for vkey in (None, VKEY):
        report = verify_export(folder, vkey, deep=True)
        assert (report.ok, report.size, report.problems) == (True, count, ())
        assert report.checkpoints_checked == 1
        assert report.root == tree(bodies(count)).root().hex()
    assert independent_checker.check(folder) == []


def test_an_empty_existing_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert verify_export(export(tmp_path / "out", 2)).ok


def test_a_folder_that_is_taken_is_refused_and_left_alone(tmp_path: Path) -> None:
    taken = tmp_path / "out"
    taken.mkdir()
    (taken / "mine").write_text("kept")
    for target in (taken, taken / "mine"):
        with pytest.raises(ExportError, match="not an empty folder"):
            export(target, 2)
    assert (taken / "mine").read_text() == "kept"
    assert list(tmp_path.iterdir()) == [taken]


@pytest.mark.parametrize(("given", "message"), [(4, "ends after 4 entries"), (6, "more entries than the 5")])
def test_an_export_that_does_not_end_at_its_checkpoint_is_refused(tmp_path: Path, given: int, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        write_export(tmp_path / "out", lambda _start, _stop: bodies(given), note(bodies(5)), VKEY)
    assert list(tmp_path.iterdir()) == []


def test_an_entry_of_two_lines_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="entry 0 is not one line"):
        write_export(tmp_path / "out", reader([b"{\n}"]), note([b"{\n}"]), VKEY)


def test_a_checkpoint_of_another_key_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not signed by this key"):
        write_export(tmp_path / "out", reader(bodies(2)), note(bodies(2), OTHER_KEY), VKEY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoint", "log.vkey"])
def test_every_flipped_bit_is_found_by_both_checkers(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    entries = [b'{"id":"%d"}' % number for number in range(ENTRIES)]  # short, as every bit costs two verifications
    write_export(folder, reader(entries), note(entries), VKEY)
    whole = (folder / name).read_bytes()
    missed = []
    with (folder / name).open("r+b", buffering=0) as file:
        for at, byte in enumerate(whole):
            for bit in range(8):
                file.seek(at)
                file.write(bytes([byte ^ 1 << bit]))
                if verify_export(folder).ok or not independent_checker.check(folder):
                    missed.append((at, bit))
            file.seek(at)
            file.write(bytes([byte]))
    assert missed == []
    assert verify_export(folder).ok


def test_a_flipped_bit_in_any_byte_of_a_link_to_an_older_checkpoint_is_found(tmp_path: Path) -> None:
    folder, entries = export(tmp_path / "out", ENTRIES), bodies(ENTRIES)
    write_consistency(folder, Signed(note(entries), VKEY, reader(entries)), note(entries[:5]))
    path = folder / "consistency"
    whole = path.read_bytes()
    assert verify_export(folder, VKEY).ok
    for at, byte in enumerate(whole):
        path.write_bytes(whole[:at] + bytes([byte ^ 1 << at % 8]) + whole[at + 1 :])
        assert verify_export(folder, VKEY).problems[0].startswith("consistency does not hold: "), at


def changed(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], lines[at].replace(b"alice", b"alicf"), *lines[at + 1 :]]


def dropped(lines: list[bytes], at: int) -> list[bytes]:
    return lines[:at] + lines[at + 1 :]


def swapped(lines: list[bytes], at: int) -> list[bytes]:
    other = (at + 1) % len(lines)
    result = list(lines)
    result[at], result[other] = lines[other], lines[at]
    return result


def doubled(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[: at + 1], *lines[at:]]


def added(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[: at + 1], b"{}\n", *lines[at + 1 :]]


def emptied(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], b"\n", *lines[at:]]


@pytest.mark.parametrize("change", [changed, dropped, swapped, doubled, added, emptied])
def test_any_altered_line_is_found_by_both_checkers(
    tmp_path: Path, change: Callable[[list[bytes], int], list[bytes]]
) -> None:
    folder = export(tmp_path / "out", ENTRIES)
    lines = (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)
    for at in range(ENTRIES):
        (folder / "entries.jsonl").write_bytes(b"".join(change(lines, at)))
        assert not verify_export(folder, VKEY).ok
        assert independent_checker.check(folder) != []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            b"".join(body + b"\n" for body in bodies(ENTRIES - 1)),
            "the log ends at 11 but a signed checkpoint covers 12",
        ),
        (b"".join(body + b"\n" for body in bodies(ENTRIES + 1)), "there are 13 entries, but the checkpoint covers 12"),
        (
            b"\n".join(bodies(ENTRIES)),
            "line 12 of entries.jsonl is longer than 65535 bytes or has no newline at its end",
        ),
        (b"".join(body + b"\n" for body in reversed(bodies(ENTRIES))), "the root at checkpoint size 12 differs"),
        (b"".join(body + b"\r\n" for body in bodies(ENTRIES)), "entry 0 is not one line with a JSON object"),
        (b"x" * 200_000, "line 1 of entries.jsonl is longer"),
    ],
)
def test_the_report_says_what_is_wrong_with_the_lines(tmp_path: Path, content: bytes, problem: str) -> None:
    folder = export(tmp_path / "out", ENTRIES)
    (folder / "entries.jsonl").write_bytes(content)
    report = verify_export(folder)
    assert any(one.startswith(problem) for one in report.problems)
    assert report.summary().startswith("The log does NOT verify: ")
    assert independent_checker.check(folder) != []


@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoint", "log.vkey"])
def test_a_missing_file_is_a_problem_and_no_crash(tmp_path: Path, name: str) -> None:
    folder = export(tmp_path / "out", ENTRIES)
    (folder / name).unlink()
    report = verify_export(folder, None if name == "log.vkey" else VKEY)
    assert report.problems[0] == f"{name} cannot be read: No such file or directory"
    assert not report.ok
    assert independent_checker.check(folder) != []


def test_a_log_signed_anew_by_a_forger_is_found_with_the_true_key_only(tmp_path: Path) -> None:
    forged = [*bodies(5), b"{}"]
    key = make_vkey(ORIGIN, OTHER_KEY.public_key())
    write_export(tmp_path / "out", reader(forged), note(forged, OTHER_KEY), key)
    assert verify_export(tmp_path / "out").ok
    assert verify_export(tmp_path / "out", VKEY).problems == (
        "the key in log.vkey is not the one to verify with",
        "the checkpoint is not signed by this key, but by that of another log or person",
    )


def test_a_checkpoint_of_another_log_is_found(tmp_path: Path) -> None:
    folder = export(tmp_path / "out", 5)
    (folder / "checkpoint").write_text(note(bodies(5), KEY, "other.example/log"))
    assert not verify_export(folder).ok
    assert independent_checker.check(folder) != []


@pytest.mark.parametrize("name", ["checkpoint", "log.vkey"])
@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["first key", "second key"])
def test_every_flipped_bit_is_found_while_two_keys_sign(name: str, key: Ed25519PrivateKey, tmp_path: Path) -> None:
    """Whichever of the two keys the auditor has."""
    both = [make_vkey(ORIGIN, one.public_key()) for one in (KEY, OTHER_KEY)]
    signed = sign(Checkpoint(ORIGIN, 5, tree(bodies(5)).root()), ORIGIN, KEY, OTHER_KEY)
    write_export(tmp_path / "out", reader(bodies(5)), signed, "\n".join(both))
    vkey, path = make_vkey(ORIGIN, key.public_key()), tmp_path / "out" / name
    assert verify_export(tmp_path / "out", vkey).ok
    whole = path.read_bytes()
    for at in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        path.write_bytes(changed)
        assert not verify_export(tmp_path / "out", vkey).ok, at


def test_a_database_log_verifies_against_head_and_all_checkpoints() -> None:
    entries = bodies(50)
    notes = [note(entries[:size]) for size in (40, 7, 0, 7, 50)]
    report = verify_log(iter(rows(entries)), tree(entries), notes, VKEY)
    assert (report.ok, report.size, report.checkpoints_checked) == (True, 50, 5)
    assert report.summary() == f"The log verifies: 50 entries, 5 signed checkpoints agree, root {report.root}."


def test_a_changed_body_is_found_at_its_place_and_at_later_checkpoints() -> None:
    entries = bodies(50)
    altered = rows(entries)
    altered[17] = (17, b"{}", altered[17][2])
    report = verify_log(altered, tree(entries), [note(entries[:17]), note(entries[:40])], VKEY)
    assert report.problems == (
        "the stored leaf hash differs from the entry's own at 17",
        "the root at checkpoint size 40 differs from the signed one",
        "the head's root at size 50 differs from the one recomputed",
    )
    assert report.checkpoints_checked == 1


def test_a_log_rewritten_with_all_its_hashes_is_found_by_the_checkpoint_alone() -> None:
    entries = bodies(50)
    rewritten = [*entries[:17], b"{}", *entries[18:]]
    report = verify_log(rows(rewritten), tree(rewritten), [note(entries[:40])], VKEY)
    assert report.problems == ("the root at checkpoint size 40 differs from the signed one",)


def test_a_changed_stored_hash_is_found_and_nothing_else_is_blamed() -> None:
    entries = bodies(20)
    altered = rows(entries)
    altered[3] = (3, entries[3], bytes(32))
    report = verify_log(altered, tree(entries), [note(entries)], VKEY)
    assert report.problems == ("the stored leaf hash differs from the entry's own at 3",)


def test_missing_and_misplaced_rows_are_named() -> None:
    entries = bodies(20)
    every = rows(entries)
    missing = verify_log(every[:4] + every[5:9] + every[12:], tree(entries), [], VKEY)
    assert missing.problems[:2] == ("entry 4 is missing", "the entries 9 to 11 are missing")
    assert "the head says 20 entries, but there are 16" in missing.problems
    twice = verify_log([*every[:4], *every[3:]], tree(entries), [], VKEY)
    assert twice.problems[0] == "entry 3 stands where entry 4 belongs"


def test_a_cut_tail_is_found_by_a_checkpoint_that_covers_more() -> None:
    entries = bodies(40)
    report = verify_log(rows(entries[:39]), tree(entries[:39]), [note(entries)], VKEY)
    assert report.problems == ("the log ends at 39 but a signed checkpoint covers 40",)


def test_two_checkpoints_of_one_size_cannot_both_be_right() -> None:
    entries = bodies(9)
    report = verify_bodies(entries, checkpoints=[note(entries), note([*entries[:8], b"{}"])], vkey=VKEY)
    assert report.problems == ("the root at checkpoint size 9 differs from the signed one",)
    assert report.checkpoints_checked == 1


def test_entries_after_the_last_checkpoint_are_no_problem_for_bodies() -> None:
    report = verify_bodies(bodies(9), checkpoints=[note(bodies(5))], vkey=VKEY)
    assert (report.ok, report.size) == (True, 9)


def test_without_a_checkpoint_the_report_says_so() -> None:
    report = verify_log([], Frontier(), [], VKEY)
    assert (report.ok, report.root) == (True, EMPTY_ROOT.hex())
    assert report.summary() == (
        "The log of 0 entries is consistent, but there was no signed checkpoint to compare it with."
    )


def test_other_spellings_of_json_are_found_by_the_deep_check_only() -> None:
    entries = [*bodies(3), b'{"b": 1}']
    assert verify_bodies(entries, checkpoints=[note(entries)], vkey=VKEY).ok
    deep = verify_bodies(entries, checkpoints=[note(entries)], vkey=VKEY, deep=True)
    assert deep.problems == ("entry 3 is not canonical JSON",)


def test_a_wholly_broken_log_gives_a_bounded_report() -> None:
    report = verify_bodies((b"x" for _ in range(1_000)), checkpoints=["", "x"], vkey=VKEY)
    assert len(report.problems) == MAX_PROBLEMS
    assert report.size == 1_000


def test_verifying_and_exporting_take_the_same_memory_for_any_length(tmp_path: Path) -> None:
    body, count = bodies(1)[0], 20_000
    signed = note([body] * count)
    tracemalloc.start()
    try:
        write_export(tmp_path / "out", lambda start, stop: (body for _ in range(start, stop)), signed, VKEY)
        assert verify_export(tmp_path / "out").ok
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000 < count * len(body)


def test_the_independent_checker_runs_alone(tmp_path: Path) -> None:
    folder = export(tmp_path / "out", ENTRIES)
    command = [sys.executable, "-I", independent_checker.__file__]
    good = subprocess.run([*command, folder], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert (good.returncode, good.stdout) == (0, f"good, if this is the log's key: {VKEY}\n")
    (folder / "entries.jsonl").write_bytes(b"{}\n")
    bad = subprocess.run([*command, folder], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert bad.returncode == 1
    assert bad.stdout.splitlines()[0] == "entries.jsonl: 1 lines, but the checkpoint covers 12"
    usage = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert usage.returncode == 2

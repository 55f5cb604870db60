"""The oldest entries archived, and removed from the database: what remains is the same log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text, update

from bot.audit import pruning
from bot.audit.archive_check import verify_archive
from bot.audit.check import read_vkey, verify_database
from bot.audit.checkpoint import make_vkey
from bot.audit.entry import Draft
from bot.audit.keys import load_signing_key
from bot.audit.manifest import DIGESTED, ArchiveError, Manifest
from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.patrol import Patrol
from bot.audit.pruning import months_before
from bot.audit.signer import LogDoesNotExtend
from bot.storage import entries, schema
from bot.storage.engine import Database
from tests.audit.examples import OTHER_KEY, VKEY, bodies, note, tree
from tests.audit.old_log import BEFORE, NEW_ENTRIES, OLD, OLD_ENTRIES, OldLog, old_log
from tests.support.tamper import lift_guards, tamper

PREFIX = 512
"""The largest multiple of 256 within the old entries."""


@pytest.fixture
def log(database: Database, database_url: str, tmp_path: Path) -> OldLog:
    return old_log(database, database_url, tmp_path)


def vkey(log: OldLog) -> str:
    found = read_vkey(Path(log.env["AUDIT_SIGNING_KEY_FILE"] + ".vkey"))
    assert found is not None
    return found


# Archiving


def test_archive_is_a_whole_prefix_that_verifies_by_itself(log: OldLog) -> None:
    bodies = log.bodies()
    reply = log.archive("old")
    assert (reply.exit_code, reply.stderr) == (0, "")
    folder = log.folder / "old"
    assert {path.name for path in folder.iterdir()} == {"entries.jsonl", "checkpoint", "log.vkey", "manifest.json"}
    assert (folder / "entries.jsonl").read_bytes() == b"".join(body + b"\n" for body in bodies[:PREFIX])
    tree = Frontier().extend(map(leaf_hash, bodies[:PREFIX]))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["end"] == {
        "size": PREFIX, "root": tree.root().hex(), "hashes": [one.hex() for one in tree.hashes],
    }  # fmt: skip
    assert int((folder / "checkpoint").read_text().split("\n")[1]) > PREFIX
    alone = log.run("audit", "verify", str(folder))
    assert (alone.exit_code, alone.output.startswith(f"The log verifies: {PREFIX} entries, 1 signed")) == (0, True)
    assert log.positions()[: len(bodies)] == list(range(len(bodies))), "nothing is removed without --prune"


def test_archiving_is_told_in_the_log(log: OldLog) -> None:
    assert log.archive("old").exit_code == 0
    checked = verify_archive(log.folder / "old", vkey(log))
    root = checked.manifest.end.root().hex()
    assert log.details("log.archived") == [{"from": 0, "size": PREFIX, "root": root, "digest": checked.digest}]


def test_archive_of_which_the_log_was_not_told_is_told_by_the_same_command(log: OldLog) -> None:
    """As after a process that died, or lost the database, when the folder was there."""
    pruning.archive(log.database, vkey(log), datetime.fromisoformat(f"{BEFORE}T00:00:00Z"), log.folder / "old")
    assert log.details("log.archived") == []
    assert log.archive("old").exit_code == 0
    assert [detail["size"] for detail in log.details("log.archived")] == [PREFIX]
    assert "is an archive already" in log.archive("old").stderr
    assert len(log.details("log.archived")) == 1


def test_archiving_what_is_young_is_fine_but_nothing_young_is_in_it(log: OldLog) -> None:
    assert log.archive("part", before="2010-01-04").exit_code == 0
    checked = verify_archive(log.folder / "part", vkey(log))
    assert (checked.manifest.end.size, checked.manifest.until) == (256, datetime(2010, 1, 3, tzinfo=UTC))


def test_too_little_that_is_old_enough_is_nothing_to_archive(log: OldLog) -> None:
    reply = log.archive("none", before="2010-01-02")
    assert (reply.exit_code, "There is nothing to archive" in reply.stderr) == (2, True)
    assert not (log.folder / "none").exists()


def test_log_without_a_checkpoint_is_not_archived(database: Database, database_url: str, tmp_path: Path) -> None:
    log = old_log(database, database_url, tmp_path)
    with database.write() as connection:
        tamper(connection, "DELETE FROM checkpoints")
    assert log.archive("old").exit_code == 2
    assert log.positions()[0] == 0


@pytest.mark.parametrize("day", ["yesterday", "2010-13-01", "2010-01-01T10:00:00", ""])
def test_date_that_cannot_be_read_is_refused(log: OldLog, day: str) -> None:
    assert log.archive("old", before=day).exit_code == 2


def test_folder_that_is_taken_is_left_alone(log: OldLog) -> None:
    (log.folder / "mine").mkdir()
    (log.folder / "mine" / "file").write_text("kept")
    assert log.archive("mine").exit_code == 2
    assert [path.name for path in (log.folder / "mine").iterdir()] == ["file"]
    assert log.archive("old").exit_code == 0
    assert "is an archive already" in log.archive("old").stderr


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = (SELECT body FROM entries WHERE position = 4) WHERE position = 3",
        "DELETE FROM entries WHERE position = 3",
        "DELETE FROM entries WHERE position = 600",
        "UPDATE entries SET at = 0 WHERE position >= 700",
    ],
)
def test_log_that_was_tampered_with_is_not_archived(log: OldLog, statement: str) -> None:
    with log.database.write() as connection:
        tamper(connection, statement)
    reply = log.archive("old")
    assert (reply.exit_code, "verif" in reply.stderr or "missing" in reply.stderr) == (2, True)
    assert [path.name for path in log.folder.iterdir() if "old" in path.name] == [], "nothing is left of it"


# Pruning


def test_prune_removes_the_prefix_and_all_goes_on(log: OldLog) -> None:
    before = log.bodies()
    reply = log.archive("old", "--prune")
    assert (reply.exit_code, reply.stderr) == (0, "")
    assert f"Removed the entries before {PREFIX}" in reply.stdout
    assert log.base() == Frontier().extend(map(leaf_hash, before[:PREFIX]))
    assert log.positions()[0] == PREFIX, "positions do not change"
    assert log.bodies()[: len(before) - PREFIX] == before[PREFIX:]
    log.journal.append(Draft(type="tested"))
    assert log.run("audit", "checkpoint").exit_code == 0
    report = verify_database(log.database, vkey(log))
    assert (report.ok, report.problems, report.archived) == (True, (), PREFIX)
    assert report.size == OLD_ENTRIES + NEW_ENTRIES + 4  # key.created, log.archived, log.pruned, tested


def test_pruning_is_told_in_the_log(log: OldLog) -> None:
    assert log.archive("old", "--prune").exit_code == 0
    assert log.details("log.pruned") == log.details("log.archived")
    assert log.details("log.pruned")[0]["root"] == log.base().root().hex()


def test_verify_says_how_many_entries_live_in_an_archive(log: OldLog) -> None:
    assert log.archive("old", "--prune").exit_code == 0
    alone, whole = log.verify(), log.verify("old")
    assert (alone.exit_code, "(512 of them live in an archive and were not read)" in alone.stdout) == (0, True)
    assert (whole.exit_code, whole.stdout.startswith("The log verifies: "), "archive" in whole.stdout) == (
        0,
        True,
        False,
    )


def test_archive_is_compared_with_the_anchored_checkpoints_that_end_in_it(log: OldLog, tmp_path: Path) -> None:
    bodies, key = log.bodies(), load_signing_key(Path(log.env["AUDIT_SIGNING_KEY_FILE"]))
    anchor = tmp_path / "notes"
    anchor.write_text("".join(note(bodies[:size], key, log.env["AUDIT_ORIGIN"]) for size in (100, 300, 600)))
    assert log.archive("first", "--prune", before="2010-01-04").exit_code == 0
    assert log.archive("second").exit_code == 0
    for name in ("first", "second"):
        done = log.run("audit", "verify", str(log.folder / name), "--anchor", str(anchor))
        assert (done.exit_code, "Compared with 1 anchored" in done.output) == (0, True), done.output
        assert "end in another archive or the log: 2" in done.stderr
    anchor.write_text(note([b"{}", *bodies[1:300]], key, log.env["AUDIT_ORIGIN"]))
    done = log.run("audit", "verify", str(log.folder / "second"), "--anchor", str(anchor))
    assert (done.exit_code, "at least one was changed" in done.output) == (1, True)


def test_second_prune_goes_on_from_the_first(log: OldLog) -> None:
    assert log.archive("first", "--prune", before="2010-01-04").exit_code == 0
    assert log.base().size == 256
    assert log.archive("second", "--prune").exit_code == 0
    assert log.base().size == PREFIX
    assert log.verify().exit_code == 0
    assert log.verify("second", "first").exit_code == 0
    only = log.verify("second")
    assert (only.exit_code, "(256 of them live in an archive" in only.stdout) == (0, True)
    missing = log.verify("first")
    assert (missing.exit_code, "no archive has the entries 256 to 511" in missing.stdout) == (1, True)


def test_prune_of_an_archive_that_is_there_already(log: OldLog) -> None:
    """As after a process that died between the two."""
    assert log.archive("old").exit_code == 0
    assert log.archive("old", "--prune").exit_code == 0
    assert log.base().size == PREFIX
    assert len(log.details("log.archived")) == 1
    again = log.archive("old", "--prune")
    assert (again.exit_code, "Removed" in again.stdout) == (0, False)


def test_prune_that_stopped_half_way_is_a_whole_log_and_goes_on(log: OldLog) -> None:
    assert log.archive("old").exit_code == 0
    steps = pruning.prune(log.database, log.journal, log.folder / "old", vkey(log), step=100)
    assert next(steps).size == 100
    assert log.base().size == 100
    assert log.verify().exit_code == 0
    assert log.verify("old").exit_code == 0
    assert log.archive("old", "--prune").exit_code == 0
    assert log.base().size == PREFIX
    assert log.verify("old").exit_code == 0


def test_patrol_that_is_half_way_does_not_miss_what_was_removed(log: OldLog) -> None:
    def read(start: int, stop: int) -> list[bytes]:
        with log.database.read() as connection:
            return list(entries.bodies(connection, start, stop))

    def head() -> Frontier:
        with log.database.read() as connection:
            return entries.read_head(connection)

    patrol = Patrol(read, head, start=log.base, piece_entries=200, rest_seconds=0)
    assert patrol.step() is False
    assert log.archive("old", "--prune").exit_code == 0
    assert patrol.step() is False, "it begins anew, with what is still there"
    assert (patrol.step(), patrol.step()) == (False, True)
    with log.database.write() as connection:
        tamper(connection, "DELETE FROM entries WHERE position = 600")
    with pytest.raises(LogDoesNotExtend, match="missing"):
        patrol.step()


def test_prune_below_the_retention_is_refused_before_anything_is_written(log: OldLog) -> None:
    reply = log.archive("old", "--prune", before=f"{datetime.now(UTC):%Y-%m-%d}")
    assert (reply.exit_code, "84 months (AUDIT_RETENTION_MONTHS)" in reply.stderr) == (2, True)
    assert not (log.folder / "old").exists()
    assert log.base().size == 0


def test_archive_that_calls_young_entries_old_removes_nothing(log: OldLog) -> None:
    """No signature covers what the manifest says of their time: the entries themselves do."""
    assert log.archive("young", before=f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}").exit_code == 0
    path = log.folder / "young" / "manifest.json"
    fields = json.loads(path.read_text())
    assert fields["end"]["size"] > OLD_ENTRIES
    fields["until"] = OLD.isoformat()
    path.write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")
    reply = log.archive("young", "--prune")
    assert (reply.exit_code, "its youngest entry is not of the time" in reply.stderr) == (2, True)
    assert log.base().size == 0
    assert log.run("audit", "verify", str(log.folder / "young")).exit_code == 1


def test_archive_that_was_changed_removes_nothing(log: OldLog) -> None:
    assert log.archive("old").exit_code == 0
    path = log.folder / "old" / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b"alice", b"alicf", 1))
    reply = log.archive("old", "--prune")
    assert (reply.exit_code, "nothing was removed" in reply.stderr) == (2, True)
    with pytest.raises(ArchiveError, match="does not verify, so nothing was removed"):
        list(pruning.prune(log.database, log.journal, log.folder / "old", vkey(log)))
    assert log.base().size == 0


def test_database_that_differs_from_its_archive_removes_nothing(log: OldLog) -> None:
    assert log.archive("old").exit_code == 0
    with log.database.write() as connection:
        tamper(connection, "UPDATE entries SET body = (SELECT body FROM entries WHERE position = 4) WHERE position = 3")
    with pytest.raises(ArchiveError, match="differ, so nothing was removed"):
        list(pruning.prune(log.database, log.journal, log.folder / "old", vkey(log)))
    assert log.base().size == 0


def test_archive_of_another_part_removes_nothing(log: OldLog) -> None:
    assert log.archive("first", "--prune", before="2010-01-04").exit_code == 0
    assert log.archive("second").exit_code == 0
    with log.database.write() as connection:
        lift_guards(connection)
        connection.execute(update(schema.base).values(size=0, frontier=b""))
    with pytest.raises(ArchiveError, match="does not begin where"):
        list(pruning.prune(log.database, log.journal, log.folder / "second", vkey(log)))
    assert log.positions()[0] == 256


def test_archive_stays_good_when_the_signing_key_is_rotated(log: OldLog) -> None:
    earlier = vkey(log)
    assert log.archive("old").exit_code == 0
    for step in ("begin", "finish"):
        assert log.run("audit", "rotate-key", step).exit_code == 0
        assert log.run("audit", "checkpoint").exit_code == 0
    assert vkey(log) != earlier
    assert log.archive("old", "--prune").exit_code == 0
    assert log.verify("old").exit_code == 0
    assert log.verify().exit_code == 0
    other = make_vkey("example.org/log", OTHER_KEY.public_key())
    assert verify_archive(log.folder / "old", other).problems[0] == "the key in log.vkey is not the one to verify with"


# What an owner of the database could try


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DELETE FROM entries WHERE position < 520", "the entries 512 to 519 are missing"),
        ("UPDATE base SET size = 256, frontier = (SELECT leaf FROM entries WHERE position = 600)", "missing"),
        ("UPDATE base SET frontier = (SELECT leaf FROM entries WHERE position = 600)", "differs from the signed one"),
        ("UPDATE base SET size = 511", "the log's base is damaged"),
        ("UPDATE base SET size = 1024", "before the first"),
    ],
)
def test_false_base_is_found(log: OldLog, statement: str, found: str) -> None:
    assert log.archive("old", "--prune").exit_code == 0
    with log.database.write() as connection:
        tamper(connection, statement)
    reply = log.verify()
    assert (reply.exit_code, found in reply.stdout) == (1, True)
    assert log.verify("old").exit_code == 1


def test_entries_removed_without_an_archive_are_found(log: OldLog) -> None:
    """With a true base even: the log does not tell of it."""
    tree = Frontier().extend(map(leaf_hash, log.bodies()[:256]))
    with log.database.write() as connection:
        tamper(connection, "DELETE FROM entries WHERE position < 256")
        connection.execute(text("UPDATE base SET size = 256, frontier = :tree"), {"tree": tree.to_bytes()})
    reply = log.verify()
    assert (reply.exit_code, "does not tell of a pruning" in reply.stdout) == (1, True)


def test_base_that_no_checkpoint_confirms_is_not_believed_but_for_the_archive(log: OldLog) -> None:
    assert log.archive("old", "--prune").exit_code == 0
    with log.database.write() as connection:
        tamper(connection, "DELETE FROM checkpoints")
    alone = log.verify()
    assert (alone.exit_code, "no signed checkpoint confirms what was before it" in alone.stdout) == (1, True)
    assert log.verify("old").exit_code == 0
    assert verify_database(log.database, None).problems == (
        f"the log begins at entry {PREFIX}, and no signed checkpoint confirms what was before it",
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoint", "log.vkey", "manifest.json"])
@pytest.mark.parametrize("change", ["a byte", "cut", "gone", "longer"])
def test_archive_that_was_damaged_is_found(log: OldLog, name: str, change: str) -> None:
    assert log.archive("old", "--prune").exit_code == 0
    path = log.folder / "old" / name
    content = path.read_bytes()
    half = len(content) // 2
    damaged = {
        "a byte": content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :],
        "cut": content[:half],
        "longer": content + b"{}\n",
    }
    path.unlink()
    if change in damaged:
        path.write_bytes(damaged[change])
    with_log = log.verify("old")
    alone = log.run("audit", "verify", str(log.folder / "old"))
    assert with_log.exit_code in {1, 2}
    assert alone.exit_code in {1, 2}
    assert log.verify().exit_code == 0, "the live part is good without it"


@pytest.mark.parametrize("size", ["1e999", "Infinity", "NaN", "256.0", "true", '"256"', "null", "-1", "9" * 5_000])
def test_manifest_with_a_size_that_is_none_is_said_to_be_damaged(size: str) -> None:
    manifest = Manifest(Frontier(), tree(bodies(256)), OLD, (), dict.fromkeys(DIGESTED, ""))
    content = manifest.to_bytes().replace(b'"size": 256', b'"size": ' + size.encode())
    with pytest.raises(ArchiveError, match=r"^manifest\.json is damaged$"):
        Manifest.from_bytes(content)


def test_archive_whose_entries_are_said_to_stand_elsewhere_in_the_log_is_found(tmp_path: Path) -> None:
    """The root over 512 and 256 entries is one over 1024 and 256 just as well, if nobody looks at the signed size."""
    real, lower = bodies(768), tree(bodies(512)).hashes[0]
    start = Frontier(1024, (lower,))
    end = start.extend(map(leaf_hash, real[512:]))
    assert end.root() == tree(real).root()
    files = {
        "entries.jsonl": b"".join(body + b"\n" for body in real[512:]),
        "checkpoint": note(real).encode(),
        "log.vkey": f"{VKEY}\n".encode(),
    }
    digests = {name: sha256(content).hexdigest() for name, content in files.items()}
    youngest = datetime.fromisoformat(json.loads(real[-1])["at"])
    files["manifest.json"] = Manifest(start, end, youngest, (), digests).to_bytes()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert verify_archive(tmp_path, VKEY).problems == ("it ends at 1280, but its checkpoint covers 768 entries",)


# The calendar


@pytest.mark.parametrize(
    ("now", "months", "then"),
    [
        ("2026-11-26", 84, "2019-11-26"),
        ("2026-11-26", 12, "2025-11-26"),
        ("2026-03-31", 13, "2025-02-28"),
        ("2028-02-29", 12, "2027-02-28"),
        ("2028-02-29", 48, "2024-02-29"),
        ("2026-01-15", 13, "2024-12-15"),
        ("2026-12-31", 12, "2025-12-31"),
    ],
)
def test_months_before(now: str, months: int, then: str) -> None:
    assert months_before(datetime.fromisoformat(now), months) == datetime.fromisoformat(then)

"""What the signer does round by round, on both databases, and what it finds when the database was altered."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.audit.checkpoint import parse_and_verify
from bot.audit.entry import decode
from bot.audit.loop import Loop, Part
from bot.audit.merkle import Frontier, leaf_hash
from bot.audit.patrol import Patrol
from bot.audit.signer import LogDoesNotExtend
from bot.audit.unsigned import Unsigned
from bot.messages import Finding
from bot.storage import checkpoints, schema
from tests.audit.bench import Bench
from tests.audit.examples import bodies, tree
from tests.control.bench import until


def signed_sizes(bench: Bench) -> list[int]:
    return [parse_and_verify(note, bench.signer.vkey).size for note in bench.notes()]


# Signing


def test_a_round_signs_what_is_new_and_a_quiet_one_writes_nothing(bench: Bench) -> None:
    rounds = bench.rounds()
    bench.write(3)
    rounds.make()
    rounds.make()
    bench.write(2)
    rounds.make()
    assert signed_sizes(bench) == [3, 5]
    assert len(bench.entries()) == 5
    assert bench.verify().checkpoints_checked == 2


def test_a_note_that_a_dead_signer_did_not_hand_out_reaches_the_database_in_the_next_round(bench: Bench) -> None:
    bench.write(3)
    note = bench.signer.sign()
    bench.tamper("DELETE FROM checkpoints")
    bench.rounds().make()
    assert bench.notes() == [note]


def test_of_many_signers_at_once_each_note_is_of_one_history(bench: Bench) -> None:
    """They race with one another and with those who write; none mistakes the other's progress for a loss."""
    with ThreadPoolExecutor(8) as threads:
        for _ in range(10):
            list(threads.map(lambda number: bench.write() if number % 2 else bench.rounds().make(), range(8)))
    assert bench.findings() == []
    assert bench.verify().ok
    assert len(set(signed_sizes(bench))) == len(signed_sizes(bench))


def test_a_signer_that_cannot_keep_its_state_says_so_once_and_says_when_it_is_over(bench: Bench) -> None:
    rounds = bench.rounds()
    obstacle = bench.settings.signer_state_file.with_name(bench.settings.signer_state_file.name + ".new")
    obstacle.mkdir()
    bench.write(3)
    rounds.make()
    rounds.make()
    assert bench.findings() == [("raised", Finding.LOG_NOT_SIGNED)]
    assert "cannot be kept" in bench.entries("finding.raised")[0]["detail"]["why"]
    assert (bench.notes(), bench.conditions()) == ([], frozenset({"log-not-signed"}))
    obstacle.rmdir()
    rounds.make()
    assert bench.findings()[1:] == [("cleared", Finding.LOG_NOT_SIGNED)]
    assert (len(bench.notes()), bench.conditions()) == (1, frozenset())


def test_a_signer_that_was_not_let_in_does_not_say_that_signing_works_again(bench: Bench) -> None:
    """Another one holds the lock just then, and will fail as this one did."""
    state = bench.settings.signer_state_file
    state.write_bytes(b"damaged")
    bench.rounds().make()
    with Path(f"{state}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        bench.rounds().make()
    bench.rounds().make()
    assert bench.findings() == [("raised", Finding.LOG_NOT_SIGNED)]


def test_a_signer_that_is_never_let_in_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one was frozen while it held the lock: nothing is signed any more."""
    monkeypatch.setattr("bot.audit.rounds.BUSY_SECONDS", 0.2)
    bench.write()
    rounds = bench.rounds()
    with Path(f"{bench.settings.signer_state_file}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rounds.make()
        assert bench.findings() == []
        time.sleep(0.2)
        rounds.make()
        assert bench.findings() == [("raised", Finding.LOG_NOT_SIGNED)]
    rounds.make()
    assert bench.findings()[1:] == [("cleared", Finding.LOG_NOT_SIGNED)]


# Heartbeat


def test_a_log_that_nobody_signs_is_said_so_until_somebody_does(bench: Bench) -> None:
    patient = Unsigned(bench.database, bench.journal, timedelta(hours=1))
    watch = Unsigned(bench.database, bench.journal, timedelta(0))
    watch.look()
    assert bench.findings() == []
    bench.write(3)
    patient.look()
    assert bench.findings() == []
    watch.look()
    watch.look()
    assert bench.findings() == [("raised", Finding.LOG_NOT_SIGNED)]
    bench.rounds().make()
    bench.rounds().make()
    watch.look()
    assert bench.findings()[1:] == [("cleared", Finding.LOG_NOT_SIGNED)]
    assert bench.conditions() == frozenset()


def test_a_log_that_was_quiet_for_long_gets_a_heartbeat(bench: Bench) -> None:
    bench.write()
    bench.rounds(quiet=timedelta(hours=1)).make()
    assert bench.entries("log.heartbeat") == []
    bench.rounds(quiet=timedelta(0)).make()
    assert len(bench.entries("log.heartbeat")) == 1


def test_the_hour_is_of_the_last_entry_and_a_heartbeat_counts_as_one(bench: Bench) -> None:
    bench.write()
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    bench.tamper("UPDATE entries SET at = :at", at=schema.to_micros(long_ago))
    for _ in range(3):
        bench.rounds().make()
    assert [entry["type"] for entry in bench.entries()] == ["hold.opened", "log.heartbeat"]


# Few checkpoints


def test_of_older_checkpoints_the_last_of_each_hour_and_the_anchored_ones_stay(bench: Bench) -> None:
    start = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    rows = [
        {"size": size, "at": schema.to_micros(start + timedelta(minutes=20 * size)), "note": f"text\n\n— a {size}\n"}
        for size in range(9)
    ]
    rows[1]["note"] = rows[2]["note"] = "text\n\n— a 1\n— b 1\n"
    for row in rows:
        bench.tamper("INSERT INTO checkpoints (size, note, at) VALUES (:size, :note, :at)", **row)
    bench.tamper("INSERT INTO anchorings (anchor, size, tries) VALUES ('file', 3, 0)")
    end = start + timedelta(minutes=20 * 7 + 1)
    with bench.database.read() as connection:
        assert checkpoints.surplus(connection, end) == [1, 4, 6]
    # Hours: 0 to 2 (of which 1 and 2 are signed twice), 3 to 5, 6 to 7; 8 is young.


def test_thinning_leaves_a_log_that_verifies(bench: Bench) -> None:
    for _ in range(6):
        bench.write()
        bench.signer.sign()
    long_ago = schema.to_micros(datetime(2026, 1, 1, tzinfo=UTC))
    bench.tamper("UPDATE checkpoints SET at = :at", at=long_ago)
    for size, receipt in ((2, b"token"), (3, None), (4, None)):
        bench.tamper(
            "INSERT INTO anchorings (anchor, size, at, receipt, tries) VALUES ('a', :size, :at, :receipt, 0)",
            size=size,
            at=long_ago,
            receipt=receipt,
        )
    bench.rounds().make()
    assert signed_sizes(bench) == [2, 4, 6]
    assert bench.verify().ok


# Altered behind the bot's back


def edited(bench: Bench, old: bytes = b"alice", new: bytes = b"carol") -> None:
    """An early entry, and nothing else."""
    body = stored(bench)[2].replace(old, new)
    bench.tamper("UPDATE entries SET body = :body WHERE position = 2", body=body)


def stored(bench: Bench) -> list[bytes]:
    with bench.database.read() as connection:
        table = schema.entries
        return [bytes(body) for body in connection.execute(select(table.c.body).order_by(table.c.position)).scalars()]


def rewritten(bench: Bench, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """The whole table, leaves, copies and head: consistent in itself, as only an owner of the database can make it."""
    new = change(stored(bench))
    head = tree(new)
    bench.tamper("DELETE FROM entries")
    for position, body in enumerate(new):
        fields = decode(body)
        bench.tamper(
            "INSERT INTO entries (position, body, leaf, at, type, actor, source, outcome)"
            " VALUES (:position, :body, :leaf, :at, :type, :actor, :source, :outcome)",
            position=position,
            body=body,
            leaf=leaf_hash(body),
            at=schema.to_micros(datetime.fromisoformat(fields["at"])),
            **{name: fields[name] for name in ("type", "actor", "source", "outcome")},
        )
    bench.tamper("UPDATE head SET size = :size, frontier = :frontier", size=head.size, frontier=head.to_bytes())


def cut_unknown(bench: Bench, size: int) -> None:
    """So that nothing in the database tells of it."""
    rewritten(bench, lambda old: old[:size])
    bench.tamper("DELETE FROM checkpoints")


def hidden_below_a_base(bench: Bench) -> None:
    """As if the changed entry had gone to an archive."""
    base = tree(stored(bench)[:4])
    edited(bench)
    bench.tamper("UPDATE base SET size = :size, frontier = :frontier", size=base.size, frontier=base.to_bytes())


def deleted_below_a_base(bench: Bench) -> None:
    hidden_below_a_base(bench)
    bench.tamper("DELETE FROM entries WHERE position < 4")


def a_line(body: bytes) -> bytes:
    return json.dumps({**decode(body), "actor": "carol"}, sort_keys=True, separators=(",", ":")).encode()


ALTERED: dict[str, Callable[[Bench], None]] = {
    "an entry edited": edited,
    "an entry edited, and said to be in an archive": hidden_below_a_base,
    "entries deleted, and said to be in an archive": deleted_below_a_base,
    "an entry deleted": lambda bench: bench.tamper("DELETE FROM entries WHERE position = 2"),
    "two entries swapped": lambda bench: bench.tamper(
        "UPDATE entries SET position = 1000 WHERE position = 2",
        "UPDATE entries SET position = 2 WHERE position = 3",
        "UPDATE entries SET position = 3 WHERE position = 1000",
    ),
    "the last entry edited": lambda bench: rewritten(bench, lambda old: [*old[:-1], a_line(old[-1])]),
    "an entry edited, and the rest made to fit": lambda bench: rewritten(
        bench, lambda old: [*old[:2], a_line(old[2]), *old[3:]]
    ),
    "an entry inserted, and the rest made to fit": lambda bench: rewritten(
        bench, lambda old: [*old[:2], a_line(old[2]), *old[2:]]
    ),
    "two entries swapped, and the rest made to fit": lambda bench: rewritten(
        bench, lambda old: [old[1], old[0], *old[2:]]
    ),
    "an entry deleted, and the rest made to fit": lambda bench: rewritten(bench, lambda old: [*old[:2], *old[3:]]),
    "the tail cut": lambda bench: rewritten(bench, lambda old: old[:-2]),
    "the tail cut, with the checkpoints that knew": lambda bench: cut_unknown(bench, 5),
    "everything deleted": lambda bench: cut_unknown(bench, 0),
    "the head set back": lambda bench: bench.tamper(
        "UPDATE head SET size = 4, frontier = :frontier", frontier=tree(bodies(4)).to_bytes()
    ),
    "the head damaged": lambda bench: bench.tamper("UPDATE head SET size = size + 1"),
    "the head's hashes replaced by a text": lambda bench: bench.tamper("UPDATE head SET frontier = 'text'"),
    "the head removed": lambda bench: bench.tamper("DELETE FROM head"),
    "the base removed": lambda bench: bench.tamper("DELETE FROM base"),
}
NOTHING_CAN_BE_WRITTEN = {
    "the head set back",
    "the head damaged",
    "the head removed",
    "the head's hashes replaced by a text",
}
ONLY_THE_SIGNER_KNOWS = {"the tail cut, with the checkpoints that knew", "everything deleted"}


@pytest.mark.parametrize("what", ALTERED)
def test_the_signer_finds_that_the_database_was_altered(what: str, bench: Bench) -> None:
    bench.write(7)
    bench.rounds().make()
    original = stored(bench)
    ALTERED[what](bench)
    assert bench.verify().ok is (what in ONLY_THE_SIGNER_KNOWS)
    rounds = bench.rounds()
    rounds.make()
    rounds.make()
    assert bench.conditions() == {"log-does-not-extend"}
    if what not in NOTHING_CAN_BE_WRITTEN:  # but the banner says it all the same
        assert bench.findings() == [("raised", Finding.LOG_DOES_NOT_EXTEND)]
    for note in bench.notes():  # of no other history than the one that was signed first
        signed = parse_and_verify(note, bench.signer.vkey)
        assert signed.root == tree([*original, *stored(bench)[-1:]][: signed.size]).root()


def test_a_log_that_was_put_right_again_is_said_to_be(bench: Bench) -> None:
    bench.write(7)
    rounds = bench.rounds()
    rounds.make()
    edited(bench)
    rounds.make()
    edited(bench, b"carol", b"alice")
    rounds.make()
    assert bench.findings() == [("raised", Finding.LOG_DOES_NOT_EXTEND), ("cleared", Finding.LOG_DOES_NOT_EXTEND)]


# The patrol by itself


def test_the_patrol_sees_every_entry_in_pieces_and_finds_any_change() -> None:
    original = bodies(10)
    for changed in range(10):
        log = list(original)
        patrol = Patrol(lambda a, b, log=log: log[a:b], lambda: tree(original), piece_entries=3, rest_seconds=0)  # type: ignore[misc]
        assert [patrol.step() for _ in range(5)] == [False, False, False, True, False]
        log[changed] = b"{}"
        with pytest.raises(LogDoesNotExtend, match="is not what it was"):
            [patrol.step() for _ in range(7)]


def test_the_patrol_misses_what_is_missing() -> None:
    patrol = Patrol(lambda a, b: bodies(8)[a:b], lambda: tree(bodies(10)))
    with pytest.raises(LogDoesNotExtend, match="2 of the entries 0 to 9 are missing"):
        patrol.step()


def test_the_patrol_begins_after_what_was_archived() -> None:
    read: list[tuple[int, int]] = []

    def live(start: int, stop: int) -> list[bytes]:
        read.append((start, stop))
        return bodies(10)[start:stop]

    assert Patrol(live, lambda: tree(bodies(10)), start=lambda: tree(bodies(4))).step()
    assert read == [(4, 10)]


def test_the_patrol_begins_anew_when_entries_go_to_an_archive_during_its_pass() -> None:
    log = bodies(10)
    archived = 0
    patrol = Patrol(
        lambda start, stop: log[max(start, archived) : stop],
        lambda: tree(log),
        start=lambda: tree(log[:archived]),
        piece_entries=3,
    )
    assert patrol.step() is False
    archived = 4
    assert [patrol.step() for _ in range(3)] == [False, False, True]


def test_an_empty_log_is_whole() -> None:
    assert Patrol(lambda _a, _b: [], Frontier).step()


# The loop


def test_a_part_that_fails_is_done_again_and_keeps_no_other_from_its_turn() -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise RuntimeError

    loop = Loop([Part("bad", 0.01, fail), Part("good", 0.01, lambda: done.append("good"))])
    loop.start()
    until(lambda: done.count("failed") > 2 and done.count("good") > 2)
    loop.stop()
    count = len(done)
    assert len(done) == count

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.audit.alarm import Alarm
from bot.audit.check import read_vkey, verify_database
from bot.audit.checkpoint import make_vkey
from bot.audit.entry import Draft
from bot.audit.keys import create_signing_key
from bot.audit.signer import Signer
from bot.errors import LogError
from bot.messages import Finding
from bot.storage import checkpoints, entries
from tests.review.bench import ALICES_CALL, Bench, Browser
from tests.support.tamper import tamper

_COPY = (
    "INSERT INTO entries SELECT {}, body, leaf, at, type, actor, source, call, outcome FROM entries WHERE position = 1"
)
TAMPERED = {
    "an entry changed": "UPDATE entries SET body = replace(CAST(body AS TEXT), 'alice', 'carol') WHERE position = 1",
    "an entry changed bytewise": (
        "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), 'alice', 'carol') AS BLOB) WHERE position = 1"
    ),
    "an entry with half a character": (
        "UPDATE entries SET body = replace(CAST(body AS TEXT), 'alice', '\\ud800') WHERE position = 1"
    ),
    "an entry that is no JSON": "UPDATE entries SET body = x'00' WHERE position = 1",
    "a leaf hash changed": "UPDATE entries SET leaf = zeroblob(32) WHERE position = 1",
    "an entry removed": "DELETE FROM entries WHERE position = 1",
    "the tail cut": "DELETE FROM entries WHERE position > 1",
    "an entry moved": "UPDATE entries SET position = 1000 WHERE position = 1",
    "an entry outside the tree": _COPY.format(1000),
    "an entry before the first": _COPY.format(-1),
    "an entry hidden from filters": "UPDATE entries SET actor = 'nobody' WHERE position = 1",
    "an entry moved in time": "UPDATE entries SET at = at + 1 WHERE position = 1",
    "an entry without a time": "UPDATE entries SET at = 'then' WHERE position = 1",
    "a checkpoint changed": "UPDATE checkpoints SET note = replace(note, 'example.org', 'example.com')",
    "a checkpoint made bytes": "UPDATE checkpoints SET note = x'ff'",
    "a checkpoint kept under another size": "INSERT INTO checkpoints SELECT 1000, note, at FROM checkpoints",
    "the head shortened": "UPDATE head SET size = 1, frontier = (SELECT leaf FROM entries WHERE position = 0)",
}


def _sign(bench: Bench) -> str:
    """Sign the log as it stands, as the worker does, and leave the public key where the web process finds it."""
    settings, database = bench.services.settings, bench.services.database
    key = create_signing_key(settings.audit_signing_key_file)
    vkey = make_vkey(settings.audit_origin, key.public_key())
    settings.vkey_file.write_text(vkey + "\n")
    with database.read() as connection:
        size = entries.read_head(connection).size
        signer = Signer(
            settings.audit_origin, key, settings.signer_state_file, lambda a, b: entries.bodies(connection, a, b)
        )
        signed = signer.sign_up_to(size)
    bench.services.journal.write(lambda transaction: checkpoints.add(transaction, size, signed))
    return vkey


def _fill(bench: Bench) -> None:
    bench.log(*(Draft(type="hold.opened", actor="alice", source="agent", call=ALICES_CALL) for _ in range(5)))


def _tamper(bench: Bench, statement: str) -> None:
    with bench.services.database.write() as connection:
        tamper(connection, statement)


def test_verify_of_an_untouched_log_is_good(review_bench: Bench) -> None:
    _fill(review_bench)
    vkey = _sign(review_bench)
    review_bench.log(Draft(type="hold.opened"))
    report = verify_database(review_bench.services.database, vkey)
    with review_bench.services.database.read() as connection:
        head = entries.read_head(connection)
    assert (report.ok, report.problems, report.checkpoints_checked) == (True, (), 1)
    assert (report.size, report.root) == (6, head.root().hex())


def test_verify_of_an_empty_log_is_good(review_bench: Bench) -> None:
    report = verify_database(review_bench.services.database, None)
    assert (report.ok, report.size, report.problems) == (True, 0, ())


@pytest.mark.parametrize("what", sorted(TAMPERED))
def test_verify_finds(what: str, review_bench: Bench) -> None:
    _fill(review_bench)
    vkey = _sign(review_bench)
    _tamper(review_bench, TAMPERED[what])
    report = verify_database(review_bench.services.database, vkey)
    assert not report.ok
    assert report.problems


def test_verify_with_another_logs_key_trusts_no_checkpoint(review_bench: Bench, tmp_path: Path) -> None:
    _fill(review_bench)
    _sign(review_bench)
    other = make_vkey("example.org/log", create_signing_key(tmp_path / "other.pem").public_key())
    report = verify_database(review_bench.services.database, other)
    assert (report.ok, report.checkpoints_checked) == (False, 0)


def test_verify_with_a_damaged_key_says_so(review_bench: Bench) -> None:
    _fill(review_bench)
    report = verify_database(review_bench.services.database, "nonsense")
    assert report.problems == ("the verifier key is malformed: it is name+key id+base64",)


def test_verify_without_a_key_checks_the_tree(review_bench: Bench) -> None:
    _fill(review_bench)
    _sign(review_bench)
    good = verify_database(review_bench.services.database, None)
    assert (good.ok, good.checkpoints_checked) == (True, 0)
    _tamper(review_bench, TAMPERED["an entry changed"])
    assert not verify_database(review_bench.services.database, None).ok


def test_verify_of_a_damaged_head_says_so(review_bench: Bench) -> None:
    _fill(review_bench)
    _tamper(review_bench, "UPDATE head SET frontier = x'00'")
    report = verify_database(review_bench.services.database, None)
    assert not report.ok
    assert report.problems == ("the log's head is damaged: its size and hashes do not fit",)


def test_vkey_is_read_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "key.vkey").write_text("name+00000000+AA==\n")
    assert read_vkey(tmp_path / "key.vkey") == "name+00000000+AA=="


def test_vkey_that_is_missing_is_none(tmp_path: Path) -> None:
    assert read_vkey(tmp_path / "key.vkey") is None


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_vkey_that_cannot_be_read_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "key.vkey"
    path.write_bytes(content) if content else path.mkdir()
    with pytest.raises(LogError, match=r"key\.vkey cannot be read"):
        read_vkey(path)


# The page


def test_verify_now_says_that_all_is_well(review_bench: Bench, review_carol: Browser) -> None:
    _fill(review_bench)
    _sign(review_bench)
    page = review_carol.post("/review/verify", "/review").text
    assert "<h1>The log verifies</h1>" in page
    assert "1 signed checkpoint agrees" in page
    assert "No signed checkpoint" not in page
    last = review_bench.entries()[-1].fields
    assert (last["type"], last["actor"], last["outcome"], last["reason"]) == ("log.verified", "carol", "success", None)
    assert last["detail"]["checkpoints"] == 1
    assert last["detail"]["root"] in page


def test_verify_now_finds_a_tampered_entry_and_says_so(review_bench: Bench, review_carol: Browser) -> None:
    _fill(review_bench)
    _sign(review_bench)
    _tamper(review_bench, TAMPERED["an entry changed"])
    page = review_carol.post("/review/verify", "/review").text
    assert "<h1>The log does NOT verify</h1>" in page
    assert "the stored leaf hash differs from the entry&#39;s own at 1" in page
    last = review_bench.entries()[-1].fields
    assert (last["type"], last["outcome"]) == ("log.verified", "failure")
    assert last["reason"] in page.replace("&#39;", "'")


@pytest.mark.parametrize("what", ["an entry changed", "an entry that is no JSON", "an entry with half a character"])
def test_pages_with_a_damaged_entry_still_show_the_others(
    what: str, review_bench: Bench, review_carol: Browser
) -> None:
    _fill(review_bench)
    _tamper(review_bench, TAMPERED[what])
    assert len(re.findall(r'id="entry-', review_carol.page("/review"))) == 6
    assert len(re.findall(r'id="entry-', review_carol.page(f"/review/calls/{ALICES_CALL}"))) == 5
    assert len(review_carol.page(f"/review/entries.csv?call={ALICES_CALL}").splitlines()) >= 6


def test_verify_now_without_the_public_key_says_what_was_not_checked(
    review_bench: Bench, review_carol: Browser
) -> None:
    _fill(review_bench)
    page = review_carol.post("/review/verify", "/review").text
    assert "<h1>The log is consistent, but no signature was checked</h1>" in page
    assert "No signed checkpoint was checked: the log's public key is missing on this server." in page
    last = review_bench.entries()[-1].fields
    assert (last["outcome"], last["reason"]) == (
        "success",
        "the log's public key is missing, so no signed checkpoint was checked",
    )


def test_log_that_was_altered_is_told_on_the_page(review_bench: Bench, review_carol: Browser) -> None:
    alarm = Alarm(review_bench.services.database, review_bench.services.journal)
    alarm.ring(Finding.LOG_DOES_NOT_EXTEND, "entry 3 is not the one that was signed before")
    page = review_carol.page("/review")
    assert "The audit log was altered behind the bot's back: tell compliance" in page
    assert (
        "To look at: the log is not what was signed before; it was altered behind the bot's back "
        "(entry 3 is not the one that was signed before)."
    ) in page

"""Evidence for one call: it stands by itself, is proven by its own verifier, and tells of no other call."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from bot.audit import verifier
from bot.audit.anchors.timestamp import TimestampAnchor
from bot.audit.check import read_vkey
from bot.audit.entry import Draft
from bot.audit.keys import create_signing_key, public_vkey
from bot.audit.part import Signed
from bot.audit.signing import LogSigner, write_vkey
from bot.errors import UnknownThing, Unprocessable
from bot.review import bundle, evidence
from bot.review.evidence import Pause
from bot.storage import anchors
from bot.storage.entries import Entry
from tests.review.bench import ALICES_CALL, BOBS_CALL, Bench, Browser
from tests.support.tsa import TimestampAuthority

FILES = ["README.txt", "checkpoint", "entries.jsonl", "evidence.html", "log.vkey", "proofs.jsonl", "verify.py"]


def asked_by(name: str, call: str, reason: str) -> Draft:
    detail = {"holder": f"agent:{name}"}
    return Draft(type="hold.opened", actor=name, source="agent", call=call, reason=reason, detail=detail)


def sign(bench: Bench) -> Signed:
    settings = bench.services.settings
    note = LogSigner(settings, bench.services.database, bench.services.journal).sign()
    return bundle.signed_log(bench.services.database, note, read_vkey(settings.vkey_file) or "")


@pytest.fixture
def signed_bench(review_bench: Bench) -> Bench:
    """A log of two calls, taking turns, and one conference that they share; signed."""
    settings = review_bench.services.settings
    key = create_signing_key(settings.audit_signing_key_file)
    write_vkey(settings.vkey_file, public_vkey(settings.audit_origin, key))
    review_bench.log(
        asked_by("alice", ALICES_CALL, "card <b>"),
        asked_by("bob", BOBS_CALL, "bob's own business"),
        Draft(type="pause.proven", call=ALICES_CALL),
        Draft(type="pause.proven", call=BOBS_CALL),
        Draft(type="recording.paused_with", call=ALICES_CALL, detail={"other": BOBS_CALL}),
        Draft(type="command.confirmed", call=ALICES_CALL, source="twilio", detail={"wish": "recording"}),
        Draft(type="call.ended", call=BOBS_CALL, source="twilio", after="completed"),
    )
    sign(review_bench)
    return review_bench


def write(bench: Bench, folder: Path, sid: str = ALICES_CALL) -> Path:
    bundle.write_evidence(folder, bench.services.database, sign(bench), sid)
    return folder


def test_a_bundle_is_proven_by_its_own_verifier(signed_bench: Bench, tmp_path: Path) -> None:
    folder = write(signed_bench, tmp_path / "evidence")
    vkey = (read_vkey(signed_bench.services.settings.vkey_file) or "").split()
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert verifier.check(folder, vkey).startswith("PROVEN: these 3 entries are in the log example.org/log")


def test_a_bundle_discloses_nothing_of_any_other_call(signed_bench: Bench, tmp_path: Path) -> None:
    folder = write(signed_bench, tmp_path / "evidence")
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    assert ALICES_CALL.encode() in content
    others = [entry.fields for entry in signed_bench.entries() if entry.fields["call"] != ALICES_CALL]
    assert len(others) == 3
    for fields in others:
        assert fields["id"].encode() not in content
    for text in (BOBS_CALL, "agent:bob", "bob's own business"):
        assert text.encode() not in content


def test_an_entry_that_names_another_call_too_is_left_out_and_counted(signed_bench: Bench, tmp_path: Path) -> None:
    page = (write(signed_bench, tmp_path / "evidence") / "evidence.html").read_text()
    assert "Left out, as they also name another call: 1 entry." in page


def test_the_page_tells_pauses_sentences_and_limits_and_loads_nothing(signed_bench: Bench, tmp_path: Path) -> None:
    page = (write(signed_bench, tmp_path / "evidence") / "evidence.html").read_text()
    assert "alice asked for a pause (card &lt;b&gt;)" in page.lower().replace("&#x27;", "'")
    text = unescape(re.sub(r"<[^>]+>", " ", page.replace("<b>", "")))
    assert "Every known recording is confirmed paused" in text
    assert "a part of a log proves inclusion, not completeness" in text
    assert re.findall(r"<script|src=|href=|url\(|http|\son\w+=\"", page) == []
    times = [entry.fields["at"][:23].replace("T", " ") for entry in signed_bench.entries() if "at" in entry.fields]
    asked, safe, resumed = re.findall(r'<td class="time">([^<]*)</td>', page)[:3]
    assert {asked, safe, resumed} <= set(times)


def told(*facts: tuple[str, dict[str, object]]) -> list[Entry]:
    return [
        Entry(
            at, {"at": f"2026-11-22T10:00:0{at}.000000Z", "type": type_, "detail": detail, "after": detail.get("then")}
        )
        for at, (type_, detail) in enumerate(facts)
    ]


def at(second: int) -> str:
    return f"2026-11-22T10:00:0{second}.000000Z"


ASKED: tuple[str, dict[str, object]] = ("hold.opened", {})
SAFE: tuple[str, dict[str, object]] = ("command.confirmed", {"wish": "paused", "safe": True})
RESUMED: tuple[str, dict[str, object]] = ("command.confirmed", {"wish": "recording"})
NOT_YET: tuple[str, dict[str, object]] = ("command.confirmed", {"wish": "paused", "safe": False})
STOPPED: tuple[str, dict[str, object]] = ("command.confirmed", {"wish": "stopped"})
ENDED: tuple[str, dict[str, object]] = ("call.ended", {})
CLOSED: tuple[str, dict[str, object]] = ("hold.closed", {"then": "recording"})
ONE_OF_TWO_CLOSED: tuple[str, dict[str, object]] = ("hold.closed", {"then": "paused"})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ((), []),
        ((RESUMED, ENDED), []),
        ((ASKED, SAFE, RESUMED), [Pause(at(0), at(1), at(2))]),
        ((ASKED, NOT_YET, ASKED, SAFE, SAFE, RESUMED), [Pause(at(0), at(3), at(5))]),
        ((ASKED, SAFE, RESUMED, ASKED, ENDED), [Pause(at(0), at(1), at(2)), Pause(at(3), ended=at(4))]),
        ((ASKED, STOPPED), [Pause(at(0), ended=at(1))]),
        ((SAFE,), [Pause(safe=at(0))]),
        ((ASKED, ("pause.proven", {})), [Pause(at(0), at(1))]),
        ((ASKED, CLOSED, ASKED, SAFE, RESUMED), [Pause(at(0)), Pause(at(2), at(3), at(4))]),
        ((ASKED, CLOSED, RESUMED, ASKED, SAFE), [Pause(at(0), resumed=at(2)), Pause(at(3), at(4))]),
        ((ASKED, SAFE, CLOSED, ASKED, SAFE, RESUMED), [Pause(at(0), at(1), at(5))]),
        ((ASKED, ONE_OF_TWO_CLOSED, ASKED, SAFE, RESUMED), [Pause(at(0), at(3), at(4))]),
    ],
)
def test_pauses_are_told_from_entries(facts: tuple[tuple[str, dict[str, object]], ...], expected: list[Pause]) -> None:
    assert evidence.pauses(told(*facts)) == expected


def test_a_call_that_the_signed_log_does_not_know_has_no_evidence(signed_bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UnknownThing, match="says nothing of this call"):
        write(signed_bench, tmp_path / "evidence", "CA" + "9" * 32)
    assert not (tmp_path / "evidence").exists()


def test_a_call_with_too_many_entries_is_refused_and_not_cut_short(
    signed_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "ENTRIES_MAX", 3)
    with pytest.raises(Unprocessable, match=f"more than 3 entries: use `bot audit export --call {ALICES_CALL}`"):
        write(signed_bench, tmp_path / "evidence")
    assert signed_bench.signed_in("carol").get(f"/review/calls/{ALICES_CALL}/evidence.zip").status_code == 422


# The download


def test_the_download_holds_the_bundle_and_is_an_entry(signed_bench: Bench, tmp_path: Path) -> None:
    carol = signed_bench.signed_in("carol")
    assert f"/review/calls/{ALICES_CALL}/evidence.zip" in carol.page(f"/review/calls/{ALICES_CALL}")
    sign(signed_bench)
    reply = carol.get(f"/review/calls/{ALICES_CALL}/evidence.zip")
    assert (reply.status_code, reply.content_type) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(reply.data)) as file:
        file.extractall(tmp_path)
    folder = tmp_path / f"evidence-{ALICES_CALL}"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert verifier.check(folder).startswith("PROVEN")
    last = signed_bench.entries()[-1].fields
    assert (last["type"], last["actor"], last["call"]) == ("log.exported", "carol", ALICES_CALL)
    assert last["detail"] == {"view": "evidence", "filter": {"call": ALICES_CALL}}


def test_the_download_ends_at_a_time_stamp_until_more_happens_in_the_call(signed_bench: Bench, tmp_path: Path) -> None:
    carol, stamped = signed_bench.signed_in("carol"), sign(signed_bench).note
    with TimestampAuthority(tmp_path / "authority") as authority:
        token = TimestampAnchor(authority.url, authority.ca.certificate, timedelta(0)).keep(stamped)
    size = int(stamped.split("\n")[1])
    signed_bench.services.journal.write(lambda one: anchors.received(one, "rfc3161:authority", size, token))

    def files() -> dict[str, bytes]:
        reply = carol.get(f"/review/calls/{ALICES_CALL}/evidence.zip")
        with zipfile.ZipFile(io.BytesIO(reply.data)) as file:
            return {name.rsplit("/", 1)[1]: file.read(name) for name in file.namelist()}

    carol.page(f"/review/calls/{ALICES_CALL}")
    assert sign(signed_bench).note != stamped
    assert (files()["checkpoint"].decode(), files()["checkpoint.tsr"]) == (stamped, token)
    signed_bench.log(Draft(type="call.ended", call=ALICES_CALL))
    latest = sign(signed_bench).note
    assert files()["checkpoint"].decode() == latest
    assert "checkpoint.tsr" not in files()


def test_who_does_not_review_gets_no_evidence(signed_bench: Bench) -> None:
    for name in ("alice", "sam"):
        assert signed_bench.signed_in(name).get(f"/review/calls/{ALICES_CALL}/evidence.zip").status_code == 403


@pytest.mark.parametrize("sid", ["CA1", "CA" + "9" * 32])
def test_evidence_of_no_call_is_not_found(sid: str, signed_bench: Bench) -> None:
    assert signed_bench.signed_in("carol").get(f"/review/calls/{sid}/evidence.zip").status_code == 404


def test_without_a_checkpoint_there_is_no_evidence(review_bench: Bench, review_carol: Browser) -> None:
    review_bench.log(Draft(type="hold.opened", call=ALICES_CALL))
    reply = review_carol.get(f"/review/calls/{ALICES_CALL}/evidence.zip")
    assert reply.status_code == 404
    assert "There is no signed checkpoint" in unescape(reply.text)

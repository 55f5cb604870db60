"""Anchors: each kind against a real file, web server, mail server and time-stamp authority; and the desk."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from bot.audit.alarm import Alarm
from bot.audit.anchors.anchor import AnchorFailed
from bot.audit.anchors.choice import chosen
from bot.audit.anchors.desk import Desk
from bot.audit.anchors.file import FileAnchor
from bot.audit.anchors.mail import MailAnchor
from bot.audit.anchors.timestamp import TimestampAnchor, trusted, verify_token
from bot.audit.anchors.web import WebAnchor
from bot.errors import SettingsInvalid
from bot.messages import Finding
from bot.settings import Settings
from bot.storage import anchors
from tests.audit.bench import Bench
from tests.audit.examples import OTHER_KEY, bodies, note
from tests.support.certificates import Authority, openssl
from tests.support.receiver import CUT, Receiver
from tests.support.smtp import MailServer
from tests.support.tsa import TimestampAuthority

AT_ONCE = timedelta(0)
NOTE, NEXT_NOTE = note(bodies(3)), note(bodies(5))


# A file


def test_file_gets_each_note_once_with_an_empty_line_after_it(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "notes", AT_ONCE)
    for one in (NOTE, NOTE, NEXT_NOTE, NOTE):
        assert anchor.keep(one) is None  # type: ignore[func-returns-value]
    assert (tmp_path / "notes").read_text(encoding="utf-8") == f"{NOTE}\n{NEXT_NOTE}\n"


def test_file_with_a_note_that_was_cut_short_goes_on_after_it(tmp_path: Path) -> None:
    for length in range(1, len(NOTE.encode())):
        path = tmp_path / str(length)
        path.write_bytes(NOTE.encode()[:length])
        FileAnchor(path, AT_ONCE).keep(NEXT_NOTE)
        assert path.read_bytes().endswith(b"\n\n" + NEXT_NOTE.encode() + b"\n")


@pytest.mark.parametrize("place", ["missing/notes", "."])
def test_file_that_cannot_be_written_is_a_failure(place: str, tmp_path: Path) -> None:
    with pytest.raises(AnchorFailed, match="the file cannot be written"):
        FileAnchor(tmp_path / place, AT_ONCE).keep(NOTE)


def test_file_that_somebody_keeps_locked_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.audit.anchors.file.LOCK_SECONDS", 0.1)
    anchor = FileAnchor(tmp_path / "notes", AT_ONCE)
    with (tmp_path / "notes").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(AnchorFailed, match="locked by another process"):
            anchor.keep(NOTE)
    anchor.keep(NOTE)
    assert (tmp_path / "notes").read_text(encoding="utf-8") == f"{NOTE}\n"


def test_new_file_outlasts_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is synced, too: else the file could be gone, with all that was received."""
    synced: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for one in (NOTE, NEXT_NOTE):
        FileAnchor(tmp_path / "notes", AT_ONCE).keep(one)
    assert synced == [tmp_path / "notes", tmp_path, tmp_path / "notes"]


# A URL


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


def test_url_is_posted_the_note_as_text(receiver: Receiver) -> None:
    receiver.answers = [201]
    WebAnchor(receiver.url, AT_ONCE).keep(NOTE)
    (got,) = receiver.received
    assert got.body == NOTE.encode()
    assert got.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("answer", "why"), [(500, "answered with 500"), (302, "answered with 302"), (CUT, "the connection broke")]
)
def test_url_that_does_not_take_it_is_a_failure(answer: int, why: str, receiver: Receiver) -> None:
    receiver.answers = [answer]
    with pytest.raises(AnchorFailed, match=why):
        WebAnchor(receiver.url, AT_ONCE).keep(NOTE)
    assert len(receiver.received) == 1


def test_url_where_nobody_listens_is_a_failure() -> None:
    with pytest.raises(AnchorFailed, match="no connection"):
        WebAnchor("http://127.0.0.1:1/", AT_ONCE).keep(NOTE)


# Mail


def note_in(message: EmailMessage) -> tuple[str | None, bytes]:
    (attached,) = message.iter_attachments()
    content = attached.get_content()
    assert isinstance(content, bytes)
    return attached.get_filename(), content


def test_mail_has_the_exact_note_as_a_file() -> None:
    with MailServer() as server:
        MailAnchor("carol@example.com", f"smtp://127.0.0.1:{server.port}", "audit@example.org", AT_ONCE).keep(NOTE)
    (post,) = server.received
    assert post.recipient == "TO:<carol@example.com>"
    assert note_in(post.message) == ("checkpoint-3.note", NOTE.encode())
    assert (post.message["Subject"], post.message["From"]) == (
        "Checkpoint of example.com/pause-log: 3 entries",
        "audit@example.org",
    )
    assert (post.is_encrypted, post.signed_in) == (False, None)


def test_mail_goes_encrypted_and_signed_in_where_that_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.certificate))
    with MailServer(tls=ca.issue("mail", "subjectAltName=DNS:localhost")) as server:
        url = f"smtp://bot:p%40ss@localhost:{server.port}"
        MailAnchor("carol@example.com", url, "audit@example.org", AT_ONCE).keep(NOTE)
    (post,) = server.received
    assert (post.is_encrypted, post.signed_in) == (True, "bot p@ss")


def test_mail_server_that_nobody_vouches_for_gets_no_password(tmp_path: Path) -> None:
    tls = Authority(tmp_path).issue("mail", "subjectAltName=DNS:localhost")
    with MailServer(tls=tls) as server:
        url = f"smtp://bot:secret@localhost:{server.port}"
        anchor = MailAnchor("carol@example.com", url, "audit@example.org", AT_ONCE)
        with pytest.raises(AnchorFailed, match="no secure connection"):
            anchor.keep(NOTE)
    assert server.received == []


def test_mail_that_is_refused_is_a_failure_that_names_no_address() -> None:
    with MailServer(refusing=[b"550 no such carol@example.com"]) as server:
        anchor = MailAnchor("carol@example.com", f"smtp://127.0.0.1:{server.port}", "audit@example.org", AT_ONCE)
        with pytest.raises(AnchorFailed, match=r"^the address was refused$"):
            anchor.keep(NOTE)
    with pytest.raises(AnchorFailed, match="no connection"):
        anchor.keep(NOTE)


@pytest.mark.parametrize("authority", ["bot:p%C3%A4ss@127.0.0.1", "bot:secret@mail..example"])
def test_mail_that_cannot_be_sent_as_the_setting_is_written_is_a_failure(authority: str) -> None:
    with MailServer() as server:
        anchor = MailAnchor("carol@example.com", f"smtp://{authority}:{server.port}", "audit@example.org", AT_ONCE)
        with pytest.raises(AnchorFailed, match="cannot be sent as it is written"):
            anchor.keep(NOTE)
    assert server.received == []


@pytest.mark.parametrize("drips", [False, True])
def test_mail_server_that_says_nothing_or_too_slowly_is_given_up(drips: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.audit.anchors.mail.SECONDS", 0.3)
    begun = time.monotonic()
    with MailServer(silent=not drips, dripping=drips) as server:
        anchor = MailAnchor("carol@example.com", f"smtp://127.0.0.1:{server.port}", "audit@example.org", AT_ONCE)
        with pytest.raises(AnchorFailed, match="no reply in time"):
            anchor.keep(NOTE)
    assert time.monotonic() - begun < 3


# Time stamps


@pytest.fixture
def tsa(tmp_path: Path) -> Iterator[TimestampAuthority]:
    with TimestampAuthority(tmp_path / "tsa") as one:
        yield one


def stamp(tsa: TimestampAuthority, text: str = NOTE) -> bytes:
    return TimestampAnchor(tsa.url, tsa.ca.certificate, AT_ONCE).keep(text)


def test_time_stamp_is_over_the_exact_note_and_openssl_agrees(tsa: TimestampAuthority, tmp_path: Path) -> None:
    (tmp_path / "a.tsr").write_bytes(stamp(tsa))
    (tmp_path / "a.note").write_bytes(NOTE.encode())
    command = ("ts", "-verify", "-data", "a.note", "-in", "a.tsr", "-CAfile", tsa.ca.certificate)
    assert "Verification: OK" in openssl(*command, folder=tmp_path).stdout


def test_time_stamp_whose_reply_holds_the_whole_chain_is_kept_too(tmp_path: Path) -> None:
    with TimestampAuthority(tmp_path / "tsa", chain=True) as tsa:
        assert stamp(tsa)


def test_time_stamp_over_something_else_is_not_kept(tsa: TimestampAuthority) -> None:
    for answer in (stamp(tsa, NEXT_NOTE), stamp(tsa), b"nonsense", b""):
        tsa.answers = [answer]  # of another text, of another question (its nonce), none at all
        with pytest.raises(AnchorFailed, match="does not verify"):
            stamp(tsa)


def test_time_stamp_of_an_authority_that_is_not_trusted_is_not_kept(tsa: TimestampAuthority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    with pytest.raises(AnchorFailed, match="does not verify"):
        TimestampAnchor(tsa.url, other.certificate, AT_ONCE).keep(NOTE)


def test_every_changed_byte_of_a_time_stamp_is_found_or_harmless(tsa: TimestampAuthority) -> None:
    """A byte outside what is signed may change without changing what the token says."""
    receipt, roots = stamp(tsa), trusted(tsa.ca.certificate)
    said = verify_token(receipt, NOTE.encode(), roots).tst_info
    for at in range(0, len(receipt), 7):
        changed = receipt[:at] + bytes([receipt[at] ^ 0x01]) + receipt[at + 1 :]
        try:
            found = verify_token(changed, NOTE.encode(), roots).tst_info
        except AnchorFailed:
            continue
        assert (found.gen_time, found.message_imprint.message) == (said.gen_time, said.message_imprint.message)


def test_time_stamp_with_a_certificate_of_a_version_that_never_was_does_not_verify(tsa: TimestampAuthority) -> None:
    before, version, after = stamp(tsa).rpartition(b"\xa0\x03\x02\x01\x02")
    strange = before + version[:-1] + b"\x49" + after
    with pytest.raises(AnchorFailed, match="does not verify"):
        verify_token(strange, NOTE.encode(), trusted(tsa.ca.certificate))


def test_certificates_that_cannot_be_read_are_said_to_be(tsa: TimestampAuthority, tmp_path: Path) -> None:
    for path in (tmp_path / "none.pem", tsa.ca.certificate.with_suffix(".key")):
        with pytest.raises(AnchorFailed, match="no certificates that can be read"):
            TimestampAnchor(tsa.url, path, AT_ONCE).keep(NOTE)


# The setting


def test_each_anchor_of_the_setting_has_a_name_without_secrets_and_its_own_pace(log_settings: Settings) -> None:
    urls = (
        "file:/mnt/notes",
        "https://host.example/hidden",
        "mailto:carol@example.com",
        "rfc3161:https://tsa.example/x",
    )
    settings = Settings.read(
        **log_settings.model_dump(exclude={"audit_anchors", "audit_smtp_url"}),
        audit_anchors=", ".join(urls),
        audit_smtp_url="smtp://bot:password@mail.example",
    )
    made = chosen(settings)
    assert [anchor.every.total_seconds() for anchor in made] == [60, 60, 3600, 3600]
    names = [anchor.name for anchor in made]
    assert [name.partition("#")[0] for name in names] == [
        "file:/mnt/notes",
        "https://host.example",
        "mailto:carol@example.com",
        "rfc3161:tsa.example",
    ]
    assert "hidden" not in str(names)
    assert "hidden" not in repr(settings)
    assert "password" not in repr(settings)


@pytest.mark.parametrize(
    "value", ["notes", "file:notes", "ftp://host", "mailto:carol", "rfc3161:tsa.example", "https://", "mailto:a@b.c"]
)
def test_anchor_that_cannot_be_is_named(value: str, log_settings: Settings) -> None:
    """The last one is good but for the mail server that is missing."""
    with pytest.raises(SettingsInvalid, match="AUDIT_ANCHORS: "):
        Settings.read(**log_settings.model_dump(exclude={"audit_anchors"}), audit_anchors=value)


# The desk


def desk(bench: Bench, receiver: Receiver, every: timedelta = AT_ONCE) -> Desk:
    """As a process that has just started makes it."""
    anchor = WebAnchor(receiver.url, every)
    return Desk(
        anchor,
        lambda: bench.signer.vkey,
        bench.database,
        bench.journal,
        again=timedelta(milliseconds=1),
        tries_untold=2,
    )


def signed(bench: Bench) -> str:
    bench.write()
    return bench.signer.sign()


def received(receiver: Receiver) -> list[str]:
    return [got.body.decode() for got in receiver.received]


def test_newest_checkpoint_is_sent_once(bench: Bench, receiver: Receiver) -> None:
    signed(bench)
    newest = signed(bench)
    for _ in range(3):
        desk(bench, receiver).look()
    assert received(receiver) == [newest]
    later = signed(bench)
    desk(bench, receiver).look()
    assert received(receiver) == [newest, later]


def test_nothing_is_sent_before_anything_is_signed(bench: Bench, receiver: Receiver) -> None:
    bench.write()
    desk(bench, receiver).look()
    assert received(receiver) == []


def test_between_two_checkpoints_passes_the_time_that_the_anchor_asks_for(bench: Bench, receiver: Receiver) -> None:
    first = signed(bench)
    desk(bench, receiver, timedelta(hours=1)).look()
    signed(bench)
    desk(bench, receiver, timedelta(hours=1)).look()
    assert received(receiver) == [first]
    bench.tamper("UPDATE anchorings SET at = at - 3600000000")
    desk(bench, receiver, timedelta(hours=1)).look()
    assert len(received(receiver)) == 2


def until_sent(bench: Bench, receiver: Receiver, count: int) -> None:
    deadline = time.monotonic() + 10
    while len(receiver.received) < count:
        desk(bench, receiver).look()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_outage_is_told_once_and_its_end_too_and_then_the_newest_note_is_sent(bench: Bench, receiver: Receiver) -> None:
    receiver.answers = [503, CUT, 503, 503]
    signed(bench)
    until_sent(bench, receiver, 2)
    assert bench.findings() == []
    until_sent(bench, receiver, 4)
    assert bench.findings() == [("raised", Finding.LOG_NOT_ANCHORED)]
    assert bench.entries("finding.raised")[0]["detail"]["why"] == "answered with 503"
    newest = signed(bench)
    until_sent(bench, receiver, 5)
    assert received(receiver)[-1] == newest
    assert bench.findings() == [("raised", Finding.LOG_NOT_ANCHORED), ("cleared", Finding.LOG_NOT_ANCHORED)]
    assert bench.conditions() == frozenset()


def test_anchor_that_was_taken_out_while_it_failed_is_told_of_no_longer(bench: Bench, receiver: Receiver) -> None:
    receiver.answers = [503] * 3
    signed(bench)
    until_sent(bench, receiver, 3)
    alarm = Alarm(bench.database, bench.journal)
    alarm.end_others(Finding.LOG_NOT_ANCHORED, {desk(bench, receiver).mark})
    assert len(bench.conditions()) == 1
    alarm.end_others(Finding.LOG_NOT_ANCHORED, set())
    assert bench.findings()[1:] == [("cleared", Finding.LOG_NOT_ANCHORED)]
    assert bench.conditions() == frozenset()


def test_failing_anchor_is_left_alone_for_longer_each_time(bench: Bench, receiver: Receiver) -> None:
    receiver.answers = [503] * 20
    signed(bench)
    anchor = WebAnchor(receiver.url, AT_ONCE)
    Desk(anchor, lambda: bench.signer.vkey, bench.database, bench.journal, again=timedelta(hours=1)).look()
    for _ in range(3):
        Desk(anchor, lambda: bench.signer.vkey, bench.database, bench.journal).look()
    assert len(receiver.received) == 1


def test_process_that_dies_after_sending_leaves_it_to_be_sent_again(bench: Bench, receiver: Receiver) -> None:
    newest = signed(bench)

    class Dying(WebAnchor):
        def keep(self, note: str) -> None:
            super().keep(note)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Desk(Dying(receiver.url, AT_ONCE), lambda: bench.signer.vkey, bench.database, bench.journal).look()
    desk(bench, receiver).look()  # the dead one's turn lasts still
    assert received(receiver) == [newest]
    bench.tamper("UPDATE anchorings SET next_at = 0")
    desk(bench, receiver).look()
    desk(bench, receiver).look()
    assert received(receiver) == [newest, newest]


@pytest.mark.parametrize("other", ["nothing that was signed", "bytes", "the one before", "one of another key"])
def test_note_that_was_replaced_in_the_database_is_not_sent_but_told_of(
    other: str, bench: Bench, receiver: Receiver
) -> None:
    """Mallory owns the database and wants no later checkpoint to lie elsewhere."""
    before, _ = signed(bench), signed(bench)
    of_another_key = note(list(bench.signer.read(0, 2)), OTHER_KEY, "example.org/log")
    replaced: str | bytes = {"the one before": before, "one of another key": of_another_key}.get(other, other)
    if other == "bytes" and bench.database.is_sqlite:
        replaced = b"\xff"
    bench.tamper("UPDATE checkpoints SET note = :note WHERE size = 2", note=replaced)
    deadline = time.monotonic() + 10
    while not bench.findings() and time.monotonic() < deadline:
        desk(bench, receiver).look()
    assert (received(receiver), bench.findings()) == ([], [("raised", Finding.LOG_NOT_ANCHORED)])
    newest = signed(bench)
    until_sent(bench, receiver, 1)
    assert received(receiver) == [newest]


def test_file_that_was_appended_to_before_the_crash_is_not_appended_to_again(bench: Bench, tmp_path: Path) -> None:
    newest = signed(bench)
    anchor = FileAnchor(tmp_path / "notes", AT_ONCE)
    anchor.keep(newest)
    Desk(anchor, lambda: bench.signer.vkey, bench.database, bench.journal).look()
    assert (tmp_path / "notes").read_text(encoding="utf-8") == newest + "\n"
    with bench.database.read() as connection:
        assert list(anchors.last_received(connection)) == [anchor.name]


def test_token_is_kept_with_its_note(bench: Bench, tsa: TimestampAuthority) -> None:
    newest = signed(bench)
    anchor = TimestampAnchor(tsa.url, tsa.ca.certificate, AT_ONCE)
    Desk(anchor, lambda: bench.signer.vkey, bench.database, bench.journal).look()
    with bench.database.read() as connection:
        (kept,) = anchors.with_receipt(connection)
    assert (kept.anchor, kept.note) == (anchor.name, newest)
    assert kept.receipt is not None
    assert verify_token(kept.receipt, newest.encode(), trusted(tsa.ca.certificate)).status == 0


def test_anchor_rows_without_a_receipt_are_thinned_to_one_an_hour(bench: Bench) -> None:
    for size in range(1, 8):
        bench.tamper(
            "INSERT INTO anchorings (anchor, size, at, receipt, tries) VALUES ('a', :size, :at, :receipt, 0)",
            size=size,
            at=size * 1_200_000_000,
            receipt=b"token" if size == 1 else None,
        )
    with bench.database.read() as connection:
        found = anchors.surplus(connection, anchors.last_received(connection)["a"])
    assert sorted(found) == [("a", 3), ("a", 4)]

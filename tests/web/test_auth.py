"""Signing in and out, sessions, passwords: what is let in, what is not, and what the log says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import time_machine
from flask.sessions import SecureCookieSessionInterface

from bot.audit.journal import Transaction
from bot.storage import throttles, users
from bot.web.auth import SIGN_INS_MAX, SIGN_INS_WINDOW
from bot.web.passwords import hash_password
from tests.conftest import ALICE, BOB, CAROL, SAM, Person
from tests.web.bench import Bench, Browser, Page

NEW_PASSWORD = "another good passw0rd"


def _outcomes(bench: Bench) -> list[tuple[str, str | None, str | None]]:
    return [(entry["type"], entry["actor"], entry["reason"]) for entry in bench.entries()]


def _is_out(browser: Browser) -> bool:
    reply = browser.get("/calls")
    return reply.status_code == 302 and reply.headers["Location"].startswith("/login")


def _change(bench: Bench, person: Person, what: str) -> None:
    def change(transaction: Transaction) -> None:
        user = users.lock(transaction, person.name)
        assert user is not None
        if what == "disabled":
            users.disable(transaction, user)
        else:
            hashed = hash_password(NEW_PASSWORD)
            users.set_password(transaction, user, hashed, is_temporary=what == "temporary password")

    bench.services.journal.write(change)


@pytest.mark.parametrize(("person", "home"), [(ALICE, "/calls"), (SAM, "/calls"), (CAROL, "/review")])
def test_sign_in_leads_to_the_role_s_own_page(person: Person, home: str, web_bench: Bench) -> None:
    reply = web_bench.visitor().sign_in(person.name, person.password)
    assert (reply.status_code, reply.headers["Location"]) == (303, home)
    assert _outcomes(web_bench) == [("sign_in.succeeded", person.name, None)]
    (entry,) = web_bench.entries()
    assert (entry["source"], entry["origin"], entry["outcome"]) == ("agent", "127.0.0.1", "success")


@pytest.mark.parametrize(
    ("name", "password", "actor", "why"),
    [
        ("alice", "wrong", "alice", "wrong password"),
        ("alice", "", "alice", "wrong password"),
        ("alice", "x" * 100_000, "alice", "wrong password"),
        ("alice", ALICE.password + " ", "alice", "wrong password"),
        ("nobody", ALICE.password, None, "unknown user"),
        ("", "", None, "unknown user"),
        ("Alice", ALICE.password, None, "unknown user"),
        ("' OR 1=1 --", "x", None, "unknown user"),
        ("x" * 10_000, "x", None, "unknown user"),
        ("a\x00b", "x", None, "unknown user"),
    ],
)
def test_sign_in_that_fails_says_the_same_and_is_noted(
    name: str, password: str, actor: str | None, why: str, web_bench: Bench
) -> None:
    visitor = web_bench.visitor()
    reply = visitor.sign_in(name, password)
    assert reply.status_code == 401
    assert Page(reply.text).alerts == ["Name or password is wrong."]
    assert _outcomes(web_bench) == [("sign_in.failed", actor, why)]
    assert _is_out(visitor)


def test_password_typed_as_a_name_is_not_noted(web_bench: Bench) -> None:
    web_bench.visitor().sign_in("my-secret-passw0rd", "x")
    assert "my-secret" not in str(web_bench.entries())


def test_sign_in_without_a_token_is_refused(web_bench: Bench) -> None:
    reply = web_bench.visitor().post("/login", username=ALICE.name, password=ALICE.password)
    assert reply.status_code == 400
    assert web_bench.entries() == []


def test_disabled_user_cannot_sign_in(web_bench: Bench) -> None:
    _change(web_bench, ALICE, "disabled")
    reply = web_bench.visitor().sign_in(ALICE.name, ALICE.password)
    assert reply.status_code == 401
    assert Page(reply.text).alerts == ["Name or password is wrong."]
    assert _outcomes(web_bench) == [("sign_in.failed", "alice", "disabled")]


# Locks and limits


def _fail(visitor: Browser, times: int) -> None:
    token = visitor.token("/login")
    for _ in range(times):
        assert visitor.post("/login", token, username=ALICE.name, password="wrong").status_code == 401


def test_nine_wrong_tries_do_not_lock(web_bench: Bench) -> None:
    visitor = web_bench.visitor()
    _fail(visitor, 9)
    assert visitor.sign_in(ALICE.name, ALICE.password).status_code == 303


def test_ten_wrong_tries_lock_the_account_for_half_an_hour(web_bench: Bench) -> None:
    visitor = web_bench.visitor()
    _fail(visitor, 10)
    reply = visitor.sign_in(ALICE.name, ALICE.password)
    assert reply.status_code == 401
    assert "locked" in Page(reply.text).alerts[0]
    assert Page(visitor.sign_in(ALICE.name, "wrong").text).alerts == ["Name or password is wrong."]
    assert [why for _, _, why in _outcomes(web_bench)] == ["wrong password"] * 10 + ["locked"] * 2
    assert web_bench.visitor().sign_in(BOB.name, BOB.password).status_code == 303
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=29)):
        assert visitor.sign_in(ALICE.name, ALICE.password).status_code == 401
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=31)):
        assert visitor.sign_in(ALICE.name, ALICE.password).status_code == 303


def test_sign_in_sets_the_wrong_tries_back(web_bench: Bench) -> None:
    visitor = web_bench.visitor()
    for _ in range(2):
        _fail(visitor, 9)
        assert visitor.sign_in(ALICE.name, ALICE.password).status_code == 303
        visitor.client.delete_cookie("session", domain="127.0.0.1")


def test_address_with_too_many_tries_is_told_to_wait(web_bench: Bench) -> None:
    for _ in range(SIGN_INS_MAX):
        web_bench.services.journal.write(
            lambda transaction: throttles.count(transaction, "sign-in 127.0.0.1", SIGN_INS_WINDOW)
        )
    visitor = web_bench.visitor()
    reply = visitor.sign_in(ALICE.name, ALICE.password)
    assert reply.status_code == 429
    assert "Retry-After" in reply.headers
    assert _is_out(visitor)
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    form = {"csrf_token": visitor.token("/login"), "username": ALICE.name, "password": ALICE.password}
    assert (
        visitor.client.post("/login", base_url=web_bench.public, data=form, environ_overrides=elsewhere).status_code
        == 303
    )
    with time_machine.travel(datetime.now(UTC) + SIGN_INS_WINDOW + timedelta(seconds=1)):
        assert web_bench.visitor().sign_in(ALICE.name, ALICE.password).status_code == 303


# Sessions


@pytest.mark.parametrize("what", ["disabled", "new password", "temporary password"])
def test_session_ends_at_once_for_a_user_who_is_changed(what: str, web_bench: Bench) -> None:
    alice, bob = web_bench.signed_in(ALICE), web_bench.signed_in(BOB)
    token = alice.token("/calls")
    _change(web_bench, ALICE, what)
    assert _is_out(alice)
    reply = alice.post(f"/calls/{'CA' + '1' * 32}/pause", token)
    assert reply.status_code in {302, 303}
    assert reply.headers["Location"].startswith("/login")
    assert alice.get("/calls", HX_Request="true").status_code == 401
    assert not _is_out(bob)
    assert web_bench.twilio.requests() == []


def test_session_ends_after_twelve_hours(web_bench: Bench) -> None:
    alice = web_bench.signed_in(ALICE)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=11, minutes=59), tick=False):
        assert not _is_out(alice)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=24, minutes=1), tick=False):
        assert _is_out(alice)


def test_session_of_another_secret_is_none(web_bench: Bench) -> None:
    visitor = web_bench.visitor()
    forged = SecureCookieSessionInterface().get_signing_serializer(web_bench.app)
    assert forged is not None
    good = forged.dumps({"user": "alice", "session": 1})
    visitor.client.set_cookie("session", good[:-9] + ("A" if good[-9] != "A" else "B") + good[-8:], domain="127.0.0.1")
    assert _is_out(visitor)
    visitor.client.set_cookie("session", good, domain="127.0.0.1")
    assert not _is_out(visitor)


def test_sign_out_ends_the_session_and_is_noted(web_bench: Bench) -> None:
    alice = web_bench.signed_in(ALICE)
    reply = alice.post("/logout", alice.token("/calls"))
    assert (reply.status_code, reply.headers["Location"]) == (303, "/login")
    assert _is_out(alice)
    assert _outcomes(web_bench)[-1][:2] == ("sign_out", "alice")


def test_sign_out_by_a_mere_link_is_refused(web_bench: Bench) -> None:
    alice = web_bench.signed_in(ALICE)
    assert alice.get("/logout").status_code == 405
    assert alice.post("/logout").status_code == 400
    assert not _is_out(alice)


@pytest.mark.parametrize(
    "path", ["/calls", f"/calls/CA{'1' * 32}", f"/calls/CA{'1' * 32}/state", "/review", "/password"]
)
def test_page_without_a_session_leads_to_sign_in(path: str, web_bench: Bench) -> None:
    reply = web_bench.visitor().get(path)
    assert reply.status_code == 302
    assert reply.headers["Location"].startswith("/login")


def test_fragment_without_a_session_says_not_paused(web_bench: Bench) -> None:
    reply = web_bench.visitor().get(f"/calls/CA{'1' * 32}/state", HX_Request="true")
    assert reply.status_code == 401
    assert Page(reply.text).status.startswith("NOT PAUSED")


@pytest.mark.parametrize(
    ("person", "path"), [(CAROL, "/calls"), (CAROL, f"/calls/CA{'1' * 32}"), (ALICE, "/review"), (SAM, "/review")]
)
def test_page_of_another_role_is_refused_and_noted(person: Person, path: str, web_bench: Bench) -> None:
    assert web_bench.signed_in(person).get(path).status_code == 403
    last = web_bench.entries()[-1]
    assert (last["type"], last["actor"], last["outcome"]) == ("page.refused", person.name, "failure")


# Where to next


@pytest.mark.parametrize("wanted", [f"/calls/CA{'1' * 32}", "/calls", "/review?call=1&type=x", "/password"])
def test_sign_in_goes_on_to_the_page_that_was_wanted(wanted: str, web_bench: Bench) -> None:
    reply = web_bench.visitor().sign_in(ALICE.name, ALICE.password, quote(wanted, safe=""))
    assert (reply.status_code, reply.headers["Location"]) == (303, wanted)


def test_deep_link_is_kept_through_sign_in(web_bench: Bench) -> None:
    visitor = web_bench.visitor()
    sent = visitor.get(f"/calls/CA{'1' * 32}").headers["Location"]
    form = visitor.get(sent).text
    assert f"/login?next=/calls/CA{'1' * 32}" in form or f"/login?next=%2Fcalls%2FCA{'1' * 32}" in form


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        "/\n/evil.example",
        "/ /evil.example\\",
        "javascript:alert(1)",
        "evil.example",
        "http:/evil.example",
        "@evil.example",
        "/..//evil.example",
        "/%5cevil.example\\",
        "/\r\nSet-Cookie: a=b",
    ],
)
def test_sign_in_never_leads_elsewhere(wanted: str, web_bench: Bench) -> None:
    reply = web_bench.visitor().sign_in(ALICE.name, ALICE.password, quote(wanted, safe=""))
    assert reply.status_code == 303
    location = reply.headers["Location"]
    stripped = location.replace("\t", "").replace("\n", "").replace("\r", "")
    assert stripped.startswith("/")
    assert not stripped.startswith(("//", "/\\"))
    assert "Set-Cookie: a=b" not in str(reply.headers)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("/calls/4111111111111111", None),
        ("/calls/NDExMTExMTExMTExMTExMQ", None),
        (f"/calls/CA{'1' * 32}?card=4111111111111111", f"/calls/CA{'1' * 32}"),
        ("/review?a=4111&b=1111&c=1111", "/review"),
        ("/review?NDExMTExMTExMTExMTExMQ", "/review"),
        (f"/review?call=CA{'1' * 32}&from=2026-11-22", f"/review?call=CA{'1' * 32}&from=2026-11-22"),
    ],
)
def test_what_may_be_a_card_goes_into_no_further_url(asked: str, kept: str | None, web_bench: Bench) -> None:
    sent = web_bench.visitor().get(asked).headers["Location"]
    assert parse_qs(urlsplit(sent).query).get("next", [None]) == [kept]
    went_on = web_bench.visitor().sign_in(ALICE.name, ALICE.password, quote(asked, safe=""))
    assert went_on.headers["Location"] == (kept or "/calls")


@pytest.mark.parametrize(("typed", "shown"), [("alice.b2", "alice.b2"), ("4111 1111 1111 1111", "")])
def test_name_is_shown_again_unless_it_may_be_a_card(typed: str, shown: str, web_bench: Bench) -> None:
    assert f'name="username" autocomplete="username" value="{shown}"' in web_bench.visitor().sign_in(typed, "x").text


# Passwords


def test_temporary_password_must_be_changed_before_anything_else(web_bench: Bench) -> None:
    _change(web_bench, ALICE, "temporary password")
    alice = web_bench.visitor()
    reply = alice.sign_in(ALICE.name, NEW_PASSWORD)
    assert (reply.status_code, reply.headers["Location"]) == (303, "/password")
    for path in ("/calls", f"/calls/CA{'1' * 32}"):
        assert alice.get(path).headers["Location"] == "/password"
    refused = alice.post(f"/calls/CA{'1' * 32}/pause", alice.token("/password"), script=True)
    assert refused.headers["Location"] == "/password"
    assert web_bench.twilio.requests() == []
    assert (
        alice.post(
            "/password", alice.token("/password"), password=NEW_PASSWORD, new_password="my own passw0rd now"
        ).status_code
        == 303
    )
    assert alice.get("/calls").status_code == 200
    assert ("user.password_changed", "alice", None) in _outcomes(web_bench)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ALICE.password, "short1"),
        (ALICE.password, "onlyletterswithoutend"),
        (ALICE.password, "123456789012345"),
        (ALICE.password, "x1" * 101),
        (ALICE.password, ALICE.password),
        ("wrong", NEW_PASSWORD),
        ("", NEW_PASSWORD),
        (ALICE.password, ""),
    ],
)
def test_password_that_will_not_do_changes_nothing(old: str, new: str, web_bench: Bench) -> None:
    alice = web_bench.signed_in(ALICE)
    reply = alice.post("/password", alice.token("/password"), password=old, new_password=new)
    assert reply.status_code == 422
    assert len(Page(reply.text).alerts) == 1
    assert web_bench.visitor().sign_in(ALICE.name, ALICE.password).status_code == 303


def test_password_that_was_changed_ends_other_sessions_and_keeps_this_one(web_bench: Bench) -> None:
    here, there = web_bench.signed_in(ALICE), web_bench.signed_in(ALICE)
    assert (
        here.post("/password", here.token("/password"), password=ALICE.password, new_password=NEW_PASSWORD).status_code
        == 303
    )
    assert not _is_out(here)
    assert _is_out(there)
    assert web_bench.visitor().sign_in(ALICE.name, ALICE.password).status_code == 401
    assert web_bench.visitor().sign_in(ALICE.name, NEW_PASSWORD).status_code == 303


def test_wrong_old_passwords_are_limited_like_wrong_sign_ins(web_bench: Bench) -> None:
    """Whoever sits down at an open session must not be able to guess the password there either (PCI DSS 8.3.4)."""
    alice = web_bench.signed_in(ALICE)
    token = alice.token("/password")
    for _ in range(10):
        alice.post("/password", token, password="wrong", new_password=NEW_PASSWORD)
    reply = alice.post("/password", token, password=ALICE.password, new_password=NEW_PASSWORD)
    assert reply.status_code != 303


@pytest.mark.parametrize("web_url", ["sqlite", "postgresql"], indirect=True)
def test_name_that_no_database_keeps_is_nobody(web_bench: Bench) -> None:
    assert web_bench.visitor().sign_in("ali\0ce", ALICE.password).status_code == 401

"""The codes in a customer's own flow: pause and resume by keys; of all else that was pressed only a choice goes on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from bot.web.targets import is_allowed, with_parameter
from tests.support.full_disk import full_disk
from tests.web.bench import Bench
from tests.web.caller import Caller, caller, configured, damage
from tests.web.conftest import DATABASE_FILE

NEXT, FAILED = "https://flows.example.com/menu?FlowEvent=return&a=%2A", "/flow/no-card"
CARD = "4111111111111111"


@pytest.fixture
def guest(web_bench: Bench) -> Iterator[Caller]:
    """Somebody in a flow on a host that the bot may send calls to."""
    with configured(web_bench, redirect_hosts=("flows.example.com",)):
        yield caller(web_bench)


def keys(guest: Caller, digits: str | None, choices: str = "12", **query: str) -> str:
    """Where the call is sent after these keys."""
    asked = urlencode({"next": NEXT, "failed": FAILED, "choices": choices, **query})
    form = {} if digits is None else {"Digits": digits}
    return guest.at(f"keys?{asked}", **form).goes_to


def test_pause_code_pauses_and_goes_on_and_the_resume_code_resumes(guest: Caller) -> None:
    assert keys(guest, "*7") == NEXT
    assert (guest.recordings, guest.holders) == (["paused"], ["ivr:keys"])
    assert keys(guest, "*8") == NEXT
    assert (guest.recordings, guest.holders) == (["in-progress"], [])


def test_code_that_comes_twice_changes_nothing(guest: Caller) -> None:
    assert [keys(guest, "*7"), keys(guest, "*7")] == [NEXT, NEXT]
    assert (guest.recordings, guest.holders) == (["paused"], ["ivr:keys"])
    assert [keys(guest, "*8"), keys(guest, "*8")] == [NEXT, NEXT]
    assert (guest.recordings, guest.holders) == (["in-progress"], [])


def test_pause_code_that_is_not_proven_goes_to_failed_and_leaves_no_hold(guest: Caller) -> None:
    guest.bench.twilio.add_fault("401", on="pause", call=guest.call)
    assert keys(guest, "*7") == FAILED
    assert guest.holders == []


def test_codes_are_the_operators_to_choose(guest: Caller) -> None:
    with configured(guest.bench, redirect_hosts=("flows.example.com",), dtmf_pause_code="*1", dtmf_resume_code="*2"):
        assert keys(guest, "*7") == f"{NEXT}&Count=2"
        assert keys(guest, "*1") == NEXT
        assert guest.recordings == ["paused"]
        assert keys(guest, "*2") == NEXT
        assert guest.recordings == ["in-progress"]


def test_resume_code_ends_no_hold_but_its_own(guest: Caller) -> None:
    guest.bench.api().pause(guest.call)
    assert keys(guest, "*7") == NEXT
    assert keys(guest, "*8") == NEXT
    assert (guest.recordings, guest.holders) == (["paused"], ["api:crm"])


@pytest.mark.parametrize(
    ("digits", "told"),
    [
        ("1", "Choice=1"), ("2", "Choice=2"), ("3", "Count=1"), ("", "Count=0"), (None, "Count=0"), ("11", "Count=2"),
        ("*", "Count=1"), ("**7", "Count=3"), ("*7*7", "Count=4"), (CARD, "Count=16"),
    ],
)  # fmt: skip
def test_other_keys_go_on_as_a_choice_that_was_offered_or_as_a_count(
    guest: Caller, digits: str | None, told: str
) -> None:
    assert keys(guest, digits) == f"{NEXT}&{told}"
    assert guest.recordings == ["in-progress"]


def test_star_and_hash_that_were_offered_are_escaped(guest: Caller) -> None:
    assert keys(guest, "#", choices="#*") == f"{NEXT}&Choice=%23"
    assert keys(guest, "*", choices="#*") == f"{NEXT}&Choice=%2A"


def test_flow_that_offers_nothing_is_only_told_how_many(guest: Caller) -> None:
    asked = urlencode({"next": NEXT, "failed": FAILED})
    assert guest.at(f"keys?{asked}", Digits="1").goes_to == f"{NEXT}&Count=1"


@pytest.mark.parametrize(
    "query",
    [
        {"next": NEXT}, {"failed": FAILED}, {"next": "https://evil.example.com/", "failed": FAILED},
        {"next": NEXT, "failed": "https://evil.example.com/"}, {"next": "////evil.example.com/", "failed": FAILED},
        {"next": NEXT, "failed": FAILED, "choices": "1234567"}, {"next": NEXT, "failed": FAILED, "choices": CARD},
        {"next": NEXT, "failed": FAILED, "choices": "ab"},
    ],
)  # fmt: skip
def test_malformed_step_is_refused_before_anything_happens(guest: Caller, query: dict[str, str]) -> None:
    guest.bench.twilio.clear_requests()
    reply = guest.post(f"keys?{urlencode(query)}", Digits="*7")
    assert reply.status_code == 400
    assert not any(value in reply.text for value in query.values())
    assert guest.bench.twilio.requests() == []


def test_step_without_a_signature_or_call_is_refused(guest: Caller) -> None:
    asked = f"keys?{urlencode({'next': NEXT, 'failed': FAILED})}"
    assert guest.post(asked, signature="wrong", Digits="*7").status_code == 403
    assert guest.post(asked, CallSid="CA1", Digits="*7").status_code == 400
    assert guest.recordings == ["in-progress"]


def test_database_that_cannot_be_written_goes_to_failed_and_is_no_error(guest: Caller) -> None:
    with full_disk():
        assert keys(guest, "*7") == FAILED
        assert keys(guest, "*8") == NEXT
        assert keys(guest, "1") == f"{NEXT}&Choice=1"


@pytest.mark.parametrize("digits", ["*7", "*8"])
def test_error_that_nobody_foresaw_goes_to_failed_and_is_no_error(guest: Caller, digits: str) -> None:
    damage(guest.bench, guest.call)
    assert keys(guest, digits) == FAILED


def test_digits_are_nowhere(web_log: io.StringIO, guest: Caller, tmp_path: Path) -> None:
    went_to = [keys(guest, digits) for digits in (CARD, CARD + "#", "*7" + CARD, "1" + CARD)]
    with full_disk():
        went_to.append(keys(guest, CARD))
    assert guest.post(f"keys?next={CARD}", Digits=CARD).status_code == 400
    kept = b"".join(path.read_bytes() for path in tmp_path.glob(f"{DATABASE_FILE}*"))
    assert CARD not in str(went_to) + web_log.getvalue() + str(guest.bench.entries())
    assert CARD.encode() not in kept


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://any.example.com/", True), ("https://any.example.com:8443/", True), ("https:/x", False),
        ("https://one.example.com:8443/", True), ("https://ONE.example.com:8443", True),
        ("https://one.example.com/", False), ("https://one.example.com:443/", False),
        ("https://one.example.com:84430/", False), ("https://any.example.com:x/", False), ("https:///x", False),
        ("https://any.example.com%2eevil.example.com/", False), ("https://any.example.com;evil.example.com/", False),
        ("https://evil.example.com?any.example.com", False), ("///any.example.com", False),
    ],
)  # fmt: skip
def test_host_is_allowed_with_any_port_or_with_the_one_that_is_named(url: str, allowed: bool) -> None:
    assert is_allowed(url, ("any.example.com", "one.example.com:8443")) is allowed


@pytest.mark.parametrize(
    ("url", "with_it"),
    [
        ("/a", "/a?Count=2"), ("/a?", "/a?Count=2"), ("/a?b=1", "/a?b=1&Count=2"), ("/a?b=1&", "/a?b=1&Count=2"),
        ("/a?b=%26&c=%C3%A9", "/a?b=%26&c=%C3%A9&Count=2"), ("/a#rc=2", "/a?Count=2#rc=2"),
        ("/a?b=1#rc=2&rp=all", "/a?b=1&Count=2#rc=2&rp=all"), ("/a#b?c", "/a?Count=2#b?c"),
        ("https://flows.example.com", "https://flows.example.com?Count=2"),
    ],
)  # fmt: skip
def test_parameter_is_added_and_the_rest_of_the_url_left_alone(url: str, with_it: str) -> None:
    assert with_parameter(url, "Count", "2") == with_it
    assert dict(parse_qsl(urlsplit(with_it).query))["Count"] == "2"
    assert is_allowed(url, ("flows.example.com",)) == is_allowed(with_it, ("flows.example.com",))

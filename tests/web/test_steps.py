"""The bracket around card entry in any call flow: on to the card only when the pause is proven."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from tests.conftest import ALICE
from tests.simulator.process import ACCOUNT, TOKEN
from tests.support.full_disk import full_disk
from tests.support.tamper import tamper
from tests.web.bench import PUBLIC, Bench
from tests.web.caller import damage
from tests.web.signing import signature_of

NEXT, FAILED = "/flow/card", "https://flows.example.com/no-card?why=recording"


@pytest.fixture
def flow(web_bench: Bench) -> Iterator[Bench]:
    """A bot that may send calls on to one host of somebody else's."""
    services = web_bench.app.extensions["bot"]
    settings = services.settings.model_copy(update={"redirect_hosts": ("flows.example.com",)})
    web_bench.app.extensions["bot"] = replace(services, settings=settings)
    yield web_bench
    web_bench.app.extensions["bot"] = services


def step(bench: Bench, name: str, call: str, signature: str | None = None, **query: str) -> TestResponse:
    url = f"{PUBLIC}/twilio/{name}" + (f"?{urlencode(query)}" if query else "")
    form = {"CallSid": call, "AccountSid": ACCOUNT, "Digits": "4111111111111111"}
    headers = {"X-Twilio-Signature": signature or signature_of(TOKEN, url, form)}
    return bench.app.test_client().post(url, data=form, headers=headers)


def goes_to(reply: TestResponse) -> str:
    """Where the TwiML sends the call."""
    assert (reply.status_code, reply.mimetype) == (200, "text/xml")
    (redirect,) = ET.fromstring(reply.text)  # noqa: S314 - our own answer
    assert (redirect.tag, redirect.attrib) == ("Redirect", {"method": "POST"})
    return str(redirect.text)


def pause(bench: Bench, call: str) -> str:
    return goes_to(step(bench, "pause", call, next=NEXT, failed=FAILED))


def resume(bench: Bench, call: str) -> str:
    return goes_to(step(bench, "resume", call, next=NEXT))


def test_bracket_pauses_before_the_card_and_resumes_after_it_as_often_as_it_comes(flow: Bench) -> None:
    call = flow.place_call()
    for _ in range(2):
        assert pause(flow, call) == NEXT
        assert flow.recording_states(call) == ["paused"]
        assert resume(flow, call) == NEXT
        assert flow.recording_states(call) == ["in-progress"]
    holders = [entry["detail"]["holder"] for entry in flow.entries(call=call, type="hold.opened")]
    assert holders == ["ivr", "ivr"]


def test_pause_that_is_not_proven_goes_to_failed_and_leaves_no_hold(flow: Bench) -> None:
    call = flow.place_call()
    flow.twilio.add_fault("503", on="list", call=call)
    assert pause(flow, call) == FAILED
    found = flow.services.control.find(call)
    assert found is not None
    assert found.holds == ()


def test_call_without_a_recording_goes_to_failed(flow: Bench) -> None:
    """Nothing is recording is never safe: something else may be."""
    assert pause(flow, flow.place_call(recordings=0)) == FAILED


def test_resume_leaves_the_agent_s_hold_and_goes_on(flow: Bench) -> None:
    call = flow.place_call(ALICE)
    flow.signed_in(ALICE).press(call, "Pause")
    assert pause(flow, call) == NEXT
    assert resume(flow, call) == NEXT
    assert flow.recording_states(call) == ["paused"]


def test_resume_of_what_was_never_paused_goes_on(flow: Bench) -> None:
    call = flow.place_call()
    assert resume(flow, call) == NEXT
    assert flow.recording_states(call) == ["in-progress"]


def test_database_that_cannot_be_written_goes_to_failed_and_is_no_error(flow: Bench) -> None:
    call = flow.place_call()
    with full_disk():
        assert pause(flow, call) == FAILED
        assert resume(flow, call) == NEXT
    assert pause(flow, call) == NEXT


def test_log_that_cannot_be_written_goes_to_failed_and_is_no_error(flow: Bench) -> None:
    call = flow.place_call()
    with flow.services.database.write() as connection:
        tamper(connection, "DELETE FROM head")
    assert pause(flow, call) == FAILED
    assert resume(flow, call) == NEXT


def test_error_that_nobody_foresaw_goes_to_failed_and_is_no_error(flow: Bench) -> None:
    call = flow.place_call()
    damage(flow, call)
    assert pause(flow, call) == FAILED
    assert goes_to(step(flow, "resume", call, next=NEXT, failed=FAILED)) == NEXT


@pytest.mark.parametrize(
    "target",
    [
        "", "flow", "//evil.example.com/x", "////evil.example.com/x",
        "/\\evil.example.com", "https://evil.example.com/x", "javascript:alert(1)",
        "https://flows.example.com@evil.example.com/", "https://evil.example.com#flows.example.com", "ftp://flows.example.com/",
        "https://flows.example.com.evil.example.com/", "/a b", "/a\nb", "http://[", "/" + "a" * 2000,
    ],
)  # fmt: skip
@pytest.mark.parametrize(("name", "other"), [("next", "failed"), ("failed", "next")])
def test_target_elsewhere_is_refused_before_anything_happens(flow: Bench, name: str, other: str, target: str) -> None:
    call = flow.place_call()
    flow.twilio.clear_requests()
    assert step(flow, "pause", call, **{name: target, other: NEXT}).status_code == 400
    assert flow.twilio.requests() == []


@pytest.mark.parametrize("name", ["pause", "resume"])
def test_step_without_target_call_or_signature_is_refused(flow: Bench, name: str) -> None:
    call = flow.place_call()
    assert step(flow, name, call).status_code == 400
    assert step(flow, name, "CA1", next=NEXT, failed=FAILED).status_code == 400
    assert step(flow, name, call, signature="wrong", next=NEXT, failed=FAILED).status_code == 403
    assert flow.recording_states(call) == ["in-progress"]


def test_digits_of_a_step_are_nowhere(flow: Bench) -> None:
    call = flow.place_call()
    assert pause(flow, call) == NEXT
    assert "4111111111111111" not in str(flow.entries())

"""Status callbacks: believed only with Twilio's signature, and then only as far as the allow-list reaches."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.conftest import ALICE
from tests.simulator.process import ACCOUNT, TOKEN
from tests.web.bench import PUBLIC, UNKNOWN_CALL, WEBHOOKS, Bench
from tests.web.signing import body_sha256, signature_of

RINGING = {"CallSid": UNKNOWN_CALL, "AccountSid": ACCOUNT, "CallStatus": "ringing", "Direction": "inbound"}
URL = f"{PUBLIC}/twilio/call-status"
FORM = "application/x-www-form-urlencoded"


def _post(bench: Bench, signature: str | None, query: str = "", **more: Any) -> TestResponse:
    headers = {} if signature is None else {"X-Twilio-Signature": signature}
    url = URL + (f"?{query}" if query else "")
    return bench.app.test_client().post(url, headers=headers, **{"data": RINGING, **more})


def _post_json(bench: Bench, body: bytes, query: str | None = None, type_: str = "application/json") -> TestResponse:
    query = f"bodySHA256={body_sha256(body)}" if query is None else query
    signature = signature_of(TOKEN, f"{URL}?{query}" if query else URL)
    return _post(bench, signature, query, data=body, content_type=type_)


def _is_untouched(bench: Bench) -> bool:
    return bench.entries() == [] and bench.services.control.find(UNKNOWN_CALL) is None


# Genuine


def test_webhook_with_a_good_signature_is_taken_in(web_bench: Bench) -> None:
    reply = web_bench.post_webhook("call-status", RINGING)
    assert (reply.status_code, reply.data) == (204, b"")
    (entry,) = web_bench.entries(call=UNKNOWN_CALL)
    assert (entry["type"], entry["source"], entry["actor"]) == ("call.reported", "twilio", "twilio")
    assert (entry["account"], entry["after"], entry["outcome"]) == (ACCOUNT, "ringing", "success")


def test_simulated_twilios_signatures_are_accepted_for_every_callback(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call(agent=ALICE.contact, conference="room", conference_recordings=1)
    web_bench.twilio.hang_up(placed.call)
    for callback in web_bench.twilio.callbacks():
        name = callback["url"].rsplit("/", 1)[1]
        assert name in WEBHOOKS
        assert web_bench.post_webhook(name, callback["params"]).status_code == 204
    call = web_bench.services.control.find(placed.call)
    assert call is not None
    assert (call.status, call.agent, call.live) == ("completed", "alice", ())
    assert (call.conferences, call.left) == ((), (placed.conference,))


def test_call_belongs_to_the_agent_whose_contact_answers(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call(agent=ALICE.contact, answered=False)
    web_bench.deliver(placed.call)
    assert web_bench.api().call(placed.call)["agent"] is None
    web_bench.twilio.answer(placed.agent_leg or "")
    web_bench.deliver(placed.call)
    assert web_bench.api().call(placed.call)["agent"] == "alice"


@pytest.mark.parametrize("query", ["a=1", "next=https%3A%2F%2Fexample.org%2F%3Fb%3D2&x=%C3%A9", "x=a%20b", "?x", "&"])
def test_webhook_with_a_query_is_checked_with_it(query: str, web_bench: Bench) -> None:
    assert _post(web_bench, signature_of(TOKEN, f"{URL}?{query}", RINGING), query).status_code == 204
    assert _post(web_bench, signature_of(TOKEN, URL, RINGING), query).status_code == 403


def test_webhook_with_a_parameter_twice_is_checked_with_both(web_bench: Bench) -> None:
    pairs = [*RINGING.items(), ("CallStatus", "completed"), ("To", "client:alice"), ("To", "client:alice")]
    body = "&".join(f"{name}={value}" for name, value in pairs)
    reply = _post(web_bench, signature_of(TOKEN, URL, pairs), data=body, content_type=FORM)
    assert reply.status_code == 204
    assert web_bench.api().call(UNKNOWN_CALL)["status"] == "ringing"
    assert _post(web_bench, signature_of(TOKEN, URL, RINGING), data=body, content_type=FORM).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:8000", "localhost", "a b", "["])
def test_webhook_is_checked_against_the_public_url_whatever_host_it_names(host: str, web_bench: Bench) -> None:
    good = signature_of(TOKEN, URL, RINGING)
    foreign = signature_of(TOKEN, f"http://{host}/twilio/call-status", RINGING)
    said: dict[str, Any] = {"environ_overrides": {"HTTP_HOST": host}}
    assert _post(web_bench, good, **said).status_code == 204
    if host != "127.0.0.1:8000":
        assert _post(web_bench, foreign, **said).status_code == 403


def test_webhook_as_json_with_its_body_hash_is_taken_in(web_bench: Bench) -> None:
    assert _post_json(web_bench, json.dumps(RINGING).encode()).status_code == 204
    assert web_bench.types(UNKNOWN_CALL) == ["call.reported"]


@pytest.mark.parametrize("name", WEBHOOKS)
def test_webhook_of_another_endpoint_is_not_taken_in(name: str, web_bench: Bench) -> None:
    """The signature covers the path."""
    signature = signature_of(TOKEN, f"{PUBLIC}/twilio/other", RINGING)
    reply = web_bench.app.test_client().post(
        f"{PUBLIC}/twilio/{name}", data=RINGING, headers={"X-Twilio-Signature": signature}
    )
    assert reply.status_code == 403


# Not genuine


GOOD = signature_of(TOKEN, URL, RINGING)
BAD_SIGNATURES = {
    "missing": None,
    "empty": "",
    "wrong": signature_of(TOKEN, URL, {**RINGING, "CallStatus": "completed"}),
    "other token": signature_of("another token", URL, RINGING),
    "over https": signature_of(TOKEN, URL.replace("http:", "https:"), RINGING),
    "without parameters": signature_of(TOKEN, URL),
    "10 kB": "A" * 10_240,
    "good and more": GOOD + "A" * 10_240,
    "good with blanks": f"{GOOD},{GOOD}",
    "cut": GOOD[:-1],
    "other case": GOOD.swapcase(),
    "non-ASCII": "Ü" * 28,
    "good and non-ASCII": f"{GOOD}é",
}


@pytest.mark.parametrize("name", BAD_SIGNATURES)
def test_webhook_with_a_bad_signature_is_refused(name: str, web_bench: Bench) -> None:
    signature = BAD_SIGNATURES[name]
    headers = {} if signature is None else {"X-Twilio-Signature": signature}
    for endpoint in WEBHOOKS:
        reply = web_bench.app.test_client().post(f"{PUBLIC}/twilio/{endpoint}", data=RINGING, headers=headers)
        assert (reply.status_code, reply.mimetype) == (403, "text/plain")
    assert _is_untouched(web_bench)


def test_webhook_with_a_bad_signature_logs_the_url_without_its_query(web_bench: Bench, web_log: io.StringIO) -> None:
    _post(web_bench, "AAAA", "next=https://example.org/secret&Digits=4111111111111111")
    (line,) = [json.loads(line) for line in web_log.getvalue().splitlines()]
    assert (line["event"], line["url"], line["origin"]) == ("webhook.bad_signature", URL, "127.0.0.1")
    assert "secret" not in web_log.getvalue()
    assert "4111" not in web_log.getvalue()


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", json.dumps(RINGING).encode()),
        ("bodySHA256=", json.dumps(RINGING).encode()),
        (f"bodySHA256={'0' * 64}", json.dumps(RINGING).encode()),
        (f"bodysha256={body_sha256(b'{}')}", b"{}"),
        (f"bodySHA256={body_sha256(b'{}')}&bodySHA256={body_sha256(b'{}')}", b"{}"),
        (f"bodySHA256={body_sha256(b'{}')}", b"\xff\xfe{}"),
    ],
    ids=["none", "empty", "wrong", "misspelt", "twice", "not UTF-8"],
)
def test_json_without_the_hash_of_its_body_is_refused(query: str, body: bytes, web_bench: Bench) -> None:
    assert _post_json(web_bench, body, query).status_code == 403
    assert _is_untouched(web_bench)


def test_json_in_an_unheard_of_encoding_is_refused(web_bench: Bench) -> None:
    body = json.dumps(RINGING).encode("utf-16")
    assert _post_json(web_bench, body, type_="application/json; charset=utf-16").status_code == 403


# Malformed


MALFORMED = {
    "call-status": [
        {},
        {"CallSid": "CA1", "CallStatus": "ringing"},
        {"CallSid": UNKNOWN_CALL},
        {"CallSid": UNKNOWN_CALL, "CallStatus": "dancing"},
        {"CallSid": UNKNOWN_CALL + "\n", "CallStatus": "ringing"},
        {"CallSid": UNKNOWN_CALL, "CallStatus": "ringing", "ParentCallSid": "x"},
        {"CallSid": UNKNOWN_CALL, "CallStatus": "ringing", "AccountSid": "AC1"},
        {"CallSid": UNKNOWN_CALL, "CallStatus": "ringing", "SequenceNumber": "one"},
        {"CallSid": UNKNOWN_CALL, "CallStatus": "ringing", "SequenceNumber": "-1"},
        {"CallSid": UNKNOWN_CALL, "CallStatus": "ringing", "SequenceNumber": "9" * 30},
        {"CallSid": UNKNOWN_CALL, "CallStatus": "ringing", "SequenceNumber": "٣"},
        {"callsid": UNKNOWN_CALL, "CallStatus": "ringing"},
    ],
    "recording-status": [
        {"CallSid": UNKNOWN_CALL, "RecordingStatus": "completed"},
        {"RecordingSid": "RE" + "1" * 32, "RecordingStatus": "completed"},
        {"RecordingSid": "RE" + "1" * 32, "CallSid": UNKNOWN_CALL, "RecordingStatus": "processing"},
        {"RecordingSid": "CA" + "1" * 32, "CallSid": UNKNOWN_CALL, "RecordingStatus": "completed"},
        {
            "RecordingSid": "RE" + "1" * 32,
            "CallSid": UNKNOWN_CALL,
            "RecordingStatus": "completed",
            "RecordingDuration": "1.5",
        },
        {"RecordingSid": "RE" + "1" * 32, "ConferenceSid": "CF", "RecordingStatus": "completed"},
    ],
    "conference-status": [
        {"ConferenceSid": "CF" + "1" * 32},
        {"StatusCallbackEvent": "participant-join", "CallSid": UNKNOWN_CALL},
        {"ConferenceSid": "CF" + "1" * 32, "StatusCallbackEvent": "party", "CallSid": UNKNOWN_CALL},
        {"ConferenceSid": "CF" + "1" * 32, "StatusCallbackEvent": "participant-join", "CallSid": "CA"},
    ],
}


@pytest.mark.parametrize(
    ("endpoint", "params"), [(endpoint, params) for endpoint, all_ in MALFORMED.items() for params in all_]
)
def test_webhook_with_malformed_parameters_is_refused(endpoint: str, params: dict[str, str], web_bench: Bench) -> None:
    reply = web_bench.post_webhook(endpoint, params)
    assert (reply.status_code, reply.mimetype) == (400, "text/plain")
    assert _is_untouched(web_bench)


def test_malformed_value_is_neither_answered_nor_logged(web_bench: Bench, web_log: io.StringIO) -> None:
    reply = web_bench.post_webhook("call-status", {"CallSid": "a-strange-value", "CallStatus": "ringing"})
    (line,) = [json.loads(line) for line in web_log.getvalue().splitlines()]
    assert (line["event"], line["endpoint"]) == ("webhook.malformed", "call-status")
    assert "a-strange-value" not in reply.text + web_log.getvalue()


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null", b"{", b"", b"{}", b'{"CallSid": {"a": 1}}'])
def test_json_that_is_no_set_of_parameters_is_malformed(body: bytes, web_bench: Bench) -> None:
    assert _post_json(web_bench, body).status_code == 400
    assert _is_untouched(web_bench)


def test_json_that_is_nested_without_end_is_malformed(web_bench: Bench) -> None:
    assert _post_json(web_bench, b"[" * 100_000).status_code == 400


ODD_BODIES = [
    (b"\x00\xff%zz&=&&==&%", FORM),
    (b"CallSid=%ff%fe&CallStatus=%00", FORM),
    (b"", FORM),
    (b"CallSid=" + b"A" * 200_000, FORM),
    (b"&".join(b"a%d=" % number for number in range(10_000)), FORM),
    (b"CallSid=1", ""),
    (b"CallSid=1", "text/plain"),
    (b"CallSid=1", "application/x-www-form-urlencoded; charset=no-such-thing"),
    (b"CallSid=1", "multipart/form-data"),
    (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
    (b"CallSid=1", "\u00fc/\u00fc"),
]


@pytest.mark.parametrize(("body", "type_"), ODD_BODIES, ids=range(len(ODD_BODIES)))
def test_odd_body_is_refused_and_never_breaks(body: bytes, type_: str, web_bench: Bench) -> None:
    assert _post(web_bench, GOOD, data=body, content_type=type_).status_code in {400, 403}
    assert _post(web_bench, signature_of(TOKEN, URL), data=body, content_type=type_).status_code in {400, 403}
    assert _is_untouched(web_bench)


def test_body_of_a_megabyte_is_too_large(web_bench: Bench) -> None:
    assert _post(web_bench, GOOD, data=b"a=" + b"A" * 1_000_000, content_type=FORM).status_code == 413


@pytest.mark.parametrize("query", ["%", "%zz", "\u00ff\u00fe", "a=\x00", "[", "bodySHA256=[", ";", "a" * 8_000])
def test_odd_query_is_refused_and_never_breaks(query: str, web_bench: Bench) -> None:
    said: dict[str, Any] = {"environ_overrides": {"QUERY_STRING": query}}
    assert _post(web_bench, GOOD, **said).status_code == 403
    assert _post(web_bench, GOOD, data=b"{}", content_type="application/json", **said).status_code == 403


@pytest.mark.parametrize("length", ["-1", "x", "", "99999999999999999999"])
def test_odd_content_length_is_refused_and_never_breaks(length: str, web_bench: Bench) -> None:
    reply = _post(web_bench, GOOD, environ_overrides={"CONTENT_LENGTH": length})
    assert reply.status_code in {400, 403, 413}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_method_other_than_post_is_refused(method: str, web_bench: Bench) -> None:
    for name in WEBHOOKS:
        reply = web_bench.app.test_client().open(f"{PUBLIC}/twilio/{name}", method=method)
        assert reply.status_code in {200, 403, 405} if method == "OPTIONS" else reply.status_code in {403, 405}
    assert _is_untouched(web_bench)


# Repeats


def test_repeat_is_answered_alike_and_makes_no_second_entry(web_bench: Bench) -> None:
    replies = [web_bench.post_webhook("call-status", RINGING).status_code for _ in range(3)]
    assert replies == [204, 204, 204]
    assert web_bench.types(UNKNOWN_CALL) == ["call.reported"]


def test_repeat_with_other_unread_parameters_is_still_a_repeat(web_bench: Bench) -> None:
    for more in ({}, {"ApiVersion": "2010-04-01"}, {"CallerName": "somebody"}):
        assert web_bench.post_webhook("call-status", {**RINGING, **more}).status_code == 204
    assert len(web_bench.entries(call=UNKNOWN_CALL)) == 1


def test_late_callback_does_not_bring_a_call_back(web_bench: Bench) -> None:
    call = web_bench.place_call()
    web_bench.twilio.hang_up(call)
    callbacks = web_bench.twilio.callbacks(call=call)
    web_bench.deliver(call)
    told = len(web_bench.entries(call=call))
    for callback in reversed(callbacks):
        web_bench.post_webhook(callback["url"].rsplit("/", 1)[1], {**callback["params"], "Timestamp": "again"})
    after = web_bench.api().call(call)
    assert (after["status"], after["observed"]) == ("completed", "ended")
    assert len(web_bench.entries(call=call)) == told


@pytest.mark.parametrize("odd", ["\ud800", "\0"])
@pytest.mark.parametrize("web_url", ["sqlite", "postgresql"], indirect=True)
def test_value_that_no_database_keeps_does_not_exist(odd: str, web_bench: Bench) -> None:
    said = {"CallSid": UNKNOWN_CALL, "CallStatus": "in-progress", "From": odd, "To": odd, "Direction": "inbound"}
    assert _post_json(web_bench, json.dumps(said).encode()).status_code == 204

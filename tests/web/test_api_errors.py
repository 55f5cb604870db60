"""Every refusal of the API: what it answers, and that nothing was changed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from bot.simulator.client import SimulatorClient
from bot.storage import api_keys
from tests.simulator.process import Simulator
from tests.web.bench import KEYS, UNKNOWN_CALL, Api, Bench, Json, json_of, problem_of
from tests.web.conftest import bench_of, settings_of

AT_ONCE_SECONDS = 4.0
"""Well below the patience of 8 s."""


# Keys


BAD_KEYS = {
    "none": None,
    "empty": "",
    "no key": "Bearer",
    "blank key": "Bearer   ",
    "unknown": "Bearer an-unknown-key",
    "too long": "Bearer " + "x" * 10_000,
    "another scheme": f"Basic {KEYS['crm'][0]}",
    "no scheme": KEYS["crm"][0],
    "cut": f"Bearer {KEYS['crm'][0][:-1]}",
    "other case": f"Bearer {KEYS['crm'][0].swapcase()}",
    "the key's name": "Bearer crm",
    "non-ASCII": "Bearer \u00fc\u00fc\u00fc",
    "quote": "Bearer ' OR 1=1 --",
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_request_without_a_valid_key_is_refused(name: str, web_bench: Bench) -> None:
    given = BAD_KEYS[name]
    anyone = Api(web_bench, {} if given is None else {"Authorization": given})
    for reply in (
        anyone.get("/calls"),
        anyone.get(f"/calls/{UNKNOWN_CALL}"),
        anyone.pause(UNKNOWN_CALL),
        anyone.resume(UNKNOWN_CALL),
        anyone.stop(UNKNOWN_CALL, confirm=True),
        anyone.get("/entries"),
    ):
        problem_of(reply, 401)
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    assert web_bench.twilio.requests() == []
    assert {entry["type"] for entry in web_bench.entries()} <= {"api.refused"}


def test_key_in_the_query_is_no_key(web_bench: Bench) -> None:
    anyone = Api(web_bench)
    problem_of(anyone.get(f"/calls?key={KEYS['crm'][0]}&access_token={KEYS['crm'][0]}"), 401)


def test_unknown_key_is_noted_without_the_key(web_bench: Bench) -> None:
    anyone = Api(web_bench, {"Authorization": "Bearer an-unknown-key"})
    problem_of(anyone.raw("GET", "/calls", environ_overrides={"REMOTE_ADDR": "192.0.2.77"}), 401)
    (entry,) = web_bench.entries(type="api.refused")
    assert (entry["outcome"], entry["source"], entry["origin"]) == ("failure", "api", "192.0.2.77")
    assert "an-unknown-key" not in json.dumps(entry)


def test_revoked_key_is_refused_at_once(web_bench: Bench) -> None:
    call, desk = web_bench.place_call(), web_bench.api("desk")
    assert desk.pause(call).status_code == 200
    assert web_bench.services.journal.write(lambda transaction: api_keys.revoke(transaction, "desk"))
    problem_of(desk.resume(call), 401)
    problem_of(desk.get(f"/calls/{call}"), 401)
    assert web_bench.recording_states(call) == ["paused"]


def test_scheme_is_known_in_any_case(web_bench: Bench) -> None:
    anyone = Api(web_bench, {"Authorization": f"bEARER {KEYS['crm'][0]}"})
    assert anyone.get("/calls").status_code == 200


@pytest.mark.parametrize(
    ("key", "method", "path"),
    [
        ("reader", "POST", f"/calls/{UNKNOWN_CALL}/pause"),
        ("reader", "POST", f"/calls/{UNKNOWN_CALL}/resume"),
        ("reader", "POST", f"/calls/{UNKNOWN_CALL}/stop"),
        ("reader", "GET", "/entries"),
        ("crm", "GET", "/entries"),
        ("auditor", "GET", "/calls"),
        ("auditor", "GET", f"/calls/{UNKNOWN_CALL}"),
        ("auditor", "POST", f"/calls/{UNKNOWN_CALL}/pause"),
    ],
)
def test_key_without_the_scope_is_refused_and_noted(key: str, method: str, path: str, web_bench: Bench) -> None:
    api = web_bench.api(key)
    problem_of(api.get(path) if method == "GET" else api.post(path), 403)
    (entry,) = web_bench.entries()
    assert (entry["type"], entry["actor"], entry["outcome"]) == ("api.refused", key, "failure")
    assert web_bench.twilio.requests() == []


# What was asked


def test_call_never_seen_is_not_found(web_bench: Bench) -> None:
    assert "call" not in problem_of(web_bench.api().get(f"/calls/{UNKNOWN_CALL}"), 404)
    assert web_bench.twilio.requests() == []


@pytest.mark.parametrize(
    "sid", ["CA", "CA1", "CA" + "g" * 32, "RE" + "1" * 32, "ca" + "1" * 32, UNKNOWN_CALL + "0", "ü"]
)
def test_call_sid_that_is_none_is_malformed(sid: str, web_bench: Bench) -> None:
    crm = web_bench.api()
    for reply in (crm.get(f"/calls/{sid}"), crm.pause(sid), crm.resume(sid), crm.stop(sid, confirm=True)):
        problem_of(reply, 400)
    assert web_bench.entries() == []
    assert web_bench.twilio.requests() == []


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (b"{}", "text/plain"),
        (b"reason=card", "application/x-www-form-urlencoded"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b'"card"', "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'{"max_seconds": ' + b"9" * 5_000 + b"}", "application/json"),
        (b"[" * 100_000, "application/json"),
    ],
    ids=["text", "form", "cut", "list", "null", "text in JSON", "not UTF-8", "number without end", "nested"],
)
def test_body_that_is_no_json_object_is_malformed(body: bytes, type_: str, web_bench: Bench) -> None:
    for action in ("pause", "resume", "stop"):
        reply = web_bench.api().raw("POST", f"/calls/{UNKNOWN_CALL}/{action}", data=body, content_type=type_)
        problem_of(reply, 400)
    assert web_bench.entries() == []
    assert web_bench.twilio.requests() == []


OUT_OF_RANGE = [
    {"reason": 1},
    {"reason": ["card"]},
    {"reason": "x" * 201},
    {"reason": "\ud800"},
    {"max_seconds": 0},
    {"max_seconds": -1},
    {"max_seconds": 1.5},
    {"max_seconds": "5"},
    {"max_seconds": True},
    {"conference": "CF1"},
    {"conference": UNKNOWN_CALL},
    {"conference": ["CF" + "1" * 32]},
    {"legs": UNKNOWN_CALL},
    {"legs": ["CA1"]},
    {"legs": [1]},
    {"legs": [{}]},
    {"legs": [UNKNOWN_CALL] * 11},
    {"max_second": 5},
    {"Reason": "card"},
    {"": 1},
]


@pytest.mark.parametrize("body", OUT_OF_RANGE, ids=range(len(OUT_OF_RANGE)))
def test_pause_with_a_value_out_of_range_is_refused(body: Json, web_bench: Bench) -> None:
    problem_of(web_bench.api().post(f"/calls/{UNKNOWN_CALL}/pause", body), 422)
    assert web_bench.entries() == []
    assert web_bench.twilio.requests() == []


def test_pause_with_members_that_say_nothing_is_as_without(web_bench: Bench) -> None:
    body = {"reason": None, "max_seconds": None, "conference": None, "legs": None}
    assert web_bench.api().post(f"/calls/{web_bench.place_call()}/pause", body).status_code == 200


@pytest.mark.parametrize("body", [None, {}, {"confirm": False}, {"confirm": "true"}, {"confirm": 1}, {"confirm": None}])
def test_stop_without_confirm_is_refused(body: Json | None, web_bench: Bench) -> None:
    call = web_bench.place_call()
    problem_of(web_bench.api().post(f"/calls/{call}/stop", body), 422)
    assert web_bench.recording_states(call) == ["in-progress"]


@pytest.mark.parametrize(("action", "body"), [("resume", {"max_seconds": 1}), ("stop", {"confirm": True, "force": 1})])
def test_unknown_member_is_refused_without_its_value(action: str, body: Json, web_bench: Bench) -> None:
    problem_of(web_bench.api().post(f"/calls/{UNKNOWN_CALL}/{action}", body), 422)


def test_body_of_a_megabyte_is_too_large(web_bench: Bench) -> None:
    reply = web_bench.api().raw("POST", f"/calls/{UNKNOWN_CALL}/pause", json={"reason": "x" * 1_000_000})
    problem_of(reply, 413)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=-1", "limit=x", "limit=", "limit=1e2", "after=x", "after=~", "after=2026~CA1"],
)
def test_page_that_is_none_is_malformed(query: str, web_bench: Bench) -> None:
    for key, path in (("crm", "/calls"), ("auditor", "/entries")):
        problem_of(web_bench.api(key).get(f"{path}?{query}"), 400)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00%2B10:00", "9999-12-31T23:59:59-10:00", "2026-11-22", "0001-01-01"])
def test_page_after_a_strange_time_never_breaks(at: str, web_bench: Bench) -> None:
    assert web_bench.api().get(f"/calls?after={at}~{UNKNOWN_CALL}").status_code in {200, 400}


@pytest.mark.parametrize("query", ["call=CA1", "call=x", f"call={UNKNOWN_CALL}0", "after=-1", "after=9999999999999999"])
def test_entries_of_what_is_no_call_are_malformed(query: str, web_bench: Bench) -> None:
    problem_of(web_bench.api("auditor").get(f"/entries?{query}"), 400)


@pytest.mark.parametrize("path", ["/", "/nothing", "/calls/", "/calls/a/b/c", f"/calls/{UNKNOWN_CALL}/start"])
def test_path_that_is_none_is_not_found(path: str, web_bench: Bench) -> None:
    problem_of(web_bench.api().raw("GET", path), 404)


@pytest.mark.parametrize(("method", "action"), [("GET", "/pause"), ("DELETE", ""), ("PUT", ""), ("GET", "/stop")])
def test_method_that_is_none_is_refused(method: str, action: str, web_bench: Bench) -> None:
    reply = web_bench.api().raw(method, f"/calls/{UNKNOWN_CALL}{action}")
    problem_of(reply, 405)
    assert "Allow" in reply.headers


# What Twilio knows


def test_call_unknown_to_twilio_is_not_found_and_keeps_no_hold(web_bench: Bench) -> None:
    crm = web_bench.api()
    told = problem_of(crm.pause(UNKNOWN_CALL), 404, "unknown-call")
    assert told["call"]["sid"] == UNKNOWN_CALL
    assert (told["call"]["holds"], told["call"]["safe_to_take_card"]) == ([], False)
    assert "hold.closed" in web_bench.types(UNKNOWN_CALL)
    problem_of(crm.resume(UNKNOWN_CALL), 404, "unknown-call")


def test_call_that_is_over_is_refused_at_once(web_bench: Bench) -> None:
    call, crm = web_bench.place_call(), web_bench.api()
    web_bench.twilio.hang_up(call)
    web_bench.deliver(call)
    web_bench.twilio.clear_requests()
    for reply in (crm.pause(call), crm.resume(call), crm.stop(call, confirm=True)):
        assert problem_of(reply, 409, "call-over")["call"]["status"] == "completed"
    assert web_bench.twilio.requests() == []


def test_call_that_ended_unheard_is_found_to_be_over(web_bench: Bench) -> None:
    call = web_bench.place_call()
    web_bench.twilio.hang_up(call)
    told = problem_of(web_bench.api().pause(call), 409, "call-over")
    assert (told["call"]["status"], told["call"]["holds"]) == ("completed", [])


def test_call_without_a_recording_is_refused_and_stays_unsafe(web_bench: Bench) -> None:
    call = web_bench.place_call(recordings=0)
    told = problem_of(web_bench.api().pause(call), 409, "nothing-recording")
    assert (told["call"]["desired"], told["call"]["safe_to_take_card"]) == ("paused", False)


def test_pause_that_was_superseded_answers_409(web_bench: Bench) -> None:
    call, replies = web_bench.place_call(), []
    fault = web_bench.twilio.add_fault("429", on="pause")
    waiting = threading.Thread(target=lambda: replies.append(web_bench.api().pause(call)))
    waiting.start()
    until = time.monotonic() + 5
    while not web_bench.twilio.requests(kind="pause"):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert web_bench.api().resume(call).status_code == 200
    web_bench.twilio.remove_fault(fault)
    waiting.join()
    told = problem_of(replies[0], 409, "superseded")
    assert told["call"]["desired"] == "recording"
    assert web_bench.recording_states(call) == ["in-progress"]


def test_wrong_credentials_answer_502_at_once(web_bench: Bench) -> None:
    call, began = web_bench.place_call(), time.monotonic()
    web_bench.twilio.add_fault("401")
    told = problem_of(web_bench.api().pause(call), 502, "credentials")
    assert told["call"]["safe_to_take_card"] is False
    assert time.monotonic() - began < AT_ONCE_SECONDS


def test_pause_after_an_unanswered_resume_answers_504_at_once(web_bench: Bench) -> None:
    call, crm = web_bench.place_call(), web_bench.api()
    crm.pause(call)
    web_bench.twilio.add_fault("lost", on="resume", times=1)
    assert crm.resume(call).status_code == 200
    began = time.monotonic()
    told = problem_of(crm.pause(call), 504, "late-resume")
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert (told["call"]["desired"], told["call"]["safe_to_take_card"]) == ("paused", False)


def test_pause_after_an_unanswered_resume_is_safe_once_nothing_can_arrive(
    simulator: Simulator, twilio: SimulatorClient, web_url: str, tmp_path: Path, web_bench: Bench
) -> None:
    settings = settings_of(simulator.url, web_url, tmp_path, twilio_late_seconds=1.0)
    with bench_of(settings, twilio, web_bench.document) as bench:
        call, crm = bench.place_call(), bench.api()
        crm.pause(call)
        twilio.add_fault("lost", on="resume", times=1)
        crm.resume(call)
        until = time.monotonic() + 10
        while (reply := crm.pause(call)).status_code != 200:
            problem_of(reply, 504, "late-resume")
            assert time.monotonic() < until
            time.sleep(0.1)
        assert json_of(reply)["safe_to_take_card"] is True


@pytest.mark.parametrize("kind", ["429", "500", "16114", "reset", "lost", "wrong-status", "html-200"])
def test_pause_repeats_what_failed_in_passing(kind: str, web_bench: Bench) -> None:
    call = web_bench.place_call()
    web_bench.twilio.add_fault(kind, on="pause", times=1)
    reply = web_bench.api().pause(call)
    assert (reply.status_code, json_of(reply)["safe_to_take_card"]) == (200, True)
    assert web_bench.recording_states(call) == ["paused"]


# Our database


@pytest.mark.parametrize("away", ["sqlite", "postgresql", "not migrated"])
def test_database_that_is_away_answers_503(away: str, simulator: Simulator, web_bench: Bench, tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    if away != "postgresql":
        path = tmp_path / away.replace(" ", "-")
        url = f"sqlite:///{path}"
        if away == "sqlite":
            path.mkdir()
    with bench_of(settings_of(simulator.url, url, tmp_path), web_bench.twilio, web_bench.document) as bench:
        crm = bench.api()
        for reply in (crm.pause(UNKNOWN_CALL), crm.resume(UNKNOWN_CALL), crm.get("/calls"), crm.get("/entries")):
            problem_of(reply, 503)
            assert reply.headers["Retry-After"] == "1"
    assert web_bench.twilio.requests() == []

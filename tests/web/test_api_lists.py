"""The API's lists: calls last changed first, the log in its own order, both page by page; and its limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.web.api import buckets
from tests.web.bench import UNKNOWN_CALL, Api, Bench, Json, json_of, problem_of

BURST = 200
TRIES_MAX = 500


def _pages(api: Api, path: str, member: str, limit: int) -> list[list[Json]]:
    found, after = [], ""
    while True:
        body = json_of(api.get(f"{path}?limit={limit}{after}"))
        found.append(body[member])
        if body["next"] is None:
            return found
        after = f"&after={body['next']}"


def _report(bench: Bench, number: int, status: str = "ringing") -> str:
    sid = f"CA{number:032x}"
    assert bench.post_webhook("call-status", {"CallSid": sid, "CallStatus": status}).status_code == 204
    return sid


def test_calls_are_listed_last_changed_first_each_once(web_bench: Bench) -> None:
    sids = [_report(web_bench, number) for number in range(7)]
    _report(web_bench, 2, "in-progress")
    pages = _pages(web_bench.api(), "/calls", "calls", 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    listed = [call["sid"] for page in pages for call in page]
    assert listed == [sids[2], *(sid for sid in reversed(sids) if sid != sids[2])]


def test_calls_that_fill_a_page_have_no_next(web_bench: Bench) -> None:
    assert json_of(web_bench.api().get("/calls")) == {"calls": [], "next": None}
    for number in range(3):
        _report(web_bench, number)
    body = json_of(web_bench.api().get("/calls?limit=3"))
    assert (len(body["calls"]), body["next"]) == (3, None)
    assert body["calls"][0] == web_bench.api().call(body["calls"][0]["sid"])


def test_calls_are_50_at_a_time_unless_asked_otherwise(web_bench: Bench) -> None:
    for number in range(51):
        _report(web_bench, number)
    assert len(json_of(web_bench.api().get("/calls"))["calls"]) == 50


def test_entries_come_in_the_order_of_the_log_each_once(web_bench: Bench) -> None:
    for number in range(7):
        _report(web_bench, number)
    pages = _pages(web_bench.api("auditor"), "/entries", "entries", 4)
    entries = [entry for page in pages for entry in page]
    positions = [entry["position"] for entry in entries]
    assert positions == list(range(len(positions)))
    assert [entry["type"] for entry in entries][:7] == ["call.reported"] * 7
    assert all({"v", "id", "at", "type", "source", "outcome"} <= set(entry) for entry in entries)


def test_entries_of_a_call_are_its_own_alone(web_bench: Bench) -> None:
    sid, other = _report(web_bench, 1), _report(web_bench, 2)
    _report(web_bench, 1, "in-progress")
    auditor = web_bench.api("auditor")
    body = json_of(auditor.get(f"/entries?call={sid}"))
    assert [entry["after"] for entry in body["entries"]] == ["ringing", "in-progress"]
    last = body["entries"][0]["position"]
    after = json_of(auditor.get(f"/entries?call={sid}&after={last}"))
    assert {entry["call"] for entry in after["entries"]} == {sid} != {other}
    assert after["entries"][0]["after"] == "in-progress"


def test_reading_entries_is_an_entry(web_bench: Bench) -> None:
    web_bench.api("auditor").get("/entries?limit=7")
    (entry,) = web_bench.entries()
    assert (entry["type"], entry["actor"], entry["source"], entry["origin"]) == (
        "log.read",
        "auditor",
        "api",
        "127.0.0.1",
    )
    assert entry["detail"]["limit"] == 7


def test_asking_for_the_entries_of_an_unknown_call_makes_it_no_known_one(web_bench: Bench) -> None:
    web_bench.api("auditor").get(f"/entries?call={UNKNOWN_CALL}")
    problem_of(web_bench.api().get(f"/calls/{UNKNOWN_CALL}"), 404)


def test_200_pauses_at_once_are_all_admitted(web_bench: Bench) -> None:
    calls = [web_bench.twilio.place_call().call for _ in range(BURST)]
    crm = web_bench.api()
    with ThreadPoolExecutor(BURST) as threads:
        replies = list(threads.map(lambda call: crm.raw("POST", f"/calls/{call}/pause"), calls))
    assert [reply.status_code for reply in replies] == [200] * BURST
    assert all(json_of(reply)["safe_to_take_card"] for reply in replies)
    assert web_bench.twilio.counters()["overlaps"] == 0


@pytest.mark.parametrize("path", ["/calls", f"/calls/{UNKNOWN_CALL}"])
def test_key_that_used_up_its_requests_is_told_to_wait(path: str, web_bench: Bench) -> None:
    """The real limit is used up by asking it directly; it refills so fast that a try may come too late."""
    reply = web_bench.api("reader").get(path)
    for _ in range(TRIES_MAX):
        while buckets.has_room("reader"):
            pass
        reply = web_bench.api("reader").get(path)
        if reply.status_code == 429:
            break
    problem_of(reply, 429)
    assert reply.headers["Retry-After"] == "1"
    assert web_bench.api("crm").get("/calls").status_code == 200

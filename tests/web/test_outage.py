"""The database taken away under the application: nobody is told that it is safe, and all of it comes back by itself."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from sqlalchemy import event

from bot.audit.entry import Draft
from bot.web.proof import PROOF_SECONDS
from tests.conftest import ALICE, BOB, CAROL
from tests.simulator.process import ACCOUNT
from tests.support.full_disk import full_disk
from tests.web.bench import UNKNOWN_CALL, Bench, Json, Page, json_of, problem_of
from tests.web.test_agent_pages import NOT_PAUSED, SAFE

RECOVERED_SECONDS = 15.0


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + RECOVERED_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def readyz(bench: Bench) -> tuple[int, Json]:
    reply = bench.app.test_client().get("/readyz")
    return reply.status_code, json_of(reply)


def fail_a_write(bench: Bench) -> None:
    """From now on this process knows that the database cannot be written."""
    problem_of(bench.api("desk").pause(UNKNOWN_CALL), 503)


def are_waiting(bench: Bench) -> bool:
    return bench.services.reports.are_waiting


def recording_report(call: str, recording: str) -> dict[str, str]:
    return {"CallSid": call, "AccountSid": ACCOUNT, "RecordingSid": recording, "RecordingStatus": "in-progress"}


def test_full_disk_is_not_ready_in_plain_words_and_alive(web_bench: Bench) -> None:
    assert readyz(web_bench)[0] == 200
    with full_disk():
        fail_a_write(web_bench)
        status, told = readyz(web_bench)
        assert (status, told["status"]) == (503, "unavailable")
        assert told["database"] == "can be read, but not written: is its disk full?"
        assert web_bench.app.test_client().get("/healthz").status_code == 200
    until(lambda: readyz(web_bench)[0] == 200)


@pytest.mark.parametrize("is_full", [False, True])
def test_flood_of_readyz_costs_one_write_a_second(is_full: bool, web_bench: Bench) -> None:
    assert readyz(web_bench)[0] == 200
    tried: list[object] = []
    event.listen(web_bench.services.database.engine, "commit", tried.append)
    with full_disk() if is_full else nullcontext():
        if is_full:
            fail_a_write(web_bench)
        tried.clear()
        began = time.monotonic()
        statuses = {readyz(web_bench)[0] for _ in range(200)}
        took_seconds = time.monotonic() - began
    assert statuses == {503 if is_full else 200}
    assert len(tried) <= 1 + took_seconds / PROOF_SECONDS


def test_safe_call_is_not_shown_as_safe_where_nothing_can_be_written(web_bench: Bench) -> None:
    call, alice, crm = web_bench.place_call(ALICE), web_bench.signed_in(ALICE), web_bench.api()
    alice.press(call, "Pause")
    with full_disk():
        fail_a_write(web_bench)
        for page in (f"/calls/{call}", f"/calls/{call}/state", "/calls"):
            for script in ({}, {"HX_Request": "true"}):
                reply = alice.get(page, **script)
                assert (reply.status_code, Page(reply.text).status) == (503, NOT_PAUSED)
                assert "Paused" not in Page(reply.text).text
        for path in (f"/calls/{call}", "/calls"):
            assert "call" not in problem_of(crm.get(path), 503)
    until(lambda: alice.get(f"/calls/{call}").status_code == 200)
    assert alice.page(f"/calls/{call}").status == SAFE
    assert crm.call(call)["safe_to_take_card"] is True


def test_every_page_says_not_paused_while_nothing_can_be_written_and_the_api_still_reads(web_bench: Bench) -> None:
    """Who pressed Pause must not see the page fall back to *Recording*: their wish was not taken in."""
    recorded, wanted, alice = web_bench.place_call(ALICE), web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    web_bench.twilio.add_fault("401", on="pause", call=wanted)
    problem_of(web_bench.api().pause(wanted), 502, "credentials")
    with full_disk():
        fail_a_write(web_bench)
        paths = ("/calls", f"/calls/{recorded}", f"/calls/{wanted}")
        assert {Page(alice.get(path).text).status for path in paths} == {NOT_PAUSED}
        shown = {sid: web_bench.api().call(sid)["safe_to_take_card"] for sid in (recorded, wanted)}
    assert shown == {recorded: False, wanted: False}


def test_page_of_a_safe_call_costs_at_most_one_write_a_second(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    alice.press(call, "Pause")
    tried: list[object] = []
    event.listen(web_bench.services.database.engine, "commit", tried.append)
    began = time.monotonic()
    assert {alice.page(f"/calls/{call}").status for _ in range(50)} == {SAFE}
    assert len(tried) <= 1 + (time.monotonic() - began) / PROOF_SECONDS


def test_fragment_of_an_outage_goes_on_asking_for_its_call(web_bench: Bench) -> None:
    """Whatever was asked: the page finds back by itself."""
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    alice.press(call, "Pause")
    token = alice.token(f"/calls/{call}")
    with full_disk():
        fail_a_write(web_bench)
        asked = alice.get(f"/calls/{call}/state", HX_Request="true")
        pressed = alice.post(f"/calls/{call}/pause", token, script=True)
    for reply in (asked, pressed):
        assert reply.status_code == 503
        ((_, section),) = [tag for tag in Page(reply.text).tags if tag[0] == "section"]
        assert (section["id"], section["hx-get"], section["hx-trigger"]) == ("call", f"/calls/{call}/state", "every 2s")
        assert Page(reply.text).buttons == []


def test_fragment_of_a_refusal_asks_no_more(web_bench: Bench) -> None:
    """Each look at another's call is an entry: a page left open must not write one every two seconds."""
    call, bob = web_bench.place_call(ALICE), web_bench.signed_in(BOB)
    reply = bob.get(f"/calls/{call}/state", HX_Request="true")
    assert (reply.status_code, Page(reply.text).status) == (403, NOT_PAUSED)
    assert "hx-get" not in reply.text


def test_every_page_that_fails_for_the_database_says_not_paused(web_bench: Bench) -> None:
    carol, visitor = web_bench.signed_in(CAROL), web_bench.visitor()
    token = visitor.token("/login")
    with full_disk():
        for reply in (
            carol.get("/review"),
            visitor.post("/login", token, username=ALICE.name, password=ALICE.password),
        ):
            assert (reply.status_code, Page(reply.text).status) == (503, NOT_PAUSED)


def test_recording_that_began_while_nothing_could_be_written_is_paused_afterwards(web_bench: Bench) -> None:
    """Twilio sends a report that was answered with 503 only once: we take it in ourselves when we can."""
    call, crm = web_bench.place_call(), web_bench.api()
    crm.pause(call)
    with full_disk():
        started = web_bench.twilio.start_recording(call)
        reply = web_bench.post_webhook("recording-status", recording_report(call, started))
        assert reply.status_code == 503
        assert are_waiting(web_bench)
        problem_of(crm.get(f"/calls/{call}"), 503)
    until(lambda: web_bench.recording_states(call) == ["paused", "paused"])
    until(lambda: crm.get(f"/calls/{call}").status_code == 200)
    until(lambda: crm.call(call)["safe_to_take_card"])
    assert not are_waiting(web_bench)
    assert web_bench.types(call).count("recording.started") == 2


@pytest.mark.parametrize(
    ("name", "value"), [("Digits", "1"), ("Anything", "4111-1111-1111-1111"), ("4111111111111111", ""), ("Body", "")]
)
def test_report_that_may_hold_a_card_is_no_error_and_taken_in_all_the_same(
    name: str, value: str, web_bench: Bench
) -> None:
    """Twilio's debugger would keep all of it for as long as it keeps errors."""
    call = web_bench.place_call()
    with full_disk():
        started = web_bench.twilio.start_recording(call)
        report = recording_report(call, started)
        assert web_bench.post_webhook("recording-status", report | {name: value}).status_code == 204
        assert are_waiting(web_bench)
    until(lambda: web_bench.types(call).count("recording.started") == 2)


def test_call_is_not_safe_while_a_report_waits_though_we_can_write_again(web_bench: Bench) -> None:
    """Seen in the moment before the report is taken in; tried again until that moment was met."""
    answers: list[object] = []

    def look() -> bool:
        call = web_bench.place_call()
        assert json_of(web_bench.api().pause(call))["safe_to_take_card"] is True
        with full_disk():
            started = web_bench.twilio.start_recording(call)
            assert web_bench.post_webhook("recording-status", recording_report(call, started)).status_code == 503
        web_bench.services.journal.append(Draft(type="tested"))
        told = json_of(web_bench.api().get(f"/calls/{call}"))
        answers.extend([told.get("safe_to_take_card", told.get("status"))] if are_waiting(web_bench) else [])
        until(lambda: not are_waiting(web_bench))
        return 503 in answers

    until(look)
    assert True not in answers


def test_report_that_was_turned_away_and_then_repeated_counts_once(web_bench: Bench) -> None:
    call = web_bench.place_call()
    report = recording_report(call, web_bench.twilio.start_recording(call))
    with full_disk():
        assert {web_bench.post_webhook("recording-status", report).status_code for _ in range(3)} == {503}
    assert web_bench.post_webhook("recording-status", report).status_code == 204
    until(lambda: not are_waiting(web_bench))
    assert web_bench.types(call).count("recording.started") == 2


def test_outage_is_two_lines_of_the_log_however_many_were_refused(web_bench: Bench, web_log: io.StringIO) -> None:
    assert readyz(web_bench)[0] == 200
    with full_disk():
        for _ in range(50):
            fail_a_write(web_bench)
    until(lambda: readyz(web_bench)[0] == 200 and "database.back" in web_log.getvalue())
    told = [json.loads(line) for line in web_log.getvalue().splitlines()]
    assert [(one["event"], one["level"], one["doing"]) for one in told] == [
        ("database.away", "error", "writing"),
        ("database.back", "info", "writing"),
    ]
    assert "SQLITE_IOERR" in told[0]["why"]

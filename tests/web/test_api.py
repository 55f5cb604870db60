"""The API where it does what it is asked, on both databases. Every reply is also checked against `openapi.json`."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from tests.conftest import ALICE, DATABASES
from tests.simulator.process import ACCOUNT
from tests.web.bench import Bench, Json, json_of, problem_of

pytestmark = pytest.mark.parametrize("web_url", DATABASES, indirect=True)

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def _seconds(hold: Json) -> float:
    opened, expires = (datetime.fromisoformat(hold[name]) for name in ("opened_at", "expires_at"))
    return (expires - opened).total_seconds()


def test_pause_answers_with_exactly_the_call_of_the_design(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call(agent="client:alice")
    web_bench.deliver(placed.call)
    reply = web_bench.api().pause(placed.call, reason="card")
    assert (reply.status_code, reply.mimetype) == (200, "application/json")
    call = json_of(reply)
    (hold,), (recording,) = call["holds"], call["recordings"]
    assert call == {
        "sid": placed.call,
        "account": ACCOUNT,
        "status": "in-progress",
        "agent": "alice",
        "desired": "paused",
        "observed": "paused",
        "safe_to_take_card": True,
        "confirmed_at": recording["confirmed_at"],
        "holds": [hold],
        "recordings": [
            {"sid": placed.recordings[0], "of": "call", "state": "paused", "confirmed_at": recording["confirmed_at"]}
        ],
    }
    assert set(hold) == {"id", "holder", "reason", "opened_at", "expires_at"}
    assert (hold["holder"], hold["reason"]) == ("api:crm", "card")
    assert re.fullmatch(r"[0-9a-f]{16,}", hold["id"])
    assert all(INSTANT.fullmatch(at) for at in (call["confirmed_at"], hold["opened_at"], hold["expires_at"]))


def test_pause_reaches_twilio_as_paused_and_skip_with_the_list_beside(web_bench: Bench) -> None:
    call = web_bench.place_call()
    assert web_bench.api().pause(call).status_code == 200
    assert web_bench.recording_states(call) == ["paused"]
    (pause,) = web_bench.twilio.requests(kind="pause")
    assert (pause["target"], pause["status"], pause["pause_behavior"]) == ("Twilio.CURRENT", "paused", "skip")
    assert len(web_bench.twilio.requests(kind="list")) == 1


def test_pause_of_a_call_never_announced_is_tried_all_the_same(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call()
    call = json_of(web_bench.api().pause(placed.call))
    assert (call["safe_to_take_card"], call["status"], call["agent"]) == (True, "unknown", None)
    assert web_bench.recording_states(placed.call) == ["paused"]


def test_resume_ends_the_hold_and_the_pause(web_bench: Bench) -> None:
    call, crm = web_bench.place_call(), web_bench.api()
    crm.pause(call)
    reply = crm.resume(call)
    assert reply.status_code == 200
    after = json_of(reply)
    assert (after["desired"], after["observed"], after["safe_to_take_card"]) == ("recording", "recording", False)
    assert after["holds"] == []
    assert web_bench.recording_states(call) == ["in-progress"]
    assert crm.call(call) == after


def test_pause_and_resume_are_told_in_the_log(web_bench: Bench) -> None:
    call, crm = web_bench.place_call(), web_bench.api()
    crm.pause(call, reason="card")
    crm.resume(call)
    wanted = ["hold.opened", "command.sent", "command.confirmed", "hold.released", "command.sent", "command.confirmed"]
    assert [type_ for type_ in web_bench.types(call) if type_ in wanted] == wanted
    opened = next(entry for entry in web_bench.entries(call=call) if entry["type"] == "hold.opened")
    assert (opened["actor"], opened["source"], opened["origin"], opened["reason"]) == (
        "crm",
        "api",
        "127.0.0.1",
        "card",
    )


def test_max_seconds_is_clamped_to_the_setting(web_bench: Bench) -> None:
    lasted = {}
    for wanted in (None, 5, 300, 301, 10**30):
        body = {} if wanted is None else {"max_seconds": wanted}
        (hold,) = json_of(web_bench.api().pause(web_bench.place_call(), **body))["holds"]
        lasted[wanted] = _seconds(hold)
    assert lasted == {None: 300, 5: 5, 300: 300, 301: 300, 10**30: 300}


def test_pause_again_prolongs_the_same_hold_and_never_shortens_it(web_bench: Bench) -> None:
    call, crm = web_bench.place_call(), web_bench.api()
    (first,) = json_of(crm.pause(call, max_seconds=20))["holds"]
    (longer,) = json_of(crm.pause(call, max_seconds=60))["holds"]
    (still,) = json_of(crm.pause(call, max_seconds=1))["holds"]
    assert first["id"] == longer["id"] == still["id"]
    assert first["expires_at"] < longer["expires_at"] == still["expires_at"]


def test_resume_with_another_key_holding_answers_200_and_stays_paused(web_bench: Bench) -> None:
    call, crm, desk = web_bench.place_call(), web_bench.api("crm"), web_bench.api("desk")
    crm.pause(call)
    desk.pause(call)
    reply = crm.resume(call)
    assert reply.status_code == 200
    after = json_of(reply)
    assert (after["desired"], after["safe_to_take_card"]) == ("paused", True)
    assert [hold["holder"] for hold in after["holds"]] == ["api:desk"]
    assert web_bench.recording_states(call) == ["paused"]
    assert json_of(desk.resume(call))["desired"] == "recording"
    assert web_bench.recording_states(call) == ["in-progress"]


def test_resume_of_what_only_others_hold_is_refused(web_bench: Bench) -> None:
    call = web_bench.place_call()
    web_bench.api("crm").pause(call)
    told = problem_of(web_bench.api("desk").resume(call), 403, "held-by-others")
    assert told["call"]["desired"] == "paused"
    assert [hold["holder"] for hold in told["call"]["holds"]] == ["api:crm"]
    assert web_bench.recording_states(call) == ["paused"]
    last = web_bench.entries(call=call)[-1]
    assert (last["type"], last["actor"], last["outcome"]) == ("resume.refused", "desk", "failure")


def test_resume_without_a_hold_where_nothing_is_paused_asks_nothing(web_bench: Bench) -> None:
    call = web_bench.place_call()
    web_bench.twilio.clear_requests()
    assert json_of(web_bench.api().resume(call))["observed"] == "recording"
    assert web_bench.twilio.requests() == []


def test_resume_of_an_unknown_call_that_is_paused_resumes_it(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call()
    web_bench.twilio.set_recording(placed.recordings[0], "paused")
    assert json_of(web_bench.api().resume(placed.call))["observed"] == "recording"
    assert web_bench.recording_states(placed.call) == ["in-progress"]


def test_pause_by_a_child_leg_pauses_the_call(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call(agent=ALICE.contact)
    assert placed.agent_leg is not None
    call = json_of(web_bench.api().pause(placed.agent_leg))
    assert (call["sid"], call["safe_to_take_card"]) == (placed.call, True)
    assert web_bench.api().call(placed.agent_leg)["sid"] == placed.call
    assert json_of(web_bench.api().resume(placed.agent_leg))["sid"] == placed.call
    assert web_bench.recording_states(placed.call) == ["in-progress"]


def test_pause_with_a_conference_pauses_its_recording_too(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call(conference="room", conference_recordings=1)
    call = json_of(web_bench.api().pause(placed.call, conference=placed.conference))
    assert call["safe_to_take_card"] is True
    assert sorted((one["sid"], one["of"], one["state"]) for one in call["recordings"]) == sorted(
        [(placed.recordings[0], "call", "paused"), (placed.conference_recordings[0], "conference", "paused")]
    )


def test_pause_with_legs_lists_their_recordings_too(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call(agent=ALICE.contact, linked=False)
    assert json_of(web_bench.api().pause(placed.call, legs=[placed.agent_leg]))["safe_to_take_card"] is True
    assert len(web_bench.twilio.requests(kind="list")) == 2
    assert web_bench.api().call(placed.agent_leg or "")["sid"] == placed.call


def test_pause_of_several_recordings_pauses_each_by_its_sid(web_bench: Bench) -> None:
    call = web_bench.place_call(recordings=3)
    after = json_of(web_bench.api().pause(call))
    assert (after["safe_to_take_card"], [one["state"] for one in after["recordings"]]) == (True, ["paused"] * 3)
    assert web_bench.recording_states(call) == ["paused"] * 3


def test_pause_finds_a_recording_that_was_never_announced(web_bench: Bench) -> None:
    call = web_bench.place_call()
    web_bench.twilio.add_fault("unannounced")
    web_bench.twilio.start_recording(call)
    after = json_of(web_bench.api().pause(call))
    assert (after["safe_to_take_card"], len(after["recordings"])) == (True, 2)
    assert web_bench.recording_states(call) == ["paused"] * 2


def test_stop_ends_the_recording_for_good(web_bench: Bench) -> None:
    call, crm = web_bench.place_call(), web_bench.api()
    after = json_of(crm.stop(call, confirm=True))
    assert (after["desired"], after["observed"], after["safe_to_take_card"]) == ("stopped", "stopped", False)
    assert set(web_bench.recording_states(call)) <= {"stopped", "completed"}
    told = problem_of(crm.pause(call), 409, "stopped")
    assert told["call"]["desired"] == "stopped"


def test_stop_of_a_conference_recording_is_refused(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call(conference="room", conference_recordings=1)
    web_bench.deliver(placed.call)
    web_bench.api().pause(placed.call, conference=placed.conference)
    problem_of(web_bench.api().stop(placed.call, confirm=True), 409, "conference-stop")
    assert web_bench.recording_states(placed.call)[0] == "paused"


def test_get_asks_nothing_of_twilio(web_bench: Bench) -> None:
    call = web_bench.place_call()
    web_bench.twilio.clear_requests()
    assert web_bench.api().call(call)["observed"] == "recording"
    assert web_bench.api().get("/calls").status_code == 200
    assert web_bench.api("auditor").get(f"/entries?call={call}").status_code == 200
    assert web_bench.twilio.requests() == []

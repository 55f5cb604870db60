"""The agent's pages: whose call it is, what the page says of it, and that it never says Paused without proof."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from openapi_core import OpenAPI

from tests.conftest import ALICE, BOB, SAM, Person
from tests.simulator.process import running
from tests.web.bench import UNKNOWN_CALL, Bench, Json, Page, json_of
from tests.web.conftest import DATABASE_FILE, bench_of, settings_of

SAFE = "Paused: safe to take the card"
NOT_PAUSED = "NOT PAUSED: do not take the card"


# Whose call


def test_list_shows_the_agent_s_own_calls_and_those_of_nobody(web_bench: Bench) -> None:
    mine, bobs, free = web_bench.place_call(ALICE), web_bench.place_call(BOB), web_bench.place_call()
    html = web_bench.signed_in(ALICE).get("/calls").text
    assert f"/calls/{mine}" in html
    assert bobs not in html
    assert f'action="/calls/{free}/claim"' in html
    assert f'action="/calls/{mine}/claim"' not in html


def test_list_of_an_agent_without_calls_says_so(web_bench: Bench) -> None:
    assert "No call is yours right now." in web_bench.signed_in(ALICE).page("/calls").text


def test_list_drops_a_call_that_is_over(web_bench: Bench) -> None:
    call = web_bench.place_call(ALICE)
    web_bench.twilio.hang_up(call)
    web_bench.deliver(call)
    assert call not in web_bench.signed_in(ALICE).get("/calls").text


def test_list_for_the_script_is_a_fragment(web_bench: Bench) -> None:
    alice = web_bench.signed_in(ALICE)
    assert "<html" in alice.get("/calls").text
    assert "<html" not in alice.get("/calls", HX_Request="true").text


def test_call_of_nobody_is_claimed_from_the_list(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(), web_bench.signed_in(ALICE)
    reply = alice.post(f"/calls/{call}/claim", alice.token("/calls"))
    assert (reply.status_code, reply.headers["Location"]) == (303, f"/calls/{call}")
    assert web_bench.api().call(call)["agent"] == "alice"
    (entry,) = web_bench.entries(type="call.claimed")
    assert (entry["actor"], entry["source"], entry["call"]) == ("alice", "agent", call)


def test_call_never_announced_is_claimed_from_its_deep_link(web_bench: Bench) -> None:
    call, alice = web_bench.twilio.place_call().call, web_bench.signed_in(ALICE)
    page = alice.page(f"/calls/{call}")
    assert page.status == "Recording: take it that this call is recorded"
    assert "Claim this call" in page.buttons
    assert Page(alice.press(call, "claim").text).buttons == ["Pause", "Resume"]
    assert web_bench.api().call(call)["agent"] == "alice"


def test_looking_at_a_call_changes_nothing(web_bench: Bench) -> None:
    alice = web_bench.signed_in(ALICE)
    alice.page(f"/calls/{UNKNOWN_CALL}")
    alice.page(f"/calls/{UNKNOWN_CALL}/state")
    assert web_bench.api().get(f"/calls/{UNKNOWN_CALL}").status_code == 404
    assert web_bench.twilio.requests() == []


@pytest.mark.parametrize(
    ("person", "action"),
    [
        *((BOB, action) for action in ("", "/state", "/claim", "/pause", "/resume")),
        *((SAM, action) for action in ("/claim", "/pause", "/resume")),
    ],
)
def test_call_of_another_agent_is_refused_and_noted(person: Person, action: str, web_bench: Bench) -> None:
    call, other = web_bench.place_call(ALICE), web_bench.signed_in(person)
    web_bench.twilio.clear_requests()
    for script in (True, False):
        told = len(web_bench.entries(call=call))
        if action in {"", "/state"}:
            reply = other.get(f"/calls/{call}{action}", **({"HX_Request": "true"} if script else {}))
        else:
            reply = other.post(f"/calls/{call}{action}", other.token("/password"), script)
        assert reply.status_code == 403
        assert "This call belongs to another agent." in Page(reply.text).text
        (entry,) = web_bench.entries(call=call)[told:]
        assert (entry["actor"], entry["source"], entry["outcome"]) == (person.name, "agent", "failure")
        assert entry["reason"] in {"not-yours", "owned"}
    assert web_bench.recording_states(call) == ["in-progress"]
    assert web_bench.twilio.requests() == []
    assert web_bench.api().call(call)["agent"] == "alice"


def test_call_that_was_claimed_is_refused_to_others(web_bench: Bench) -> None:
    call, alice, bob = web_bench.place_call(), web_bench.signed_in(ALICE), web_bench.signed_in(BOB)
    alice.press(call, "claim")
    assert bob.post(f"/calls/{call}/pause", bob.token("/password"), script=True).status_code == 403
    assert web_bench.recording_states(call) == ["in-progress"]


def test_call_goes_over_to_the_agent_it_is_passed_to(web_bench: Bench) -> None:
    placed = web_bench.twilio.place_call(agent=ALICE.contact)
    web_bench.deliver(placed.call)
    web_bench.twilio.hang_up(placed.agent_leg or "")
    web_bench.twilio.add_leg(placed.call, BOB.contact or "")
    web_bench.deliver(placed.call)
    assert web_bench.signed_in(BOB).page(f"/calls/{placed.call}").status == "Recording"
    assert web_bench.signed_in(ALICE).get(f"/calls/{placed.call}").status_code == 403


@pytest.mark.parametrize("sid", ["x", "CA1", "RE" + "1" * 32, "4111111111111111", "%2e%2e", "CA" + "1" * 32 + "0"])
def test_page_of_what_is_no_call_is_not_found(sid: str, web_bench: Bench) -> None:
    alice = web_bench.signed_in(ALICE)
    token = alice.token("/calls")
    assert alice.get(f"/calls/{sid}").status_code == 404
    assert alice.post(f"/calls/{sid}/pause", token).status_code == 404


# What the page says


def test_page_says_recording_then_paused_then_recording(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    page = alice.page(f"/calls/{call}")
    assert (page.status, page.buttons) == ("Recording", ["Sign out", "Pause", "Resume"])
    paused = Page(alice.press(call, "Pause").text)
    assert (paused.status, paused.buttons) == (SAFE, ["Pause", "Resume"])
    assert re.search(r"A card may be taken for (300|299) s more\.", paused.text)
    assert alice.page(f"/calls/{call}").status == SAFE
    assert web_bench.recording_states(call) == ["paused"]
    assert Page(alice.press(call, "Resume").text).status == "Recording"
    assert web_bench.recording_states(call) == ["in-progress"]
    told = [(entry["type"], entry["actor"]) for entry in web_bench.entries(call=call) if entry["source"] == "agent"]
    assert told == [("hold.opened", "alice"), ("hold.released", "alice")]


def test_pause_claims_a_call_of_nobody_too(web_bench: Bench) -> None:
    call, alice = web_bench.twilio.place_call().call, web_bench.signed_in(ALICE)
    assert Page(alice.press(call, "Pause").text).status == SAFE
    assert web_bench.api().call(call)["agent"] == "alice"


def test_button_without_the_script_leads_back_to_the_page(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    reply = alice.press(call, "Pause", script=False)
    assert (reply.status_code, reply.headers["Location"]) == (303, f"/calls/{call}")
    assert alice.page(f"/calls/{call}").status == SAFE


def test_button_with_the_script_gets_the_fragment_alone(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    for html in (alice.press(call, "Pause").text, alice.get(f"/calls/{call}/state", HX_Request="true").text):
        assert "<html" not in html
        assert html.lstrip().startswith('<section id="call"')
        assert Page(html).status == SAFE


def test_resume_with_the_api_still_holding_says_so_and_stays_paused(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    web_bench.api().pause(call)
    page = Page(alice.press(call, "Resume").text)
    assert page.status == SAFE
    assert page.alerts[0].startswith("Held by others.")
    assert "api:crm" in page.text


def test_page_of_a_call_that_is_over_says_so_and_has_no_live_button(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    alice.press(call, "Pause")
    web_bench.twilio.hang_up(call)
    web_bench.deliver(call)
    page = alice.page(f"/calls/{call}")
    assert page.status == "Recording ended: the call is over"
    assert page.disabled == ["Pause", "Resume"]


def test_page_of_a_stopped_recording_says_so(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    web_bench.api().stop(call, confirm=True)
    assert alice.page(f"/calls/{call}").status == "Recording stopped for good"
    assert Page(alice.press(call, "Pause").text).alerts[0].startswith("Stopped.")


def test_page_does_not_say_stopped_before_twilio_did(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    web_bench.twilio.add_fault("401", on="stop", call=call)
    assert web_bench.api().stop(call, confirm=True).status_code == 502
    page = alice.page(f"/calls/{call}")
    assert page.status == "Recording: stopping"
    assert "Twilio has not confirmed it yet. Take no card." in page.text


def test_page_with_a_pause_that_ran_out_does_not_say_paused(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    alice.press(call, "Pause")
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=301)):
        page = alice.page(f"/calls/{call}")
    assert page.status == NOT_PAUSED
    assert "The pause reached its time limit" in page.text


def test_page_with_a_new_recording_in_the_pause_does_not_say_paused(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    alice.press(call, "Pause")
    web_bench.twilio.add_fault("500", on="pause")
    web_bench.twilio.start_recording(call)
    web_bench.deliver(call)
    assert alice.page(f"/calls/{call}").status == NOT_PAUSED


def test_page_left_open_all_day_still_pauses(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    token = alice.token(f"/calls/{call}")
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=11)):
        reply = alice.post(f"/calls/{call}/pause", token, script=True)
        assert Page(reply.text).status == SAFE


def test_page_left_open_beyond_the_session_says_not_paused(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    token = alice.token(f"/calls/{call}")
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=30)):
        gone = alice.post(f"/calls/{call}/pause", token, script=True)
        assert gone.status_code in {400, 401}
        assert Page(gone.text).status.startswith("NOT PAUSED")
    assert web_bench.recording_states(call) == ["in-progress"]


def test_page_left_open_still_pauses_after_signing_in_again(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    token = alice.token(f"/calls/{call}")
    assert alice.post("/login", token, username=ALICE.name, password=ALICE.password).status_code == 303
    assert Page(alice.post(f"/calls/{call}/pause", token, script=True).text).status == SAFE


@pytest.mark.parametrize("token", [None, "", "wrong", "x" * 5_000])
def test_form_without_its_token_is_refused_and_changes_nothing(token: str | None, web_bench: Bench) -> None:
    call, alice = web_bench.place_call(), web_bench.signed_in(ALICE)
    told = len(web_bench.entries())
    for action in ("claim", "pause", "resume"):
        page = alice.post(f"/calls/{call}/{action}", token)
        fragment = alice.post(f"/calls/{call}/{action}", token, script=True)
        assert (page.status_code, fragment.status_code) == (400, 400)
        assert Page(fragment.text).status.startswith("NOT PAUSED")
    assert len(web_bench.entries()) == told
    assert web_bench.recording_states(call) == ["in-progress"]


def test_token_of_another_session_is_refused(web_bench: Bench) -> None:
    call, alice, bob = web_bench.place_call(), web_bench.signed_in(ALICE), web_bench.signed_in(BOB)
    assert alice.post(f"/calls/{call}/pause", bob.token("/calls")).status_code == 400
    assert web_bench.recording_states(call) == ["in-progress"]


# Under faults: one call for the page and one for the API, all of them side by side, because each takes the whole
# patience of 8 s


@dataclass(frozen=True)
class Fault:
    """What is switched on, and what the API and the page then say."""

    kind: str
    on: str
    status: int
    code: str
    words: str
    seconds: float | None = None


FAULTS = {
    "429": Fault("429", "pause", 502, "busy", "Twilio asked us to try again"),
    "16114": Fault("16114", "pause", 502, "busy", "Twilio asked us to try again"),
    "500": Fault("500", "pause", 502, "twilio-error", "Twilio answered with an error"),
    "503": Fault("503", "pause", 502, "twilio-error", "Twilio answered with an error"),
    "21220": Fault("21220", "pause", 502, "refused", "Twilio refused to pause the recording"),
    "404": Fault("404", "pause", 502, "refused", "Twilio refused to pause the recording"),
    "401": Fault("401", "pause", 502, "credentials", "Twilio does not accept our credentials"),
    "reset": Fault("reset", "pause", 504, "unanswered", "Twilio did not answer in time"),
    "lost": Fault("lost", "pause", 504, "unanswered", "Twilio did not answer in time"),
    "late": Fault("late", "pause", 504, "unanswered", "Twilio did not answer in time", 10),
    "delay": Fault("delay", "pause", 504, "unanswered", "Twilio did not answer in time", 5),
    "drip": Fault("drip", "pause", 504, "unanswered", "Twilio did not answer in time", 0.3),
    "wrong-status": Fault("wrong-status", "pause", 504, "unanswered", "Twilio did not answer in time"),
    "html-200": Fault("html-200", "pause", 504, "unanswered", "Twilio did not answer in time"),
    "list 500": Fault("500", "list", 504, "list-failed", "list of recordings could not be had"),
    "list reset": Fault("reset", "list", 504, "list-failed", "list of recordings could not be had"),
    "list html": Fault("html-200", "list", 504, "list-failed", "list of recordings could not be had"),
}


@dataclass(frozen=True)
class Met:
    """What one fault led to: the API's answer, the agent's fragment, and both once the fault was off."""

    api: Json
    page: Page
    later: Page
    api_later: Json
    all_day: tuple[str, ...]


@pytest.fixture(scope="session")
def web_faulted(
    web_template: Path, web_document: OpenAPI, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Met]]:
    folder = tmp_path_factory.mktemp("faulted")
    (folder / DATABASE_FILE).write_bytes(web_template.read_bytes())
    with running() as simulator:
        simulator.client.set(callbacks="hold")
        settings = settings_of(simulator.url, f"sqlite:///{folder / DATABASE_FILE}", folder, twilio_timeout_seconds=2.0)
        with bench_of(settings, simulator.client, web_document) as bench, ThreadPoolExecutor(len(FAULTS)) as threads:
            yield dict(zip(FAULTS, threads.map(lambda fault: _meet(bench, fault), FAULTS.values()), strict=True))


def _meet(bench: Bench, fault: Fault) -> Met:
    calls = [bench.place_call(ALICE) for _ in range(2)]
    wanted = {"on": fault.on} | ({} if fault.seconds is None else {"seconds": fault.seconds})
    faults = [bench.twilio.add_fault(fault.kind, call=call, **wanted) for call in calls]
    alice = bench.signed_in(ALICE)
    with ThreadPoolExecutor(1) as beside:
        api = beside.submit(lambda: json_of(bench.api().pause(calls[0])))
        page = Page(alice.press(calls[1], "Pause").text)
        seen = (alice.page(f"/calls/{calls[1]}").status, alice.page(f"/calls/{calls[1]}/state").status)
        answered = api.result()
    for number in faults:
        bench.twilio.remove_fault(number)
    later = _until_safe(lambda: Page(alice.press(calls[1], "Pause").text))
    api_later = json_of(bench.api().pause(calls[0]))
    return Met(answered, page, later, api_later, seen)


def _until_safe(press: Callable[[], Page]) -> Page:
    until = time.monotonic() + 15
    while True:
        page = press()
        if page.status == SAFE or time.monotonic() > until:
            return page


@pytest.mark.parametrize("name", FAULTS)
def test_api_under_a_fault_never_says_safe(name: str, web_faulted: dict[str, Met]) -> None:
    met, fault = web_faulted[name], FAULTS[name]
    assert (met.api["status"], met.api["code"]) == (fault.status, fault.code)
    call = met.api["call"]
    assert (call["desired"], call["safe_to_take_card"]) == ("paused", False)
    assert [hold["holder"] for hold in call["holds"]] == ["api:crm"]


@pytest.mark.parametrize("name", FAULTS)
def test_page_under_a_fault_says_not_paused_and_why(name: str, web_faulted: dict[str, Met]) -> None:
    met = web_faulted[name]
    assert met.page.status == NOT_PAUSED
    assert FAULTS[name].words in met.page.text
    assert met.page.buttons == ["Pause", "Resume"]
    assert met.all_day == (NOT_PAUSED, NOT_PAUSED)


@pytest.mark.parametrize("name", FAULTS)
def test_call_can_be_paused_once_the_fault_is_off(name: str, web_faulted: dict[str, Met]) -> None:
    met = web_faulted[name]
    assert met.later.status == SAFE
    assert met.api_later.get("safe_to_take_card") is True, met.api_later


# The supervisor's hand


def test_supervisor_sees_every_live_call_and_who_is_on_it(web_bench: Bench) -> None:
    alices, bobs = web_bench.place_call(ALICE), web_bench.place_call(BOB)
    text = web_bench.signed_in(SAM).page("/calls").text
    assert [sid in text for sid in (alices, bobs)] == [True, True]
    assert "All calls" in text
    assert "All calls" not in web_bench.signed_in(ALICE).page("/calls").text


def test_only_a_supervisor_releases_the_hold_of_another(web_bench: Bench) -> None:
    call = web_bench.place_call(ALICE)
    hold = json_of(web_bench.api().pause(call))["holds"][0]["id"]
    for person, status in ((ALICE, 403), (BOB, 403), (SAM, 303)):
        window = web_bench.signed_in(person)
        reply = window.post(f"/calls/{call}/holds/{hold}/release", window.token("/password"))
        assert (person.name, reply.status_code) == (person.name, status)
    assert web_bench.recording_states(call) == ["in-progress"]
    (released,) = web_bench.entries(call=call, type="hold.released")
    assert (released["actor"], released["detail"]["on_behalf_of"]) == ("sam", "api:crm")


def test_recording_is_stopped_only_by_a_supervisor_who_confirms_it(web_bench: Bench) -> None:
    call, alice, sam = web_bench.place_call(ALICE), web_bench.signed_in(ALICE), web_bench.signed_in(SAM)
    assert alice.post(f"/calls/{call}/stop", alice.token("/password"), confirm="yes").status_code == 403
    assert sam.post(f"/calls/{call}/stop", sam.token("/password")).status_code == 422
    assert web_bench.recording_states(call) == ["in-progress"]
    assert sam.post(f"/calls/{call}/stop", sam.token("/password"), confirm="yes").status_code == 303
    assert web_bench.recording_states(call) == ["completed"]
    assert [entry["actor"] for entry in web_bench.entries(call=call, type="stop.requested")] == ["sam"]


def test_release_without_the_page_s_token_is_refused(web_bench: Bench) -> None:
    call = web_bench.place_call(ALICE)
    hold = json_of(web_bench.api().pause(call))["holds"][0]["id"]
    assert web_bench.signed_in(SAM).post(f"/calls/{call}/holds/{hold}/release", "wrong").status_code == 400
    assert web_bench.recording_states(call) == ["paused"]

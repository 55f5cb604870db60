"""The end of a pause on the page: counted down, prolonged, told with a sound; and what a supervisor may do."""

from __future__ import annotations

from playwright.sync_api import expect

from bot.simulator.client import SimulatorClient
from tests.conftest import ALICE, SAM
from tests.e2e.agent_page import CONVERGED_MS, NOT_PAUSED, RECORDING, SAFE, CallPage, Desk
from tests.e2e.processes import until
from tests.e2e.stack import Stack

COUNT_TONES = """
window.tones = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (at) { window.tones += 1; return start.call(this, at); };
"""


def state(twilio: SimulatorClient, sid: str) -> str:
    return str(twilio.call(sid)["recordings"][0]["state"])


def test_time_limit_is_told_in_words_and_with_a_sound_before_the_recording_goes_on(
    tidy_desk: Desk, stack: Stack, twilio: SimulatorClient
) -> None:
    call = twilio.place_call(agent=ALICE.contact).call
    twilio.settle()
    page = tidy_desk.window(ALICE).open(f"/calls/{call}")
    page.add_init_script(COUNT_TONES)
    page.reload()
    page.get_by_label("Play a sound").check()
    assert page.evaluate("() => window.tones") == 2
    seen = CallPage(page)
    assert stack.api.pause(call, max_seconds=4).is_safe
    seen.says(SAFE)
    assert "A card may be taken for" in seen.text
    seen.says(NOT_PAUSED)
    assert "The pause reached its time limit" in seen.text
    assert state(twilio, call) == "paused"
    until(lambda: page.evaluate("() => window.tones") == 4, 10, "two more tones")

    seen.press("Still taking the card")
    seen.says(SAFE)
    seen.press("Resume")
    seen.says(RECORDING, CONVERGED_MS)
    assert state(twilio, call) == "in-progress"
    types = [entry["type"] for entry in stack.auditor.entries(call) if entry["type"].startswith("hold.")]
    assert types[:3] == ["hold.opened", "hold.running_out", "hold.opened"]
    assert sorted(types[3:]) == ["hold.expired", "hold.released"]


def test_open_details_stay_open_while_the_page_renews_itself(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=ALICE.contact).call
    twilio.settle()
    page = tidy_desk.window(ALICE).open(f"/calls/{call}")
    page.get_by_text("Recordings").click()
    beat = page.locator("#call").get_attribute("data-beat")
    expect(page.locator("#call")).not_to_have_attribute("data-beat", str(beat))
    expect(page.locator("#recordings")).to_have_attribute("open", "")


def test_supervisor_sees_every_call_releases_a_hold_and_stops_a_recording_only_when_sure(
    tidy_desk: Desk, stack: Stack, twilio: SimulatorClient
) -> None:
    call = twilio.place_call(agent=ALICE.contact).call
    twilio.settle()
    assert stack.api.pause(call).is_safe
    page = tidy_desk.window(SAM).open("/calls")
    page.get_by_role("link", name=call).click()
    seen = CallPage(page)
    seen.says(SAFE)
    expect(page.get_by_role("button", name="Pause", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Release the hold of api:crm").click()
    seen.says(RECORDING, CONVERGED_MS)
    assert state(twilio, call) == "in-progress"

    page.get_by_text("Recordings").click()
    seen.press("Stop recording for good")
    assert state(twilio, call) == "in-progress"
    page.get_by_label("I know that this cannot be undone").check()
    seen.press("Stop recording for good")
    seen.says("Recording stopped for good", CONVERGED_MS)
    assert state(twilio, call) == "completed"

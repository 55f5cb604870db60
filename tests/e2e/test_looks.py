"""That every page can be read by anybody, on any screen: no sideways scrolling, no serious finding of axe."""

from __future__ import annotations

from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from bot.simulator.client import SimulatorClient
from tests.conftest import ALICE, CAROL
from tests.e2e.agent_page import NOT_PAUSED, RECORDING, SAFE, CallPage, Desk

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDE_PIXELS, NARROW_PIXELS, HEIGHT_PIXELS = 1280, 360, 740


def faults_of(page: Page) -> list[str]:
    """What is wrong with a page as it is now, in light and in dark, wide and narrow; in words."""
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for pixels in (WIDE_PIXELS, NARROW_PIXELS):
            page.set_viewport_size({"width": pixels, "height": HEIGHT_PIXELS})
            wide = page.evaluate("() => document.documentElement.scrollWidth")
            found += [f"{scheme}: scrolls sideways, {wide} px in {pixels} px"] if wide > pixels else []
        found += [f"{scheme}: {violation}" for violation in _violations(page)]
    return found


def _violations(page: Page) -> list[str]:
    """What axe calls serious or critical."""
    return [
        f"{violation['id']}: {node['html']} {node['any'][:1]}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


def test_pages_of_an_agent(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    """The sign-in page, the list, the password page, and a call's page in each of its tones."""
    call = twilio.place_call(agent=ALICE.contact, recordings=2)
    twilio.place_call(agent=None)
    twilio.settle()
    seen: dict[str, list[str]] = {"sign in": faults_of(tidy_desk.window(None).open("/login"))}
    window = tidy_desk.window(ALICE)
    seen["list"] = faults_of(window.open("/calls"))
    seen["password"] = faults_of(window.open("/password"))
    seen |= _tones(window.call(call.call), twilio, call.call)
    assert {name: faults for name, faults in seen.items() if faults} == {}


def _tones(tab: CallPage, twilio: SimulatorClient, call: str) -> dict[str, list[str]]:
    """Calm, dangerous, safe and over."""
    seen: dict[str, list[str]] = {}
    tab.says(RECORDING)
    tab.page.get_by_text("Recordings", exact=True).click()
    seen["recording"] = faults_of(tab.page)
    twilio.add_fault("503", on="command", call=call)
    tab.press("Pause")
    tab.says(NOT_PAUSED)
    tab.page.locator("#call .reason strong").wait_for()
    seen["not paused"] = faults_of(tab.page)
    twilio.clear_faults()
    tab.says(SAFE, 25_000)
    seen["paused"] = faults_of(tab.page)
    twilio.hang_up(call)
    tab.says("Recording ended")
    seen["over"] = faults_of(tab.page)
    return seen


def test_pages_of_a_reviewer(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    """The log, a call's story, the result of verifying, and a filter that is refused."""
    call = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    window = tidy_desk.window(CAROL)
    page = window.open("/review")
    seen = {"log": faults_of(page), "story": faults_of(window.open(f"/review/calls/{call.call}"))}
    page.get_by_role("button", name="Verify now").click()
    page.get_by_role("heading", name="The log verifies").wait_for()
    seen["verified"] = faults_of(page)
    assert {name: faults for name, faults in seen.items() if faults} == {}


def test_fragments_of_refusal(desk: Desk, twilio: SimulatorClient) -> None:
    """Pages that stand for an error: a stranger's call, a page that is not there, a session that ended."""
    call = twilio.place_call(agent="client:mallory")
    own = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    window = desk.window(ALICE)
    window.call(call.call)
    tab = window.call(own.call)
    seen = {"stranger's": faults_of(window.open(f"/calls/{call.call}")), "missing": faults_of(window.open("/nowhere"))}
    window.context.clear_cookies()
    tab.says(NOT_PAUSED)
    tab.page.get_by_role("link", name="Sign in again").wait_for()
    seen["signed out"] = faults_of(tab.page)
    assert {name: faults for name, faults in seen.items() if faults} == {}

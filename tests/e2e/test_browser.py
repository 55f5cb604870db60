"""An agent in a real browser, against the processes that the Procfile starts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bot.simulator.client import SimulatorClient
from tests.conftest import ALICE, BOB, DATABASES
from tests.e2e.agent_page import CONVERGED_MS, NOT_PAUSED, RECORDING, SAFE, CallPage, Desk, sign_in
from tests.e2e.processes import until
from tests.e2e.stack import DAVE, Stack

FAULTS: dict[str, dict[str, Any]] = {
    "503": {"kind": "503", "on": "pause"},
    "delay": {"kind": "delay", "on": "pause", "seconds": 5},
    "lost": {"kind": "lost", "on": "pause"},
    "wrong-status": {"kind": "wrong-status", "on": "pause"},
    "list-failing": {"kind": "500", "on": "list"},
    "reset": {"kind": "reset", "on": "command"},
}
STALE_SECONDS = 10.0
"""Within this time a page has to say that it lost touch with the server."""


@pytest.mark.parametrize("stack", DATABASES, indirect=True)
def test_pause_and_resume_by_two_clicks(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    twilio.freeze()
    call = twilio.place_call(agent=ALICE.contact, customer="+4930901820001")
    twilio.settle()
    page = tidy_desk.window(ALICE).open("/calls")
    page.get_by_role("link", name=call.call).click()
    seen = CallPage(page)
    seen.says(RECORDING)

    twilio.advance(10)
    seen.press("Pause")
    seen.says(SAFE)
    assert [one["state"] for one in twilio.call(call.call)["recordings"]] == ["paused"]
    assert [one["pause_behavior"] for one in twilio.requests(call=call.call, kind="pause")] == ["skip"]

    twilio.advance(20)
    seen.press("Resume")
    seen.says(RECORDING)
    until(lambda: twilio.call(call.call)["recordings"][0]["state"] == "in-progress", 5, "the recording goes on")
    twilio.advance(5)
    assert stretches(twilio, call.call) == [("recorded", 10), ("skipped", 20), ("recorded", 5)]


def stretches(twilio: SimulatorClient, call: str) -> list[tuple[str, int]]:
    """What the call's one recording holds, in whole seconds."""
    (recording,) = twilio.call(call)["recordings"]
    return [(one["state"], round(one["to"] - one["from"])) for one in recording["stretches"]]


def test_pause_of_several_recordings_pauses_each(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=ALICE.contact, recordings=2)
    twilio.settle()
    seen = tidy_desk.window(ALICE).call(call.call)
    seen.press("Pause")
    seen.says(SAFE)
    assert [one["state"] for one in twilio.call(call.call)["recordings"]] == ["paused", "paused"]
    seen.press("Resume")
    seen.says(RECORDING)
    until(
        lambda: [one["state"] for one in twilio.call(call.call)["recordings"]] == ["in-progress", "in-progress"],
        *(10, "both recordings go on"),
    )


def test_pause_in_a_conference_pauses_the_conference_too(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=ALICE.contact, conference="sales", conference_recordings=1)
    twilio.settle()
    seen = tidy_desk.window(ALICE).call(call.call)
    seen.press("Pause")
    seen.says(SAFE)
    shown = twilio.call(call.call)
    recordings = [*shown["recordings"], *shown["conferences"][0]["recordings"]]
    assert [one["state"] for one in recordings] == ["paused", "paused"]


def test_page_under_each_fault_never_says_paused_and_recovers(desk: Desk, twilio: SimulatorClient) -> None:
    """All at the same time, each in a tab of its own, to be quick."""
    window = desk.window(ALICE)
    calls = {name: twilio.place_call(agent=ALICE.contact).call for name in FAULTS}
    twilio.settle()
    tabs = {name: window.call(sid) for name, sid in calls.items()}
    for name, fault in FAULTS.items():
        twilio.add_fault(**fault, call=calls[name])
        tabs[name].press("Pause")
    for tab in tabs.values():
        tab.says(NOT_PAUSED)
        expect(tab.page.locator("#call .reason strong")).not_to_be_empty(timeout=12_000)
    for name, tab in tabs.items():
        reason = tab.page.locator("#call .reason")
        advice = reason.locator("strong").inner_text()
        assert reason.inner_text().removesuffix(advice).strip() != "", name
        assert [text for text in tab.has_said() if text.startswith("Paused")] == [], name
    twilio.clear_faults()
    for name, tab in tabs.items():
        tab.says(SAFE, CONVERGED_MS)
        assert [one["state"] for one in twilio.call(calls[name])["recordings"]] == ["paused"]


def test_page_out_of_touch_takes_paused_back(desk: Desk, stack: Stack, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    seen = desk.window(ALICE).call(call.call)
    seen.press("Pause")
    seen.says(SAFE)
    with stopped(stack):
        began = time.monotonic()
        seen.says("NOT PAUSED: out of touch", STALE_SECONDS * 1000)
        assert time.monotonic() - began < STALE_SECONDS
    seen.says(SAFE)


@contextmanager
def stopped(stack: Stack) -> Iterator[None]:
    """The web processes as if frozen: connections stay open, and nothing is answered."""
    stack.web.signal_all(signal.SIGSTOP)
    try:
        yield
    finally:
        stack.web.signal_all(signal.SIGCONT)


def test_page_whose_server_is_gone_says_so_and_comes_back(desk: Desk, stack: Stack, twilio: SimulatorClient) -> None:
    """The workers are killed in one instant; the master makes new ones, and the page finds back by itself."""
    call = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    seen = desk.window(ALICE).call(call.call)
    seen.press("Pause")
    seen.says(SAFE)
    killed = stack.web.children()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: set(stack.web.children()).isdisjoint(killed), 5, "the workers are gone")
    with seen.page.expect_response(lambda response: response.url.endswith("/state") and response.ok):
        pass
    seen.says(SAFE)


def test_reload_and_second_tab_show_the_same_state(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    window = tidy_desk.window(ALICE)
    first, second = window.call(call.call), window.call(call.call)
    first.press("Pause")
    first.says(SAFE)
    second.says(SAFE)
    first.page.reload()
    first.says(SAFE)
    second.press("Resume")
    second.says(RECORDING)
    first.says(RECORDING)


def test_keyboard_alone_is_enough(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    page = tidy_desk.window(ALICE).open("/calls")
    tab_to(page, call.call)
    page.keyboard.press("Enter")
    seen = CallPage(page)
    seen.says(RECORDING)
    tab_to(page, "Pause")
    page.keyboard.press("Enter")
    seen.says(SAFE)
    with page.expect_response(f"**/calls/{call.call}/state"):
        pass
    assert "Pause" in focused(page)
    tab_to(page, "Resume")
    page.keyboard.press("Enter")
    seen.says(RECORDING)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this text has the focus."""
    for _ in range(40):
        if name in focused(page):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never came to {name}")


def focused(page: Page) -> str:
    text: str = page.evaluate("() => document.activeElement === document.body ? '' : document.activeElement.innerText")
    return text


def test_call_never_announced_is_claimed_and_paused_from_its_link(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    twilio.set(callbacks="drop")
    call = twilio.place_call(agent=None)
    seen = tidy_desk.window(ALICE).call(call.call)
    seen.says(RECORDING)
    seen.press("Claim this call")
    expect(seen.page.get_by_role("button", name="Claim this call")).to_have_count(0)
    seen.press("Pause")
    seen.says(SAFE)
    assert [one["state"] for one in twilio.call(call.call)["recordings"]] == ["paused"]


def test_call_without_agent_is_claimed_from_the_list(tidy_desk: Desk, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=None)
    twilio.settle()
    page = tidy_desk.window(ALICE).open("/calls")
    page.get_by_role("button", name=f"Claim the call {call.call}").click()
    seen = CallPage(page)
    seen.press("Pause")
    seen.says(SAFE)


def test_call_of_another_agent_is_refused_and_noted(desk: Desk, stack: Stack, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    page = desk.window(BOB).open(f"/calls/{call.call}")
    expect(page.get_by_text("belongs to another agent")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    noted = [(one["type"], one["actor"], one["outcome"]) for one in stack.auditor.entries(call.call)]
    assert ("call.view_refused", "bob", "failure") in noted


def test_page_signed_out_in_another_tab_says_so_and_leads_back_to_the_call(desk: Desk, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    window = desk.window(ALICE)
    seen = window.call(call.call)
    seen.press("Pause")
    seen.says(SAFE)
    window.open("/calls").get_by_role("button", name="Sign out").click()
    seen.says(NOT_PAUSED)
    expect(seen.page.get_by_text("You are signed out")).to_be_visible()
    seen.page.get_by_role("link", name="Sign in again").click()
    sign_in(seen.page, ALICE)
    seen.says(SAFE)


def test_page_whose_session_expired_does_nothing_and_leads_back(desk: Desk, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=ALICE.contact)
    twilio.settle()
    window = desk.window(ALICE)
    seen = window.call(call.call)
    with seen.page.expect_response("**/state"):
        pass  # one that came later would bring the cookie back
    seen.page.route("**/state", lambda route: route.abort())
    window.context.clear_cookies()
    seen.press("Pause")
    expect(seen.page.get_by_role("link", name="Sign in again")).to_be_visible()
    seen.says(NOT_PAUSED)
    assert twilio.requests(call=call.call, kind="pause") == []
    seen.page.unroute("**/state")
    seen.page.reload()
    sign_in(seen.page, ALICE)
    seen.press("Pause")
    seen.says(SAFE)


def test_new_password_ends_every_session(desk: Desk, stack: Stack, twilio: SimulatorClient) -> None:
    call = twilio.place_call(agent=DAVE.contact)
    twilio.settle()
    seen = desk.window(DAVE).call(call.call)
    seen.press("Pause")
    seen.says(SAFE)
    assert stack.bot("set-password", DAVE.name, "--password-stdin", stdin=f"{DAVE.password}\n").returncode == 0
    seen.says(NOT_PAUSED)
    expect(seen.page.get_by_role("link", name="Sign in again")).to_be_visible()


def test_call_that_twilio_does_not_know_is_not_called_paused_or_over(desk: Desk) -> None:
    """A mistyped link: nothing was found to pause, and nothing says that the call which the agent is on is over."""
    seen = desk.window(ALICE).call("CA" + "f" * 32)
    seen.press("Pause")
    seen.says("NOT PAUSED: do not take the card")
    expect(seen.page.get_by_text("Twilio does not know this call")).to_be_visible(timeout=12_000)
    seen.says(NOT_PAUSED)
    assert "over" not in seen.status.inner_text()

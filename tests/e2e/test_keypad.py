"""A keypad payment in two real browser pages: the agent's, and the one where the caller presses keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.conftest import ALICE
from tests.e2e.agent_page import RECORDING, REPLY_MS, SAFE, CallPage, Desk
from tests.e2e.processes import until
from tests.e2e.stack import Stack
from tests.support.dtmf import digits_in

CARD = "5555555555554444"


@pytest.fixture
def caller(new_context: Callable[..., BrowserContext], stack: Stack) -> Page:
    """The simulator's page."""
    page = new_context(base_url=stack.ways["web"]).new_page()
    page.goto("/")
    return page


def key_in(caller: Page, call: str, keys: str) -> None:
    field = caller.locator(f"#keys-{call}")
    expect(field).to_be_visible(timeout=REPLY_MS)
    field.fill(keys)
    field.press("Enter")


def ask(seen: CallPage, label: str) -> None:
    seen.page.get_by_role("button", name=re.compile(f"^Ask( again)?: {label}$")).click()


def field_says(seen: CallPage, label: str, text: str) -> None:
    row = seen.page.locator(".payment .fields li", has_text=label)
    expect(row).to_contain_text(text, timeout=REPLY_MS)


def test_card_is_taken_by_keypad_from_the_agents_page(stack: Stack, tidy_desk: Desk, caller: Page) -> None:
    twilio = stack.twilio
    call = twilio.place_call(agent=ALICE.contact).call
    twilio.settle()
    seen = tidy_desk.window(ALICE).call(call)
    seen.says(RECORDING)

    seen.page.get_by_label(re.compile("^Amount")).fill("20.45")
    seen.press("Take card by keypad")
    seen.says(SAFE)
    expect(seen.page.get_by_role("button", name="Complete payment")).to_be_disabled()
    expect(seen.page.get_by_role("button", name="Take card by keypad")).to_be_hidden()

    ask(seen, "Card number")
    field_says(seen, "Card number", "waiting for the caller")
    key_in(caller, call, CARD[:5])
    field_says(seen, "Card number", "5 keys so far")
    key_in(caller, call, CARD[5:])
    field_says(seen, "Card number", "•••• 4444 (mastercard)")
    for label, keys in (("Expiry date", "1230"), ("Security code", "737"), ("Postal code", "90210")):
        ask(seen, label)
        field_says(seen, label, "waiting for the caller")
        key_in(caller, call, keys)
        field_says(seen, label, "entered")

    seen.press("Complete payment")
    expect(seen.page.get_by_role("heading", name="Paid 20.45 USD")).to_be_visible(timeout=REPLY_MS)
    seen.says(RECORDING)
    assert CARD not in seen.page.content()
    assert SAFE in seen.has_said()
    until(lambda: states(twilio.call(call)) == ["in-progress"], 10, "the recording goes on")
    (result,) = twilio.results()
    assert result["body"]["data"]["call"] == call
    expect(caller.get_by_role("heading", name=re.compile("^Results of payments"))).to_be_visible(timeout=REPLY_MS)

    twilio.press(call, "0")
    (recording,) = twilio.call(call)["recordings"]
    assert digits_in(twilio.audio(recording["sid"])) == "0"


def test_agent_cancels_and_begins_again(stack: Stack, tidy_desk: Desk) -> None:
    call = stack.twilio.place_call(agent=ALICE.contact).call
    stack.twilio.settle()
    seen = tidy_desk.window(ALICE).call(call)
    seen.says(RECORDING)
    seen.press("Take card by keypad")
    seen.says(SAFE)
    seen.press("Cancel payment")
    expect(seen.page.get_by_role("heading", name="Payment cancelled")).to_be_visible(timeout=REPLY_MS)
    seen.says(RECORDING)
    seen.press("Take card by keypad")
    seen.says(SAFE)


def states(call: dict[str, Any]) -> list[str]:
    return [recording["state"] for recording in call["recordings"]]

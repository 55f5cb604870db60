"""The Studio flow of the documentation, run as it is but for the hosts: a card is taken in the pause or not at all."""

from __future__ import annotations

import json

import pytest

from tests.e2e.flows import BOT, CARD_KEYS, Played, in_place, twilio_url
from tests.e2e.processes import ROOT
from tests.e2e.stack import Stack

FLOW = "FW" + "0123456789abcdef" * 2
STUDIO = "https://webhooks.twilio.com"


@pytest.fixture
def studio(stack: Stack) -> str:
    """The address of the documented flow."""
    text = (ROOT / "docs" / "studio-flow.json").read_text(encoding="utf-8")
    definition = in_place(text, {BOT: stack.url, STUDIO: twilio_url(stack)})
    return stack.twilio.load_flow(FLOW, json.loads(definition))


def test_card_is_typed_in_the_pause_and_the_recording_goes_on_after_it(stack: Stack, studio: str) -> None:
    before, after = {"when": "heard:pay by card", "keys": "7"}, {"when": "heard:Thank you", "keys": "9"}
    played = Played(stack, studio, [before, *CARD_KEYS, after])
    assert "Your payment is complete" in played.heard
    assert played.stretches == ["recorded", "skipped", "recorded"]
    assert played.digits == "79"
    assert played.commands == ["pause", "resume"]
    assert played.entries("hold.opened") == ["ivr"]


def test_recording_goes_on_when_the_payment_fails(stack: Stack, studio: str) -> None:
    stack.twilio.set(connector="payment-connector-error")
    played = Played(stack, studio, [*CARD_KEYS, {"when": "heard:could not be taken", "keys": "9"}])
    assert "Thank you" not in played.heard
    assert played.stretches == ["recorded", "skipped", "recorded"]
    assert played.digits == "9"


def test_no_card_is_asked_for_when_the_pause_is_not_proven(stack: Stack, studio: str) -> None:
    stack.twilio.add_fault("503", on="pause")
    played = Played(stack, studio, [{"when": "heard:cannot take your card", "keys": "9"}])
    assert not played.asked_for_card
    assert played.stretches == ["recorded"]
    assert played.digits == "9"

"""The TwiML of the documentation, served as it is but for the hosts, around a <Pay>."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.flows import BOT, CARD_KEYS, Played, in_place
from tests.e2e.processes import ROOT
from tests.e2e.stack import Stack
from tests.simulator.flows import response
from tests.simulator.receiver import receiving

FLOWS = "https://flows.example.com"


@pytest.fixture
def start(stack: Stack) -> Iterator[str]:
    """The address of a flow that is made of the documented pieces."""
    text = (ROOT / "docs" / "call-flows.md").read_text(encoding="utf-8")
    section = text.partition("### TwiML")[2].partition("###")[0]
    before, after = re.findall(r"```xml\n(.*?)```", section, re.DOTALL)
    with receiving() as flows:
        hosts = {BOT: stack.url, FLOWS: flows.url}
        flows.serve("/card", response('<Pay chargeAmount="10.00" postalCode="false"/>', in_place(after, hosts)))
        flows.serve("/thanks", response("<Say>Thank you, and goodbye to you</Say>"))
        flows.serve("/no-card", response("<Say>We cannot take your card now</Say>"))
        yield flows.serve("/start", in_place(before, hosts))


def test_card_is_typed_in_the_pause_and_the_recording_goes_on_after_it(stack: Stack, start: str) -> None:
    played = Played(stack, start, [*CARD_KEYS, {"when": "heard:Thank you", "keys": "9"}])
    assert played.stretches == ["recorded", "skipped", "recorded"]
    assert played.digits == "9"
    assert played.commands == ["pause", "resume"]


def test_no_card_is_asked_for_when_the_pause_is_not_proven(stack: Stack, start: str) -> None:
    stack.twilio.add_fault("503", on="pause")
    played = Played(stack, start, [{"when": "heard:cannot take your card", "keys": "9"}])
    assert not played.asked_for_card
    assert played.stretches == ["recorded"]
    assert played.digits == "9"

"""Call flows of somebody else's with the bot's two steps around the card, run by the simulated Twilio."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.e2e.stack import Stack
from tests.support.dtmf import digits_in

BOT = "https://pause.example.com"
CARD = "4242424242424242"
TEMPO = 3
"""Slow enough for a key's tone to be over before the words are."""
OVER_SECONDS = 60.0
CARD_KEYS = (
    {"when": "pay:payment-card-number", "keys": CARD},
    {"when": "pay:expiration-date", "keys": "1230#"},
    {"when": "pay:security-code", "keys": "123#"},
)
Script = list[dict[str, Any]]


def in_place(text: str, hosts: dict[str, str]) -> str:
    """The text with these hosts in place of others, written out or escaped in a parameter."""
    for written, real in hosts.items():
        text = text.replace(written, real).replace(quote(written, safe=""), quote(real, safe=""))
    return text


class Played:
    """A call that ran to its end."""

    def __init__(self, stack: Stack, url: str, script: Script) -> None:
        self.stack, self.twilio = stack, stack.twilio
        self.twilio.set(tempo=TEMPO)
        placed = self.twilio.place_call(voice_url=url, recordings=1, script=script)
        self.call = placed.call
        self.end: dict[str, Any] = self.twilio.wait_for(self.call, "over", OVER_SECONDS)
        (self.recording,) = self.end["recordings"]
        assert self.end["flow"]["script"] == 0, "the caller has not done all that the script says"

    @property
    def heard(self) -> str:
        return " / ".join(self.end["heard"])

    @property
    def digits(self) -> str:
        """The keys that can be heard in the recording."""
        return digits_in(self.twilio.audio(self.recording["sid"]))

    @property
    def stretches(self) -> list[str]:
        return [one["state"] for one in self.recording["stretches"]]

    @property
    def commands(self) -> list[str]:
        asked: list[str] = [one["kind"] for one in self.twilio.requests(call=self.call)]
        return [kind for kind in asked if kind in ("pause", "resume", "stop")]

    @property
    def asked_for_card(self) -> bool:
        return any("<Pay" in step["twiml"] for step in self.twilio.steps(self.call))

    def entries(self, kind: str) -> list[str]:
        """Who held the recording, by the bot's log."""
        return [one["detail"]["holder"] for one in self.stack.auditor.entries(self.call) if one["type"] == kind]


def twilio_url(stack: Stack) -> str:
    """Where the simulated Twilio listens."""
    return stack.environment["TWILIO_API_BASE_URL"]

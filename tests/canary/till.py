"""Payments with real key presses on the running bot: led by an agent at the page, and in the bot's own phone flow."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.canary.house import House
from tests.canary.wire import Answer, Request, Sender, form, send
from tests.e2e.processes import LOOK_SECONDS, until
from tests.web.bench import Page

CARD, EXPIRY, CODE, POSTAL = "payment-card-number", "expiration-date", "security-code", "postal-code"
WAITING = "waiting for the caller"
REPLY_SECONDS = 20.0
AMEX_LENGTH = 15
TEMPO = 50
"""So much faster than in life is said and waited what the bot's TwiML says."""


def keys_of(number: str) -> dict[str, str]:
    """What the caller presses, field by field."""
    code = "7373" if len(number) == AMEX_LENGTH else "737"
    return {CARD: number, EXPIRY: "1230", CODE: code, POSTAL: "90210#"}


@dataclass(frozen=True)
class Till:
    """Alice's call, her page, and the caller's keypad."""

    house: House
    alice: Sender
    call: str

    def press(self, action: str = "", **fields: str) -> Answer:
        """A button of the payment on her page."""
        path = f"/calls/{self.call}/payment" + (f"/{action}" if action else "")
        request = form("POST", path, fields, {"HX-Request": "true"})
        return send(self.house.url, self.alice.dressed(request, self.house.url))

    def page(self) -> str:
        request = Request("GET", f"/calls/{self.call}/state", {"HX-Request": "true"})
        return send(self.house.url, self.alice.dressed(request, self.house.url)).text

    def page_says(self, words: str) -> None:
        deadline = time.monotonic() + REPLY_SECONDS
        while words not in (page := self.page()):
            assert time.monotonic() < deadline, f"not {words!r}: {Page(page).text}"
            time.sleep(LOOK_SECONDS)

    def open(self) -> None:
        """Twilio's session may come later than the answer."""
        self.press()
        self.page_says("not asked yet")

    def enter(self, field: str, keys: str) -> None:
        """Asked for again if it could not be asked for just now."""
        until(lambda: WAITING in self.press("ask", field=field).text, REPLY_SECONDS, f"{field} is asked for")
        self.house.twilio.press(self.call, keys)

    def take(self, number: str) -> None:
        """Every field, and what the page says of the number meanwhile; then the button that completes it."""
        for field, keys in keys_of(number).items():
            self.enter(field, keys)
            if field == CARD:
                self.page_says(f"•••• {number[-4:]}")
            else:
                until(lambda: WAITING not in self.page(), REPLY_SECONDS, f"{field} is entered")
        self.press("complete")


def pay_by_phone(house: House, number: str) -> str:
    """A call that the bot's own flow answers: one for paying, then the card. It has ended when this returns.

    Until then nobody on another call has any patience.
    """
    script = [{"when": "gather", "keys": "1"}]
    script += [{"when": f"pay:{field}", "keys": keys} for field, keys in keys_of(number).items()]
    script += [{"when": "gather", "keys": number}, {"when": "gather", "keys": "2"}, {"when": "dial", "hang_up": "x"}]
    house.twilio.set(tempo=TEMPO)
    placed = house.twilio.place_call(voice=True, script=[_as_step(step) for step in script])
    house.twilio.wait_for(placed.call, "over", REPLY_SECONDS)
    house.twilio.set(tempo=1)
    return placed.call


def _as_step(step: dict[str, str]) -> dict[str, object]:
    return {**step, "hang_up": True} if "hang_up" in step else dict(step)

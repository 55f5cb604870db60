"""Agent-assisted payments: sessions, the keys they capture, what they report. Called under the world's lock.

Keys of a capture go to it and to nothing else; their tones are in the recordings all the same, for that Twilio keeps
them out of recordings is documented nowhere.
"""

from __future__ import annotations

import threading

from bot.simulator import cards, connector
from bot.simulator.cards import CODE, EXPIRY, NUMBER, POSTAL
from bot.simulator.errors import TwilioError
from bot.simulator.events import payment_event
from bot.simulator.model import Call, new_sid
from bot.simulator.payment_session import IN_PROGRESS, Payment, PaymentPlan
from bot.simulator.world import World

_CODE_TOO_EARLY = "invalid-card-number-security-code-capture-sequence"
_NAMES = {NUMBER: "PaymentCardNumber", EXPIRY: "ExpirationDate", CODE: "SecurityCode", POSTAL: "PaymentCardPostalCode"}
_MASKED = (NUMBER, CODE)


def begin(world: World, call: Call, plan: PaymentPlan, url: str) -> Payment:
    """Open a session on one leg, which has no other."""
    if any(other.state == IN_PROGRESS for other in of_leg(world, call.sid)):
        raise TwilioError(400, 20001, "A payment session is already in progress on this call")
    now = world.clock.now()
    payment = Payment(new_sid("PK"), call.sid, plan, url, created_at=now, updated_at=now)
    world.payments[payment.sid] = payment
    _tell(world, payment, {})
    return payment


def of_leg(world: World, leg: str) -> list[Payment]:
    """The sessions there were on a leg, oldest first."""
    return [payment for payment in world.payments.values() if payment.call == leg]


def capture(world: World, payment: Payment, field: str, url: str) -> None:
    """Ask for one piece. It takes the place of a capture under way, and of what was captured for it before."""
    _stop(world, payment)
    _touch(world, payment, url)
    payment.captured.pop(field, None)
    payment.attempts[field] = payment.attempts.get(field, 0) + 1
    if field == NUMBER:
        payment.brand = None
    if field == CODE and payment.brand is None:
        _fail(world, payment, field, _CODE_TOO_EARLY)
        return
    payment.capturing = field
    payment.listener = Entry(world, payment, field)
    world.calls[payment.call].listeners.append(payment.listener)
    _tell(world, payment, {"Capture": field, "PartialResult": "true"})


def complete(world: World, payment: Payment, url: str) -> None:
    """Hand what was captured to the connector, and report what it says; TwilioError 400 while something is missing."""
    if payment.required:
        raise TwilioError(400, 20001, f"Not captured yet: {', '.join(payment.required)}")
    _touch(world, payment, url)
    plan = payment.plan
    _end(world, payment, connector.outcome(world.settings.connector, plan.token_type, charges=plan.charge is not None))


def cancel(world: World, payment: Payment, url: str) -> None:
    """End it without a transaction. Twilio documents a callback and no result for that: this one has a Status."""
    _touch(world, payment, url)
    _end(world, payment, {"Status": "cancelled"})


def hang_up(world: World, leg: str) -> None:
    """A leg is over: so is its session."""
    for payment in of_leg(world, leg):
        if payment.state == IN_PROGRESS:
            _end(world, payment, {"Result": "caller-hung-up"})


def _tell(world: World, payment: Payment, told: dict[str, str]) -> None:
    call = world.calls[payment.call]
    world.tell_url(call, payment.callback_url, payment_event(world.account, payment, call.root) | told)


def _touch(world: World, payment: Payment, url: str) -> None:
    payment.callback_url, payment.updated_at = url, world.clock.now()


def _end(world: World, payment: Payment, outcome: dict[str, str]) -> None:
    _stop(world, payment)
    payment.state = outcome.get("Result") or outcome["Status"]
    payment.updated_at = world.clock.now()
    _tell(world, payment, outcome)


def _stop(world: World, payment: Payment) -> None:
    """No key goes to it any more."""
    listeners = world.calls[payment.call].listeners
    if payment.listener in listeners:
        listeners.remove(payment.listener)
    payment.capturing = payment.listener = None


def _fail(world: World, payment: Payment, field: str, error: str) -> None:
    attempt = str(payment.attempts[field])
    told = {"Capture": field, "PartialResult": "false", "ErrorType": error, "Attempt": attempt}
    _tell(world, payment, told)


class Entry:
    """What is typed for one piece of a session, from the first key to the last."""

    def __init__(self, world: World, payment: Payment, field: str) -> None:
        self._world = world
        self._payment = payment
        self._field = field
        self._digits = ""

    def key(self, key: str) -> None:
        """``*`` gives the whole session up, ``#`` ends the entry, as its full length does."""
        payment, plan = self._payment, self._payment.plan
        payment.updated_at = self._world.clock.now()
        if key == "*":
            _end(self._world, payment, {"Result": "caller-interrupted-with-star"})
        elif key == "#":
            self._finish(timed_out=False)
        else:
            self._digits += key
            name = _NAMES[self._field]
            so_far = "x" * len(self._digits) if self._field in _MASKED else self._digits
            _tell(self._world, payment, {"Capture": self._field, "PartialResult": "true", name: so_far})
            if cards.is_full(self._field, self._digits, payment.brand, plan.postal_least):
                self._finish(timed_out=False)
            else:
                self._wait(len(self._digits))

    def _wait(self, typed: int) -> None:
        patience = self._payment.plan.timeout_seconds / self._world.settings.tempo
        timer = threading.Timer(patience, self._give_up, [typed])
        timer.daemon = True
        timer.start()

    def _give_up(self, typed: int) -> None:
        """No key came for too long. Another key, the end of the capture or a reset makes this void; keys that are still
        being pressed put it off.
        """
        with self._world.lock:
            known = self._world.payments.get(self._payment.sid) is self._payment
            if not known or self._payment.listener is not self or len(self._digits) != typed:
                return
            if self._world.calls[self._payment.call].pressing:
                self._wait(typed)
            else:
                self._finish(timed_out=True)

    def _finish(self, *, timed_out: bool) -> None:
        payment, digits = self._payment, self._digits
        problem = self._problem()
        _stop(self._world, payment)
        payment.updated_at = self._world.clock.now()
        if problem:
            _fail(self._world, payment, self._field, "timeout" if timed_out else problem)
            return
        payment.captured[self._field] = self._told(digits)
        _tell(self._world, payment, {"Capture": self._field, "PartialResult": "false"})

    def _problem(self) -> str | None:
        payment, plan = self._payment, self._payment.plan
        if self._field == NUMBER:
            return cards.number_problem(self._digits, plan.brands)
        if self._field == EXPIRY:
            return cards.date_problem(self._digits, self._world.clock.now())
        if self._field == CODE:
            return cards.code_problem(self._digits, payment.brand)
        return cards.postal_problem(self._digits, plan.postal_least)

    def _told(self, digits: str) -> dict[str, str]:
        """How a piece is told of, as long as it is kept."""
        if self._field == NUMBER:
            self._payment.brand = brand = cards.brand_of(digits)
            return {_NAMES[NUMBER]: cards.masked_in_groups(digits), "PaymentCardType": brand.name if brand else ""}
        return {_NAMES[self._field]: "x" * len(digits) if self._field == CODE else digits}

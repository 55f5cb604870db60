"""<Pay>: a card typed on the keypad, handed to a payment connector, and told of only as Twilio tells of it."""

from __future__ import annotations

import secrets
from collections import deque

from bot.simulator import cards, terms
from bot.simulator.line import Gone, Line
from bot.simulator.terms import Terms
from bot.simulator.verbs import Next, Pay, PayPrompt, Prompt, Say

_PROCESSING = "payment-processing"
_PROCESSING_SECONDS = 1.0
_DIGITS_MAX = 32
_ASKS = {
    "payment-card-number": "Type your card number, then the hash key",
    "expiration-date": "Type the month and year in which your card expires, then the hash key",
    "security-code": "Type your card's security code, then the hash key",
    "postal-code": "Type your postal code, then the hash key",
    _PROCESSING: "Your payment is being processed",
}
_CONNECTOR_ERRORS = {
    "payment-connector-error": ("64001", "the payment gateway refused the card"),
    "internal-error": ("64002", "the payment service is unavailable"),
}


class _Ended(Exception):
    """The payment is over before its end: the argument is its Result."""


def run(line: Line, pay: Pay) -> Next | None:
    """The action with the result; None, without an action, goes on with the next verb.

    If the caller hangs up, the action is told of it. Settings may lose or repeat its request.
    """
    wanted = terms.read(pay.attributes)
    if isinstance(wanted, str):
        with line.world.lock:
            line.check()
            line.world.complain(line.call, 12200, wanted, line.state.url)
        return _act(line, pay, {"Result": "validation-error", "PaymentError": wanted})
    payment = _Payment(line, pay, wanted)
    try:
        outcome = payment.result()
    except Gone:
        if pay.action and not _lost(line, pay.action, params := {"Result": "caller-hung-up"} | payment.captured()):
            line.tell(Next(pay.action, pay.method, params))
        raise
    return _act(line, pay, outcome | payment.captured())


def _act(line: Line, pay: Pay, params: dict[str, str]) -> Next | None:
    if pay.action is None:
        return None
    if _lost(line, pay.action, params):
        line.hang_up()
        raise Gone
    action = Next(pay.action, pay.method, params)
    if line.world.settings.pay_action == "repeat":
        line.tell(action)
        line.check()
    return action


def _lost(line: Line, action: str, params: dict[str, str]) -> bool:
    """Whether the settings want the action never to be requested, which the debugger then lists."""
    with line.world.lock:
        if line.world.settings.pay_action != "drop":
            return False
        line.world.complain(line.call, 11200, "HTTP retrieval failure: it was never sent", action, params=params)
        return True


class _Typed:
    """Keys that nobody has looked at yet: the caller may be ahead of the prompts."""

    def __init__(self) -> None:
        self.keys: deque[str] = deque()
        self.ignores_hash = False
        """A hash that comes next ends what had ended by itself already."""

    def key(self, key: str) -> None:
        if not (self.ignores_hash and key == "#"):
            self.keys.append(key)
        self.ignores_hash = False

    def completed(self) -> None:
        if self.keys:
            if self.keys[0] == "#":
                self.keys.popleft()
        else:
            self.ignores_hash = True


class _Payment:
    """One <Pay> from its first prompt to its result."""

    def __init__(self, line: Line, pay: Pay, wanted: Terms) -> None:
        self._line = line
        self._pay = pay
        self._terms = wanted
        self._typed = _Typed()
        self._got: dict[str, str] = {"postal-code": wanted.postal_code} if wanted.postal_code else {}

    def result(self) -> dict[str, str]:
        """Result and what comes with it."""
        try:
            with self._line.listening(self._typed):
                for name in self._terms.fields:
                    self._ask(name)
        except _Ended as ended:
            return {"Result": str(ended)}
        self._prompt(_PROCESSING, 1, None)
        self._line.wait(_PROCESSING_SECONDS)
        return self._hand_over()

    def captured(self) -> dict[str, str]:
        """The payment, and what is known of the card, under Twilio's names: numbers unreadable, the date in clear."""
        got = self._got
        params = {"PaymentConnector": self._terms.connector, "PaymentMethod": self._terms.method}
        if number := got.get("payment-card-number"):
            brand = cards.brand_of(number)
            params |= {"PaymentCardNumber": cards.masked(number), "PaymentCardType": brand.name if brand else ""}
        if date := got.get("expiration-date"):
            params["ExpirationDate"] = date
        if code := got.get("security-code"):
            params["SecurityCode"] = "x" * len(code)
        if postal := got.get("postal-code"):
            params["PaymentCardPostalCode"] = postal
        return params

    def _hand_over(self) -> dict[str, str]:
        outcome = self._line.world.settings.connector
        if outcome != "ok":
            code, message = _CONNECTOR_ERRORS[outcome]
            return {"Result": outcome, "PayErrorCode": code, "PaymentError": message}
        proof = "PaymentConfirmationCode" if self._terms.charges else "PaymentToken"
        prefix = "ch_" if self._terms.charges else "tok_"
        return {"Result": "success", proof: prefix + secrets.token_hex(12), "ProfileId": "cus_" + secrets.token_hex(7)}

    def _ask(self, name: str) -> None:
        error: str | None = None
        for attempt in range(1, self._terms.attempts + 1):
            self._prompt(name, attempt, error)
            value = self._collect(name)
            error = self._problem(name, value)
            if error is None and not self._matches(name, attempt, value):
                error = "input-matching-failed"
            if error is None:
                self._got[name] = value or ""
                return
            with self._line.world.lock:
                self._typed.keys.clear()
        raise _Ended("too-many-failed-attempts")

    def _matches(self, name: str, attempt: int, value: str | None) -> bool:
        """Whether it is typed the same again, if the document wants it twice."""
        prompt = self._fitting(name, attempt, None, matching=True)
        if prompt is None:
            return True
        self._line.say(prompt.prompts, self._ahead)
        self._line.moment(f"pay:{name}")
        return self._collect(name) == value

    def _prompt(self, name: str, attempt: int, error: str | None) -> None:
        """Tell the status callback, and say what is to be typed."""
        if self._pay.status_callback:
            self._tell(self._pay.status_callback, name, attempt, error)
        prompt = self._fitting(name, attempt, error)
        words: tuple[Prompt, ...] = prompt.prompts if prompt else (Say(_ASKS[name], 1),)
        self._line.say(words, self._ahead)
        self._line.moment(f"pay:{name}")

    def _tell(self, url: str, name: str, attempt: int, error: str | None) -> None:
        world, call = self._line.world, self._line.call
        params = {"AccountSid": world.account, "CallSid": call.sid, "For": name, "Attempt": str(attempt)}
        params |= self.captured() | ({"ErrorType": error} if error else {})
        with world.lock:
            self._line.check()
            world.tell_url(call, url, params)

    def _fitting(self, name: str, attempt: int, error: str | None, *, matching: bool = False) -> PayPrompt | None:
        """The prompt that says most of this moment; the later one of equals."""
        brand = cards.brand_of(self._got.get("payment-card-number", ""))
        now = (name, error or "", str(attempt), brand.name if brand else "")
        found: PayPrompt | None = None
        most = 0
        for prompt in (one for one in self._pay.prompts if one.matching == matching):
            sets = (prompt.fields, prompt.errors, prompt.attempts, prompt.card_types)
            says = sum(bool(one) for one in sets)
            if says >= most and all(not one or value in one for one, value in zip(sets, now, strict=True)):
                found, most = prompt, says
        return found

    def _ahead(self) -> bool:
        return bool(self._typed.keys)

    def _collect(self, name: str) -> str | None:
        """The digits up to the hash key, or to the end of the caller's patience; None if not a key was pressed."""
        digits: str | None = None
        while self._line.wait(self._terms.timeout, self._ahead, patient=True):
            with self._line.world.lock:
                key = self._typed.keys.popleft()
                if key == "*":
                    raise _Ended("caller-interrupted-with-star")
                if key == "#":
                    return digits or ""
                digits = (digits or "") + key
                if name == "payment-card-number" and cards.is_complete(digits):
                    self._typed.completed()
                    return digits
            if len(digits) == _DIGITS_MAX:
                return digits
        return digits

    def _problem(self, name: str, value: str | None) -> str | None:
        """What is wrong with it, in the words of Twilio's ErrorType."""
        if value is None:
            return "timeout"
        if name == "payment-card-number":
            return cards.number_problem(value, self._terms.card_types)
        if name == "expiration-date":
            with self._line.world.lock:
                return cards.date_problem(value, self._line.world.clock.now())
        if name == "security-code":
            return cards.code_problem(value, self._got.get("payment-card-number", ""))
        return None if len(value) >= max(self._terms.min_postal_code, 1) else "invalid-postal-code"

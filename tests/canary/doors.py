"""Every route that the application has, and what is pushed in at each of them.

The routes come from the application itself, so a new one is pushed at without anybody's doing. What every request
carries in parts that no route reads is a card each (`_everywhere`). What a route does read it checks, one thing after
the other, so there each parameter in its turn is a card among good ones.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from flask import Flask
from werkzeug.routing import Rule

from tests.canary.cards import Deck, as_base64, as_encoded, percent
from tests.canary.wire import ANYBODY, FORM, JSON, TWILIO, Request, Sender, form, json_of
from tests.simulator.process import ACCOUNT

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
CHANGING = ("POST", "PUT", "PATCH")
SIGNED, KEYED = "/twilio/", "/api/"
SEARCHED = ("/review", "/api/v1/entries", "/api/v1/calls")
"""Where somebody looks for something."""

GOOD_QUERY = {
    "next": "/twilio/menu",
    "failed": "/twilio/agent",
    "choices": "12",
    "try": "1",
    "payment": "a" * 32,
    "ask": "1",
}
ECHOED = frozenset({"next", "failed"})
"""Where the phone flow goes on: whoever made the flow chose it, and Twilio is told it again. Not stored, not logged."""

FLOW_QUERY = (*GOOD_QUERY, "after", "tried")
READING_QUERY = ("call", "actor", "source", "outcome", "type", "from", "to", "before", "after", "limit", "next")
"""Names that some webhook reads from a query string, and those that some page or the API does."""

READ = (
    "CallSid", "ParentCallSid", "AccountSid", "CallStatus", "Direction", "From", "To", "SequenceNumber", "Timestamp",
    "RecordingSid", "ConferenceSid", "RecordingStatus", "RecordingDuration", "RecordingStartTime", "DialCallStatus",
    "StatusCallbackEvent", "Digits", "Sid", "For", "Capture", "Attempt", "ErrorType", "PartialResult", "Required",
    "PaymentCardNumber", "PaymentCardType", "Result", "PayErrorCode",
)  # fmt: skip
"""Parameters of Twilio's that some route reads."""

CALLBACKS = 8
PAGE_FIELDS = ("username", "password", "new_password", "amount", "field", "confirm", "reason", "card")
API_MEMBERS = ("reason", "max_seconds", "conference", "legs", "confirm", "card")


@dataclass(frozen=True)
class Push:
    """One request, and who sends it. `route` is the endpoint it is meant for."""

    route: str
    sender: Sender
    request: Request
    is_echoed: bool = False


@dataclass
class Doors:
    """`new_call` places a call that the first of the people is on; each route has one, and changes it as it likes."""

    rules: list[Rule]
    deck: Deck
    people: tuple[Sender, ...]
    keys: tuple[Sender, ...]
    new_call: Callable[[], str]
    _call_of: dict[str, str] = field(default_factory=dict)

    def pushes(self) -> Iterator[Push]:
        for rule in self.rules:
            yield from self._by_everybody(rule)
            yield from self._in_the_path(rule)
            yield from self._in_the_query(rule)
            yield from self._in_the_body(rule)
            yield from self._in_what_is_checked_first(rule)

    def everything_once(self) -> Iterator[Push]:
        """Each route with its own methods, a card in all that none reads."""
        for rule in self.rules:
            for method in _own_methods(rule):
                for sender in self._readers(rule):
                    yield Push(rule.endpoint, sender, self._everywhere(rule, method, _good_query(rule)))

    def twilio_posts(self) -> Iterator[Push]:
        """Each webhook once, as Twilio posts it when a caller has typed a card."""
        for rule in self.rules:
            if rule.rule.startswith(SIGNED):
                yield from self._posts(rule, self._twilio_says(rule) | self._secrets() | {"Digits": self.deck.any()})

    def callbacks_in_clear(self, target: str, params: Mapping[str, str]) -> Iterator[Push]:
        """A callback about an open payment, once more, with the card in whatever writing and all that belongs to it."""
        for more in ({}, {"PartialResult": "true"}, {"PartialResult": "false"}, {"Required": ""}):
            for _ in range(CALLBACKS):
                said = {**params, **self._secrets(), **more}
                yield Push("pay_status.status", TWILIO, form("POST", target, said, self._headers()))

    def insiders(self, rule: Rule) -> tuple[Sender, ...]:
        """Who may be let in there."""
        if rule.rule.startswith(SIGNED):
            return (TWILIO,)
        return self.keys if rule.rule.startswith(KEYED) else self.people

    # The parts of a request

    def _by_everybody(self, rule: Rule) -> Iterator[Push]:
        """With every method by two of them, and with the route's own by all."""
        everybody = (ANYBODY, TWILIO, *self.people, *self.keys)
        for method in METHODS:
            senders = everybody if method in _own_methods(rule) else (ANYBODY, self.insiders(rule)[0])
            for sender in senders:
                yield Push(rule.endpoint, sender, self._everywhere(rule, method, _good_query(rule)))

    def _everywhere(self, rule: Rule, method: str, query: Mapping[str, str], path: str = "") -> Request:
        """A card in all that no route reads."""
        any_card = self.deck.any
        unread = {name: any_card() for name in ("card", *_others_query(rule, method))}
        target = f"{path or self._path(rule)}?{urlencode({**unread, **query, any_card(): 'card'})}"
        headers = self._headers()
        if method not in CHANGING:
            return Request(method, target, headers)
        if rule.rule.startswith(SIGNED):
            said = self._twilio_says(rule) | self._secrets()
            return form(method, target, said | {any_card(): any_card()}, headers)
        if rule.rule.startswith(KEYED):
            return json_of(method, target, self._nested(), headers)
        return form(method, target, {name: any_card() for name in PAGE_FIELDS} | {any_card(): any_card()}, headers)

    def _in_the_path(self, rule: Rule) -> Iterator[Push]:
        """In place of each argument, behind the route, and where a slash too many stands."""
        paths = [self._path(rule, **{name: quote(self.deck.any(), safe="")}) for name in sorted(rule.arguments)]
        paths += [
            f"{self._path(rule)}/{quote(self.deck.any(), safe='')}",
            f"{self._path(rule)}/",
            "//".join(self._path(rule).rsplit("/", 1)),
        ]
        for path, method in itertools.product(paths, _own_methods(rule)):
            for sender in (ANYBODY, self.insiders(rule)[0]):
                yield Push(rule.endpoint, sender, self._everywhere(rule, method, _good_query(rule), path))

    def _in_the_query(self, rule: Rule) -> Iterator[Push]:
        """Each parameter in its turn; what a search asks for is noted in the log, so there in more writings."""
        for method in _own_methods(rule):
            for name in _own_query(rule, method):
                is_echoed = rule.rule.startswith(SIGNED) and name in ECHOED
                request = self._asking(rule, method, name, self.deck.number())
                yield from (Push(rule.endpoint, sender, request, is_echoed) for sender in self._readers(rule))
                if rule.rule.startswith(SEARCHED) and method == "GET":
                    yield from self._searches(rule, name)

    def _searches(self, rule: Rule, name: str) -> Iterator[Push]:
        """In what the scrub does not know. An actor may be called anything with few digits: there not in base64."""
        ways = (as_encoded,) if name == "actor" else (as_encoded, as_base64)
        for way in ways:
            for written in way(self.deck.number()):
                yield Push(rule.endpoint, self.insiders(rule)[-1], self._asking(rule, "GET", name, written))

    def _asking(self, rule: Rule, method: str, name: str, value: str) -> Request:
        return self._everywhere(rule, method, {**_good_query(rule), name: value})

    def _readers(self, rule: Rule) -> tuple[Sender, ...]:
        """Those of them to whom different things are open."""
        insiders = self.insiders(rule)
        return insiders[:1] if rule.rule.startswith(SIGNED) else (*insiders[:1], *insiders[-1:])

    def _in_the_body(self, rule: Rule) -> Iterator[Push]:
        for method in _own_methods(rule):
            if method not in CHANGING:
                continue
            if rule.rule.startswith(SIGNED):
                yield from self._by_twilio(rule)
            elif rule.rule.startswith(KEYED):
                yield from self._by_programs(rule, method)
            else:
                yield from self._by_people(rule, method)
            for sender in (ANYBODY, self.insiders(rule)[0]):
                yield from (Push(rule.endpoint, sender, one) for one in self._odd_bodies(self._path(rule), method))

    def _by_twilio(self, rule: Rule) -> Iterator[Push]:
        good = self._twilio_says(rule)
        for name in READ:
            yield from self._posts(rule, good | self._secrets() | {name: self.deck.any()})
        for tried in ("agents", "fallback"):
            yield from self._posts(rule, good | {"DialCallStatus": self.deck.any()}, {"tried": tried})
        yield from self._posts(rule, good | self._secrets() | {"Digits": self.deck.any()}, {"after": "star"})
        for value in ([self.deck.any()], {"card": self.deck.any()}, 4111111111111111, "\ud800", "\x00"):
            for names in (("Digits", "From", "To", "Timestamp", "PaymentCardNumber"), ("CallSid",)):
                body = good | self._secrets() | dict.fromkeys(names, value)
                yield Push(rule.endpoint, TWILIO, json_of("POST", _target(rule, self._path(rule)), body))
        yield Push(rule.endpoint, TWILIO, json_of("POST", _target(rule, self._path(rule)), [self._nested()]))
        for odd in ("\x00", "\ufffd"):
            yield from self._posts(rule, good | dict.fromkeys(("From", "To"), odd + self.deck.any()))

    def _posts(self, rule: Rule, said: Mapping[str, str], query: Mapping[str, str] | None = None) -> Iterator[Push]:
        target = _target(rule, self._path(rule), query)
        yield Push(rule.endpoint, TWILIO, form("POST", target, said, self._headers()))

    def _by_programs(self, rule: Rule, method: str) -> Iterator[Push]:
        """A reason is free text and kept: there a card is pushed only as a person would write it, and whole."""
        target = self._path(rule)
        good = {"confirm": False} if rule.rule.endswith("/stop") else {}
        bodies: list[object] = [{**good, name: self.deck.any()} for name in API_MEMBERS if name != "reason"]
        bodies += [{**good, "reason": f"card {self.deck.typed()} please"} for _ in range(30)]
        bodies += [{**good, "max_seconds": 4111111111111111}, {**good, "legs": [self.deck.any()]}]
        bodies += [{**good, self.deck.any(): 1}, [self.deck.any()], self.deck.any(), self._nested()]
        if not rule.rule.endswith("/pause"):
            bodies = bodies[:8]
        for body in bodies:
            yield Push(rule.endpoint, self.keys[0], json_of(method, target, body, self._headers()))

    def _by_people(self, rule: Rule, method: str) -> Iterator[Push]:
        """Not the password: checking one is slow on purpose, and it was among the others already."""
        for name in ("amount", "field", "confirm", "reason"):
            fields = {"confirm": "no", "amount": "", "field": "security-code", name: self.deck.any()}
            for sender in self.people[:2]:
                yield Push(rule.endpoint, sender, form(method, self._path(rule), fields, self._headers()))

    def _odd_bodies(self, target: str, method: str) -> Iterator[Request]:
        """What is not of the kind that the route reads."""
        card = self.deck.any()
        multipart = "\r\n".join((
            f"--{percent('x')}", f'Content-Disposition: form-data; name="{card}"; filename="{card}.txt"',
            f"Content-Type: text/{card}", "", card, f"--{percent('x')}--", "",
        ))  # fmt: skip
        yield Request(
            method, target, {"Content-Type": f"multipart/form-data; boundary={percent('x')}"}, multipart.encode()
        )
        yield Request(method, target, {"Content-Type": f"multipart/form-data; boundary={quote(card)}"}, card.encode())
        yield Request(method, target, {"Content-Type": JSON}, f'{{"Digits": "{card}"'.encode())
        yield Request(method, target, {"Content-Type": JSON}, b"[" * 5_000 + card.encode())
        yield Request(method, target, {"Content-Type": "text/plain"}, card.encode() * 20_000)
        yield Request(
            method, target, {"Content-Type": FORM}, b"&".join(b"%s=%d" % (card.encode(), n) for n in range(2_000))
        )
        yield Request(method, target, {"Content-Type": FORM, "Content-Encoding": card}, b"Digits=\xff" + card.encode())

    def _in_what_is_checked_first(self, rule: Rule) -> Iterator[Push]:
        """Each of these can turn a request away, so each is alone."""
        method = _own_methods(rule)[-1]
        for name in ("Host", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "Content-Type", "Expect"):
            request = Request(method, _target(rule, self._path(rule)), {name: self.deck.any()})
            yield Push(rule.endpoint, self.insiders(rule)[0], request)
        for name in ("X-Twilio-Signature", "Authorization", "Cookie", "X-CSRFToken"):
            value = {"Authorization": f"Bearer {self.deck.any()}", "Cookie": f"session={quote(self.deck.any())}"}
            headers = {name: value.get(name, self.deck.any())}
            yield Push(rule.endpoint, ANYBODY, Request(method, _target(rule, self._path(rule)), headers))

    # What they are filled with

    def _path(self, rule: Rule, **arguments: str) -> str:
        good = {"sid": self._call(rule), "hold": "0" * 32, "filename": "app.css", **arguments}
        return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", lambda found: good.get(found[1], "1"), rule.rule)

    def _call(self, rule: Rule) -> str:
        if rule.rule not in self._call_of:
            self._call_of[rule.rule] = self.new_call()
        return self._call_of[rule.rule]

    def _twilio_says(self, rule: Rule) -> dict[str, str]:
        """Good news of the route's own call, good enough for every webhook."""
        return {
            "CallSid": self._call(rule),
            "AccountSid": ACCOUNT,
            "CallStatus": "in-progress",
            "RecordingSid": "RE" + self._call(rule)[2:],
            "RecordingStatus": "paused",
            "ConferenceSid": "CF" + self._call(rule)[2:],
            "StatusCallbackEvent": "participant-mute",
            "Capture": "payment-card-number",
        }

    def _secrets(self) -> dict[str, str]:
        """All that Twilio may send of a card, in clear. `From` and `To` are no phone numbers, but cards."""
        deck = self.deck
        return {
            "SpeechResult": deck.speech,
            "UnstableSpeechResult": f"{deck.speech} {deck.any()}",
            "StableSpeechResult": deck.any(),
            "PaymentCardNumber": deck.any(),
            "ExpirationDate": deck.expiry,
            "SecurityCode": deck.security_code,
            "PaymentCardPostalCode": deck.postal_code,
            "BankAccountNumber": deck.any(),
            "BankRoutingNumber": deck.any(),
            "PaymentToken": deck.token,
            "PaymentConfirmationCode": deck.confirmation,
            "ProfileId": deck.profile,
            "TranscriptionText": f"my card is {deck.any()}",
            "TranscriptionData": f'{{"transcript": "{deck.any()}"}}',
            "Body": deck.any(),
            "From": deck.any(),
            "To": deck.any(),
            "Caller": deck.any(),
            "CallerName": deck.any(),
            "ForwardedFrom": deck.any(),
            "RecordingUrl": f"https://api.twilio.com/{quote(deck.any())}",
            "ErrorMessage": deck.any(),
            "Parameters": f'{{"card": {{"number": "{deck.any()}"}}}}',
        }

    def _nested(self) -> dict[str, object]:
        return {"card": {"number": [self.deck.any(), {"again": self.deck.any()}]}, self.deck.any(): None}

    def _headers(self) -> dict[str, str]:
        """Header fields that let the request through, whatever is in them."""
        card, deck = self.deck.any, self.deck
        return {
            "User-Agent": f"TwilioProxy/{card()}",
            "Referer": f"https://example.org/{quote(card())}?card={quote(card())}&token={deck.token}",
            "X-Forwarded-For": card(),
            "Forwarded": f"for={card()}",
            "From": card(),
            "Origin": card(),
            "Accept": f"text/html;card={quote(card())}",
            "Accept-Language": card(),
            "Cookie": f"card={quote(card())}; {quote(card())}=card; token={deck.token}",
            "I-Twilio-Idempotency-Token": card(),
            "X-Request-Id": card(),
            "traceparent": card(),
            "If-None-Match": card(),
            "If-Modified-Since": card(),
            "Range": card(),
            "HX-Current-URL": card(),
            f"X-{quote(card(), safe='').replace('%', '')}": card(),
        }


def rules_of(app: Flask) -> list[Rule]:
    return sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))


def _own_query(rule: Rule, method: str) -> tuple[str, ...]:
    if rule.rule.startswith(SIGNED):
        return FLOW_QUERY
    return READING_QUERY if method == "GET" else ("next",)


def _others_query(rule: Rule, method: str) -> set[str]:
    """What other routes read."""
    return {*FLOW_QUERY, *READING_QUERY} - {*_own_query(rule, method), *_good_query(rule)}


def _own_methods(rule: Rule) -> list[str]:
    return sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})


def _good_query(rule: Rule) -> dict[str, str]:
    return GOOD_QUERY if rule.rule.startswith(SIGNED) else {}


def _target(rule: Rule, path: str, query: Mapping[str, str] | None = None) -> str:
    query = {**_good_query(rule), **(query or {})}
    return f"{path}?{urlencode(query)}" if query else path

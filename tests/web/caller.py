"""A caller in a phone flow: steps posted and signed as Twilio does, their TwiML read back and followed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import text
from werkzeug.test import TestResponse

from tests.simulator.process import ACCOUNT, TOKEN
from tests.web.bench import Bench
from tests.web.signing import signature_of


@contextmanager
def configured(bench: Bench, **settings: object) -> Iterator[Bench]:
    """The same application with other settings, for as long as the block runs."""
    services = bench.app.extensions["bot"]
    changed = services.settings.model_copy(update=settings)
    bench.app.extensions["bot"] = replace(services, settings=changed)
    try:
        yield bench
    finally:
        bench.app.extensions["bot"] = services


@dataclass(frozen=True)
class Answer:
    """What a step answered: TwiML, nothing else."""

    text: str
    verbs: list[ET.Element]

    @property
    def tags(self) -> list[str]:
        return [verb.tag for verb in self.verbs]

    @property
    def words(self) -> list[str]:
        """All that is said before anybody is asked or rung."""
        return [str(verb.text) for verb in self.verbs if verb.tag == "Say"]

    def only(self, tag: str) -> ET.Element:
        (found,) = (verb for verb in self.verbs if verb.tag == tag)
        return found

    @property
    def goes_to(self) -> str:
        """Where the call is sent without being asked anything."""
        redirect = self.only("Redirect")
        assert redirect is self.verbs[-1]
        assert redirect.attrib == {"method": "POST"}
        return str(redirect.text)

    @property
    def prompt(self) -> str:
        return " ".join(str(say.text) for say in self.only("Gather"))

    @property
    def rung(self) -> list[tuple[str, str]]:
        """The nouns of the `<Dial>` and whom they name."""
        return [(noun.tag, str(noun.text)) for noun in self.only("Dial")]


def answer_of(reply: TestResponse) -> Answer:
    assert (reply.status_code, reply.mimetype) == (200, "text/xml"), reply.text
    root = ET.fromstring(reply.text)  # noqa: S314 - our own answer
    assert root.tag == "Response"
    return Answer(reply.text, list(root))


@dataclass(frozen=True)
class Caller:
    """On one call."""

    bench: Bench
    call: str

    def post(self, url: str, signature: str | None = None, **form: str) -> TestResponse:
        """The step at this URL, absolute or below `/twilio/`."""
        url = url if url.startswith(self.bench.public) else f"{self.bench.public}/twilio/{url}"
        params = {"CallSid": self.call, "AccountSid": ACCOUNT, **form}
        headers = {"X-Twilio-Signature": signature or signature_of(TOKEN, url, params)}
        return self.bench.app.test_client().post(url, data=params, headers=headers)

    def at(self, url: str, **form: str) -> Answer:
        return answer_of(self.post(url, **form))

    def press(self, asked: Answer, digits: str) -> Answer:
        """What Twilio posts when the `<Gather>` ends: also nothing, because that was asked for."""
        gather = asked.only("Gather")
        assert gather.attrib["actionOnEmptyResult"] == "true"
        return self.at(gather.attrib["action"], Digits=digits)

    def dialled(self, asked: Answer, status: str, **form: str) -> Answer:
        """What Twilio posts when the `<Dial>` ends."""
        return self.at(asked.only("Dial").attrib["action"], DialCallStatus=status, **form)

    @property
    def holders(self) -> list[str]:
        """Whose holds are open."""
        found = self.bench.services.control.find(self.call)
        return [] if found is None else [hold.holder for hold in found.holds]

    @property
    def recordings(self) -> list[str]:
        return self.bench.recording_states(self.call)


def damage(bench: Bench, call: str) -> None:
    """Nobody foresaw a call that cannot be read."""
    with bench.services.database.write() as connection:
        connection.execute(text("UPDATE calls SET body = '{}' WHERE sid = :sid"), {"sid": call})


def caller(bench: Bench, **placed: Any) -> Caller:
    return Caller(bench, bench.place_call(**placed))

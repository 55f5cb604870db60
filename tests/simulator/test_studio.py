"""Studio flows: what each widget answers, what comes back into the flow, and what is not played."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest

from bot.simulator.client import SimulatorClient, SimulatorRefused
from tests.simulator.process import ACCOUNT, ROOT, Simulator
from tests.simulator.rest_client import Rest

FLOW = "FW" + "0123456789abcdef" * 2
DOCUMENTED = json.loads((ROOT / "docs" / "studio-flow.json").read_text(encoding="utf-8"))
EVENTS = {
    "trigger": {"incomingMessage", "incomingCall", "incomingConversationMessage", "incomingRequest", "incomingParent"},
    "say-play": {"audioComplete"},
    "add-twiml-redirect": {"return", "timeout", "fail"},
    "split-based-on": {"match", "noMatch"},
    "capture-payments": {
        "success", "maxFailedAttempts", "providerError", "payInterrupted", "hangup", "validationError",
    },
}  # fmt: skip
"""The events of Studio's own widgets."""


@dataclass
class Caller:
    """A call in the flow, as Twilio requests its TwiML."""

    rest: Rest
    call: str

    def comes(self, **query: str) -> list[ET.Element]:
        """The verbs that are answered when the call comes in, or comes back with these parameters."""
        path = f"/v1/Accounts/{ACCOUNT}/Flows/{FLOW}"
        if query:
            path += "?" + "&".join(f"{name}={value}" for name, value in query.items())
        form = {"CallSid": self.call, "AccountSid": ACCOUNT, "From": "+15005550006"}
        reply = self.rest.send("POST", path, form)
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/xml; charset=utf-8"), reply.text
        response = ET.fromstring(reply.text)  # noqa: S314 (our own answer)
        assert response.tag == "Response"
        return list(response)


def _flow(*states: dict[str, Any], first: str | None = None) -> dict[str, Any]:
    """A flow that begins with the first of these states."""
    begins = {"event": "incomingCall", "next": first or states[0]["name"]}
    trigger = {"name": "Trigger", "type": "trigger", "transitions": [begins], "properties": {}}
    return {"states": [trigger, *states], "initial_state": "Trigger"}


def _state(name: str, kind: str, transitions: dict[str, str | None], **properties: Any) -> dict[str, Any]:
    listed = [{"event": event} | ({"next": to} if to else {}) for event, to in transitions.items()]
    return {"name": name, "type": kind, "transitions": listed, "properties": properties}


def _say(name: str, text: str, following: str | None = None) -> dict[str, Any]:
    return _state(name, "say-play", {"audioComplete": following}, say=text)


def _split(argument: str, kind: str, value: str) -> dict[str, Any]:
    split = _state("split", "split-based-on", {"noMatch": "no", "match": "yes"}, input=argument)
    split["transitions"][1]["conditions"] = [{"type": kind, "arguments": [argument], "value": value}]
    return split


@pytest.fixture
def caller(sim: SimulatorClient, rest: Rest) -> Caller:
    return Caller(rest, sim.place_call().call)


def _words(verbs: list[ET.Element]) -> str | None:
    return verbs[0].text if verbs else None


def test_address_of_a_flow_is_told(sim: SimulatorClient, simulator: Simulator) -> None:
    assert sim.load_flow(FLOW, _flow(_say("hello", "Hello"))) == f"{simulator.url}/v1/Accounts/{ACCOUNT}/Flows/{FLOW}"


def test_words_are_said_and_the_next_widget_follows(sim: SimulatorClient, simulator: Simulator, caller: Caller) -> None:
    url = sim.load_flow(FLOW, _flow(_say("hello", "Hello {{trigger.call.From}}", "bye"), _say("bye", "Bye")))
    say, back = caller.comes()
    assert (say.tag, say.text) == ("Say", "Hello +15005550006")
    assert (back.tag, back.attrib, back.text) == ("Redirect", {"method": "POST"}, f"{url}?FlowEvent=audioComplete")
    assert _words(caller.comes(FlowEvent="audioComplete")) == "Bye"
    assert caller.comes(FlowEvent="audioComplete") == []
    assert caller.comes(FlowEvent="audioComplete") == []
    assert url.startswith(simulator.url)


def test_call_that_comes_in_again_begins_again(sim: SimulatorClient, caller: Caller) -> None:
    sim.load_flow(FLOW, _flow(_say("hello", "Hello", "bye"), _say("bye", "Bye")))
    caller.comes()
    caller.comes(FlowEvent="audioComplete")
    assert _words(caller.comes()) == "Hello"


def test_sound_is_played(sim: SimulatorClient, caller: Caller) -> None:
    sim.load_flow(
        FLOW, _flow(_state("tune", "say-play", {"audioComplete": None}, play="https://example.com/a.mp3", loop=2))
    )
    play = caller.comes()[0]
    assert (play.tag, play.attrib, play.text) == ("Play", {"loop": "2"}, "https://example.com/a.mp3")


def test_call_is_sent_away_and_what_it_brings_back_is_kept(sim: SimulatorClient, caller: Caller) -> None:
    away = "https://example.com/x?flow={{flow.flow_sid}}&from={{ trigger.call.From }}&none={{widgets.never.x}}"
    leave = _state("leave", "add-twiml-redirect", {"return": "tell", "timeout": None, "fail": None}, url=away)
    sim.load_flow(FLOW, _flow(leave, _say("tell", "It is {{widgets.leave.colour}}")))
    (redirect,) = caller.comes()
    assert (redirect.attrib, redirect.text) == (
        {"method": "POST"},
        f"https://example.com/x?flow={FLOW}&from=+15005550006&none=",
    )
    assert _words(caller.comes(FlowEvent="return", colour="red")) == "It is red"


def test_address_that_is_none_fails(sim: SimulatorClient, caller: Caller) -> None:
    leave = _state("leave", "add-twiml-redirect", {"return": None, "fail": "sorry"}, url="{{widgets.never.x}}")
    sim.load_flow(FLOW, _flow(leave, _say("sorry", "Sorry")))
    assert _words(caller.comes()) == "Sorry"


@pytest.mark.parametrize(
    ("kind", "value", "brought", "words"),
    [
        ("equal_to", "a", "a", "yes"),
        ("equal_to", "a", "ab", "no"),
        ("not_equal_to", "a", "b", "yes"),
        ("not_equal_to", "a", "a", "no"),
        ("is_blank", "", "", "yes"),
        ("is_blank", "", "a", "no"),
        ("is_not_blank", "", "a", "yes"),
        ("is_not_blank", "", "", "no"),
        ("contains", "b", "abc", "yes"),
        ("contains", "b", "ac", "no"),
    ],
)
def test_split_takes_the_way_that_fits(
    sim: SimulatorClient, caller: Caller, kind: str, value: str, brought: str, words: str
) -> None:
    leave = _state("leave", "add-twiml-redirect", {"return": "split"}, url="https://example.com/")
    split = _split("{{widgets.leave.x}}", kind, value)
    sim.load_flow(FLOW, _flow(leave, split, _say("yes", "yes"), _say("no", "no")))
    caller.comes()
    assert _words(caller.comes(FlowEvent="return", x=brought)) == words


def test_flow_that_goes_round_in_circles_ends(sim: SimulatorClient, caller: Caller) -> None:
    split = _state("split", "split-based-on", {"noMatch": "split"}, input="")
    sim.load_flow(FLOW, _flow(split))
    assert caller.comes() == []


def test_card_is_captured_as_the_widget_says(sim: SimulatorClient, caller: Caller) -> None:
    pay = _state(
        "pay", "capture-payments", {"success": None},
        timeout=7, max_attempts=3, security_code=False, postal_code="false", payment_connector="Shop",
        payment_token_type="one-time", payment_amount="{{widgets.never.x}}5.00", currency="eur", description="Shoes",
        valid_card_types=["visa", "amex"], language="de-DE", payment_method="CREDIT_CARD", min_postal_code_length=4,
    )  # fmt: skip
    url = sim.load_flow(FLOW, _flow(pay))
    (verb,) = caller.comes()
    assert verb.tag == "Pay"
    assert verb.attrib == {
        "timeout": "7",
        "maxAttempts": "3",
        "securityCode": "false",
        "postalCode": "false",
        "minPostalCodeLength": "4",
        "paymentConnector": "Shop",
        "tokenType": "one-time",
        "chargeAmount": "5.00",
        "currency": "eur",
        "description": "Shoes",
        "language": "de-DE",
        "validCardTypes": "visa amex",
        "paymentMethod": "credit-card",
        "action": f"{url}?FlowEvent=payComplete",
        "method": "POST",
    }


@pytest.mark.parametrize(
    ("result", "event"),
    [
        ("success", "success"),
        ("too-many-failed-attempts", "maxFailedAttempts"),
        ("payment-connector-error", "providerError"),
        ("internal-error", "providerError"),
        ("caller-interrupted-with-star", "payInterrupted"),
        ("caller-hung-up", "hangup"),
        ("validation-error", "validationError"),
    ],
)
def test_each_result_of_a_payment_has_its_way(sim: SimulatorClient, caller: Caller, result: str, event: str) -> None:
    pay = _state("pay", "capture-payments", {one: one for one in sorted(EVENTS["capture-payments"])})
    told = [_say(one, one + " {{widgets.pay.Result}}") for one in EVENTS["capture-payments"]]
    sim.load_flow(FLOW, _flow(pay, *told))
    caller.comes()
    assert _words(caller.comes(FlowEvent="payComplete", Result=result)) == f"{event} {result}"


def test_call_is_connected(sim: SimulatorClient, caller: Caller) -> None:
    number = _state(
        "call", "connect-call-to", {"callCompleted": "client"}, noun="number", to="+15005550009", timeout=20
    )
    client = _state("client", "connect-call-to", {"callCompleted": None}, noun="client", to="alice", record=True)
    url = sim.load_flow(FLOW, _flow(number, client))
    (dial,) = caller.comes()
    assert dial.attrib == {"action": f"{url}?FlowEvent=callCompleted", "method": "POST", "timeout": "20"}
    assert [(one.tag, one.text) for one in dial] == [("Number", "+15005550009")]
    (dial,) = caller.comes(FlowEvent="callCompleted")
    assert dial.attrib["record"] == "record-from-answer"
    assert [(one.tag, one.text) for one in dial] == [("Client", "alice")]


def test_flow_that_is_loaded_anew_begins_anew(sim: SimulatorClient, caller: Caller) -> None:
    sim.load_flow(FLOW, _flow(_say("hello", "Hello", "bye"), _say("bye", "Bye")))
    caller.comes()
    sim.load_flow(FLOW, _flow(_say("other", "Other")))
    assert _words(caller.comes(FlowEvent="audioComplete")) == "Other"


def test_unknown_flow_account_and_call_are_404(sim: SimulatorClient, rest: Rest, caller: Caller) -> None:
    form = {"CallSid": caller.call}
    assert rest.send("POST", f"/v1/Accounts/{ACCOUNT}/Flows/{FLOW}", form).status == 404
    sim.load_flow(FLOW, _flow(_say("hello", "Hello")))
    assert rest.send("POST", f"/v1/Accounts/AC{'0' * 32}/Flows/{FLOW}", form).status == 404
    assert rest.send("POST", f"/v1/Accounts/{ACCOUNT}/Flows/{FLOW}", {"CallSid": "CA1"}).status == 404
    sim.reset()
    assert rest.send("POST", f"/v1/Accounts/{ACCOUNT}/Flows/{FLOW}", form).status == 404


@pytest.mark.parametrize(
    "definition",
    [
        [],
        {},
        {"states": []},
        {"states": [[]], "initial_state": "x"},
        _flow(_say("hello", "Hello"), first="nowhere"),
        _flow(_say("hello", "Hello"), _say("hello", "Hello")),
        _flow(_say("hello", "Hello", "Trigger")),
        _flow(_state("code", "run-function", {"success": None})),
        _flow(_say("hello", "{{ trigger.call.From | upcase }}")),
        _flow(_say("hello", "{% if x %}{% endif %}")),
        _flow(_split("{{widgets.a.b}}", "sounds_like", "x"), _say("yes", ""), _say("no", "")),
        _flow(_say("hello", "Hello")) | {"initial_state": "hello"},
        {"states": [{"name": "Trigger", "type": "trigger", "properties": {}}], "initial_state": "Trigger"},
        {"states": [{"name": "T", "type": "trigger", "transitions": [], "properties": 1}], "initial_state": "T"},
    ],
)
def test_what_is_not_understood_is_refused_when_it_is_loaded(sim: SimulatorClient, definition: Any) -> None:
    with pytest.raises(SimulatorRefused) as refused:
        sim.load_flow(FLOW, definition)
    assert refused.value.http == 400


def test_flow_needs_a_sid_of_its_own(sim: SimulatorClient) -> None:
    with pytest.raises(SimulatorRefused) as refused:
        sim.load_flow("FW1", _flow(_say("hello", "Hello")))
    assert refused.value.http == 400


def test_documented_flow_is_made_of_studio_s_own_events(sim: SimulatorClient) -> None:
    sim.load_flow(FLOW, DOCUMENTED)
    for state in DOCUMENTED["states"]:
        assert {one["event"] for one in state["transitions"]} == EVENTS[state["type"]], state["name"]
        assert set(state["properties"]["offset"]) == {"x", "y"}


def test_documented_flow_comes_back_to_itself(sim: SimulatorClient, caller: Caller) -> None:
    sim.load_flow(FLOW, deepcopy(DOCUMENTED))
    caller.comes()
    (pause,) = caller.comes(FlowEvent="audioComplete")
    asked = parse_qs(urlsplit(pause.text or "").query)
    back = f"https://webhooks.twilio.com/v1/Accounts/{ACCOUNT}/Flows/{FLOW}?FlowEvent=return"
    assert asked == {"next": [f"{back}&step=paused"], "failed": [f"{back}&step=failed"]}
    assert caller.comes(FlowEvent="return", step="paused")[0].tag == "Pay"
    (resume,) = caller.comes(FlowEvent="payComplete", Result="success")
    assert parse_qs(urlsplit(resume.text or "").query) == {"next": [back]}
    assert (_words(caller.comes(FlowEvent="return")) or "").startswith("Thank you")


def test_documented_flow_takes_no_card_when_the_pause_failed(sim: SimulatorClient, caller: Caller) -> None:
    sim.load_flow(FLOW, DOCUMENTED)
    caller.comes()
    caller.comes(FlowEvent="audioComplete")
    verbs = caller.comes(FlowEvent="return", step="failed")
    assert [verb.tag for verb in verbs] == ["Say", "Redirect"]
    assert (_words(verbs) or "").startswith("We are sorry, we cannot take your card")
    assert caller.comes(FlowEvent="audioComplete") == []

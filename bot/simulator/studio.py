"""Studio: how far a call has come in a flow. Pure: a request in, TwiML out.

A widget that talks to the caller answers with TwiML that comes back for the next one (``FlowEvent``). What comes back
with it is kept as ``widgets.NAME.*``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from bot.simulator.settings import is_http_url
from bot.simulator.studio_definition import COMPARISONS, VARIABLE, Condition, Flow, State

EVENT = "FlowEvent"
_STEPS_MAX = 100
_PAY_ATTRIBUTES = {
    "timeout": "timeout",
    "max_attempts": "maxAttempts",
    "security_code": "securityCode",
    "postal_code": "postalCode",
    "min_postal_code_length": "minPostalCodeLength",
    "payment_connector": "paymentConnector",
    "payment_token_type": "tokenType",
    "payment_amount": "chargeAmount",
    "currency": "currency",
    "description": "description",
    "language": "language",
}
_PAY_EVENTS = {
    "success": "success",
    "too-many-failed-attempts": "maxFailedAttempts",
    "caller-interrupted-with-star": "payInterrupted",
    "caller-hung-up": "hangup",
    "validation-error": "validationError",
}
"""By Result; any other is a ``providerError``."""


@dataclass(slots=True)
class Execution:
    """One call's way through a flow."""

    call: dict[str, str]
    """What the request that began it said of the call."""
    at: str | None = None
    """The widget whose TwiML the call was sent off with; None once the flow is over."""
    widgets: dict[str, dict[str, str]] = field(default_factory=dict)


def begin(flow: Flow, call: dict[str, str], back: str) -> tuple[Execution, str]:
    """A call comes in: its way, and its first TwiML. ``back`` is the flow's own address."""
    execution = Execution(call)
    return execution, _run(flow, execution, _next(flow.states[flow.initial], "incomingCall"), back)


def go_on(flow: Flow, execution: Execution, event: str, given: dict[str, str], back: str) -> str:
    """A call comes back from the TwiML of a widget; ``given`` is what it brings along."""
    if execution.at is None:
        return _document()
    state = flow.states[execution.at]
    execution.widgets.setdefault(state.name, {}).update(given)
    if state.type == "capture-payments":
        event = _PAY_EVENTS.get(given.get("Result", ""), "providerError")
    return _run(flow, execution, _next(state, event), back)


def _run(flow: Flow, execution: Execution, name: str | None, back: str) -> str:
    """From widget to widget, until one of them has something for the caller to do."""
    for _ in range(_STEPS_MAX):
        execution.at = name
        if name is None:
            return _document()
        state = flow.states[name]
        done = _WIDGETS[state.type](state, _Scope(flow, execution, f"{back}?{EVENT}="))
        if isinstance(done, ET.Element):
            return _document(*done)
        name = done
    execution.at = None
    return _document()


def _next(state: State, event: str) -> str | None:
    return next((one.next for one in state.transitions if one.event == event), None)


def _document(*verbs: ET.Element) -> str:
    """Without a verb the call is hung up."""
    response = ET.Element("Response")
    response.extend(verbs)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(response, encoding="unicode")


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the variables of a widget stand for, and how its TwiML leads back."""

    flow: Flow
    execution: Execution
    back: str

    def fill(self, text: Any) -> str:
        """The text with its variables replaced; an unknown one is nothing."""
        written = str(text).lower() if isinstance(text, bool) else str(text)
        return VARIABLE.sub(lambda found: self._value(found[1]), written)

    def _value(self, name: str) -> str:
        if name == "flow.flow_sid":
            return self.flow.sid
        kind, _, rest = name.partition(".")
        holder, _, key = rest.rpartition(".")
        if kind == "trigger" and holder == "call":
            return self.execution.call.get(key, "")
        return self.execution.widgets.get(holder, {}).get(key, "") if kind == "widgets" else ""


Done = ET.Element | str | None
"""Of a widget: a <Response> for the caller, or else the next widget."""


def _say_play(state: State, scope: _Scope) -> Done:
    given, response = state.properties, ET.Element("Response")
    loop = {"loop": scope.fill(given["loop"])} if "loop" in given else {}
    if "play" in given:
        ET.SubElement(response, "Play", loop).text = scope.fill(given["play"])
    else:
        voice = {name: scope.fill(given[name]) for name in ("voice", "language") if given.get(name)}
        ET.SubElement(response, "Say", voice | loop).text = scope.fill(given.get("say", ""))
    ET.SubElement(response, "Redirect", {"method": "POST"}).text = f"{scope.back}audioComplete"
    return response


def _redirect(state: State, scope: _Scope) -> Done:
    url = scope.fill(state.properties.get("url", ""))
    if not is_http_url(url):
        return _next(state, "fail")
    response = ET.Element("Response")
    ET.SubElement(response, "Redirect", {"method": str(state.properties.get("method", "POST"))}).text = url
    return response


def _split(state: State, scope: _Scope) -> Done:
    for one in state.transitions:
        if one.event == "match" and all(_holds(condition, scope) for condition in one.conditions):
            return one.next
    return _next(state, "noMatch")


def _holds(condition: Condition, scope: _Scope) -> bool:
    return COMPARISONS[condition.kind](scope.fill(condition.argument).strip(), scope.fill(condition.value).strip())


def _capture(state: State, scope: _Scope) -> Done:
    given, response = state.properties, ET.Element("Response")
    attributes = {ours: scope.fill(given[name]) for name, ours in _PAY_ATTRIBUTES.items() if name in given}
    if cards := given.get("valid_card_types"):
        attributes["validCardTypes"] = " ".join(map(scope.fill, cards))
    if "payment_method" in given:
        attributes["paymentMethod"] = scope.fill(given["payment_method"]).lower().replace("_", "-")
    ET.SubElement(response, "Pay", attributes | {"action": f"{scope.back}payComplete", "method": "POST"})
    return response


def _connect(state: State, scope: _Scope) -> Done:
    given, response = state.properties, ET.Element("Response")
    attributes = {"action": f"{scope.back}callCompleted", "method": "POST"}
    attributes |= {"timeout": scope.fill(given["timeout"])} if "timeout" in given else {}
    attributes |= {"record": "record-from-answer"} if given.get("record") is True else {}
    dial = ET.SubElement(response, "Dial", attributes)
    ET.SubElement(dial, "Client" if given.get("noun") == "client" else "Number").text = scope.fill(given.get("to", ""))
    return response


_WIDGETS: dict[str, Callable[[State, _Scope], Done]] = {
    "say-play": _say_play,
    "add-twiml-redirect": _redirect,
    "split-based-on": _split,
    "capture-payments": _capture,
    "connect-call-to": _connect,
}


def address(host: str, account: str, flow: str, **query: str) -> str:
    """Where Studio takes a call: Twilio's ``https://webhooks.twilio.com``, or another host in its place."""
    return f"{host}/v1/Accounts/{account}/Flows/{flow}" + (f"?{urlencode(query)}" if query else "")

"""Studio's flow definitions, as Studio exports them, read strictly: what is not played here is refused.

Of Liquid there are plain variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.simulator.errors import ControlError

WIDGETS = ("say-play", "add-twiml-redirect", "split-based-on", "capture-payments", "connect-call-to")
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "equal_to": lambda argument, value: argument == value,
    "not_equal_to": lambda argument, value: argument != value,
    "is_blank": lambda argument, _value: not argument,
    "is_not_blank": lambda argument, _value: bool(argument),
    "contains": lambda argument, value: value in argument,
}
VARIABLE = re.compile(r"{{\s*([\w.]+)\s*}}")
_STATES_MAX = 1000
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing a split looks at. ``kind`` is Studio's name for the comparison."""

    kind: str
    argument: str
    value: str


@dataclass(frozen=True, slots=True)
class Transition:
    """Where an event leads; ``next`` None: to the end of the flow."""

    event: str
    next: str | None
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class State:
    """A widget."""

    name: str
    type: str
    properties: Json
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as it was loaded."""

    sid: str
    initial: str
    states: dict[str, State]


def load(sid: str, definition: Any) -> Flow:
    """A flow definition as Studio exports it; ControlError 400 says what is wrong, or not played here."""
    given = _object(definition, "definition")
    listed = given.get("states")
    if not isinstance(listed, list) or not 1 <= len(listed) <= _STATES_MAX:
        raise ControlError(400, f"a flow needs 1 to {_STATES_MAX} states")
    states = [_state(_object(one, "state")) for one in listed]
    flow = Flow(sid, str(given.get("initial_state")), {state.name: state for state in states})
    if len(flow.states) < len(states):
        raise ControlError(400, "two states have the same name")
    if flow.initial not in flow.states or flow.states[flow.initial].type != "trigger":
        raise ControlError(400, "initial_state must be the trigger")
    for state in states:
        _check(flow, state)
    return flow


def _object(given: Any, what: str) -> Json:
    if not isinstance(given, dict):
        raise ControlError(400, f"a {what} must be a JSON object")
    return given


def _state(given: Json) -> State:
    transitions = given.get("transitions")
    if not isinstance(transitions, list):
        raise ControlError(400, "a state needs a list of transitions")
    name, kind, properties = (
        str(given.get("name")),
        str(given.get("type")),
        _object(given.get("properties"), "properties"),
    )
    return State(name, kind, properties, tuple(_transition(_object(one, "transition")) for one in transitions))


def _transition(given: Json) -> Transition:
    following, conditions = given.get("next"), given.get("conditions", [])
    if not isinstance(conditions, list):
        raise ControlError(400, "conditions must be a list")
    return Transition(
        str(given.get("event")),
        None if following is None else str(following),
        tuple(_condition(_object(one, "condition")) for one in conditions),
    )


def _condition(given: Json) -> Condition:
    kind, arguments = str(given.get("type")), given.get("arguments")
    if kind not in COMPARISONS:
        raise ControlError(400, f"conditions played here are {', '.join(COMPARISONS)}, not {kind[:40]!r}")
    if not isinstance(arguments, list) or len(arguments) != 1:
        raise ControlError(400, "a condition needs one argument")
    return Condition(kind, str(arguments[0]), str(given.get("value", "")))


def _check(flow: Flow, state: State) -> None:
    if state.type not in (*WIDGETS, "trigger"):
        raise ControlError(400, f"widgets played here are {', '.join(WIDGETS)}, not {state.type[:40]!r}")
    if state.type == "trigger" and state.name != flow.initial:
        raise ControlError(400, "there is one trigger, and it is the initial state")
    for one in state.transitions:
        if one.next is not None and (one.next not in flow.states or one.next == flow.initial):
            raise ControlError(400, f"{state.name[:40]}: no state {one.next[:40]!r} to go on with")
    texts = [str(value) for value in state.properties.values()]
    texts += [text for one in state.transitions for check in one.conditions for text in (check.argument, check.value)]
    if any("{%" in text or "{{" in VARIABLE.sub("", text) for text in texts):
        raise ControlError(400, f"{state.name[:40]}: of Liquid there are plain variables alone")

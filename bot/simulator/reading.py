"""What the verbs of TwiML have in common when they are read: prompts, recordings, and what may stand where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from bot.simulator.attributes import Attributes
from bot.simulator.errors import FlowBroken
from bot.simulator.model import RecordingPlan
from bot.simulator.verbs import Pause, Play, Prompt, Say

HOURS = 3600.0
_LOOPS_MAX = 1000
_EVENTS = ("in-progress", "completed", "absent")


class Reading:
    """One document on its way to verbs."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.warnings: list[str] = []

    def attributes(self, element: Element) -> Attributes:
        return Attributes(element, self.base, self.warnings)


def one_of(reading: Reading, element: Element, known: dict[str, Callable[[Reading, Element], Any]]) -> Any:
    if element.tag not in known:
        raise FlowBroken(12100, f"<{element.tag}> is not played here: there are {', '.join(sorted(known))}")
    return known[element.tag](reading, element)


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _say(reading: Reading, element: Element) -> Say:
    given = reading.attributes(element)
    loop = given.whole("loop", 1, 0, _LOOPS_MAX)
    given.done("voice", "language")
    return Say(words(element), loop or _LOOPS_MAX)


def _play(reading: Reading, element: Element) -> Play:
    given = reading.attributes(element)
    loop = given.whole("loop", 1, 0, _LOOPS_MAX)
    given.done("digits")
    text = (element.text or "").strip()
    return Play(given.whole_url(text) if text else "", loop or _LOOPS_MAX)


def _pause(reading: Reading, element: Element) -> Pause:
    given = reading.attributes(element)
    seconds = given.seconds("length", 1.0, 24 * HOURS)
    given.done()
    return Pause(seconds)


PROMPTS: dict[str, Callable[[Reading, Element], Prompt]] = {"Say": _say, "Play": _play, "Pause": _pause}


def prompts(reading: Reading, element: Element) -> tuple[Prompt, ...]:
    return tuple(one_of(reading, child, PROMPTS) for child in element)


def recording_plan(given: Attributes, source: str, channels: int) -> RecordingPlan:
    """Its events go only to a recordingStatusCallback that is given."""
    url, track = given.url("recordingStatusCallback"), given.choice("track", ("inbound", "outbound", "both"), "both")
    given.method("recordingStatusCallbackMethod")
    events = given.words("recordingStatusCallbackEvent", "completed")
    if not set(events) <= set(_EVENTS):
        raise FlowBroken(12100, f"<{given.tag}> has an invalid recordingStatusCallbackEvent")
    return RecordingPlan(url is not None, channels, track, source, url, events)

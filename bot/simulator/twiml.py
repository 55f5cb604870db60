"""TwiML, parsed and checked. A verb that is not played here breaks the flow, so that nobody relies on it unseen."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

from bot.simulator.errors import FlowBroken
from bot.simulator.reading import HOURS, PROMPTS, Reading, one_of, prompts, recording_plan, words
from bot.simulator.verbs import (
    Dial,
    Document,
    Gather,
    Hangup,
    Pay,
    PayPrompt,
    Redirect,
    Reject,
    Room,
    StartRecording,
    Verb,
)  # fmt: skip

Element = ET.Element
_DIALLED_MAX = 10
_RECORDED = ("record-from-answer", "record-from-ringing", "record-from-answer-dual", "record-from-ringing-dual")
_CHANNELS = {"mono": 1, "dual": 2, "1": 1, "2": 2}


def parse(text: str, base: str) -> Document:
    """The verbs of a document that came from ``base``; FlowBroken 12100 if it cannot be understood."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FlowBroken(12100, "Document parse failure: a document type is not allowed")
    try:
        root = ET.fromstring(text)  # noqa: S314 (expat, without a document type to be attacked by)
    except ET.ParseError as error:
        raise FlowBroken(12100, f"Document parse failure: {error}") from None
    if root.tag != "Response":
        raise FlowBroken(12100, f"Document parse failure: the document is <{root.tag}>, not <Response>")
    reading = Reading(base)
    verbs = tuple(one_of(reading, element, _VERBS) for element in root)
    return Document(verbs, tuple(reading.warnings))


def _gather(reading: Reading, element: Element) -> Gather:
    given = reading.attributes(element)
    gather = Gather(
        action=given.url("action") or reading.base,
        method=given.method(),
        num_digits=given.whole("numDigits", 0, 1, 1000) or None,
        finish_on_key=given.choice("finishOnKey", ("", *"0123456789*#"), "#"),
        timeout=given.seconds("timeout", 5.0, HOURS),
        action_on_empty=given.flag("actionOnEmptyResult", False),
        prompts=prompts(reading, element),
    )
    if "dtmf" not in given.words("input", "dtmf"):
        raise FlowBroken(12100, "<Gather> is played here for input dtmf alone")
    given.done(
        "language", "speechTimeout", "maxSpeechTime", "profanityFilter", "partialResultCallback", "bargeIn", "debug",
        "partialResultCallbackMethod", "hints", "speechModel", "enhanced",
    )  # fmt: skip
    return gather


def _dial(reading: Reading, element: Element) -> Dial:
    given = reading.attributes(element)
    record = given.choice("record", ("do-not-record", "true", "false", *_RECORDED), "do-not-record")
    plan = recording_plan(given, "DialVerb", 2 if record.endswith("-dual") else 1)
    to, room = _dialled(reading, element)
    dial = Dial(
        action=given.url("action"),
        method=given.method(),
        to=to,
        room=room,
        timeout=given.seconds("timeout", 30.0, 600.0),
        time_limit=given.seconds("timeLimit", 4 * HOURS, 24 * HOURS),
        caller_id=given.text("callerId") or None,
        answer_on_bridge=given.flag("answerOnBridge", False),
        hangup_on_star=given.flag("hangupOnStar", False),
        plan=plan if record not in ("do-not-record", "false") else None,
        from_ringing="ringing" in record,
    )
    given.done("trim", "ringTone", "recordingTrack", "sequential", "referUrl", "referMethod", "events")
    return dial


def _dialled(reading: Reading, element: Element) -> tuple[tuple[str, ...], Room | None]:
    rooms = [_room(reading, child) for child in element if child.tag == "Conference"]
    others = [child for child in element if child.tag != "Conference"]
    to = tuple(one_of(reading, child, {"Number": _number, "Client": _client}) for child in others)
    if not len(element) and (element.text or "").strip():
        to = ((element.text or "").strip(),)
    if len(rooms) > 1 or bool(rooms) == bool(to) or len(to) > _DIALLED_MAX or "" in to:
        raise FlowBroken(12100, f"<Dial> needs one <Conference>, or 1 to {_DIALLED_MAX} numbers and clients")
    return to, rooms[0] if rooms else None


def _number(reading: Reading, element: Element) -> str:
    _callee(reading, element)
    return words(element)


def _client(reading: Reading, element: Element) -> str:
    _callee(reading, element)
    identity = element.find("Identity")
    name = words(element if identity is None else identity)
    return f"client:{name}" if name else ""


def _callee(reading: Reading, element: Element) -> None:
    reading.attributes(element).done(
        "sendDigits", "url", "method", "statusCallback", "statusCallbackEvent", "statusCallbackMethod"
    )


def _room(reading: Reading, element: Element) -> Room:
    given = reading.attributes(element)
    record = given.choice("record", ("do-not-record", "record-from-start"), "do-not-record")
    plan = recording_plan(given, "Conference", 1)
    room = Room(
        name=words(element),
        starts=given.flag("startConferenceOnEnter", True),
        ends=given.flag("endConferenceOnExit", False),
        plan=plan if record == "record-from-start" else None,
    )
    given.done(
        "muted", "beep", "waitUrl", "waitMethod", "maxParticipants", "region", "coach", "trim", "statusCallback",
        "statusCallbackEvent", "statusCallbackMethod", "eventCallbackUrl", "jitterBufferSize", "participantLabel",
    )  # fmt: skip
    if not room.name:
        raise FlowBroken(12100, "<Conference> needs a name")
    return room


def _start(reading: Reading, element: Element) -> StartRecording:
    reading.attributes(element).done("action", "method")
    if len(element) != 1:
        raise FlowBroken(12100, "<Start> needs one <Recording>")
    recording: StartRecording = one_of(reading, element[0], {"Recording": _recording})
    return recording


def _recording(reading: Reading, element: Element) -> StartRecording:
    given = reading.attributes(element)
    channels = _CHANNELS[given.choice("channels", tuple(_CHANNELS), "dual")]
    plan = recording_plan(given, "StartCallRecordingAPI", channels)
    given.done("trim")
    return StartRecording(plan)


def _pay(reading: Reading, element: Element) -> Pay:
    given = reading.attributes(element)
    action, status_callback = given.url("action"), given.url("statusCallback")
    method = given.method()
    given.method("statusCallbackMethod")
    prompts = [child for child in element if child.tag != "Parameter"]
    taken = ("action", "method", "statusCallback", "statusCallbackMethod")
    return Pay(
        action=action,
        method=method,
        status_callback=status_callback,
        attributes={name: value for name, value in element.attrib.items() if name not in taken},
        prompts=tuple(one_of(reading, child, {"Prompt": _pay_prompt}) for child in prompts),
    )


def _pay_prompt(reading: Reading, element: Element) -> PayPrompt:
    given = reading.attributes(element)
    prompt = PayPrompt(
        fields=frozenset(given.words("for")),
        errors=frozenset(given.words("errorType")),
        attempts=frozenset(given.words("attempt")),
        card_types=frozenset(given.words("cardType")),
        matching=given.flag("requireMatchingInputs", False),
        prompts=prompts(reading, element),
    )
    given.done()
    return prompt


def _redirect(reading: Reading, element: Element) -> Redirect:
    given = reading.attributes(element)
    redirect = Redirect(given.whole_url(element.text or ""), given.method())
    given.done()
    return redirect


def _hangup(reading: Reading, element: Element) -> Hangup:
    reading.attributes(element).done()
    return Hangup()


def _reject(reading: Reading, element: Element) -> Reject:
    given = reading.attributes(element)
    reason = given.choice("reason", ("rejected", "busy"), "rejected")
    given.done()
    return Reject("busy" if reason == "busy" else "no-answer")


_VERBS: dict[str, Callable[[Reading, Element], Verb]] = {
    **PROMPTS,
    "Gather": _gather,
    "Dial": _dial,
    "Start": _start,
    "Pay": _pay,
    "Redirect": _redirect,
    "Hangup": _hangup,
    "Reject": _reject,
}

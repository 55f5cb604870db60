"""A call that runs TwiML: one thread for each, from the voice webhook to the hang-up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from bot.simulator import dial, gather, pay, recordings
from bot.simulator.errors import FlowBroken
from bot.simulator.line import Gone, Line
from bot.simulator.model import Call
from bot.simulator.verbs import (
    Dial,
    Document,
    Gather,
    Hangup,
    Next,
    Pause,
    Pay,
    Play,
    Redirect,
    Reject,
    Say,
    StartRecording,
    Verb,
)  # fmt: skip
from bot.simulator.world import World

_APOLOGY = "An application error has occurred"
_DOCUMENTS_MAX = 1000


def start(world: World, call: Call) -> None:
    """Let a placed call run its TwiML in the background, if it has any."""
    if call.flow:
        threading.Thread(target=_run, args=[Line(world, call, call.flow)], name=f"flow-{call.sid}", daemon=True).start()


def _run(line: Line) -> None:
    try:
        _play_all(line, Next(line.state.url))
    except FlowBroken:
        _apologise(line)
    except Gone:
        pass
    finally:
        with line.world.lock:
            line.state.at = None
            line.state.over = True


def _play_all(line: Line, wanted: Next) -> None:
    """Document after document; when one ends without naming another, the call is hung up."""
    for _ in range(_DOCUMENTS_MAX):
        line.turn_to(wanted.url)
        document = line.fetch(wanted)
        following = _play(line, document)
        if following is None:
            line.hang_up()
            return
        wanted = following
    message = f"{_DOCUMENTS_MAX} documents are more than a call can need"
    with line.world.lock:
        line.world.complain(line.call, 11200, message, wanted.url)
    raise FlowBroken(11200, message)


def _play(line: Line, document: Document) -> Next | None:
    for verb in document.verbs:
        if not _rings_on(verb):
            line.pick_up()
        following = _DO[type(verb)](line, verb)
        line.turn_to()
        if following:
            return following
    line.pick_up()
    return None


def _rings_on(verb: Verb) -> bool:
    """Whether the call is not answered by this verb, if it has not been by an earlier one."""
    return isinstance(verb, Reject | Pause) or (isinstance(verb, Dial) and verb.answer_on_bridge)


def _apologise(line: Line) -> None:
    """What a caller hears when a document cannot be run."""
    try:
        line.pick_up()
        line.say((Say(_APOLOGY, 1),))
        line.hang_up()
    except Gone:
        return


def _speak(line: Line, verb: Say | Play | Pause) -> None:
    line.say((verb,))


def _record(line: Line, verb: StartRecording) -> None:
    with line.world.lock:
        line.check()
        recordings.begin_of_call(line.world, line.call.sid, verb.plan)


def _redirect(_line: Line, verb: Redirect) -> Next:
    return Next(verb.url, verb.method)


def _hang_up(line: Line, _verb: Hangup) -> None:
    line.hang_up()
    raise Gone


def _reject(line: Line, verb: Reject) -> None:
    line.hang_up(verb.status)
    raise Gone


_DO: dict[type, Callable[[Line, Any], Next | None]] = {
    Say: _speak,
    Play: _speak,
    Pause: _speak,
    Gather: gather.run,
    Dial: dial.run,
    StartRecording: _record,
    Pay: pay.run,
    Redirect: _redirect,
    Hangup: _hang_up,
    Reject: _reject,
}

"""Calls that run TwiML which a test serves, faster than in life."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from bot.simulator.client import Json, SimulatorClient
from tests.simulator.receiver import Receiver, Served

TEMPO = 50
VOICE = "/twilio/voice"
Script = Sequence[dict[str, Any]]


def response(*verbs: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{"".join(verbs)}</Response>'


def begin(
    sim: SimulatorClient, receiver: Receiver, *verbs: str | Served, script: Script = (), tempo: float = TEMPO
) -> str:
    """Place a call that runs these verbs, or what is served as given; its SID."""
    sim.set(tempo=tempo)
    first = verbs[0] if len(verbs) == 1 and isinstance(verbs[0], Served) else response(*map(str, verbs))
    receiver.serve(VOICE, first)
    return sim.place_call(voice=True, script=list(script)).call


def play(
    sim: SimulatorClient, receiver: Receiver, *verbs: str | Served, script: Script = (), tempo: float = TEMPO
) -> Json:
    """Let a call run to its end; the call as it was then."""
    return sim.wait_for(begin(sim, receiver, *verbs, script=script, tempo=tempo), "over")


def seen(sim: SimulatorClient, call: str, wanted: Callable[[Json], bool], within_seconds: float = 5.0) -> Json:
    """Look at a call until it is as wanted; the call as it was then."""
    until = time.monotonic() + within_seconds
    while not wanted(found := sim.call(call)):
        assert time.monotonic() < until, found
        time.sleep(0.01)
    return found

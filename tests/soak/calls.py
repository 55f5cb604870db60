"""The calls that are up, shared by all clients."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from bot.simulator.client import SimulatorClient, SimulatorRefused

RECORDINGS_MAX = 4
"""At most so many are begun for one call."""
SHAPES = (
    {"recordings": 1},
    {"recordings": 1, "agent": "client:alice"},
    {"recordings": 2},
    {"recordings": 0, "conference_recordings": 1},
    {"recordings": 1, "conference_recordings": 1},
)


@dataclass(slots=True)
class UpCall:
    """A call with the recordings that it began with: every pause must see those."""

    sid: str
    conference: str | None
    first: frozenset[str]
    begun: int


class Calls:
    """At most `most` calls are up; `placed` counts all there ever were. Safe for threads."""

    def __init__(self, twilio: SimulatorClient, most: int) -> None:
        self.placed = 0
        self._twilio = twilio
        self._most = most
        self._up: dict[str, UpCall] = {}
        self._lock = threading.Lock()

    def up(self) -> list[UpCall]:
        with self._lock:
            return list(self._up.values())

    def pick(self, chance: Random) -> UpCall:
        """One of them; while there are few, a new one."""
        with self._lock:
            up = list(self._up.values())
        return chance.choice(up) if len(up) >= self._most else self._place(chance)

    def hang_up(self, call: UpCall) -> None:
        self.forget(call)
        with suppress(SimulatorRefused):
            self._twilio.hang_up(call.sid)

    def forget(self, call: UpCall) -> None:
        with self._lock:
            self._up.pop(call.sid, None)

    def record(self, call: UpCall) -> None:
        """One more recording of the call begins, whatever it is wanted to be."""
        with self._lock:
            if call.begun >= RECORDINGS_MAX:
                return
            call.begun += 1
        with suppress(SimulatorRefused):
            self._twilio.start_recording(call.sid)

    def _place(self, chance: Random) -> UpCall:
        shape = dict(chance.choice(SHAPES))
        with self._lock:
            self.placed += 1
            name = f"room-{self.placed}"
        if "conference_recordings" in shape:
            shape["conference"] = name
        made = self._twilio.place_call(**shape)
        first = frozenset((*made.recordings, *made.conference_recordings))
        call = UpCall(made.call, made.conference, first, len(first))
        with self._lock:
            self._up[call.sid] = call
        return call

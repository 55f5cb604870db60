"""What can go wrong on request, and for which requests.

kind          what the client meets
delay         the normal answer, ``seconds`` later (real ones)
429           20429, not processed
500, 503      an HTML error page, not processed
16114         the recording is busy, not processed
21220, 404    nothing to be paused there; unknown: not processed
401           20003, not processed
reset         the connection is reset, not processed
lost          processed, then the connection is reset without a reply
late          processed, and answered, ``seconds`` later, even when the client has long given up
wrong-status  a 200 for a command, with another status than the one asked for; not processed
html-200      a 200 with an HTML page, not processed
drip          processed; ``part`` (headers or body) of the reply comes byte by byte, ``seconds`` apart
unannounced   not of requests: recordings that begin while it is on never send a callback
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from bot.simulator.errors import ControlError

KINDS = (
    "delay", "429", "500", "503", "16114", "21220", "404", "401", "reset", "lost", "late", "wrong-status", "html-200",
    "drip", "unannounced",
)  # fmt: skip
COMMANDS = ("pause", "resume", "stop")
REQUESTS = (
    *COMMANDS, "update", "start", "list", "fetch-recording", "fetch-audio", "fetch-call", "list-calls", "end-call",
    "fetch-conference", "list-conferences", "participants", "payment", "payment-update", "other",
)  # fmt: skip
TARGETS = ("any", "command", *REQUESTS)

_MAX_SECONDS = 600.0
_MAX_TIMES = 1_000_000
_DEFAULT_SECONDS = {"delay": 1.0, "late": 5.0, "drip": 0.5}


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong. ``call`` is a parent call's, a leg's or a conference's SID; None means every one."""

    id: int
    kind: str
    on: str
    call: str | None
    times: int | None
    """How often it still acts; None until removed. One that has run out stays listed, with 0."""
    seconds: float
    part: str
    hits: int = 0

    def matches(self, request: str, names: Collection[str]) -> bool:
        if self.times == 0 or (self.call is not None and self.call not in names):
            return False
        if self.kind == "wrong-status" and request not in COMMANDS:
            return False
        return self.on in ("any", request) or (self.on == "command" and request in COMMANDS)

    def hit(self) -> None:
        self.hits += 1
        if self.times is not None:
            self.times -= 1


class Faults:
    """The faults that are switched on, oldest first. Used under the world's lock."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._all: dict[int, Fault] = {}

    def add(self, wanted: dict[str, Any]) -> Fault:
        """Switch one on; ControlError 400 says what is not understood."""
        unknown = set(wanted) - {"kind", "on", "call", "times", "seconds", "part"}
        if unknown:
            raise ControlError(400, f"unknown field {', '.join(sorted(unknown))} of a fault")
        kind = _one_of(wanted, "kind", KINDS, None)
        fault = Fault(
            id=next(self._ids),
            kind=kind,
            on=_one_of(wanted, "on", TARGETS, "any"),
            call=_sid(wanted.get("call")),
            times=_times(wanted.get("times")),
            seconds=_seconds(wanted.get("seconds"), _DEFAULT_SECONDS.get(kind, 0.0)),
            part=_one_of(wanted, "part", ("headers", "body"), "body"),
        )
        self._all[fault.id] = fault
        return fault

    def remove(self, fault_id: int) -> None:
        if self._all.pop(fault_id, None) is None:
            raise ControlError(404, f"no fault {fault_id}")

    def clear(self) -> None:
        self._all.clear()

    def listing(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._all.values()]

    def strike(self, request: str, names: Collection[str]) -> tuple[float, Fault | None]:
        """What happens to this request: how long it is delayed, and the other fault it meets. Uses both up by one."""
        delay = self._first(request, names, only_delay=True)
        other = self._first(request, names, only_delay=False)
        for fault in (delay, other):
            if fault is not None:
                fault.hit()
        return (delay.seconds if delay else 0.0), other

    def hides(self, names: Collection[str]) -> bool:
        """Whether a recording that begins now goes unannounced. Uses that fault up by one."""
        for fault in self._all.values():
            if fault.kind == "unannounced" and fault.times != 0 and (fault.call is None or fault.call in names):
                fault.hit()
                return True
        return False

    def _first(self, request: str, names: Collection[str], *, only_delay: bool) -> Fault | None:
        for fault in self._all.values():
            if fault.kind != "unannounced" and (fault.kind == "delay") == only_delay and fault.matches(request, names):
                return fault
        return None


def _one_of(wanted: dict[str, Any], name: str, allowed: tuple[str, ...], default: str | None) -> str:
    value = wanted.get(name, default)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or value not in allowed:
        raise ControlError(400, f"{name} must be one of {', '.join(allowed)}")
    return value


def _sid(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value[:2] in ("CA", "CF") and len(value) == 34):
        return value
    raise ControlError(400, "call must be the SID of a call, leg or conference, or null")


def _times(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_TIMES):
        return value
    raise ControlError(400, f"times must be a whole number from 1 to {_MAX_TIMES}, or null")


def _seconds(value: Any, default: float) -> float:
    if value is None:
        return default
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not 0 <= value <= _MAX_SECONDS:
        raise ControlError(400, f"seconds must be a number from 0 to {_MAX_SECONDS:g}")
    return float(value)

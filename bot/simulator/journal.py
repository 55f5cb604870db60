"""What REST requests came, what became of them, and whether two commands for one call were ever in flight together.

Times here are real ones. A command is in flight from when it was received until just before the last byte of its answer
is sent, or until its client is seen to have gone away: after that the client may rightly send another one.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.simulator.faults import COMMANDS

_KEPT = 20_000


@dataclass(slots=True)
class Entry:
    """One REST request. ``names``: every call and conference SID it concerns; ``key``: what commands are counted by."""

    id: int
    kind: str
    method: str
    path: str
    call: str | None
    target: str | None
    status: str | None
    pause_behavior: str | None
    key: frozenset[str]
    gone: Callable[[], bool]
    """Whether the client has closed its end."""
    fault: str | None = None
    received_at: float = field(default_factory=time.time)
    applied_at: float | None = None
    answered_at: float | None = None
    outcome: str = "open"
    reply: dict[str, Any] | None = None

    def seen(self) -> dict[str, Any]:
        names = (
            "id", "kind", "method", "path", "call", "target", "status", "pause_behavior", "fault", "received_at",
            "applied_at", "answered_at", "outcome", "reply",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


class Journal:
    """The log and its counters. It has a lock of its own, always the inner one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._in_flight: dict[int, Entry] = {}
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._in_flight.clear()
            self._counters = {"requests": 0, "commands": 0, "overlaps": 0, "max_in_flight": 0}

    def begin(self, **known: Any) -> Entry:
        """Note a request at its arrival; a command is in flight from here on."""
        with self._lock:
            entry = Entry(id=next(self._ids), **known)
            self._entries.append(entry)
            self._counters["requests"] += 1
            if entry.kind in COMMANDS:
                self._counters["commands"] += 1
                self._take_off(entry)
        return entry

    def _take_off(self, entry: Entry) -> None:
        others = [other for other in self._in_flight.values() if other.key & entry.key]
        for other in others:
            if other.gone():
                self._land(other, "gave-up")
        if any(other.id in self._in_flight for other in others):
            self._counters["overlaps"] += 1
        self._in_flight[entry.id] = entry
        self._counters["max_in_flight"] = max(self._counters["max_in_flight"], len(self._in_flight))

    def end(self, entry: Entry, outcome: str) -> None:
        """The request is answered, cut or given up. The first of these counts."""
        with self._lock:
            self._land(entry, outcome)

    def _land(self, entry: Entry, outcome: str) -> None:
        self._in_flight.pop(entry.id, None)
        if entry.outcome == "open":
            entry.outcome = outcome
            if outcome == "answered":
                entry.answered_at = time.time()

    def counters(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counters)

    def listing(
        self, *, after: int = 0, limit: int = 1000, names: frozenset[str] | None = None, kind: str | None = None
    ) -> list[dict[str, Any]]:
        """Entries oldest first; ``names``: only those that concern one of these SIDs. The newest ``limit`` of them."""
        with self._lock:
            found = [
                entry.seen()
                for entry in self._entries
                if entry.id > after
                and (kind is None or entry.kind == kind)
                and (names is None or entry.call in names or entry.key & names)
            ]
        return found[-limit:]

"""What the bot acknowledged to somebody, and whether the log has it all."""

from __future__ import annotations

import http.client
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from tests.e2e.api import Answer

Json = dict[str, Any]


class Ledger:
    """Filled by the clients from the answers they got; safe for threads.

    Each answered pause that shows the holder's hold stands for one entry that opened or extended it, each answered
    resume for one that released it, and each recording that a 200 calls paused for a confirmed pause.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: Counter[tuple[str, str]] = Counter()
        self._released: set[tuple[str, str]] = set()
        self._confirmed: set[tuple[str, str]] = set()

    def paused(self, sid: str, holder: str, answer: Answer) -> str | None:
        """Remember the answer to a pause, good or bad; the id of the holder's hold, if it shows one."""
        state = state_of(answer)
        hold = hold_of(state, holder)
        with self._lock:
            if hold is not None:
                self._shown[sid, hold] += 1
            if answer.status == 200:
                self._confirmed.update((sid, recording) for recording in called_paused(state))
        return hold

    def resumed(self, sid: str, hold: str, answer: Answer) -> None:
        """Remember the answer to a resume that was to release this hold."""
        if answer.status == 200:
            with self._lock:
                self._released.add((sid, hold))

    @property
    def acknowledged(self) -> int:
        """How many entries were acknowledged."""
        return self._shown.total() + len(self._released) + len(self._confirmed)

    def lost(self, entries: Iterable[Json]) -> list[str]:
        """What was acknowledged and is not in the log; `entries` is all of it."""
        found = _by_type(entries)
        shown = found["hold.opened"] + found["hold.extended"]
        lost = [
            f"{call}: hold {hold} was shown by {count} answers, and has {shown[call, hold]} entries"
            for (call, hold), count in self._shown.items()
            if shown[call, hold] < count or found["hold.opened"][call, hold] != 1
        ]
        lost += [
            f"{call}: hold {hold} was released, and has no entry of it"
            for call, hold in self._released
            if found["hold.released"][call, hold] != 1
        ]
        lost += [
            f"{call}: {recording} was called paused, and has no entry of it"
            for call, recording in self._confirmed
            if not found["command.confirmed"][call, recording]
        ]
        return lost


def answer_to(send: Callable[[], Answer]) -> Answer | None:
    """None if the connection broke, or nobody is there."""
    try:
        return send()
    except (OSError, http.client.HTTPException):
        return None


def state_of(answer: Answer) -> Json:
    """The call's state that an answer shows, in a problem too; empty if none."""
    state: Json = answer.body if answer.status == 200 else answer.body.get("call") or {}
    return state


def hold_of(state: Json, holder: str) -> str | None:
    return next((str(hold["id"]) for hold in state.get("holds", ()) if hold["holder"] == holder), None)


def called_paused(state: Json) -> frozenset[str]:
    return frozenset(str(one["sid"]) for one in state.get("recordings", ()) if one["state"] == "paused")


def _by_type(entries: Iterable[Json]) -> defaultdict[str, Counter[tuple[str, str]]]:
    """How many entries of a type a call has for each of its holds; of confirmed pauses, for each recording."""
    found: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for entry in entries:
        detail = entry.get("detail") or {}
        if "hold" in detail:
            found[entry["type"]][entry["call"], detail["hold"]] += 1
        elif entry["type"] == "command.confirmed" and detail["wish"] == "paused":
            found[entry["type"]][entry["call"], entry["recording"]] += 1
    return found

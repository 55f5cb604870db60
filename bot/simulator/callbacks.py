"""Sending callbacks in the background: signed, in order for each call, repeated when nobody answers.

Events of one call wait in one lane, and the next is sent only when the one before it is settled. Lanes do not wait for
each other. What could not be delivered is kept, with the reason, and the lane goes on.
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import threading
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from bot.simulator.settings import Settings
from bot.simulator.signature import headers

_SENDERS = 16
_ATTEMPTS = 3
_TIMEOUT_SECONDS = 15.0
_BACK_OFF_SECONDS = (0.3, 1.0)
_KEPT = 5000


@dataclass(slots=True)
class Callback:
    """One event on its way to one URL. ``state``: waiting, held, delivered, failed or dropped."""

    id: int
    lane: str
    url: str
    params: dict[str, str]
    token: str
    retry_5xx: bool
    due: float
    state: str = "waiting"
    attempts: int = 0
    http: int | None = None
    error: str | None = None
    created_at: float = field(default_factory=time.time)
    settled_at: float | None = None

    def seen(self) -> dict[str, Any]:
        names = ("id", "url", "params", "token", "state", "attempts", "http", "error", "created_at", "settled_at")
        return {name: getattr(self, name) for name in names}


class CallbackSender:
    """Takes events from the world and delivers them with a few threads. Its lock is always the inner one."""

    def __init__(self, auth_token: str) -> None:
        self._auth_token = auth_token
        self._changed = threading.Condition()
        self._ids = itertools.count(1)
        self._ready: list[tuple[float, int, str]] = []
        self._lanes: dict[str, deque[Callback]] = {}
        self._held: list[Callback] = []
        self._kept: deque[Callback] = deque(maxlen=_KEPT)

    def start(self) -> None:
        for number in range(_SENDERS):
            threading.Thread(target=self._work, name=f"callbacks-{number}", daemon=True).start()

    def enqueue(self, lane: str, url: str, params: dict[str, str], settings: Settings, delay: float = 0.0) -> None:
        """Take one event, as the settings are now: to send, to hold or to drop. ``delay`` is in real seconds."""
        token = str(uuid.uuid4())
        due = time.monotonic() + delay + settings.callback_delay_seconds
        with self._changed:
            for _ in range(settings.callback_copies):
                callback = Callback(next(self._ids), lane, url, params, token, settings.callback_retry_5xx, due)
                self._kept.append(callback)
                if settings.callbacks == "hold":
                    callback.state = "held"
                    self._held.append(callback)
                elif settings.callbacks == "drop":
                    callback.state = "dropped"
                else:
                    self._line_up(callback)

    def release(self, *, backward: bool) -> int:
        """Send what was held, oldest first or newest first; how many that is."""
        with self._changed:
            released, self._held = self._held, []
            for callback in reversed(released) if backward else released:
                callback.state = "waiting"
                self._line_up(callback)
            return len(released)

    def listing(self) -> list[dict[str, Any]]:
        with self._changed:
            return [callback.seen() for callback in self._kept]

    def counts(self) -> dict[str, int]:
        with self._changed:
            found = Counter(callback.state for callback in self._kept)
        return {state: found[state] for state in ("waiting", "held", "delivered", "failed", "dropped")}

    def clear(self) -> None:
        """Forget everything; what is on the wire this moment still arrives."""
        with self._changed:
            self._ready.clear()
            self._lanes.clear()
            self._held.clear()
            self._kept.clear()

    def _line_up(self, callback: Callback) -> None:
        lane = self._lanes.get(callback.lane)
        if lane is None:
            self._lanes[callback.lane] = deque([callback])
            heapq.heappush(self._ready, (callback.due, callback.id, callback.lane))
            self._changed.notify()
        else:
            lane.append(callback)

    def _work(self) -> None:
        while True:
            lane, callback = self._next()
            problem = self._deliver(callback)
            with self._changed:
                self._settle(lane, callback, problem)

    def _next(self) -> tuple[deque[Callback], Callback]:
        with self._changed:
            while True:
                wait = self._ready[0][0] - time.monotonic() if self._ready else None
                if wait is not None and wait <= 0:
                    lane = self._lanes[heapq.heappop(self._ready)[2]]
                    return lane, lane[0]
                self._changed.wait(wait)

    def _settle(self, lane: deque[Callback], callback: Callback, problem: str | None) -> None:
        callback.error = problem
        again = problem is not None and _worth_repeating(callback)
        if again:
            callback.due = time.monotonic() + _BACK_OFF_SECONDS[callback.attempts - 1]
        else:
            callback.state = "failed" if problem else "delivered"
            callback.settled_at = time.time()
        if self._lanes.get(callback.lane) is not lane:
            return
        if not again:
            lane.popleft()
        if lane:
            heapq.heappush(self._ready, (lane[0].due, lane[0].id, callback.lane))
            self._changed.notify()
        else:
            del self._lanes[callback.lane]

    def _deliver(self, callback: Callback) -> str | None:
        """One attempt; None if it was accepted, else why not."""
        callback.attempts += 1
        with_it = headers(self._auth_token, callback.url, callback.params, callback.token)
        try:
            callback.http = _post(callback.url, urlencode(callback.params), with_it)
        except (OSError, http.client.HTTPException) as error:
            callback.http = None
            return f"{type(error).__name__}: {error}"
        return None if 200 <= callback.http < 300 else f"answered with {callback.http}"


def _worth_repeating(callback: Callback) -> bool:
    lost = callback.http is None or (callback.retry_5xx and callback.http >= 500)
    return lost and callback.attempts < _ATTEMPTS


def _post(url: str, body: str, with_it: dict[str, str]) -> int:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, with_it)
        response = connection.getresponse()
        response.read(65536)
        return response.status
    finally:
        connection.close()

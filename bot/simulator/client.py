"""A small client of the control API, for tests and the demo. Standard library only."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

_TIMEOUT_SECONDS = 10.0
_LOOK_SECONDS = 0.02
Json = dict[str, Any]


class SimulatorRefused(Exception):
    """The control API said no: ``.http`` is the status, the text is its reason."""

    def __init__(self, http_status: int, reason: str) -> None:
        super().__init__(f"{http_status}: {reason}")
        self.http = http_status


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """The SIDs of a call that was placed."""

    call: str
    agent_leg: str | None
    conference: str | None
    recordings: tuple[str, ...]
    conference_recordings: tuple[str, ...]


class SimulatorClient:
    """Talks to the simulator at ``base_url``. Threads may share it: each request has its own connection.

    Every method raises SimulatorRefused if the simulator says no, and OSError if it is not there.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80

    def place_call(self, **wanted: Any) -> PlacedCall:
        """Place a call; ``wanted`` are the fields of ``POST /sim/calls``."""
        made = self._send("POST", "/sim/calls", wanted)
        return PlacedCall(
            made["call"],
            made["agent_leg"],
            made["conference"],
            tuple(made["recordings"]),
            tuple(made["conference_recordings"]),
        )

    def add_leg(self, call: str, to: str, *, answered: bool = True, linked: bool = True) -> str:
        """Dial a further leg; its SID."""
        wanted = {"to": to, "answered": answered, "linked": linked}
        return str(self._send("POST", f"/sim/calls/{call}/legs", wanted)["leg"])

    def answer(self, call: str) -> None:
        self._send("POST", f"/sim/calls/{call}/answer")

    def hang_up(self, call: str, unanswered: str = "") -> None:
        """A parent's SID ends the whole call, a leg's that leg alone; ``unanswered``: what it ends as if it rings."""
        self._send("POST", f"/sim/calls/{call}/hangup", {"unanswered": unanswered})

    def press(self, call: str, keys: str) -> int:
        """Press keys (0-9, * and #) on a leg, 0.1 s each; how many were pressed before it hung up, if it did."""
        return int(self._send("POST", f"/sim/calls/{call}/keys", {"keys": keys})["pressed"])

    def steps(self, call: str) -> list[Json]:
        """Every request for the call's TwiML with its reply, oldest first."""
        return list(self._send("GET", f"/sim/calls/{call}/steps")["steps"])

    def results(self) -> list[Json]:
        """What the system that wants payments' results was sent."""
        return list(self._send("GET", "/sim/results")["results"])

    def debugger(self) -> list[Json]:
        return list(self._send("GET", "/sim/debugger")["debugger"])

    def wait_for(self, call: str, moment: str, within_seconds: float = 10.0) -> Json:
        """Wait until a call's TwiML is at a moment (``gather``, ``dial``, ``pay:...``, ``say``), or is ``over``.

        The call as it was then. TimeoutError if that takes too long, or can not come any more.
        """
        until = time.monotonic() + within_seconds
        while True:
            found = self.call(call)
            flow = found["flow"] or {"at": None, "over": True}
            if moment == flow["at"] or (moment == "over" and flow["over"]):
                return found
            if flow["over"] or time.monotonic() > until:
                raise TimeoutError(f"the call is not at {moment}: {flow}")
            time.sleep(_LOOK_SECONDS)

    def start_recording(self, owner: str, **wanted: Any) -> str:
        """Start recording a call or a conference; the recording's SID."""
        noun = "conferences" if owner.startswith("CF") else "calls"
        return str(self._send("POST", f"/sim/{noun}/{owner}/recordings", wanted)["recording"])

    def set_recording(self, recording: str, state: str, **more: Any) -> Json:
        """Change a recording behind the bot's back: in-progress, paused, completed or absent."""
        return self._send("POST", f"/sim/recordings/{recording}/state", {"state": state} | more)

    def audio(self, recording: str) -> bytes:
        """A recording's sound so far, as a WAV file."""
        return self._ask("GET", f"/sim/recordings/{recording}/audio")

    def load_flow(self, flow: str, definition: Json) -> str:
        """Load a Studio flow under this SID; the address that a call's ``voice_url`` has to be to run it."""
        return str(self._send("PUT", f"/sim/studio/flows/{flow}", {"definition": definition})["url"])

    def open_conference(self, name: str, call: str | None = None) -> str:
        return str(self._send("POST", "/sim/conferences", {"name": name, "call": call})["conference"])

    def join(self, conference: str, call: str) -> None:
        self._send("POST", f"/sim/conferences/{conference}/participants", {"call": call})

    def leave(self, conference: str, call: str) -> None:
        self._send("DELETE", f"/sim/conferences/{conference}/participants/{call}")

    def add_fault(self, kind: str, **wanted: Any) -> int:
        """Switch a fault on (``on``, ``call``, ``times``, ``seconds``, ``part``); its id."""
        return int(self._send("POST", "/sim/faults", {"kind": kind} | wanted)["id"])

    def faults(self) -> list[Json]:
        return list(self._send("GET", "/sim/faults")["faults"])

    def remove_fault(self, fault_id: int) -> None:
        self._send("DELETE", f"/sim/faults/{fault_id}")

    def clear_faults(self) -> None:
        self._send("DELETE", "/sim/faults")

    def clock(self) -> Json:
        return self._send("GET", "/sim/clock")

    def freeze(self) -> None:
        self._send("POST", "/sim/clock/freeze")

    def thaw(self) -> None:
        self._send("POST", "/sim/clock/thaw")

    def advance(self, seconds: float) -> None:
        self._send("POST", "/sim/clock/advance", {"seconds": seconds})

    def settings(self) -> Json:
        return self._send("GET", "/sim/settings")

    def set(self, **wanted: Any) -> Json:
        """Change settings; all of them as they are now."""
        return self._send("PATCH", "/sim/settings", wanted)

    def state(self) -> Json:
        return self._send("GET", "/sim/state")

    def call(self, sid: str) -> Json:
        return self._send("GET", f"/sim/calls/{sid}")

    def requests(self, **query: Any) -> list[Json]:
        """The log of REST requests, oldest first (``call``, ``kind``, ``after``, ``limit``)."""
        return list(self._send("GET", f"/sim/requests?{urlencode(query)}")["requests"])

    def counters(self) -> dict[str, int]:
        return dict(self._send("GET", "/sim/requests?limit=1")["counters"])

    def clear_requests(self) -> None:
        self._send("DELETE", "/sim/requests")

    def callbacks(self, **query: Any) -> list[Json]:
        """The callbacks, oldest first (``state``, ``call``)."""
        return list(self._send("GET", f"/sim/callbacks?{urlencode(query)}")["callbacks"])

    def release_callbacks(self, order: str = "forward") -> int:
        return int(self._send("POST", "/sim/callbacks/release", {"order": order})["released"])

    def settle(self, within_seconds: float = 10.0) -> dict[str, int]:
        """Wait until no callback waits to be sent; how many are in which state. TimeoutError if it takes too long."""
        until = time.monotonic() + within_seconds
        while True:
            counts: dict[str, int] = self._send("GET", "/sim/state")["callbacks"]
            if not counts["waiting"]:
                return counts
            if time.monotonic() > until:
                raise TimeoutError(f"callbacks still wait: {counts}")
            time.sleep(_LOOK_SECONDS)

    def reset(self) -> None:
        self._send("POST", "/sim/reset")

    def _send(self, method: str, path: str, body: Json | None = None) -> Json:
        answer: Json = json.loads(self._ask(method, path, body))
        return answer

    def _ask(self, method: str, path: str, body: Json | None = None) -> bytes:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            answer = reply.read()
        finally:
            connection.close()
        if reply.status >= 400:
            raise SimulatorRefused(reply.status, str(json.loads(answer).get("error")))
        return answer

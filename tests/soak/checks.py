"""What is looked at when the kills have stopped and the faults are off."""

from __future__ import annotations

import http.client
import time
from typing import Any

from bot.simulator.client import SimulatorClient
from tests.e2e.api import Api
from tests.soak.calls import Calls, UpCall
from tests.soak.ledger import called_paused
from tests.soak.truth import never_announced, truth_of

LOOK_SECONDS = 0.1
REAL = {"paused": "paused", "recording": "in-progress"}
Json = dict[str, Any]


class Settling:
    """Waits until every call that is up is as it is wanted, and Twilio agrees."""

    def __init__(self, api: Api, twilio: SimulatorClient, calls: Calls) -> None:
        self._api = api
        self._twilio = twilio
        self._calls = calls
        self._never_announced: frozenset[str] = frozenset()

    def wait(self, since: float, limit_seconds: float) -> tuple[float, list[str]]:
        """Seconds since that monotonic time until all were seen settled, and what was not by the limit.

        A call that took longer is waited for no further.
        """
        self._never_announced |= never_announced(self._twilio)
        waiting = self._calls.up()
        while True:
            why = {call.sid: self._why_not(call) for call in waiting}
            now = time.monotonic()
            waiting = [call for call in waiting if why[call.sid]]
            if not waiting or now - since > limit_seconds:
                return now - since, [f"{call.sid}: {why[call.sid]}" for call in waiting]
            time.sleep(LOOK_SECONDS)

    def _why_not(self, call: UpCall) -> str:
        """Empty when it is settled, or over."""
        truth = truth_of(self._twilio, call.sid)
        if not truth.is_live:
            return ""
        try:
            answer = self._api.call(call.sid)
        except (OSError, http.client.HTTPException) as error:
            return f"nobody answers: {error!r}"
        if answer.status == 503:
            return "the database is busy"
        state: Json = answer.body if answer.status == 200 else {"desired": "recording", "observed": "recording"}
        unheard = self._never_announced - {one["sid"] for one in state.get("recordings", ())}
        states = {sid: is_now for sid, is_now in truth.states.items() if sid not in unheard}
        if state["observed"] == state["desired"] and set(states.values()) <= {REAL[state["desired"]]}:
            return ""
        return f"wanted {state['desired']}, observed {state['observed']}, really {states}, known {called_paused(state)}"


def all_entries(auditor: Api) -> list[Json]:
    """The whole log, oldest entry first."""
    found: list[Json] = []
    after = ""
    while True:
        page = auditor.send("GET", f"/entries?limit=500&after={after}").body
        found += page["entries"]
        if page["next"] is None:
            return found
        after = str(page["next"])

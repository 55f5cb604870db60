"""What Twilio really does with a call, as only its stand-in can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.simulator.client import SimulatorClient

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Truth:
    """One moment of a call. `states` are those of its live recordings, its conferences' included, by SID."""

    is_live: bool
    states: dict[str, str]

    def running(self, sids: frozenset[str]) -> frozenset[str]:
        """Those of the named recordings that hear the customer now."""
        return frozenset(sid for sid in sids if self.states.get(sid) == "in-progress")


def truth_of(twilio: SimulatorClient, sid: str) -> Truth:
    call = twilio.call(sid)
    conferences: list[Json] = call["conferences"]
    recordings: list[Json] = [*call["recordings"], *(one for where in conferences for one in where["recordings"])]
    states = {one["sid"]: str(one["state"]) for one in recordings if one["state"] in ("in-progress", "paused")}
    return Truth(call["status"] == "in-progress", states)


def never_announced(twilio: SimulatorClient) -> frozenset[str]:
    """Recordings of which the bot could not hear: it was down whenever Twilio tried to tell it that they began."""
    failed = (one["params"] for one in twilio.callbacks(state="failed"))
    return frozenset(params["RecordingSid"] for params in failed if params.get("RecordingStatus") == "in-progress")

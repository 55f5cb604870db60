"""What is looked at when the kills have stopped and the faults are off."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from bot.call import Call, desired, observed
from bot.errors import DatabaseUnavailable
from bot.simulator.client import SimulatorClient
from bot.storage import calls as stored
from bot.storage.engine import Database
from tests.e2e.api import Api
from tests.e2e.processes import until
from tests.e2e.stack import READY_SECONDS
from tests.soak.calls import Calls, UpCall
from tests.soak.ledger import answer_to
from tests.soak.truth import never_announced, truth_of

LOOK_SECONDS = 0.1
REAL = {"paused": "paused", "recording": "in-progress"}
Json = dict[str, Any]


class Settling:
    """Waits until every call that is up is as it is wanted, and Twilio agrees.

    It reads the database itself: how long a platform takes to start the web process again is not what is measured.
    """

    def __init__(self, database: Database, twilio: SimulatorClient, calls: Calls) -> None:
        self._database = database
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
            with self._database.read() as connection:
                known = stored.find(connection, call.sid) or Call(sid=call.sid, account="")
        except DatabaseUnavailable:
            return "the database is busy"
        unheard = self._never_announced - {one.sid for one in known.recordings}
        states = {sid: state for sid, state in truth.states.items() if sid not in unheard}
        wish, is_now = desired(known).value, observed(known)
        has_agreed = wish == is_now or not known.recordings
        if has_agreed and set(states.values()) <= {REAL[wish]}:
            return ""
        return f"wanted {wish}, observed {is_now}, really {states}, known {known.recordings}"


def all_entries(auditor: Api) -> list[Json]:
    """The whole log, oldest entry first. The web process may still be starting, or its orphans be going."""
    found: list[Json] = []
    after: int | str = ""
    while True:
        page = until(partial(_page, auditor, after), READY_SECONDS, "an answer to who reads the log")
        found += page["entries"]
        if page["next"] is None:
            return found
        after = page["next"]


def _page(auditor: Api, after: int | str) -> Json:
    """Empty if nobody answered, or the database is busy."""
    answer = answer_to(lambda: auditor.send("GET", f"/entries?limit=500&after={after}"))
    return answer.body if answer is not None and answer.status == 200 else {}

"""The simulated world: what exists, one lock around it, and how its events leave.

Whoever reads or changes it holds ``world.lock`` (a re-entrant one). Nothing waits while holding it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from bot.simulator.callbacks import CallbackSender
from bot.simulator.clock import Clock
from bot.simulator.errors import ControlError
from bot.simulator.events import call_event, conference_event, recording_event
from bot.simulator.faults import Faults
from bot.simulator.journal import Journal
from bot.simulator.model import Call, Conference, Recording
from bot.simulator.payment_session import Payment
from bot.simulator.settings import Settings
from bot.simulator.studio import Execution
from bot.simulator.studio_definition import Flow

_DEBUGGER_KEPT = 500
_RESULTS_KEPT = 50


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whom the simulator plays, and what it accepts as a sign-in: the auth token, and a key if there is one."""

    account: str
    auth_token: str
    key_sid: str = ""
    key_secret: str = ""


class World:
    """Everything the simulator knows."""

    def __init__(self, credentials: Credentials, settings: Settings) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        """Notified when a key is pressed, or something happens to a call or conference: what call flows wait for."""
        self.credentials = credentials
        self.settings = settings
        self.sender = CallbackSender(credentials.auth_token)
        self.journal = Journal()
        self.faults = Faults()
        self.generation = 0
        """Counts resets: what began before one must not act after it."""
        self._empty()

    def _empty(self) -> None:
        self.clock = Clock()
        self.calls: dict[str, Call] = {}
        self.children: dict[str, list[str]] = {}
        self.conferences: dict[str, Conference] = {}
        self.recordings: dict[str, Recording] = {}
        self.recordings_of: dict[str, list[str]] = {}
        """Parent call or conference SID -> its recordings, oldest first."""
        self.flows: dict[str, Flow] = {}
        self.executions: dict[tuple[str, str], Execution] = {}
        """(Flow, call) -> how far it has come."""
        self.payments: dict[str, Payment] = {}
        self.paid: dict[tuple[Any, ...], Payment] = {}
        """Requests about payments that were processed: the same ones again change nothing."""
        self.results: deque[dict[str, Any]] = deque(maxlen=_RESULTS_KEPT)
        """What the other system was sent, oldest first."""
        self.debugger: deque[dict[str, Any]] = deque(maxlen=_DEBUGGER_KEPT)
        """What Twilio's debugger would list, oldest first. Like Twilio's, it keeps the requests' parameters."""

    def reset(self) -> None:
        """Forget all but where the webhooks go."""
        self.generation += 1
        self.changed.notify_all()
        self.settings = Settings(webhook_base=self.settings.webhook_base)
        self._empty()
        self.faults.clear()
        self.journal.clear()
        self.sender.clear()

    @property
    def account(self) -> str:
        return self.credentials.account

    def call(self, sid: str) -> Call:
        """The call or leg; ControlError 404 if there is none."""
        found = self.calls.get(sid)
        if found is None:
            raise ControlError(404, f"no call {sid}")
        return found

    def conference(self, sid: str) -> Conference:
        found = self.conferences.get(sid)
        if found is None:
            raise ControlError(404, f"no conference {sid}")
        return found

    def recording(self, sid: str) -> Recording:
        found = self.recordings.get(sid)
        if found is None:
            raise ControlError(404, f"no recording {sid}")
        return found

    def legs(self, root: str) -> list[Call]:
        """The parent leg and those it dialled, oldest first."""
        return [self.calls[sid] for sid in [root, *self.children.get(root, [])]]

    def recordings_at(self, owner: str) -> list[Recording]:
        """The recordings kept at a parent call or a conference. There are none at a dialled leg."""
        return [self.recordings[sid] for sid in self.recordings_of.get(owner, [])]

    def conferences_with(self, root: str) -> list[Conference]:
        """The conferences a call is, or was, in by any of its legs, or was opened for."""
        legs = {leg.sid for leg in self.legs(root)}
        return [one for one in self.conferences.values() if one.owner in legs or legs & one.participants.keys()]

    def tell_call(self, call: Call, status: str | None = None) -> None:
        """Send a call progress event, and wake who waits. Sequence numbers count per leg, from zero, sent or not."""
        self.changed.notify_all()
        params = call_event(self.account, call, status or call.status, self.clock.now())
        call.sequence += 1
        only_end = call.parent is None and call.direction == "inbound" and self.settings.parent_events == "completed"
        if call.over or not only_end:
            self._send(call.root, "call-status", params)

    def tell_recording(self, recording: Recording) -> None:
        """Send a recording event, if the recording announces itself and asked for that one."""
        plan = recording.plan
        if not plan.announced or recording.state not in plan.events:
            return
        params = recording_event(self.account, recording, self.clock.now())
        delay = 0.0 if recording.live else self.settings.completion_seconds
        lane = recording.call or recording.conference or recording.sid
        self._send(lane, "recording-status", params, plan.callback_url, delay)

    def tell_conference(self, conference: Conference, event: str, leg: str | None) -> None:
        self.changed.notify_all()
        conference.sequence += 1
        params = conference_event(self.account, conference, event, leg, self.clock.now())
        owner = self.calls.get(conference.owner or "")
        self._send(owner.root if owner else conference.sid, "conference-status", params)

    def tell_url(self, call: Call, url: str, params: dict[str, str]) -> None:
        """Send an event to where somebody asked for it, in the order of the call's other events."""
        self._send(call.root, "", params, url)

    def complain(self, call: Call, code: int, message: str, url: str, **more: Any) -> None:
        """Make an entry in the debugger: ``http`` and ``params``, if there was a request."""
        entry = {"at": time.time(), "call": call.sid, "code": code, "message": message, "url": url}
        self.debugger.append(entry | {"http": None, "params": {}} | more)

    def _send(self, lane: str, route: str, params: dict[str, str], url: str | None = None, delay: float = 0.0) -> None:
        target = url or f"{self.settings.webhook_base}/twilio/{route}"
        self.sender.enqueue(lane, target.partition("#")[0], params, self.settings, delay)

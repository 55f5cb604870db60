"""What the control asks of a telephony provider. Every call returns a value, in time, and never raises."""

from __future__ import annotations

from typing import Protocol

from bot.call import Of, Wish
from bot.messages import CallSeen, Listing, Reply, Target


class RecordingGateway(Protocol):
    """Each call takes at most the time limit that the gateway was made with, body included."""

    @property
    def timeout_seconds(self) -> float: ...

    def command(self, account: str, target: Target, wish: Wish, deadline: float | None = None) -> Reply:
        """Ask for a recording to be paused, resumed or stopped. At `deadline` (monotonic) nothing is sent any more."""

    def start_recording(self, account: str, call: str, deadline: float | None = None) -> Reply:
        """Begin a new recording of the call, whose callbacks come to us."""

    def list_recordings(self, account: str, of: Of, owner: str) -> Listing:
        """Every recording of a call, leg or conference: all pages, or not `ok`."""

    def fetch_call(self, account: str, sid: str) -> CallSeen:
        """What the provider knows of the call."""

"""What the bot was told by callbacks, ordered by Twilio's numbers as the bot orders it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class News:
    """Recordings announced, legs reported over and when, and who was last said to be in which conference."""

    told: set[str] = field(default_factory=set)
    over: dict[str, datetime] = field(default_factory=dict)
    parted: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When a leg was last reported to have left a conference, or to be over, while another that was known was in it."""
    _reported: set[str] = field(default_factory=set)
    _present: dict[tuple[str, str], tuple[int, bool]] = field(default_factory=dict)

    def take(self, form: dict[str, str], now: datetime) -> None:
        if form.get("RecordingStatus") == "in-progress":
            self.told.add(form["RecordingSid"])
        if "CallStatus" in form:
            self._reported.add(form["CallSid"])
        if form.get("CallStatus") == "completed":
            self.over.setdefault(form["CallSid"], now)
            for conference in {where for where, leg in self._present if leg == form["CallSid"]}:
                self._part(conference, form["CallSid"], now)
        event = form.get("StatusCallbackEvent")
        if event in {"participant-join", "participant-leave"}:
            self._moved(form, now, is_in=event == "participant-join")

    def _moved(self, form: dict[str, str], now: datetime, *, is_in: bool) -> None:
        where, sequence = (form["ConferenceSid"], form["CallSid"]), int(form["SequenceNumber"])
        if sequence <= self._present.get(where, (-1, False))[0]:
            return
        if not is_in:
            self._part(*where, now)
        self._present[where] = (sequence, is_in)

    def _part(self, conference: str, leg: str, now: datetime) -> None:
        there = {other for (where, other), (_, is_in) in self._present.items() if where == conference and is_in}
        if leg in there:
            self.parted |= {(leg, other): now for other in there & self._reported - {leg}}

    def conferences_of(self, principal: str, legs: AbstractSet[str]) -> set[str]:
        """Where the call's principal is; where any of its legs is, if of that nothing was ever heard."""
        heard = {conference for conference, leg in self._present if leg == principal}
        present = {where for where, (_, is_in) in self._present.items() if is_in}
        return {
            conference
            for conference, leg in present
            if leg == principal or (conference not in heard and leg in legs)
        }  # fmt: skip

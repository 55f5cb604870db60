"""The nouns of the simulated world: calls (each leg is one), conferences, recordings.

They are changed in place, always under the world's lock. Times are seconds since 1970 of the world's clock.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

API_VERSION = "2010-04-01"

RECORDED, SKIPPED, SILENT = "recorded", "skipped", "silent"
TERMINAL = ("completed", "no-answer", "canceled", "busy", "failed")
_STEPS_KEPT = 200


def new_sid(prefix: str) -> str:
    """A SID of Twilio's form: two letters and 32 hexadecimal digits."""
    return prefix + secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """How a recording is to be made, whenever it begins."""

    announced: bool = True
    channels: int = 2
    track: str = "both"
    source: str = "DialVerb"
    callback_url: str | None = None
    """Where its events go; None: to the webhook base, as the calls placed here are set up."""
    events: tuple[str, ...] = ("in-progress", "completed", "absent")


@dataclass(frozen=True, slots=True)
class KeyPress:
    """One key of the telephone's keypad (0-9, * or #), and when its tone began: seconds of the world's clock."""

    key: str
    at: float


class Listener(Protocol):
    """Whatever waits for keys on a leg: the last one in ``Call.listeners`` gets them."""

    def key(self, key: str) -> None:
        """One key was pressed. Called under the world's lock; must not wait."""


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """What happens once in a scripted call, when a moment comes: keys are pressed, it is hung up, a leg is answered."""

    when: str
    keys: str = ""
    hang_up: bool = False
    answer: bool = False


@dataclass(slots=True)
class FlowState:
    """How far a call has come in its TwiML. ``at``: what it waits for now, or ``say``."""

    url: str
    """The document that runs, or is being fetched."""
    script: list[ScriptStep]
    """What is still to come."""
    at: str | None = None
    over: bool = False
    """Nothing more is said, waited for or requested."""
    steps: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_STEPS_KEPT))
    """Every request for TwiML and its reply, oldest first."""


@dataclass(slots=True)
class Call:
    """One leg. The parent leg is what Twilio names the call by; the legs it dialled have it as their parent."""

    sid: str
    parent: str | None
    direction: str
    from_: str
    to: str
    status: str
    created_at: float
    updated_at: float
    answered_at: float | None = None
    ended_at: float | None = None
    sequence: int = 0
    waiting: list[tuple[str, RecordingPlan]] = field(default_factory=list)
    """Recordings, and the parent call each is of, that begin when this leg is answered."""
    joins: str | None = None
    """The conference this leg joins when it is answered."""
    keys: list[KeyPress] = field(default_factory=list)
    """Every key that was pressed on this leg, in order. Their tones are in the recordings that ran meanwhile."""
    heard: list[tuple[float, str]] = field(default_factory=list)
    """What the person on this leg was told, and when: prompts, in words."""
    listeners: list[Listener] = field(default_factory=list)
    """Who waits for keys; only the last one gets them. Without any, a key is only a tone."""
    pressing: int = 0
    """How many sequences of keys are under way or queued here. Whoever waits for keys goes on waiting meanwhile."""
    flow: FlowState | None = None
    """The TwiML that this leg runs, if it does."""
    finger: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever presses keys here, so that two sequences never mix. Taken before the world's lock."""

    @property
    def root(self) -> str:
        return self.parent or self.sid

    @property
    def over(self) -> bool:
        return self.status in TERMINAL


@dataclass(slots=True)
class Conference:
    """A conference. When one of its enders hangs up, it ends for everybody."""

    sid: str
    name: str
    owner: str | None
    """The call it was opened for."""
    created_at: float
    updated_at: float
    status: str = "init"
    enders: set[str] = field(default_factory=set)
    """Legs that have endConferenceOnExit."""
    patient: set[str] = field(default_factory=set)
    """Legs without startConferenceOnEnter: they alone do not start it."""
    plan: RecordingPlan | None = None
    """The recording that begins when it starts."""
    participants: dict[str, float] = field(default_factory=dict)
    """Leg SID -> since when."""
    ended_at: float | None = None
    ended_by: str | None = None
    sequence: int = 0

    @property
    def why_ended(self) -> str | None:
        """In Twilio's words, once it is over."""
        if self.status != "completed":
            return None
        by_ender = self.ended_by in self.enders
        return "participant-with-end-conference-on-exit-left" if by_ender else "last-participant-left"


@dataclass(frozen=True, slots=True)
class Stretch:
    """One piece of a recording. Seconds of call time: since the call (or conference) began."""

    state: str
    start: float
    end: float


@dataclass(slots=True)
class Recording:
    """A recording of a parent call or of a conference."""

    sid: str
    call: str | None
    conference: str | None
    plan: RecordingPlan
    origin: float
    """When call time began."""
    started_at: float
    updated_at: float
    state: str = "in-progress"
    """in-progress, paused; and for good: completed, absent."""
    ended_at: float | None = None
    listed_done_at: float = 0.0
    """Once ended: the monotonic time from which it lists as completed. Real seconds."""
    error_code: int | None = None
    changes: list[tuple[str, float]] = field(default_factory=list)
    """(recorded | skipped | silent, from when), in order."""

    @property
    def live(self) -> bool:
        return self.ended_at is None

    @property
    def listed_status(self) -> str:
        """What a GET says: ``processing`` while it lives, whatever it is doing."""
        if self.live or time.monotonic() < self.listed_done_at:
            return "processing"
        return self.state

    def turn(self, state: str, now: float) -> None:
        if not self.changes or self.changes[-1][0] != state:
            self.changes.append((state, now))
        self.updated_at = now

    def stretches(self, now: float) -> list[Stretch]:
        """What has been recorded, skipped or silenced so far; empty stretches are left out."""
        ends = [start for _, start in self.changes[1:]] + [now if self.ended_at is None else self.ended_at]
        return [
            Stretch(state, round(start - self.origin, 3), round(end - self.origin, 3))
            for (state, start), end in zip(self.changes, ends, strict=True)
            if end > start
        ]

    @property
    def owner(self) -> str:
        """Where it is kept: at its conference, else at its parent call."""
        return self.conference or self.call or ""

    def seconds(self, now: float) -> float:
        """The length of the sound file: what was skipped is not in it."""
        return sum(piece.end - piece.start for piece in self.stretches(now) if piece.state != SKIPPED)

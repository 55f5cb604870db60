"""The verbs of TwiML that are played here, as a document holds them. URLs are whole, seconds are those of life."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from bot.simulator.model import RecordingPlan


@dataclass(frozen=True, slots=True)
class Next:
    """The document to go on with, and what is told to whoever serves it."""

    url: str
    method: str = "POST"
    params: dict[str, str] = field(default_factory=dict)
    token: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True)
class Say:
    text: str
    loop: int


@dataclass(frozen=True, slots=True)
class Play:
    """A sound file; it is never fetched."""

    url: str
    loop: int


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


Prompt = Say | Play | Pause


@dataclass(frozen=True, slots=True)
class Gather:
    action: str
    method: str
    num_digits: int | None
    finish_on_key: str
    """The key that ends the input; empty for none."""
    timeout: float
    action_on_empty: bool
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """A <Conference> within a <Dial>."""

    name: str
    starts: bool
    ends: bool
    plan: RecordingPlan | None


@dataclass(frozen=True, slots=True)
class Dial:
    action: str | None
    method: str
    to: tuple[str, ...]
    """Numbers and ``client:`` names, which ring at once. Empty if it is a room."""
    room: Room | None
    timeout: float
    time_limit: float
    caller_id: str | None
    answer_on_bridge: bool
    hangup_on_star: bool
    plan: RecordingPlan | None
    from_ringing: bool
    """The recording begins before anybody answers."""


@dataclass(frozen=True, slots=True)
class StartRecording:
    plan: RecordingPlan


@dataclass(frozen=True, slots=True)
class PayPrompt:
    """When to say something else than usual. An empty set fits everything."""

    fields: frozenset[str]
    errors: frozenset[str]
    attempts: frozenset[str]
    card_types: frozenset[str]
    matching: bool
    """The caller has to type it twice."""
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class Pay:
    """``attributes`` are as written: whether they make sense is a result of the payment, not of parsing."""

    action: str | None
    method: str
    status_callback: str | None
    attributes: dict[str, str]
    prompts: tuple[PayPrompt, ...]


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str
    method: str


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


@dataclass(frozen=True, slots=True)
class Reject:
    status: str
    """What the call ends as."""


Verb = Say | Play | Pause | Gather | Dial | StartRecording | Pay | Redirect | Hangup | Reject


@dataclass(frozen=True, slots=True)
class Document:
    """``warnings``: what Twilio would overlook and only list in its debugger."""

    verbs: tuple[Verb, ...]
    warnings: tuple[str, ...]

"""Calls to decide about, the clock they live by, and what a decision comes to in short."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bot.actors import By
from bot.call import CURRENT, Call, Of, Problem, Wish, desired, is_safe, observed
from bot.messages import (
    Answered,
    CallReported,
    CallSeen,
    Command,
    Converge,
    Decision,
    Denial,
    Effect,
    Fact,
    Kind,
    Listing,
    Look,
    Merge,
    Message,
    Pause,
    Policy,
    Reply,
    Resume,
    Wait,
)
from bot.recording import decide

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SID = "CA" + "a" * 32
PARENT = "CA" + "b" * 32
LEG = "CA" + "c" * 32
GUEST = "CA" + "d" * 32
CONFERENCE = "CF" + "a" * 32
RE1 = "RE" + "1" * 32
RE2 = "RE" + "2" * 32
RE3 = "RE" + "3" * 32
POLICY = Policy(node="node-1")
TOKEN = "8000" + "0" * 28
"""Begins with the middle of the range, so that its back-off has no jitter."""

ALICE = By(actor="alice", source="agent", origin="127.0.0.1")
BOB = By(actor="bob", source="agent")
SAM = By(actor="sam", source="agent")
CRM = By(actor="crm", source="api")
IVR = By(actor="ivr", source="ivr")


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def call(**fields: object) -> Call:
    """A call in progress that is Alice's, with one recording that runs."""
    return replace(Call(sid=SID, account="AC" + "0" * 32, status="in-progress", agent="alice"), **fields)  # type: ignore[arg-type]


def pause(by: By = CRM, holder: str = "api:crm", **more: object) -> Pause:
    return Pause(by=by, hold_id=f"hold of {holder}", holder=holder, **more)  # type: ignore[arg-type]


def resume(by: By = CRM, holder: str = "api:crm") -> Resume:
    return Resume(by=by, holder=holder)


def confirmed(recording: str = RE1) -> Reply:
    return Reply(kind=Kind.CONFIRMED, http_status=200, recording=recording)


def refused(code: int, http_status: int = 400) -> Reply:
    return Reply(kind=Kind.REFUSED, http_status=http_status, code=code, why=f"Twilio answered {http_status}")


UNANSWERED = Reply(kind=Kind.UNANSWERED, why="no reply in time")
UNSENT = Reply(kind=Kind.UNSENT, why="no connection")


def listing(*recordings: str, of: Of = Of.CALL, owner: str = SID, status: str = "processing") -> Listing:
    """A whole list of recordings that all have the same status."""
    return Listing(of=of, owner=owner, ok=True, items=tuple((sid, status) for sid in recordings))


def no_list(*, missing: bool = False) -> Listing:
    return Listing(of=Of.CALL, owner=SID, ok=False, missing=missing, why="no reply in time")


@dataclass
class Story:
    """A call to which one thing happens after another, by a clock that the story sets."""

    call: Call
    policy: Policy = POLICY
    seconds: float = 0.0
    effect: Effect | None = None
    facts: tuple[Fact, ...] = ()
    refused: Problem | Denial | None = None

    def tell(self, message: Message, after: float = 0.0) -> Decision:
        """Let the message come so many seconds later."""
        self.seconds += after
        decision = decide(self.call, message, at(self.seconds), self.policy)
        self.call, self.effect = decision.call, decision.effect
        self.facts, self.refused = decision.facts, decision.refused
        return decision

    def converge(self, after: float = 0.0) -> str:
        """What is to be done then, in short; it is claimed."""
        return short(self.tell(Converge(token=TOKEN), after).effect)

    def answer(
        self, reply: Reply | None = None, *listings: Listing, seen: CallSeen | None = None, after: float = 0.1
    ) -> str:
        """What came of the effect; then what is to be done next, as the control asks in the same transaction."""
        self.tell(Answered(token=TOKEN, reply=reply, listings=listings, seen=seen), after)
        if isinstance(self.effect, Merge):
            return short(self.effect)
        facts = self.facts
        effect = self.converge()
        self.facts = facts + self.facts
        return effect

    @property
    def fact_types(self) -> list[str]:
        return [fact.type for fact in self.facts]

    @property
    def safe(self) -> bool:
        return is_safe(self.call, at(self.seconds))

    @property
    def state(self) -> tuple[str, str, bool]:
        """(desired, observed, safe)"""
        return str(desired(self.call)), observed(self.call), self.safe


def short(effect: Effect | None) -> str:
    """`pause CURRENT +list`, `resume RE1`, `look`, `look +call`, `ask call`, `wait`, `merge` or `nothing`."""
    match effect:
        case Command(wish=wish, target=target, lists=lists):
            verb = {Wish.PAUSED: "pause", Wish.RECORDING: "resume", Wish.STOPPED: "stop"}[wish]
            where = "CURRENT" if target.recording == CURRENT else target.recording[:3]
            return f"{verb} {where}" + (" +list" if lists else "")
        case Look(lists=lists, asks=asks):
            return "look +call" if lists and asks else "look" if lists else "ask call"
        case Wait():
            return "wait"
        case Merge():
            return "merge"
        case None:
            return "nothing"


def paused_story(policy: Policy = POLICY) -> Story:
    """A call whose one recording is paused for the CRM, proven, at second 0.1."""
    story = Story(call(), policy)
    story.tell(CallReported(sid=SID, status="in-progress", sequence=2, agent="alice"))
    story.tell(pause())
    assert story.converge() == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.safe
    return story

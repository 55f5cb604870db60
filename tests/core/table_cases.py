"""The states and the messages of the table in `test_decide_table`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from bot.call import Call, Of
from bot.messages import (
    Answered,
    Beat,
    CallReported,
    CallSeen,
    ConferenceReported,
    GiveUp,
    Message,
    RecordingReported,
    Release,
    Stop,
    Take,
)
from tests.core.examples import (
    ALICE,
    BOB,
    CONFERENCE,
    CRM,
    LEG,
    POLICY,
    RE1,
    RE2,
    RE3,
    SAM,
    SID,
    TOKEN,
    UNANSWERED,
    Story,
    call,
    confirmed,
    listing,
    no_list,
    pause,
    paused_story,
    refused,
    resume,
)


def _started(sid: str = RE1, status: str = "in-progress") -> RecordingReported:
    return RecordingReported(sid=sid, status=status, of=Of.CALL, owner=SID)


def _recording() -> Story:
    story = Story(call())
    story.tell(_started())
    return story


def _wanted() -> Story:
    story = _recording()
    story.tell(pause())
    return story


def _pausing() -> Story:
    story = _wanted()
    story.converge()
    return story


def _no_list() -> Story:
    story = _pausing()
    story.answer(confirmed(), no_list())
    return story


def _unanswered() -> Story:
    story = _pausing()
    story.answer(UNANSWERED, listing(RE1))
    return story


def _resuming() -> Story:
    story = paused_story()
    story.tell(resume())
    story.converge()
    return story


def _resume_in_doubt() -> Story:
    story = _resuming()
    story.answer(UNANSWERED)
    return story


def _late_resume() -> Story:
    story = _resume_in_doubt()
    story.tell(pause())
    story.converge()
    story.answer(confirmed(), listing(RE1))
    return story


def _dead() -> Story:
    story = _pausing()
    story.seconds += 6
    return story


def _nothing() -> Story:
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.answer(refused(21220), listing())
    story.answer(seen=CallSeen(ok=True, status="in-progress"))
    return story


def _asking() -> Story:
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.answer(refused(21220), listing())
    return story


def _one_of_two() -> Story:
    story = _recording()
    story.tell(_started(RE2))
    story.tell(pause())
    story.converge()
    story.answer(confirmed(RE1), listing(RE1, RE2))
    return story


def _stopped() -> Story:
    story = _recording()
    story.tell(Stop(by=CRM))
    story.converge()
    story.answer(confirmed())
    return story


def _over() -> Story:
    story = paused_story()
    story.tell(CallReported(sid=SID, status="completed", sequence=9))
    return story


def _two_holders() -> Story:
    story = paused_story()
    story.tell(pause(ALICE, "agent:alice"))
    return story


def _running_out() -> Story:
    story = paused_story()
    _listed_again(story, 290)
    story.seconds = 300
    story.converge()
    return story


def _listed_again(story: Story, seconds: float) -> None:
    story.seconds = seconds
    story.converge()
    story.answer(None, listing(RE1))


def _payment_at_the_limit() -> Story:
    """It was kept alive for fifteen minutes."""
    story = _recording()
    story.tell(pause(holder="payment:PK1"))
    story.converge()
    story.answer(confirmed(), listing(RE1))
    for _ in range(4):
        story.tell(Beat(by=CRM, holder="payment:PK1"), after=200)
    _listed_again(story, 888)
    story.seconds = 899
    return story


def _out_of_time() -> Story:
    """No pause was confirmed for five seconds, and the operator chose to stop then."""
    story = _recording()
    story.policy = replace(POLICY, stop_after=timedelta(seconds=5))
    story.tell(pause())
    story.converge()
    story.answer(refused(16114), listing(RE1))
    story.seconds = 5
    return story


def _stopped_instead() -> Story:
    story = _out_of_time()
    story.converge()
    story.answer(confirmed(), listing(RE1))
    return story


def _gap() -> Story:
    """The hold is over; a new recording is to begin."""
    story = _stopped_instead()
    story.tell(resume())
    return story


def _agent_dialled() -> Story:
    """Alice's leg is the parent; the customer's is the one she dialled."""
    story = _recording()
    story.tell(CallReported(sid=SID, status="in-progress", sequence=2, agent="alice"))
    story.tell(CallReported(sid=LEG, status="in-progress", parent=SID, sequence=2))
    story.tell(pause(ALICE, "agent:alice"))
    story.converge()
    story.answer(confirmed(), listing(RE1))
    return story


def _left_paused() -> Story:
    """The call's conference goes on without it, and its recording is still paused by us."""
    story = _recording()
    story.tell(ConferenceReported(conference=CONFERENCE, event="participant-join", participant=SID))
    story.tell(RecordingReported(sid=RE3, status="in-progress", of=Of.CONFERENCE, owner=CONFERENCE))
    story.tell(pause())
    story.converge()
    story.answer(confirmed(), listing(RE1), listing(RE3, of=Of.CONFERENCE, owner=CONFERENCE))
    story.answer(confirmed(RE3), listing(RE1), listing(RE3, of=Of.CONFERENCE, owner=CONFERENCE))
    assert story.safe
    story.tell(CallReported(sid=SID, status="completed", sequence=9))
    return story


STATES: dict[str, Callable[[], Story]] = {
    "never seen": lambda: Story(Call(sid=SID, account="AC" + "0" * 32)),
    "recording": _recording,
    "pause wanted": _wanted,
    "pausing": _pausing,
    "paused, no list": _no_list,
    "one of two paused": _one_of_two,
    "pause in doubt": _unanswered,
    "pausing process dead": _dead,
    "nothing recording": _nothing,
    "asking for the call": _asking,
    "safe": paused_story,
    "safe, two holders": _two_holders,
    "resuming": _resuming,
    "resume in doubt": _resume_in_doubt,
    "late resume": _late_resume,
    "running out": _running_out,
    "payment at the hard limit": _payment_at_the_limit,
    "out of time": _out_of_time,
    "stopped instead": _stopped_instead,
    "to be recorded again": _gap,
    "agent dialled the customer": _agent_dialled,
    "conference left paused": _left_paused,
    "stopped": _stopped,
    "over": _over,
    "merged": lambda: Story(call(status="merged")),
}

LATER, LATER_STILL = timedelta(seconds=1.1), timedelta(seconds=11.1)
"""Instead of a message: only the time that passes."""

MESSAGES: dict[str, Message | timedelta | None] = {
    "nothing new": None,
    "pause": pause(),
    "alice pauses": pause(ALICE, "agent:alice"),
    "bob pauses": pause(BOB, "agent:bob"),
    "resume": resume(),
    "alice resumes": resume(ALICE, "agent:alice"),
    "sam releases": Release(by=SAM, hold="hold of api:crm"),
    "payment beats": Beat(by=CRM, holder="payment:PK1"),
    "crm gives up": GiveUp(by=CRM, wish="hold of api:crm"),
    "a second passes": LATER,
    "ten pass": LATER_STILL,
    "stop": Stop(by=CRM),
    "bob takes": Take(by=BOB, agent="bob"),
    "leg of bob": CallReported(sid=LEG, status="in-progress", parent=SID, sequence=2, agent="bob"),
    "leg ends": CallReported(sid=LEG, status="completed", parent=SID, sequence=9),
    "call ends": CallReported(sid=SID, status="completed", sequence=9),
    "RE1 starts": _started(),
    "RE2 starts": _started(RE2),
    "RE1 ends": _started(RE1, "completed"),
    "RE1 said paused": _started(RE1, "paused"),
    "RE1 said resumed": _started(RE1, "resumed"),
    "conference": ConferenceReported(conference=CONFERENCE, event="participant-join"),
    "conference ends": ConferenceReported(conference=CONFERENCE, event="conference-end"),
    "confirmed": Answered(token=TOKEN, reply=confirmed(), listings=(listing(RE1),)),
    "unanswered": Answered(token=TOKEN, reply=UNANSWERED, listings=(listing(RE1),)),
    "refused 21220": Answered(token=TOKEN, reply=refused(21220), listings=(listing(RE1),)),
    "refused 429": Answered(token=TOKEN, reply=refused(20429, 429), listings=(listing(RE1),)),
    "stale answer": Answered(token="f" * 32, reply=confirmed()),
}

"""The states and the messages of the table in `test_decide_table`."""

from __future__ import annotations

from collections.abc import Callable

from bot.call import Call, Of
from bot.messages import (
    Answered,
    CallReported,
    CallSeen,
    ConferenceReported,
    Message,
    RecordingReported,
    Stop,
    Take,
)
from tests.core.examples import (
    ALICE,
    BOB,
    CONFERENCE,
    CRM,
    LEG,
    RE1,
    RE2,
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
    "stopped": _stopped,
    "over": _over,
    "merged": lambda: Story(call(status="merged")),
}

MESSAGES: dict[str, Message | None] = {
    "nothing new": None,
    "pause": pause(),
    "alice pauses": pause(ALICE, "agent:alice"),
    "bob pauses": pause(BOB, "agent:bob"),
    "resume": resume(),
    "alice resumes": resume(ALICE, "agent:alice"),
    "stop": Stop(by=CRM),
    "bob takes": Take(by=BOB, agent="bob"),
    "leg of bob": CallReported(sid=LEG, status="in-progress", parent=SID, sequence=2, agent="bob"),
    "call ends": CallReported(sid=SID, status="completed", sequence=9),
    "RE1 starts": _started(),
    "RE2 starts": _started(RE2),
    "RE1 ends": _started(RE1, "completed"),
    "RE1 said paused": _started(RE1, "paused"),
    "conference": ConferenceReported(conference=CONFERENCE, event="participant-join"),
    "confirmed": Answered(token=TOKEN, reply=confirmed(), listings=(listing(RE1),)),
    "unanswered": Answered(token=TOKEN, reply=UNANSWERED, listings=(listing(RE1),)),
    "refused 21220": Answered(token=TOKEN, reply=refused(21220), listings=(listing(RE1),)),
    "refused 429": Answered(token=TOKEN, reply=refused(20429, 429), listings=(listing(RE1),)),
    "stale answer": Answered(token="f" * 32, reply=confirmed()),
}

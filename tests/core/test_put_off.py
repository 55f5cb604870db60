"""One recording that cannot be commanded is put off: it keeps no other from its command, and is not done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.call import Call, Of, Recording, State
from bot.messages import Reply
from bot.results import Outcome, ResumeJudge, Step
from tests.core.examples import CONFERENCE, RE1, RE3, SID, UNANSWERED, Story, at, call, listing, pause, refused, resume

FAILURES = [UNANSWERED, refused(16114), refused(20429, 429)]


def in_conference(state: State) -> Call:
    """A call with a recording of its own and one of its conference."""
    own = Recording(sid=RE1, of=Of.CALL, owner=SID, state=state, confirmed_at=at(0))
    other = replace(own, sid=RE3, of=Of.CONFERENCE, owner=CONFERENCE)
    return call(conferences=(CONFERENCE,), recordings=(own, other))


@pytest.mark.parametrize("failure", FAILURES)
def test_recording_of_the_conference_is_paused_although_the_call_s_own_cannot_be(failure: Reply) -> None:
    story = Story(in_conference(State.RECORDING))
    story.tell(pause())
    assert story.converge() == "pause CURRENT +list"
    lists = (listing(RE1), listing(RE3, of=Of.CONFERENCE, owner=CONFERENCE))
    assert story.answer(failure, *lists) == "pause RE3 +list"


@pytest.mark.parametrize("failure", FAILURES)
def test_resume_that_failed_for_every_recording_is_not_done(failure: Reply) -> None:
    story = Story(in_conference(State.RECORDING))
    story.tell(pause())
    story.call = replace(story.call, recordings=in_conference(State.PAUSED).recordings)
    story.tell(resume())
    judge = ResumeJudge(Step(story.call, at(story.seconds), 0.0))
    assert story.converge() == "resume CURRENT"
    assert story.answer(failure) == "resume RE3"
    assert story.answer(failure) == "nothing"
    outcome: Outcome | None = judge(Step(story.call, at(story.seconds), 0.0), 0.0)
    assert outcome is None

"""DESIGN.md, "Bringing a call to what is desired", sentence by sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.backoff import RETRY_MAX
from bot.call import Call, Hold, Leg, Of, Problem, Recording, State, Wish, is_safe
from bot.messages import (
    CallReported,
    CallSeen,
    ConferenceReported,
    Denial,
    GiveUp,
    Kind,
    Listing,
    Pause,
    Policy,
    RecordingReported,
    Reply,
    Stop,
    Take,
    Wait,
)
from bot.recording import QUIET, due, lists_of, next_effect, unite
from tests.core.examples import (
    ALICE,
    BOB,
    CONFERENCE,
    CRM,
    IVR,
    LEG,
    PARENT,
    POLICY,
    RE1,
    RE2,
    RE3,
    SID,
    TOKEN,
    UNANSWERED,
    UNSENT,
    Story,
    at,
    call,
    confirmed,
    listing,
    no_list,
    pause,
    paused_story,
    refused,
    resume,
    short,
)

BUSY = refused(20429, 429)


def started(sid: str, *, of: Of = Of.CALL, owner: str = SID) -> RecordingReported:
    return RecordingReported(sid=sid, status="in-progress", of=of, owner=owner)


def completed(sid: str, *, of: Of = Of.CALL, owner: str = SID) -> RecordingReported:
    return RecordingReported(sid=sid, status="completed", of=of, owner=owner)


# What goes well


def test_pause_is_safe_after_one_command_with_the_list_beside_it() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    assert story.fact_types == ["hold.opened"]
    assert story.converge() == "pause CURRENT +list"
    assert story.fact_types == ["command.sent"]
    assert story.state == ("paused", "recording", False)
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.fact_types == ["command.confirmed"]
    assert story.state == ("paused", "paused", True)
    assert story.facts[0].detail["safe"] is True


def test_pause_of_a_call_never_announced_tries_current() -> None:
    story = Story(Call(sid=SID, account="AC" + "0" * 32))
    story.tell(pause())
    assert story.converge() == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.state == ("paused", "paused", True)


def test_resume_commands_only_what_was_confirmed_paused() -> None:
    story = paused_story()
    story.tell(resume())
    assert story.fact_types == ["hold.released"]
    assert story.converge() == "resume CURRENT"
    assert story.state == ("recording", "unknown", False)
    assert story.answer(confirmed()) == "nothing"
    assert story.state == ("recording", "recording", False)


def test_unknown_call_is_not_resumed_unasked() -> None:
    story = Story(call(recordings=(Recording(sid=RE1, of=Of.CALL, owner=SID),)))
    assert story.converge() == "nothing"


def test_unknown_call_is_resumed_once_when_somebody_asks() -> None:
    story = Story(call())
    story.tell(resume())
    assert story.fact_types == ["resume.requested"]
    assert story.converge() == "resume CURRENT"
    assert story.answer(confirmed()) == "nothing"
    assert story.call.resume_wanted is False


def test_request_to_resume_is_spent_once_each_recording_runs() -> None:
    """Else the next silence would be filled with a resume that nobody asked for."""
    unknown = tuple(Recording(sid=sid, of=Of.CALL, owner=SID) for sid in (RE1, RE2))
    story = Story(call(recordings=unknown))
    story.tell(resume())
    assert story.converge() == "resume RE1"
    assert story.answer(confirmed(RE1)) == "resume RE2"
    assert story.answer(confirmed(RE2)) == "nothing"
    story.tell(completed(RE1))
    story.tell(completed(RE2))
    assert story.converge() == "nothing"


def test_stop_commands_every_recording_and_is_final() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(started(RE2))
    story.tell(Stop(by=CRM))
    assert story.converge() == "stop RE1"
    assert story.answer(confirmed(RE1)) == "stop CURRENT"
    assert story.answer(confirmed(RE2)) == "nothing"
    assert story.state == ("stopped", "stopped", False)
    story.tell(pause())
    assert (story.refused, story.fact_types) == (Denial.STOPPED, ["pause.refused"])


def test_stopped_call_stays_stopped_when_twilio_says_completed() -> None:
    """Twilio's callback follows every stop."""
    story = Story(call())
    story.tell(started(RE1))
    story.tell(Stop(by=CRM))
    story.converge()
    story.answer(confirmed(RE1))
    story.tell(completed(RE1))
    assert story.state == ("stopped", "stopped", False)


def test_stop_of_a_conference_recording_is_refused() -> None:
    story = Story(call(conferences=(CONFERENCE,)))
    story.tell(started(RE1, of=Of.CONFERENCE, owner=CONFERENCE))
    story.tell(Stop(by=CRM))
    assert (story.refused, story.state[0]) == (Denial.CONFERENCE_STOP, "recording")


# Twilio.CURRENT, or each by its SID


def test_second_recording_makes_each_be_commanded_by_its_sid() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(started(RE2))
    story.tell(pause())
    assert story.converge() == "pause RE1 +list"
    assert story.answer(confirmed(RE1), listing(RE1, RE2)) == "pause RE2 +list"
    assert story.safe is False
    assert story.answer(confirmed(RE2), listing(RE1, RE2)) == "nothing"
    assert story.safe is True


def test_each_command_has_a_claim_of_its_own_length() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(started(RE2))
    story.tell(pause())
    story.converge(after=1.0)
    assert story.call.claim is not None
    assert story.call.claim.until == at(1.0) + POLICY.claim
    story.answer(confirmed(RE1), listing(RE1, RE2), after=2.0)
    assert story.call.claim is not None
    assert story.call.claim.until == at(3.0) + POLICY.claim


def test_recording_that_only_the_list_shows_is_commanded_by_sid() -> None:
    story = Story(call())
    story.tell(pause())
    story.converge()
    assert story.answer(confirmed(RE1), listing(RE1, RE2)) == "pause RE2 +list"
    assert story.fact_types == ["command.confirmed", "recording.found", "command.sent"]
    assert story.state == ("paused", "unknown", False)


def test_16108_goes_by_what_the_list_beside_it_shows() -> None:
    story = Story(call())
    story.tell(pause())
    story.converge()
    assert story.answer(refused(16108), listing(RE1, RE2)) == "pause RE1 +list"


def test_16108_without_a_list_asks_for_the_list_first() -> None:
    story = Story(call())
    story.tell(resume())
    story.converge()
    assert story.answer(refused(16108)) == "look"
    assert story.answer(None, listing(RE1, RE2)) == "resume RE1"


def test_16108_although_the_list_shows_one_backs_off() -> None:
    """A list that lags must not turn into a storm of commands."""
    story = Story(call())
    story.tell(pause())
    story.converge()
    assert story.answer(refused(16108), listing(RE1)) == "nothing"
    assert story.call.next_at is not None
    assert story.call.next_at > at(story.seconds)


def test_legs_and_conferences_are_listed_too() -> None:
    legs = (Leg(sid=SID, status="in-progress"), Leg(sid=LEG, status="in-progress"), Leg(sid=PARENT, status="completed"))
    assert lists_of(call(legs=legs, conferences=(CONFERENCE,))) == (
        (Of.CALL, SID),
        (Of.LEG, LEG),
        (Of.CONFERENCE, CONFERENCE),
    )


def test_conference_recording_is_commanded_at_the_conference() -> None:
    story = Story(call(conferences=(CONFERENCE,)))
    story.tell(started(RE1))
    story.tell(started(RE2, of=Of.CONFERENCE, owner=CONFERENCE))
    story.tell(pause())
    assert story.converge() == "pause CURRENT +list"
    at_conference = listing(RE2, of=Of.CONFERENCE, owner=CONFERENCE)
    assert story.answer(confirmed(RE1), listing(RE1), at_conference) == "pause RE2 +list"
    assert story.effect is not None
    assert story.effect.target.owner == CONFERENCE  # type: ignore[union-attr]
    assert story.answer(confirmed(RE2), listing(RE1), at_conference) == "nothing"
    assert story.safe is True


@pytest.mark.parametrize(("code", "http_status"), [(21220, 400), (20404, 404)])
def test_nothing_on_the_call_does_not_matter_when_all_elsewhere_is_confirmed(code: int, http_status: int) -> None:
    story = Story(call(conferences=(CONFERENCE,)))
    story.tell(started(RE2, of=Of.CONFERENCE, owner=CONFERENCE))
    story.tell(pause())
    elsewhere = (listing(), listing(RE2, of=Of.CONFERENCE, owner=CONFERENCE))
    assert story.converge() == "pause CURRENT +list"
    assert story.answer(refused(code, http_status), *elsewhere) == "pause RE2 +list"
    assert story.answer(confirmed(RE2), *elsewhere) == "nothing"
    assert story.state == ("paused", "paused", True)


def test_conference_recording_refused_with_21220_backs_off() -> None:
    """It is finished but still lists as `processing`: wait for its callback, and do not storm Twilio meanwhile."""
    story = Story(call(conferences=(CONFERENCE,), nothing_on_call_at=None))
    story.tell(started(RE2, of=Of.CONFERENCE, owner=CONFERENCE))
    story.tell(pause())
    elsewhere = (listing(), listing(RE2, of=Of.CONFERENCE, owner=CONFERENCE))
    story.converge()
    story.answer(refused(21220), *elsewhere)
    assert story.answer(refused(21220), *elsewhere) == "nothing"
    assert story.call.next_at is not None
    assert story.safe is False
    assert story.tell(completed(RE2, of=Of.CONFERENCE, owner=CONFERENCE)).call.live == ()


# Lists


def test_list_that_is_missing_is_fetched_without_a_new_command() -> None:
    story = Story(call())
    story.tell(pause())
    story.converge()
    assert story.answer(confirmed(), no_list()) == "nothing"
    assert story.state == ("paused", "paused", False)
    assert story.call.problem is Problem.LIST_FAILED
    assert story.converge(after=1.0) == "look"
    assert story.answer(None, listing(RE1)) == "nothing"
    assert story.safe is True
    assert story.fact_types == ["pause.proven"]


def test_list_from_before_this_pause_proves_nothing() -> None:
    story = paused_story()
    story.tell(resume(), after=1.0)
    story.tell(pause(), after=1.0)
    assert story.state == ("paused", "paused", False)
    assert story.converge() == "look"
    assert story.answer(None, listing(RE1)) == "nothing"
    assert story.safe is True


def test_list_counts_from_when_it_was_asked_for() -> None:
    """What joined while the list was under way may be missing in it."""
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    story.tell(CallReported(sid=LEG, status="in-progress", parent=SID, sequence=2), after=0.1)
    assert story.answer(confirmed(), listing(RE1)) == "look"
    assert story.safe is False
    assert story.answer(None, listing(RE1)) == "nothing"
    assert story.safe is True


def test_leg_that_joins_ends_safe_until_a_new_list() -> None:
    story = paused_story()
    story.tell(CallReported(sid=LEG, status="in-progress", parent=SID, sequence=2), after=1.0)
    assert story.safe is False
    assert story.converge() == "look"


def test_conference_that_joins_ends_safe_until_a_new_list() -> None:
    story = paused_story()
    story.tell(ConferenceReported(conference=CONFERENCE, event="participant-join", participant=SID), after=1.0)
    assert story.safe is False
    assert story.converge() == "look"
    assert story.answer(None, listing(RE1), listing(of=Of.CONFERENCE, owner=CONFERENCE)) == "nothing"
    assert story.safe is True


def test_conference_that_the_caller_names_is_listed() -> None:
    story = Story(call())
    story.tell(pause(conference=CONFERENCE, legs=(LEG,)))
    assert story.fact_types == ["call.joined", "hold.opened"]
    assert lists_of(story.call) == ((Of.CALL, SID), (Of.LEG, LEG), (Of.CONFERENCE, CONFERENCE))


def test_recording_of_a_conference_makes_the_conference_be_listed() -> None:
    """Its recordings that nobody announced are found in its list alone."""
    story = Story(call())
    story.tell(started(RE1, of=Of.CONFERENCE, owner=CONFERENCE))
    assert (Of.CONFERENCE, CONFERENCE) in lists_of(story.call)


def test_completed_in_the_list_ends_a_recording() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(started(RE2))
    story.tell(pause())
    story.converge()
    ended = Listing(of=Of.CALL, owner=SID, ok=True, items=((RE1, "completed"), (RE2, "processing")))
    assert story.answer(refused(21220), ended) == "nothing"
    assert [recording.state for recording in story.call.recordings] == [State.ENDED, State.RECORDING]
    assert story.converge(after=1.0) == "ask call"
    assert story.answer(seen=CallSeen(ok=True, status="in-progress")) == "pause CURRENT +list"


# Faults, back-off


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (UNANSWERED, Problem.UNANSWERED),
        (UNSENT, Problem.UNREACHABLE),
        (Reply(kind=Kind.UNANSWERED, http_status=503), Problem.TWILIO_ERROR),
        (Reply(kind=Kind.UNANSWERED, http_status=200), Problem.UNANSWERED),
        (refused(20429, 429), Problem.BUSY),
        (refused(16114, 400), Problem.BUSY),
        (refused(20001, 400), Problem.REFUSED),
        (refused(20003, 401), Problem.CREDENTIALS),
        (refused(70051, 403), Problem.CREDENTIALS),
        (refused(20404, 404), Problem.REFUSED),
        (refused(21220, 400), Problem.REFUSED),
    ],
)
def test_command_that_failed_is_not_safe_and_is_tried_again(reply: Reply, problem: Problem) -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    assert story.answer(reply, listing(RE1)) == "nothing"
    assert (story.call.problem, story.safe) == (problem, False)
    assert story.call.next_at is not None
    assert story.call.next_at > at(story.seconds)
    step = story.converge(after=20.0)
    if reply.code in {21220, 20404}:
        assert step == "ask call", "the call may be over"
        step = story.answer(seen=CallSeen(ok=True, status="in-progress"))
    assert step == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert (story.safe, story.call.problem, story.call.failures) == (True, None, 0)


def test_back_off_doubles_up_to_7_seconds() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause(max_seconds=300))
    waits = []
    story.converge()
    for _ in range(9):
        story.answer(BUSY, listing(RE1), after=0)
        assert story.call.next_at is not None
        waits.append((story.call.next_at - at(story.seconds)).total_seconds())
        assert story.converge(after=waits[-1]) == "pause CURRENT +list"
    rounded = [round(wait, 2) for wait in waits]
    assert rounded == [0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 7.0, 7.0, 7.0]


def test_wrong_credentials_wait_the_longest() -> None:
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.answer(refused(20003, 401), listing(RE1), after=0)
    assert story.call.next_at == at(0) + RETRY_MAX


def test_new_wish_is_tried_at_once() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    story.answer(BUSY, listing(RE1))
    assert story.converge() == "nothing"
    story.tell(pause(ALICE, "agent:alice"))
    assert story.converge() == "pause CURRENT +list"


def test_somebody_elses_claim_is_waited_for() -> None:
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.tell(pause(ALICE, "agent:alice"))
    assert story.converge() == "wait"
    assert story.effect == Wait(until=at(0) + POLICY.claim)


def test_outcome_with_a_lost_claim_changes_nothing() -> None:
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.converge(after=6.0)
    taken_over = story.call
    stale = story.call.claim
    assert stale is not None
    story.call = replace(taken_over, claim=replace(stale, token="f" * 32))
    before = story.call
    assert story.answer(confirmed(), listing(RE1), after=0) == "wait"
    assert (story.call, story.facts) == (before, ())


# Processes that die


@pytest.mark.parametrize("wish", ["pause", "resume"])
def test_claim_that_ran_out_is_taken_over_with_the_list_first(wish: str) -> None:
    story = Story(call()) if wish == "pause" else paused_story()
    story.tell(pause() if wish == "pause" else resume())
    story.converge()
    assert story.converge(after=4.9) == "wait"
    assert story.converge(after=0.2) == "look"
    assert story.fact_types == ["command.abandoned"]
    assert story.answer(None, listing(RE1)) == ("pause CURRENT +list" if wish == "pause" else "resume CURRENT")


def test_recording_that_a_dead_process_may_have_paused_is_resumed() -> None:
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.tell(resume(), after=1.0)
    assert story.converge(after=5.0) == "look"
    assert story.answer(None, listing(RE1)) == "resume CURRENT"
    assert story.answer(confirmed()) == "nothing"


def test_merge_that_was_not_carried_out_is_found_again() -> None:
    """Between the reply that named a parent and the merge a process may die (invariant 7)."""
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.answer(refused(21220), listing())
    assert story.answer(seen=CallSeen(ok=True, status="in-progress", parent=PARENT)) == "merge"
    assert next_effect(story.call, TOKEN, at(story.seconds)) is not None


# Nothing to be found


def nothing_there() -> Story:
    story = Story(call())
    story.tell(pause())
    story.converge()
    assert story.answer(refused(21220), listing()) == "ask call"
    return story


def test_nothing_recording_is_never_safe_and_is_asked_again_shortly() -> None:
    story = nothing_there()
    assert story.answer(seen=CallSeen(ok=True, status="in-progress")) == "nothing"
    assert (story.call.problem, story.safe) == (Problem.NOTHING_RECORDING, False)
    assert story.converge(after=1.0) == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.safe is True


def test_pause_that_is_asked_for_again_does_not_go_by_what_was_not_there_before() -> None:
    """A recording may have begun while Twilio did not say how the call is."""
    story = nothing_there()
    assert story.answer(seen=CallSeen(ok=False)) == "nothing"
    story.tell(pause(), after=8.0)
    assert story.converge() == "pause CURRENT +list"


def test_last_recording_that_ended_elsewhere_makes_the_call_be_tried_again() -> None:
    """Nothing live is known any more: something new may record unannounced, so the hold goes on looking."""
    story = Story(call(conferences=(CONFERENCE,)))
    story.tell(started(RE2, of=Of.CONFERENCE, owner=CONFERENCE))
    story.tell(pause())
    elsewhere = (listing(), listing(RE2, of=Of.CONFERENCE, owner=CONFERENCE))
    story.converge()
    story.answer(refused(21220), *elsewhere)
    assert story.answer(confirmed(RE2), *elsewhere) == "nothing"
    story.tell(completed(RE2, of=Of.CONFERENCE, owner=CONFERENCE), after=1.0)
    assert story.converge() == "pause CURRENT +list"


def test_call_that_twilio_says_is_completed_is_over() -> None:
    story = nothing_there()
    assert story.answer(seen=CallSeen(ok=True, status="completed")) == "nothing"
    assert (story.call.over, story.call.holds, story.call.problem) == (True, (), Problem.CALL_OVER)
    assert story.fact_types == ["call.ended", "hold.closed"]


def test_call_that_twilio_does_not_know_closes_the_hold() -> None:
    story = Story(call(status="unknown"))
    story.tell(pause())
    story.converge()
    assert story.answer(refused(20404, 404), no_list(missing=True)) == "ask call"
    assert story.answer(seen=CallSeen(ok=True, status=None)) == "nothing"
    assert (story.call.holds, story.call.problem) == ((), Problem.UNKNOWN_CALL)
    story.tell(pause())
    assert story.converge() == "pause CURRENT +list"


def test_call_that_twilio_did_not_know_is_known_again_once_twilio_reports_it() -> None:
    """It was asked for too early, or a 404 was passing; a signed callback says that it lives."""
    story = Story(call(status="unknown-to-twilio"))
    story.tell(CallReported(sid=SID, status="in-progress", sequence=2))
    story.tell(started(RE1))
    assert (story.call.over, [one.sid for one in story.call.live]) == (False, [RE1])
    story.tell(pause())
    story.converge()
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.safe is True


def test_call_that_cannot_be_fetched_is_asked_for_again() -> None:
    story = nothing_there()
    assert story.answer(seen=CallSeen(ok=False)) == "nothing"
    assert story.converge(after=1.0) == "ask call"


def test_call_that_is_a_leg_is_merged_into_its_parent() -> None:
    story = nothing_there()
    assert story.answer(seen=CallSeen(ok=True, status="in-progress", parent=PARENT)) == "merge"
    parent = Call(sid=PARENT, account=story.call.account, status="in-progress", agent="bob")
    united, emptied, facts = unite(parent, story.call, at(1), Policy())
    assert [hold.holder for hold in united.holds] == ["api:crm"]
    assert (united.agent, united.names, united.paused_since) == ("bob", frozenset({SID}), at(1))
    assert (emptied.status, emptied.holds, emptied.claim) == ("merged", (), None)
    assert [fact.type for fact in facts] == ["call.merged"]
    assert short(next_effect(united, TOKEN, at(1))) == "pause CURRENT +list"


def test_merge_keeps_the_doubt_of_an_unanswered_command() -> None:
    """The leg's pause may have stopped the parent's recording: without the doubt it would never resume."""
    leg = Story(call(sid=SID))
    leg.tell(pause())
    leg.converge()
    leg.answer(UNANSWERED, no_list())
    leg.tell(resume())
    united, _, _ = unite(Call(sid=PARENT, account=leg.call.account), leg.call, at(leg.seconds), Policy())
    assert short(next_effect(united, TOKEN, at(leg.seconds))) in {"look", "resume CURRENT"}


def test_merge_respects_a_command_in_flight() -> None:
    """At most one command per call is in flight (invariant 6), also while we learn that two calls are one."""
    leg = Story(call(sid=SID))
    leg.tell(pause())
    assert leg.converge() == "pause CURRENT +list"
    united, _, _ = unite(Call(sid=PARENT, account=leg.call.account), leg.call, at(0.1), Policy())
    parent = Story(united, seconds=0.1)
    assert parent.converge() in {"wait", "nothing"}


def test_merge_keeps_that_the_call_was_to_be_stopped() -> None:
    leg = Story(call(sid=SID))
    leg.tell(Stop(by=CRM))
    united, _, _ = unite(Call(sid=PARENT, account=leg.call.account), leg.call, at(0.1), Policy())
    assert united.stop_wanted is True


def test_merge_into_a_call_that_is_over_closes_the_holds() -> None:
    leg = Story(call(sid=SID))
    leg.tell(pause())
    over = Call(sid=PARENT, account=leg.call.account, status="completed")
    united, _, _ = unite(over, leg.call, at(0.1), Policy())
    assert united.holds == ()


# Late commands, both ways


def late_pause() -> Story:
    """A pause was left unanswered, and the resume after it was confirmed at second 1."""
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    story.answer(UNANSWERED, listing(RE1), after=0.5)
    story.tell(resume())
    assert story.converge() == "resume CURRENT"
    assert story.answer(confirmed(), after=0.5) == "nothing"
    assert story.state == ("recording", "recording", False)
    return story


def test_confirmed_resume_after_a_late_pause_is_sent_again_twice() -> None:
    story = late_pause()
    assert story.call.reconfirm_at == (at(6), at(16))
    assert story.converge(after=4.9) == "nothing"
    assert story.converge(after=0.1) == "resume CURRENT"
    assert story.answer(confirmed()) == "nothing"
    assert story.converge(after=9.9) == "resume CURRENT"
    assert story.answer(confirmed()) == "nothing"
    assert due(story.call, at(story.seconds)) == at(story.seconds) + QUIET


def test_resume_is_not_sent_again_once_a_pause_is_wanted() -> None:
    story = late_pause()
    story.tell(pause())
    assert story.call.reconfirm_at == ()


def test_resume_is_sent_again_even_if_the_late_pause_was_repeated_and_confirmed() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    story.answer(UNANSWERED, listing(RE1), after=0.5)
    assert story.converge(after=0.5) == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1), after=0) == "nothing"
    assert story.safe is True
    story.tell(resume())
    story.converge()
    story.answer(confirmed(), after=0)
    assert story.call.reconfirm_at == (at(6), at(16))


def late_resume(policy: Policy = POLICY) -> Story:
    """A resume was left unanswered at second 1, and the pause after it was confirmed at second 2."""
    story = paused_story(policy)
    story.tell(resume(), after=0.4)
    assert story.converge() == "resume CURRENT"
    story.answer(UNANSWERED, after=0.5)
    assert story.call.late_resume_until == at(1) + policy.late
    story.tell(pause())
    assert story.converge() == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1), after=1) == "nothing"
    return story


def test_pause_after_a_late_resume_is_not_safe_until_it_was_confirmed_past_the_window() -> None:
    story = late_resume()
    assert story.state == ("paused", "paused", False)
    assert story.call.reconfirm_at == (at(7), at(17))
    assert story.converge(after=5) == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.safe is False
    assert story.converge(after=at(16).timestamp() - at(story.seconds).timestamp()) == "pause CURRENT +list"
    assert story.safe is False
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.safe is True


def test_recording_that_the_late_resume_did_not_name_is_confirmed_past_the_window_too() -> None:
    """Proof needs every recording confirmed after the window, also when the window closed while Twilio was away."""
    story = Story(call())
    for sid in (RE1, RE2):
        story.tell(started(sid))
    story.tell(pause())
    story.converge()
    story.answer(confirmed(RE1), listing(RE1, RE2))
    assert story.answer(confirmed(RE2), listing(RE1, RE2)) == "nothing"
    story.tell(resume())
    assert story.converge() == "resume RE1"
    assert story.answer(UNANSWERED) == "resume RE2", "one that cannot be commanded does not keep the other from it"
    assert story.answer(UNSENT) == "nothing"
    story.tell(pause())
    assert story.converge() == "pause RE1 +list"
    assert story.answer(UNSENT, listing(RE1, RE2)) == "pause RE2 +list"
    assert story.answer(UNSENT, listing(RE1, RE2)) == "nothing"
    assert story.converge(after=30.0) == "pause RE1 +list"
    assert story.answer(confirmed(RE1), listing(RE1, RE2)) == "pause RE2 +list"
    assert story.answer(confirmed(RE2), listing(RE1, RE2)) == "nothing"
    assert story.safe is True


def test_late_resume_of_a_dead_process_counts_too() -> None:
    story = paused_story()
    story.tell(resume())
    story.converge()
    story.tell(pause(), after=1.0)
    assert story.converge(after=5.0) == "look"
    assert story.call.late_resume_until == at(0.1) + POLICY.claim + POLICY.late
    assert story.answer(None, listing(RE1)) == "pause CURRENT +list"
    story.answer(confirmed(), listing(RE1))
    assert story.state == ("paused", "paused", False)


def test_resume_that_never_left_us_cannot_arrive_late() -> None:
    story = paused_story()
    story.tell(resume())
    story.converge()
    story.answer(UNSENT)
    assert story.call.late_resume_until is None
    story.tell(pause())
    assert story.converge() == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.safe is True


@pytest.mark.parametrize("reply", [BUSY, refused(20003, 401), Reply(kind=Kind.UNANSWERED, http_status=503)])
def test_sending_again_backs_off_like_everything_else(reply: Reply) -> None:
    story = late_resume()
    assert story.converge(after=5) == "pause CURRENT +list"
    assert story.answer(reply, listing(RE1)) == "nothing"
    falls_due = due(story.call, at(story.seconds))
    assert falls_due is not None
    assert falls_due > at(story.seconds)


# Refused as if it were done already


def test_repetition_refused_with_21220_is_toggled() -> None:
    """After an unanswered pause, 21220 may mean that it is paused already: the opposite first, by SID."""
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    story.answer(UNANSWERED, listing(RE1))
    assert story.converge(after=1.0) == "pause CURRENT +list"
    assert story.answer(refused(21220), listing(RE1)) == "resume RE1"
    assert story.safe is False
    assert story.answer(confirmed()) == "pause CURRENT +list"
    assert story.safe is False
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.safe is True


def test_resume_refused_with_21220_after_an_unanswered_one_is_toggled() -> None:
    story = paused_story()
    story.tell(resume())
    story.converge()
    story.answer(UNANSWERED)
    assert story.converge(after=1.0) == "resume CURRENT"
    assert story.answer(refused(21220)) == "look"
    assert story.answer(None, listing(RE1)) == "pause RE1 +list"
    assert story.answer(confirmed()) == "resume CURRENT"
    assert story.answer(confirmed()) == "nothing"
    assert story.state == ("recording", "recording", False)


def test_opposite_refused_with_21220_is_so_already_and_the_wanted_one_follows() -> None:
    """The refusal of the pause meant something else: the recording runs, so it refuses the resume too."""
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    story.answer(UNANSWERED, listing(RE1))
    assert story.converge(after=1.0) == "pause CURRENT +list"
    assert story.answer(refused(21220), listing(RE1)) == "resume RE1"
    assert story.answer(refused(21220)) == "look"
    assert story.answer(None, listing(RE1)) == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.safe is True


def test_opposite_unanswered_is_sent_again_if_the_wanted_one_is_refused_again() -> None:
    """It never arrived, so the recording is paused as before and refuses the pause as before."""
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    story.answer(UNANSWERED, listing(RE1))
    assert story.converge(after=1.0) == "pause CURRENT +list"
    assert story.answer(refused(21220), listing(RE1)) == "resume RE1"
    story.answer(UNANSWERED)
    assert story.converge(after=1.0) == "pause CURRENT +list"
    assert story.answer(refused(21220), listing(RE1)) == "resume RE1"
    assert story.answer(confirmed()) == "pause CURRENT +list"
    story.answer(confirmed(), listing(RE1))
    assert story.state == ("paused", "paused", False)


def test_pause_refused_with_21220_after_a_resume_that_never_arrived_is_toggled() -> None:
    story = paused_story()
    story.tell(resume())
    assert story.converge() == "resume CURRENT"
    story.answer(UNANSWERED)
    story.tell(pause())
    assert story.converge() == "pause CURRENT +list"
    assert story.answer(refused(21220), listing(RE1)) == "resume RE1"
    assert story.answer(confirmed()) == "pause CURRENT +list"
    story.answer(confirmed(), listing(RE1))
    assert story.state == ("paused", "paused", False)


def test_only_the_recording_that_was_refused_is_toggled() -> None:
    """Two were found while a pause was unanswered: that one was refused says nothing of the other."""
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.answer(UNANSWERED, listing(RE1, RE2))
    assert story.converge(after=1.0) == "pause RE1 +list"
    assert story.answer(refused(21220), listing(RE1, RE2)) == "resume RE1"
    assert story.answer(confirmed(RE1)) == "pause RE1 +list"
    assert story.answer(confirmed(RE1), listing(RE1, RE2)) == "pause RE2 +list"
    assert story.answer(confirmed(RE2), listing(RE1, RE2)) == "nothing"
    assert story.safe is True


def test_first_21220_is_not_toggled() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    assert story.answer(refused(21220), listing(RE1)) == "nothing"
    assert story.call.problem is Problem.REFUSED


def test_safe_call_is_never_toggled() -> None:
    """Another holder's pause of what is proven paused sends nothing at all."""
    story = paused_story()
    story.tell(pause(ALICE, "agent:alice"))
    assert (story.safe, story.converge()) == (True, "nothing")


# Old news and new recordings


def test_in_progress_of_a_recording_that_we_commanded_is_old_news() -> None:
    story = paused_story()
    before = story.call
    story.tell(started(RE1), after=1.0)
    assert (story.call, story.facts) == (before, ())


def test_in_progress_of_a_recording_that_we_commanded_in_vain_is_old_news() -> None:
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.answer(UNANSWERED, listing(RE1))
    state = story.state
    story.tell(started(RE1), after=1.0)
    assert (story.state, story.facts) == (state, ())


def test_new_recording_during_a_hold_is_paused_at_once() -> None:
    story = paused_story()
    story.tell(started(RE2), after=1.0)
    assert story.state == ("paused", "recording", False)
    assert story.converge() == "pause RE2 +list"
    assert story.answer(confirmed(RE2), listing(RE1, RE2)) == "nothing"
    assert story.safe is True


def test_new_recording_is_paused_at_once_even_while_backing_off() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    story.answer(BUSY, listing(RE1))
    story.tell(started(RE2))
    assert story.converge() == "pause RE1 +list"


def test_completed_is_final() -> None:
    story = paused_story()
    story.tell(completed(RE1), after=1.0)
    assert story.fact_types == ["recording.ended"]
    story.tell(started(RE1), after=1.0)
    assert (story.call.live, story.facts, story.safe) == ((), (), False)


def test_confirmation_does_not_bring_an_ended_recording_back() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(pause())
    story.converge()
    story.tell(completed(RE1))
    story.answer(confirmed(), listing())
    assert story.call.live == ()


@pytest.mark.parametrize("status", ["paused", "resumed", "stopped"])
def test_observation_is_noted_and_never_relied_on(status: str) -> None:
    story = Story(call())
    story.tell(started(RE1))
    before = story.call
    story.tell(RecordingReported(sid=RE1, status=status, of=Of.CALL, owner=SID))
    assert (story.call, story.fact_types) == (before, ["recording.noted"])


def test_call_report_out_of_order_is_ignored() -> None:
    story = paused_story()
    before = story.call
    story.tell(CallReported(sid=SID, status="ringing", sequence=1))
    assert (story.call, story.facts) == (before, ())


def test_call_that_ended_closes_its_holds_and_says_what_was_left_paused() -> None:
    story = paused_story()
    story.tell(CallReported(sid=SID, status="completed", sequence=3), after=1.0)
    assert story.fact_types == ["call.ended", "hold.closed", "recording.left_paused"]
    assert story.state == ("recording", "ended", False)
    assert due(story.call, at(1000)) is None
    story.tell(pause())
    assert story.refused is Problem.CALL_OVER


def test_call_that_ended_stays_over_whatever_an_older_fetch_says() -> None:
    """The fetch was answered before the call ended; its reply is saved after it."""
    story = nothing_there()
    story.tell(CallReported(sid=SID, status="completed", sequence=3))
    story.answer(seen=CallSeen(ok=True, status="in-progress"))
    assert (story.call.status, story.call.over) == ("completed", True)


def test_call_that_ended_is_not_ended_twice() -> None:
    story = nothing_there()
    story.tell(CallReported(sid=SID, status="completed", sequence=3))
    story.answer(seen=CallSeen(ok=True, status="completed"))
    assert story.fact_types == []


def test_call_that_ended_gets_no_live_recordings_from_a_late_reply() -> None:
    story = Story(call())
    story.tell(pause())
    story.converge()
    story.tell(CallReported(sid=SID, status="completed", sequence=3))
    story.answer(confirmed(), listing(RE1, RE2))
    assert (story.call.live, story.state) == ((), ("recording", "ended", False))


# Wishes


def test_last_wish_wins_while_a_command_is_in_flight() -> None:
    story = paused_story()
    story.tell(resume())
    assert story.converge() == "resume CURRENT"
    story.tell(pause(), after=0.1)
    assert story.answer(confirmed()) == "pause CURRENT +list"
    assert story.answer(confirmed(), listing(RE1)) == "nothing"
    assert story.state == ("paused", "paused", True)


def test_other_holds_keep_the_call_paused() -> None:
    story = paused_story()
    story.tell(pause(ALICE, "agent:alice"))
    story.tell(resume())
    assert (story.fact_types, story.refused) == (["hold.released"], None)
    assert (story.state, story.converge()) == (("paused", "paused", True), "nothing")
    story.tell(resume())
    assert (story.refused, story.fact_types) == (Denial.HELD_BY_OTHERS, ["resume.refused"])


def test_resume_of_a_running_call_does_nothing() -> None:
    story = Story(call())
    story.tell(started(RE1))
    story.tell(resume())
    assert (story.facts, story.refused, story.converge()) == ((), None, "nothing")


@pytest.mark.parametrize("message", [pause(BOB, "agent:bob"), resume(BOB, "agent:bob")])
def test_agent_acts_on_own_calls_only(message: object) -> None:
    story = paused_story()
    before = story.call
    story.tell(message)  # type: ignore[arg-type]
    assert (story.refused, story.call) == (Denial.NOT_YOURS, before)
    assert [(fact.outcome, fact.by) for fact in story.facts] == [("failure", BOB)]


def test_agent_who_lost_the_call_may_still_release_own_hold() -> None:
    story = paused_story()
    story.tell(pause(ALICE, "agent:alice"))
    story.tell(CallReported(sid=LEG, status="in-progress", parent=SID, sequence=2, agent="bob"))
    assert story.call.agent == "bob"
    story.tell(resume(ALICE, "agent:alice"))
    assert (story.refused, story.fact_types) == (None, ["hold.released"])


def test_step_that_gives_up_late_ends_no_hold_that_was_wanted_again_since() -> None:
    """It hung while the flow came here a second time: that one may have gone on to the card."""
    story = Story(call())
    for wish in ("first", "second"):
        story.tell(Pause(by=IVR, hold_id=wish, holder="ivr"))
    story.tell(GiveUp(by=IVR, wish="first"))
    assert (story.facts, [hold.id for hold in story.call.holds]) == ((), ["first"])
    story.tell(GiveUp(by=IVR, wish="second"))
    assert ("hold.closed" in story.fact_types, story.call.holds) == (True, ())


@pytest.mark.parametrize(
    ("asked", "given"), [(None, 300), (60, 60), (300, 300), (100_000, 300), (1, 1), (0, 1), (-5, 1)]
)
def test_max_seconds_is_clamped(asked: int | None, given: int) -> None:
    story = Story(call())
    story.tell(pause(max_seconds=asked))
    assert story.call.holds[0].expires_at == at(given)


def test_second_pause_prolongs_the_hold_and_never_shortens_it() -> None:
    story = Story(call())
    story.tell(pause(max_seconds=60))
    story.tell(pause(max_seconds=60), after=10)
    assert story.fact_types == ["hold.extended"]
    assert [hold.expires_at for hold in story.call.holds] == [at(70)]
    story.tell(pause(max_seconds=1))
    assert [hold.expires_at for hold in story.call.holds] == [at(70)]


def relisted(story: Story, seconds: float) -> None:
    """Twilio's lists were asked for again just now, and show nothing new."""
    story.seconds = seconds
    assert story.converge() == "look"
    assert story.answer(None, listing(RE1)) == "nothing"


def test_lists_are_asked_for_again_during_a_pause_and_show_a_recording_whose_callback_was_lost() -> None:
    story = paused_story()
    assert due(story.call, at(1)) == at(30)
    assert story.converge(after=29) == "nothing"
    assert story.converge(after=1) == "look"
    assert story.safe
    assert story.answer(None, listing(RE1, RE2)) == "pause RE2 +list"
    assert (story.safe, story.fact_types[0]) == (False, "recording.found")


def test_list_that_fails_during_a_proven_pause_leaves_it_proven() -> None:
    story = paused_story()
    assert story.converge(after=30) == "look"
    assert story.answer(None, no_list()) == "nothing"
    assert (story.safe, story.fact_types) == (True, ["list.failed"])


def test_hold_that_runs_out_is_unsafe_ten_seconds_before_the_call_resumes() -> None:
    story = paused_story()
    relisted(story, 299)
    assert due(story.call, at(story.seconds)) == at(300)
    assert [is_safe(story.call, at(seconds)) for seconds in (299.9, 300)] == [True, False]
    story.seconds = 300
    assert story.converge() == "nothing"
    assert (story.fact_types, due(story.call, at(300))) == (["hold.running_out"], at(310))
    assert story.state == ("paused", "paused", False)
    story.seconds = 310
    assert story.converge() == "resume CURRENT"
    assert story.fact_types == ["hold.expired", "command.sent"]
    assert story.answer(confirmed()) == "nothing"
    assert story.state == ("recording", "recording", False)


def test_hold_that_ran_out_only_alerts_where_so_decided() -> None:
    story = paused_story(replace(POLICY, expiry="alert"))
    relisted(story, 299)
    assert story.converge(after=0.9) == "nothing"
    assert [(fact.type, fact.outcome) for fact in story.facts] == [("hold.overdue", "failure")]
    assert story.state == ("paused", "paused", True)
    assert story.converge(after=20) == "nothing"
    assert story.facts == ()


def test_one_hold_that_ran_out_leaves_the_others() -> None:
    story = paused_story()
    story.tell(pause(ALICE, "agent:alice", max_seconds=10))
    assert story.converge(after=10) == "nothing"
    assert story.fact_types == ["hold.running_out"]
    assert story.converge(after=10) == "nothing"
    assert story.fact_types == ["hold.expired"]
    assert (story.state, [hold.holder for hold in story.call.holds]) == (("paused", "paused", True), ["api:crm"])


# Whose call it is


def test_agent_on_the_live_leg_is_the_owner() -> None:
    story = Story(Call(sid=SID, account="AC" + "0" * 32))
    story.tell(CallReported(sid=LEG, status="ringing", parent=SID, sequence=1, agent="alice"))
    assert story.fact_types == ["leg.reported"]
    story.tell(CallReported(sid=LEG, status="in-progress", parent=SID, sequence=2, agent="alice"))
    assert (story.call.agent, story.fact_types) == ("alice", ["leg.reported", "call.owner_changed"])
    story.tell(CallReported(sid=LEG, status="completed", parent=SID, sequence=3, agent="alice"))
    assert story.call.agent == "alice"


def test_call_goes_over_to_the_agent_whose_leg_came_last() -> None:
    story = Story(call(agent=None))
    story.tell(CallReported(sid=LEG, status="in-progress", parent=SID, sequence=2, agent="alice"))
    story.tell(CallReported(sid=PARENT, status="in-progress", parent=SID, sequence=2, agent="bob"), after=5)
    assert story.call.agent == "bob"


def test_call_without_an_agent_is_taken_once() -> None:
    story = Story(call(agent=None))
    story.tell(Take(by=ALICE, agent="alice"))
    assert (story.call.agent, story.fact_types) == ("alice", ["call.claimed"])
    story.tell(Take(by=ALICE, agent="alice"))
    assert (story.refused, story.facts) == (None, ())
    story.tell(Take(by=BOB, agent="bob"))
    assert (story.refused, story.call.agent) == (Denial.OWNED, "alice")


def test_two_agents_on_a_merged_call_stay_apart() -> None:
    hold = Hold(id="h", holder="agent:bob", reason=None, opened_at=at(0), expires_at=at(60))
    parent, _, _ = unite(call(sid=PARENT, agent="alice"), call(agent="bob", holds=(hold,)), at(1), Policy())
    assert (parent.agent, [one.holder for one in parent.holds]) == ("alice", ["agent:bob"])


def test_three_recordings_of_which_one_was_missed_are_never_safe() -> None:
    story = Story(call())
    for sid in (RE1, RE2):
        story.tell(started(sid))
    story.tell(pause())
    story.converge()
    story.answer(confirmed(RE1), listing(RE1, RE2))
    assert story.answer(confirmed(RE2), listing(RE1, RE2, RE3)) == "pause RE3 +list"
    assert story.safe is False


def test_wish_is_recording_without_holds() -> None:
    assert Story(call()).state == (str(Wish.RECORDING), "unknown", False)
    assert POLICY.late == timedelta(seconds=15)


def test_leg_that_rings_is_listed_too() -> None:
    """Its recording may begin before its callback comes."""
    ringing = Leg(sid=LEG, status="ringing")
    assert lists_of(call(legs=(ringing,))) == ((Of.CALL, SID), (Of.LEG, LEG))
    assert lists_of(call(legs=(replace(ringing, status="completed"),))) == ((Of.CALL, SID),)


def test_late_ringing_without_a_sequence_does_not_undo_in_progress() -> None:
    story = Story(call(sid=SID))
    story.tell(CallReported(sid=SID, status="in-progress", agent="alice"))
    story.tell(CallReported(sid=SID, status="ringing", agent="alice"))
    assert (story.call.status, story.call.leg_agent) == ("in-progress", "alice")


def test_recording_announced_for_a_leg_is_commanded_at_the_leg() -> None:
    story = Story(call())
    story.tell(RecordingReported(sid=RE1, status="in-progress", of=Of.CALL, owner=LEG))
    assert [(one.of, one.owner) for one in story.call.recordings] == [(Of.LEG, LEG)]


def test_worker_is_not_woken_for_a_stop_before_the_next_try_is_due() -> None:
    """Or it would look again and again, and find nothing to do."""
    waiting = call(
        recordings=(Recording(sid=RE1, of=Of.CALL, owner=SID),),
        holds=(Hold(id="hold", holder="api:crm", reason=None, opened_at=at(0), expires_at=at(300)),),
        stop_at=at(1),
        next_at=at(5),
    )
    assert (due(waiting, at(0.5)), due(waiting, at(2))) == (at(5), at(5))


def test_worker_is_not_woken_when_a_lost_resume_can_arrive_no_more_and_nothing_is_to_be_done() -> None:
    running = call(
        recordings=(Recording(sid=RE1, of=Of.CALL, owner=SID, state=State.RECORDING, confirmed_at=at(1)),),
        late_resume_until=at(15),
        heard_at=at(1),
    )
    assert due(running, at(1)) == at(1) + QUIET

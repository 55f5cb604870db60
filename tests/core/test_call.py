"""What follows from a call: desired, observed, and why it is not safe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.call import (
    Call,
    Claim,
    Hold,
    Leg,
    Of,
    Problem,
    Recording,
    State,
    Wish,
    desired,
    is_listed,
    is_safe,
    observed,
    why_not_safe,
)
from tests.core.examples import CONFERENCE, LEG, RE1, RE2, RE3, SID, at, call

HOLD = Hold(id="h", holder="ivr", reason=None, opened_at=at(0), expires_at=at(60))
PAUSED = Recording(sid=RE1, of=Of.CALL, owner=SID, state=State.PAUSED, confirmed_at=at(1))
SAFE = call(holds=(HOLD,), recordings=(PAUSED,), paused_since=at(0), listed_at=at(0))


def in_state(*states: State) -> tuple[Recording, ...]:
    return tuple(
        Recording(sid=sid, of=Of.CALL, owner=SID, state=state)
        for sid, state in zip((RE1, RE2, RE3), states, strict=False)
    )


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ((), "unknown"),
        ((State.UNKNOWN,), "unknown"),
        ((State.RECORDING,), "recording"),
        ((State.PAUSED,), "paused"),
        ((State.PAUSED, State.PAUSED), "paused"),
        ((State.PAUSED, State.RECORDING), "recording"),
        ((State.PAUSED, State.UNKNOWN), "unknown"),
        ((State.UNKNOWN, State.RECORDING), "recording"),
        ((State.PAUSED, State.ENDED), "paused"),
        ((State.PAUSED, State.STOPPED, State.ABSENT), "paused"),
        ((State.STOPPED,), "stopped"),
        ((State.STOPPED, State.ENDED), "stopped"),
        ((State.ABSENT,), "absent"),
        ((State.ABSENT, State.FAILED), "absent"),
        ((State.ENDED,), "unknown"),
    ],
)
def test_observed_is_over_all_live_recordings(states: tuple[State, ...], said: str) -> None:
    assert observed(call(recordings=in_state(*states))) == said


def test_call_that_is_over_is_observed_as_ended() -> None:
    assert observed(call(status="completed", recordings=in_state(State.ENDED))) == "ended"
    assert observed(call(status="completed")) == "ended"


@pytest.mark.parametrize(
    ("fields", "wish"),
    [
        ({}, Wish.RECORDING),
        ({"holds": (HOLD,)}, Wish.PAUSED),
        ({"stop_wanted": True}, Wish.STOPPED),
        ({"holds": (HOLD,), "stop_wanted": True}, Wish.STOPPED),
    ],
)
def test_desired_follows_from_the_holds(fields: dict[str, object], wish: Wish) -> None:
    assert desired(call(**fields)) is wish


def test_proven_pause_is_safe() -> None:
    assert (why_not_safe(SAFE, at(2)), is_safe(SAFE, at(2))) == (None, True)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        pytest.param({"holds": ()}, Problem.SUPERSEDED, id="no hold"),
        pytest.param({"stop_wanted": True}, Problem.SUPERSEDED, id="stopped"),
        pytest.param({"status": "completed"}, Problem.CALL_OVER, id="over"),
        pytest.param({"status": "unknown-to-twilio"}, Problem.UNKNOWN_CALL, id="unknown to Twilio"),
        pytest.param({"recordings": ()}, Problem.STARTING, id="nothing is known"),
        pytest.param(
            {"recordings": (), "problem": Problem.NOTHING_RECORDING}, Problem.NOTHING_RECORDING, id="nothing records"
        ),
        pytest.param({"recordings": in_state(State.UNKNOWN)}, Problem.STARTING, id="not confirmed"),
        pytest.param({"recordings": in_state(State.RECORDING)}, Problem.NOT_ALL_PAUSED, id="runs"),
        pytest.param(
            {"recordings": (PAUSED, replace(PAUSED, sid=RE2, state=State.RECORDING))},
            Problem.NOT_ALL_PAUSED,
            id="one of two runs",
        ),
        pytest.param({"recordings": in_state(State.ENDED)}, Problem.STARTING, id="all ended"),
        pytest.param({"listed_at": None}, Problem.STARTING, id="no list"),
        pytest.param({"listed_at": at(-1)}, Problem.STARTING, id="list from before the pause"),
        pytest.param({"joined_at": at(1)}, Problem.STARTING, id="joined after the list"),
        pytest.param({"late_resume_until": at(16)}, Problem.LATE_RESUME, id="a resume may still arrive"),
        pytest.param({"late_resume_until": at(1.5)}, Problem.LATE_RESUME, id="confirmed before it could have arrived"),
        pytest.param({"problem": Problem.LIST_FAILED, "listed_at": None}, Problem.LIST_FAILED, id="list failed"),
    ],
)  # fmt: skip
def test_safe_is_proven_never_assumed(fields: dict[str, object], why: Problem) -> None:
    assert why_not_safe(replace(SAFE, **fields), at(2)) is why  # type: ignore[arg-type]


@pytest.mark.parametrize(("wish", "safe"), [(Wish.RECORDING, False), (Wish.PAUSED, True), (None, True)])
def test_resume_in_flight_ends_safe(wish: Wish | None, safe: bool) -> None:
    claim = Claim(token="t", node="n", taken_at=at(1), until=at(6), wish=wish, target=RE1)
    assert is_safe(replace(SAFE, claim=claim), at(2)) is safe


def test_pause_confirmed_after_a_resume_could_still_arrive_is_safe() -> None:
    assert is_safe(replace(SAFE, late_resume_until=at(1)), at(2)) is True


@pytest.mark.parametrize(("seconds", "safe"), [(59.9, True), (60, False), (61, False)])
def test_hold_that_ran_out_is_not_safe(seconds: float, safe: bool) -> None:
    assert is_safe(SAFE, at(seconds)) is safe
    overdue = replace(SAFE, holds=(replace(HOLD, overdue=True),))
    assert is_safe(overdue, at(seconds)) is True
    other = replace(SAFE, holds=(HOLD, replace(HOLD, id="i", holder="api:crm", expires_at=at(99))))
    assert is_safe(other, at(seconds)) is True


def test_list_counts_only_during_this_pause() -> None:
    assert [is_listed(replace(SAFE, paused_since=since), at(2)) for since in (None, at(0), at(1))] == [
        False,
        True,
        False,
    ]


def test_names_are_legs_and_conferences_without_the_call_itself() -> None:
    legs = (Leg(sid=SID, status="in-progress"), Leg(sid=LEG, status="completed"))
    assert call(legs=legs, conferences=(CONFERENCE,)).names == {LEG, CONFERENCE}


def test_agent_on_the_leg_that_came_last_is_the_one() -> None:
    def leg(sid: str, agent: str | None, since: float | None, status: str = "in-progress") -> Leg:
        return Leg(sid=sid, status=status, agent=agent, since=None if since is None else at(since))

    assert call(legs=(leg("a", "alice", 2), leg("b", "bob", 1), leg("c", None, 3))).leg_agent == "alice"
    assert call(legs=(leg("a", "alice", None), leg("b", "bob", 1))).leg_agent == "bob"
    assert call(legs=(leg("a", "alice", None),)).leg_agent == "alice"
    assert call(legs=(leg("a", "alice", 1, "completed"),)).leg_agent is None
    assert Call(sid=SID, account="AC").leg_agent is None


def test_two_legs_without_a_time_can_be_compared() -> None:
    legs = tuple(Leg(sid=sid, status="in-progress", agent=agent) for sid, agent in (("a", "alice"), ("b", "bob")))
    assert call(legs=legs).leg_agent in {"alice", "bob"}


def test_recording_takes_the_place_of_the_one_with_its_sid() -> None:
    added = SAFE.with_recording(replace(PAUSED, sid=RE2))
    changed = added.with_recording(replace(PAUSED, state=State.ENDED))
    assert [(one.sid, one.state) for one in changed.recordings] == [(RE1, State.ENDED), (RE2, State.PAUSED)]

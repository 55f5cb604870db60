"""PURE. What ends: a call, its recordings, a gap in them; and the belief that a recording is paused (drift)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot import holds
from bot.actors import TWILIO, By
from bot.call import Call, Of, Problem, Recording, State
from bot.messages import Fact, Finding, finding


def end(call: Call, status: str, now: datetime, by: By = TWILIO) -> tuple[Call, tuple[Fact, ...]]:
    """The call is over: its holds close, what was still paused is told, nothing of it is sent any more.

    A conference may go on without it: its recording is not the call's any more, but is let go if we hold it paused.
    """
    call, closed = holds.close_all(call, "the call ended", now)
    call, left = end_recordings(call)
    fact = Fact(type="call.ended", by=by, before=call.status, after=status)
    problem = Problem.UNKNOWN_CALL if status == "unknown-to-twilio" else Problem.CALL_OVER
    over = replace(
        call, status=status, conferences=(), left=(*call.left, *call.conferences), resume_wanted=False, stop_at=None,
        gap_since=None, reconfirm_at=(), next_at=None, look_first=False, ask_call=False, doubt=False, problem=problem,
    )  # fmt: skip
    return over, (fact, *closed, *left)


def end_recordings(call: Call, owner: str | None = None) -> tuple[Call, tuple[Fact, ...]]:
    """The recordings of the call and its legs are over, or those of the conference `owner`."""
    ended = [
        one for one in call.recordings
        if one.live and (one.owner == owner if owner is not None else one.of is not Of.CONFERENCE)
    ]  # fmt: skip
    facts = tuple(
        Fact(type="recording.left_paused", recording=one.sid, before=State.PAUSED, after=State.ENDED)
        for one in ended
        if one.state is State.PAUSED
    )
    for one in ended:
        call = call.with_recording(replace(one, state=State.ENDED, doubt=False, toggle=False))
    return call, facts


def close_gap(call: Call, now: datetime) -> tuple[Call, tuple[Fact, ...]]:
    """The call is recorded again; from when to when it was not is an entry of its own."""
    if call.gap_since is None:
        return call, ()
    gap = {"from": call.gap_since.isoformat(), "to": now.isoformat()}
    return replace(call, gap_since=None), (Fact(type="recording.gap", outcome="failure", detail=gap),)


def drift(call: Call, known: Recording) -> tuple[Call, tuple[Fact, ...]]:
    """Twilio says that a recording runs which it had confirmed paused."""
    fact = finding(Finding.DRIFT, by=TWILIO, recording=known.sid)
    return replace(call.with_recording(replace(known, state=State.RECORDING)), next_at=None), (fact,)

"""When somebody who waits is told what came of a wish, and what.

Each judge is given a step of the loop in `control` and the seconds waited so far, and returns the outcome, or None to
go on waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bot.call import Call, Problem, Wish, desired, observed, why_not_safe
from bot.messages import Command, Denial, Effect, Look, Merge
from bot.recording import next_effect

TOO_EARLY_SECONDS = 2.0
"""For so long "nothing is recording" may only mean that the recording is about to begin."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The call as it is now, and why the wish was not met; `problem` is None when it was."""

    call: Call
    now: datetime
    problem: Problem | Denial | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What a transaction left to do. `taken` is the monotonic time before it began: its claim is no younger."""

    call: Call
    now: datetime
    taken: float
    effect: Effect | None = None
    refused: Problem | Denial | None = None

    @property
    def is_claimed(self) -> bool:
        return isinstance(self.effect, Command | Look | Merge)


Judge = Callable[[Step, float], Outcome | None]


@dataclass(frozen=True, slots=True)
class PauseJudge:
    """Done when it is safe, when our hold is gone, or when going on cannot help the one who waits."""

    holder: str

    def __call__(self, step: Step, waited_seconds: float) -> Outcome | None:
        call = step.call
        why = step.refused or why_not_safe(call, step.now)
        if why is None or step.refused is not None:
            return Outcome(call, step.now, why)
        if call.hold_of(self.holder) is None:
            return Outcome(call, step.now, why if call.over else Problem.SUPERSEDED)
        is_hopeless = why in {Problem.LATE_RESUME, Problem.CREDENTIALS, Problem.EXPIRED}
        is_settled = why is Problem.NOTHING_RECORDING and waited_seconds >= TOO_EARLY_SECONDS
        return Outcome(call, step.now, why) if is_hopeless or is_settled else None


class ResumeJudge:
    """Done when nothing is left to resume, or when other holds keep the call paused, as they may."""

    def __init__(self, first: Step) -> None:
        self._is_held_by_others = desired(first.call) is Wish.PAUSED

    def __call__(self, step: Step, waited_seconds: float) -> Outcome | None:  # noqa: ARG002 - one shape for all judges
        call = step.call
        if step.refused is not None or desired(call) is Wish.PAUSED:
            superseded = None if self._is_held_by_others else Problem.SUPERSEDED
            return Outcome(call, step.now, step.refused or superseded)
        if call.over:
            return Outcome(call, step.now, call.problem or Problem.CALL_OVER)
        if call.problem is Problem.CREDENTIALS:
            return Outcome(call, step.now, call.problem)
        is_met = call.claim is None and next_effect(_without_delays(call), "", step.now) is None
        return Outcome(call, step.now) if is_met or call.problem is Problem.NOTHING_RECORDING else None


def _without_delays(call: Call) -> Call:
    """What was put off is not done. (Only a recording that the call has left behind may wait for longer than we do.)"""
    recordings = tuple(one if one.owner in call.left else replace(one, next_at=None) for one in call.recordings)
    return replace(call, next_at=None, recordings=recordings)


def stop_judge(step: Step, waited_seconds: float) -> Outcome | None:  # noqa: ARG001 - one shape for all judges
    """Done when it is stopped, or when there was nothing to stop."""
    call = step.call
    if step.refused is not None or call.over:
        return Outcome(call, step.now, step.refused or call.problem)
    if not call.stop_wanted:
        return Outcome(call, step.now, Problem.NOTHING_RECORDING)
    if observed(call) == "stopped":
        return Outcome(call, step.now)
    return Outcome(call, step.now, call.problem) if call.problem is Problem.CREDENTIALS else None


def as_it_is(step: Step, waited_seconds: float) -> Outcome:  # noqa: ARG001 - one shape for all judges
    return Outcome(step.call, step.now)

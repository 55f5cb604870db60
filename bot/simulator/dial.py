"""<Dial>: legs that ring at once until one is answered, or a conference that is joined."""

from __future__ import annotations

from contextlib import ExitStack

from bot.simulator import calls, conferences, recordings
from bot.simulator.line import Gone, Line
from bot.simulator.model import Call, Conference, Recording
from bot.simulator.verbs import Dial, Next, Room


def run(line: Line, dial: Dial) -> Next | None:
    """The action with how it went; None goes on with the next verb. If the caller hangs up, the action is told."""
    outcome = _Outcome(line)
    try:
        if dial.room:
            _confer(line, dial, dial.room, outcome)
        else:
            _call(line, dial, outcome)
    except Gone:
        if dial.action:
            line.tell(Next(dial.action, dial.method, outcome.params()))
        raise
    return Next(dial.action, dial.method, outcome.params()) if dial.action else None


class _Outcome:
    """How a <Dial> went, in the words of its action's parameters."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.legs: list[Call] = []
        self.in_conference = False
        self.recording: Recording | None = None

    @property
    def answered(self) -> Call | None:
        """The leg that was first to answer."""
        known = [leg for leg in self.legs if leg.answered_at is not None]
        return min(known, key=lambda leg: leg.answered_at or 0.0) if known else None

    def params(self) -> dict[str, str]:
        with self._line.world.lock:
            if self.in_conference:
                return {"DialCallStatus": "answered"}
            if not self.legs:
                return {"DialCallStatus": "failed"}
            leg = self.answered or self.legs[0]
            params = {"DialCallSid": leg.sid, "DialCallStatus": leg.status, "DialBridged": "false"}
            if leg.answered_at is not None:
                until = self._line.world.clock.now() if leg.ended_at is None else leg.ended_at
                params |= {
                    "DialBridged": "true",
                    "DialCallDuration": str(int(until - leg.answered_at)),
                    "DialCallStatus": "completed",
                }
            if self.recording:
                params |= {"RecordingSid": self.recording.sid}
            return params


def _call(line: Line, dial: Dial, outcome: _Outcome) -> None:
    world, call = line.world, line.call
    with world.lock:
        line.check()
        outcome.legs = [
            calls.add_leg(world, call, to, answered=False, linked=True, caller_id=dial.caller_id) for to in dial.to
        ]
        if dial.plan and dial.from_ringing:
            outcome.recording = recordings.begin_of_call(world, call.sid, dial.plan)
    with ExitStack() as stack:
        if dial.hangup_on_star:
            stack.enter_context(line.listening(_Star(line, outcome)))
        line.moment("dial")
        line.wait(dial.timeout, lambda: bool(outcome.answered) or all(leg.over for leg in outcome.legs))
        leg = _connect(line, dial, outcome)
        if leg:
            line.pick_up()
            line.wait(dial.time_limit, lambda: leg.over)
            _end(line, [leg], None)
    with world.lock:
        line.check()
        if outcome.recording and outcome.recording.live:
            recordings.end(world, outcome.recording, "completed")


def _connect(line: Line, dial: Dial, outcome: _Outcome) -> Call | None:
    """The first leg that answered, recorded if that is wanted; the others stop ringing."""
    with line.world.lock:
        line.check()
        winner = outcome.answered
        losers = [leg for leg in outcome.legs if leg is not winner]
        _end(line, losers, "canceled" if winner else "no-answer")
        if winner and dial.plan and not dial.from_ringing:
            outcome.recording = recordings.begin_of_call(line.world, line.call.sid, dial.plan)
        return winner


def _end(line: Line, legs: list[Call], unanswered: str | None) -> None:
    with line.world.lock:
        for leg in legs:
            if not leg.over:
                calls.hang_up(line.world, leg, unanswered)


class _Star:
    """``hangupOnStar``: the caller's star ends the leg that was dialled, and the call goes on."""

    def __init__(self, line: Line, outcome: _Outcome) -> None:
        self._line = line
        self._outcome = outcome

    def key(self, key: str) -> None:
        leg = self._outcome.answered
        if key == "*" and leg:
            _end(self._line, [leg], None)


def _confer(line: Line, dial: Dial, room: Room, outcome: _Outcome) -> None:
    line.pick_up()
    with line.world.lock:
        line.check()
        conference = _open(line, room)
        if room.plan and conference.status == "init" and not conference.plan:
            conference.plan = room.plan
        conferences.join(line.world, conference, line.call.sid, starts=room.starts, ends=room.ends)
        outcome.in_conference = True
    with ExitStack() as stack:
        if dial.hangup_on_star:
            stack.enter_context(line.listening(_Leave(line, conference)))
        line.moment("dial")
        line.wait(dial.time_limit, lambda: line.call.sid not in conference.participants)
        _leave(line, conference)


def _open(line: Line, room: Room) -> Conference:
    """The running conference of that name, or a new one."""
    for known in line.world.conferences.values():
        if known.name == room.name and known.status != "completed":
            return known
    return conferences.open_(line.world, room.name, line.call.sid, owner_ends=False)


def _leave(line: Line, conference: Conference) -> None:
    with line.world.lock:
        if line.call.sid in conference.participants:
            conferences.leave(line.world, conference, line.call.sid)


class _Leave:
    """``hangupOnStar`` in a conference: the caller's star leaves it."""

    def __init__(self, line: Line, conference: Conference) -> None:
        self._line = line
        self._conference = conference

    def key(self, key: str) -> None:
        if key == "*":
            _leave(self._line, self._conference)

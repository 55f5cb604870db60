"""What must hold after every step, and at the end: the invariants of the design, against what really happened."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.call import Call, State, Wish, desired, is_safe, observed
from bot.messages import Command, Look
from bot.recording import next_effect
from tests.control.replay import Replay
from tests.control.world import Placed, Truth, World

LONGEST_WAIT = timedelta(seconds=30)
"""Back-offs, late commands and dead claims: the bot has something to do for an unsettled call at least this often."""
STEPS_MAX = 200


class Checks:
    """Of one run of the machine. Each check raises AssertionError with the story of what happened."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._replays: dict[str, Replay] = {}
        self._seen: dict[str, tuple[str, str, int]] = {}
        self.failed = False

    def all(self) -> None:
        truths = self._world.truths()
        now = self._world.clock.now()
        for placed in self._world.calls:
            call = self._world.find(placed.sid)
            if call is None:
                continue
            self.safe_is_true(placed, call, truths, now)
            self.log_says_the_same(placed, call)
            self.goes_on(call, now)
        self.expect(self._world.overlaps == 0, "two commands of one call were in flight")
        self.expect(self._world.twilio.counters()["overlaps"] == 0, "the simulator saw two commands in flight")

    # Safe is proven, never assumed

    def safe_is_true(self, placed: Placed, call: Call, truths: list[Truth], now: datetime) -> None:
        if not is_safe(call, now):
            return
        owners = {placed.sid, *call.conferences, *self._heard_conferences(call, placed)}
        wrong = [
            one.sid
            for one in truths
            if one.owner in owners and one.state == "in-progress" and not self._could_not_know(call, one)
        ]
        self.expect(wrong == [], f"{placed.sid} is said to be safe while {wrong} record")

    def _heard_conferences(self, call: Call, placed: Placed) -> set[str]:
        legs = {placed.sid, *(leg.sid for leg in call.legs)} & set(placed.legs)
        return {conference for conference, leg in self._world.joined if leg in legs}

    def _could_not_know(self, call: Call, one: Truth) -> bool:
        """A foreign hand resumed it, or it began after the list and its callback is still on its way."""
        if one.sid in self._world.foreign:
            return True
        begun = self._world.begun.get(one.sid)
        is_new = begun is not None and (call.listed_at is None or begun >= call.listed_at)
        return is_new and one.sid not in self._world.told

    # A call's state and its entries change together

    def log_says_the_same(self, placed: Placed, call: Call) -> None:
        replay = self._replays.setdefault(placed.sid, Replay(placed.legs))
        replay.read(self._world.database)
        if call.sid != placed.sid:
            return
        open_holds = {hold.id for hold in call.holds}
        self.expect(replay.open_holds() == open_holds, f"log: {replay.open_holds()} open, call: {open_holds}")
        self.expect(not (call.over and call.holds), "a call that is over has holds")
        proven = {one.sid for one in call.live if one.state is State.PAUSED}
        self.expect(proven <= set(replay.paused), f"the log does not say that {proven - set(replay.paused)} is paused")
        state = (desired(call), observed(call))
        *before, entries = self._seen.get(placed.sid, ("recording", "unknown", 0))
        if tuple(before) != state:
            self.expect(replay.entries > entries, f"{before} became {state} without an entry")
        self._seen[placed.sid] = (*state, replay.entries)

    # Level-triggered: what is not settled falls due

    def goes_on(self, call: Call, now: datetime) -> None:
        due = self._world.due_of(call.sid)
        if call.over:
            self.expect(due is None, "a call that is over falls due")
            return
        if self._is_settled(call, now):
            return
        self.expect(due is not None and due <= now + LONGEST_WAIT, f"not settled, and nothing falls due before {due}")
        holds = [hold.expires_at for hold in call.holds if not hold.overdue]
        if holds and due is not None and call.claim is None:
            self.expect(due <= max(holds), "a hold runs out and nothing falls due")

    def _is_settled(self, call: Call, now: datetime) -> bool:
        if call.claim is not None:
            return False
        if desired(call) is Wish.PAUSED:
            return is_safe(call, now)
        return not isinstance(next_effect(call, "", now), Command | Look)

    # The end: with everything in order again, the call is brought to what is desired

    def settles(self) -> None:
        """Faults off, all callbacks in, everything late arrived: safe while a hold is open, then nothing is paused."""
        world = self._world
        world.tell("-- everything in order again --")
        world.twilio.clear_faults()
        world.line.events.clear()
        world.line.dies_listing.clear()
        while world.line.kept:
            world.arrive()
        for callback in world.waiting():
            world.deliver(0, callback)
        for number in range(len(world.calls)):
            world.act(0, number, "crm pauses", lambda control, sid: control.pause(sid, *world.crm, max_seconds=300))
        self._work_for(timedelta(seconds=60))
        self.all()
        self._is_paused_where_wanted()
        self._work_for(timedelta(seconds=600))
        self.all()
        self._is_recording_again()

    def _work_for(self, time: timedelta) -> None:
        """What the worker does, until nothing is due or the time is over."""
        world = self._world
        until = world.clock.now() + time
        for _ in range(STEPS_MAX):
            while world.sweep():
                pass
            if not world.advance_to_due(until):
                return
        self.expect(False, "the worker never comes to an end")

    def _is_paused_where_wanted(self) -> None:
        world = self._world
        truths = world.truths()
        for placed in world.calls:
            call = world.find(placed.sid)
            if call is None or call.over or desired(call) is not Wish.PAUSED:
                continue
            live = [one for one in truths if one.owner in {placed.sid, *call.conferences} and one.is_live]
            if live and not any(one.sid in world.foreign for one in live):
                self.expect(is_safe(call, world.clock.now()), f"{placed.sid} never became safe: {call}")

    def _is_recording_again(self) -> None:
        world = self._world
        paused = {one.sid: one for one in world.truths() if one.state == "paused"}
        for placed in world.calls:
            call = world.find(placed.sid)
            if call is None or call.over:
                continue
            self.expect(call.holds == (), f"holds are left: {call.holds}")
            self.expect(call.claim is None, f"a claim is left: {call.claim}")
        left = [one.sid for one in paused.values() if not world.may_stay_paused(one)]
        self.expect(left == [], f"{left} stay paused")

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            failure = "\n".join([otherwise, *self._world.story])
            self._world.failures.append(failure)
            self.failed = True
            raise AssertionError(failure)

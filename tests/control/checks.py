"""What must hold after every step, and at the end: the invariants of the design, against what really happened."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.call import Call, State, Wish, desired, is_safe, observed
from bot.holds import falls_due
from bot.messages import Command, Look
from bot.recording import QUIET, next_effect
from bot.worker import SWEEP_SECONDS
from tests.control.replay import Replay
from tests.control.world import A_MOMENT, Placed, Truth, World

LONGEST_WAIT = timedelta(seconds=30)
"""Back-offs, late commands and dead claims: the bot has something to do for an unsettled call at least this often."""
CLOCKS_DIFFER_BY = timedelta(seconds=1)
"""The database's from ours, in the machine."""
STEPS_MAX = 200
SWEEPS_MAX = 100
SWEEPS_AT_ONCE = 10


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
            self.holds_end_with_the_customer(placed, call)
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
        principal = placed.sid if call.customer is None else call.customer.sid
        return self._world.news.conferences_of(principal, legs)

    def _could_not_know(self, call: Call, one: Truth) -> bool:
        """A foreign hand resumed it, or it began after the list and its callback is still on its way."""
        if one.sid in self._world.foreign:
            return True
        begun = self._world.begun.get(one.sid)
        is_new = begun is not None and (call.listed_at is None or begun >= call.listed_at)
        return is_new and one.sid not in self._world.news.told

    # No card can come from a customer who is gone

    def holds_end_with_the_customer(self, placed: Placed, call: Call) -> None:
        """The parent, whom an agent dialled, or, where an agent sits in a conference, the guest there."""
        news, parent = self._world.news, call.leg(placed.sid)
        if placed.customer is None:
            guests = [other.sid for other in self._world.calls if other is not placed]
            gone = [news.parted.get((guest, placed.sid)) for guest in guests]
        elif placed.customer == placed.sid or (parent is not None and parent.staff):
            gone = [news.over.get(placed.customer)]
        else:
            gone = []
        for at in gone:
            late = [hold for hold in call.holds if at is not None and hold.opened_at < at]
            self.expect(late == [], f"{late} outlive the customer, who was gone at {at}")

    # A call's state and its entries change together

    def log_says_the_same(self, placed: Placed, call: Call) -> None:
        replay = self._replays.setdefault(placed.sid, Replay(placed.legs))
        replay.read(self._world.database)
        if call.sid != placed.sid:
            return
        warning = self._world.policy.warning
        self.expect(replay.grace is None or replay.grace >= warning, f"a hold ended {replay.grace} after its limit")
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
        has_more = call.claim is not None or bool(call.left_behind)
        if call.over and not has_more:
            self.expect(due is None, "a call that is over falls due")
            return
        if call.over or not self._is_settled(call, now):
            self.expect(
                due is not None and due <= now + LONGEST_WAIT, f"not settled, and nothing falls due before {due}"
            )
        if call.over or call.claim is not None:
            return
        times = [at for hold in call.holds if (at := falls_due(hold)) is not None]
        times += [call.heard_at + QUIET] if call.heard_at is not None else []
        first = min(times, default=None)  # of one that was only spoken of in a wish that was refused, there is none
        is_seen = first is None or (due is not None and due <= max(now, first) + CLOCKS_DIFFER_BY)
        self.expect(is_seen, f"{first} is missed: due is {due}")

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
        self._let_holds_run_out()
        self.all()
        self._release_what_stays()
        self._work_for(timedelta(seconds=60))
        self.all()
        self._is_recording_again()

    def _let_holds_run_out(self) -> None:
        """All of them: time leaps from one end to the next."""
        world = self._world
        for _ in range(STEPS_MAX):
            known = [call for placed in world.calls if (call := world.find(placed.sid)) is not None]
            times = [at for call in known for hold in call.holds if (at := falls_due(hold)) is not None]
            if not times:
                return
            world.advance((min(times) - world.clock.now()).total_seconds() + A_MOMENT)
            world.sweep()
        self.expect(False, "holds never end")

    def _release_what_stays(self) -> None:
        """Holds that ran out and stayed, because the operator or an open payment wants it so."""
        for number, placed in enumerate(self._world.calls):
            call = self._world.find(placed.sid)
            for hold in call.holds if call is not None else ():
                self.expect(hold.overdue, f"{hold} neither ended nor stayed")
                self._world.release(0, number, 0)

    def _work_for(self, time: timedelta) -> None:
        """What the worker does, until nothing is due or the time is over."""
        world = self._world
        until = world.clock.now() + time
        for _ in range(STEPS_MAX):
            self._do_what_is_due()
            if not world.advance_to_due(until):
                return
        self.expect(False, "the worker never comes to an end")

    def _do_what_is_due(self) -> None:
        """The worker's pace: who waits for another call's claim is looked at until that is over."""
        for done in range(SWEEPS_MAX):
            if not self._world.sweep():
                return
            if done > SWEEPS_AT_ONCE:
                self._world.advance(SWEEP_SECONDS)
        self.expect(False, "the same falls due again and again, and nothing comes of it")

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
            if not call.stop_wanted:
                self._is_begun_again(placed, call)
        left = [one.sid for one in paused.values() if not world.may_stay_paused(one)]
        self.expect(left == [], f"{left} stay paused")

    def _is_begun_again(self, placed: Placed, call: Call) -> None:
        """What was stopped in place of a pause has a new recording, and the log says how long there was none."""
        self.expect(call.gap_since is None, f"not recorded since {call.gap_since}")
        if placed.sid in self._world.ended or not any(one.state is State.STOPPED for one in call.recordings):
            return
        live = [one for one in self._world.truths() if one.owner == placed.sid and one.is_live]
        self.expect(live != [], f"{placed.sid} is not recorded any more")
        replay = self._replays[placed.sid]
        self.expect(not replay.renewed or "recording.gap" in replay.types, "a gap without an entry")

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            failure = "\n".join([otherwise, *self._world.story])
            self._world.failures.append(failure)
            self.failed = True
            raise AssertionError(failure)

"""The state machine: agents, IVR, API, clock, faulty Twilio, webhooks in any order, and crashes at every step.

To add to it: a rule is one thing that somebody does, in a line or two on `World`; what must hold afterwards is in
`Checks`. A rule that does not fit the moment does nothing, so that runs can be cut to length.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.control.checks import Checks
from tests.control.processes import Death, Event, Fate
from tests.control.world import CLAIM_AND_A_BIT, PEOPLE, World

FAULTS = ("429", "500", "503", "16114", "21220", "404", "401", "reset", "lost", "wrong-status", "html-200")
LISTING_FAULTS = ("503", "429", "reset", "html-200", "404")
CALL_FAULTS = ("503", "reset", "html-200")

process = st.integers(0, 1)
call = st.integers(0, 1)
person = st.sampled_from(sorted(PEOPLE))
place = st.integers(0, 7)

MOMENTS: dict[str, Callable[[World, int], object]] = {
    "a pause": lambda world, number: world.pause(1, number, "ivr2"),
    "a resume": lambda world, number: world.resume(1, number, "crm"),
    "a converge": lambda world, number: world.converge(1, number),
    "a webhook": lambda world, number: world.deliver_one(1, number),
    "a recording": lambda world, number: world.begin_recording(world.owner(number), announced=True),
    "a hang-up": lambda world, number: world.hang_up(number),
    "a leg's hang-up": lambda world, number: world.hang_up_leg(number, 0),
    "a release": lambda world, number: world.release(1, number, 0),
    "a beat": lambda world, number: world.beat(1, number),
    "a freeze": lambda world, _: world.freeze(lambda: None),
    "a freeze and a pause": lambda world, number: world.freeze(lambda: world.pause(1, number, "ivr2")),
    "a freeze and a resume": lambda world, number: world.freeze(lambda: world.resume(1, number, "crm")),
}
moment = st.none() | st.tuples(st.sampled_from(sorted(MOMENTS)), call)


class Machine(RuleBasedStateMachine):
    """One run. Between two steps nobody acts; within a command others may, in its `moments`."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.world.start_over()
        self.checks = Checks(world)

    @initialize(
        kind=st.sampled_from(["customer's", "customer's", "agent dials", "agent sits"]),
        recordings=st.integers(0, 2),
        agent=st.sampled_from([None, "client:alice"]),
        conference=st.sampled_from([None, 0, 1]),
        owned=st.booleans(),
        shared=st.booleans(),
        waits=st.booleans(),
        announced=st.booleans(),
    )
    def calls_are_placed(
        self,
        kind: str,
        recordings: int,
        agent: str | None,
        conference: int | None,
        owned: bool,
        shared: bool,
        waits: bool,
        announced: bool,
    ) -> None:
        """The other call may be in the conference before the first comes."""
        world = self.world
        in_it = {"conference": "desk", "conference_recordings": conference} if conference is not None and owned else {}
        wanted = {"recordings": recordings, "announced": announced, **in_it}
        if kind == "customer's":
            world.place(agent=agent, **wanted)
        else:
            world.place_agent_s(dials=kind == "agent dials", **wanted)
        if shared:
            world.place(agent=None, recordings=0 if conference else 1)
        if conference is not None and not owned:
            world.open_conference(conference)
        for number in (1, 0) if shared and waits else (0, 1) if shared else (0,):
            world.join(number, world.calls[0].conference)

    @initialize(
        repeat=st.sampled_from(["ok", "21220"]),
        expiry=st.sampled_from(["resume", "alert"]),
        stop_after=st.sampled_from([None, None, timedelta(seconds=1)]),
        limits=st.sampled_from([(120, 150), (300, 900)]),
        warning=st.sampled_from([2, 10]),
    )
    def operator_chooses(
        self,
        repeat: str,
        expiry: str,
        stop_after: timedelta | None,
        limits: tuple[int, int],
        warning: int,
    ) -> None:
        self.world.twilio.set(repeat=repeat)
        pause_max, hard_max = (timedelta(seconds=limit) for limit in limits)
        self.world.follow(
            expiry=expiry,
            stop_after=stop_after,
            pause_max=pause_max,
            hard_max=hard_max,
            warning=timedelta(seconds=warning),
        )

    @rule()
    def all_is_heard(self) -> None:
        for callback in self.world.waiting():
            self.world.deliver(0, callback)

    # Agents, IVR, payment steps, other systems

    @rule(process=process, call=call, who=person, seconds=st.sampled_from([None, 5, 300]))
    def pause(self, process: int, call: int, who: str, seconds: int | None) -> None:
        self.world.pause(process, call, who, seconds)

    @rule(process=process, call=call, who=person)
    def resume(self, process: int, call: int, who: str) -> None:
        self.world.resume(process, call, who)

    @rule(process=process, call=call, who=st.sampled_from(["alice", "crm", "ivr"]))
    def pause_in_full(self, process: int, call: int, who: str) -> None:
        self.world.pause_in_full(process, call, who)

    @rule(
        process=process,
        call=call,
        who=st.sampled_from(["alice", "crm", "ivr"]),
        death=st.sampled_from(["never", "after"]),
        seconds=st.sampled_from([0.3, CLAIM_AND_A_BIT]),
        again=call,
        arrives=st.booleans(),
    )
    def two_cards_with_a_resume_gone_astray(
        self, process: int, call: int, who: str, death: Death, seconds: float, again: int, arrives: bool
    ) -> None:  # fmt: skip
        """The likeliest way to record a card: the second one may come on the same call or on the other."""
        self.world.pause_in_full(process, call, who)
        self.world.line.events[:] = [Event("kept", death)]
        self.world.resume(process, call, who)
        self.world.advance(seconds)
        self.world.pause_in_full(process, again, "ivr2")
        if arrives:
            self.world.arrive()

    @rule(process=process, call=call)
    def payment_is_still_open(self, process: int, call: int) -> None:
        self.world.beat(process, call)

    @rule(process=process, call=call, place=place)
    def supervisor_releases(self, process: int, call: int, place: int) -> None:
        self.world.release(process, call, place)

    @rule(process=process, call=call)
    def pause_naming_the_conference(self, process: int, call: int) -> None:
        self.world.pause(process, call, "crm", conference=self.world.calls[0].conference)

    @rule(process=process, call=call)
    def pause_by_the_agent_s_leg(self, process: int, call: int) -> None:
        self.world.pause(process, call, "crm", leg=True)

    @rule(process=process, call=call, who=st.sampled_from(["alice", "bob"]))
    def take(self, process: int, call: int, who: str) -> None:
        self.world.act(
            process, call, f"{who} takes", lambda control, sid: control.take(sid, PEOPLE[who][0], who)
        )  # fmt: skip

    @rule(process=process, call=call, sure=st.integers(0, 3))
    def stop(self, process: int, call: int, sure: int) -> None:
        if sure == 3:
            self.world.act(process, call, "crm stops", lambda control, sid: control.stop(sid, PEOPLE["crm"][0]))

    # What the processes do of themselves

    @rule(process=process, call=call)
    def converge(self, process: int, call: int) -> None:
        self.world.converge(process, call)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @rule(process=process)
    def beside(self, process: int) -> None:
        self.world.run_beside(process)

    @rule(process=process)
    def die_between_two_steps(self, process: int) -> None:
        self.world.processes[process].restart()

    @rule()
    def until_something_is_due(self) -> None:
        self.world.advance_to_due()
        self.world.sweep()

    @rule(seconds=st.sampled_from([0.3, CLAIM_AND_A_BIT, 16.0, 301.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.world.advance(seconds)

    # What may happen to the next command

    @rule(
        fate=st.sampled_from(["sent", "kept", "kept", "vanished"]),
        death=st.sampled_from(["never", "before", "after"]),
        first=moment,
        then=moment,
    )
    def next_command(
        self, fate: Fate, death: Death, first: tuple[str, int] | None, then: tuple[str, int] | None
    ) -> None:  # fmt: skip
        self.world.tell(f"(the next command: {fate}, death {death}, first {first}, then {then})")
        self.world.expect(Event(fate, death, self._moment(first), self._moment(then)))

    def _moment(self, what: tuple[str, int] | None) -> Callable[[], object] | None:
        return None if what is None else partial(MOMENTS[what[0]], self.world, what[1])

    @rule()
    def next_list_kills(self) -> None:
        self.world.tell("(the next list kills)")
        self.world.line.dies_listing[:] = [True]

    @rule()
    def late_command_arrives(self) -> None:
        self.world.arrive()

    # Faults of Twilio's own

    @rule(kind=st.sampled_from(FAULTS), on=st.sampled_from(["pause", "resume", "stop"]), times=st.integers(1, 3))
    def commands_meet(self, kind: str, on: str, times: int) -> None:
        self.world.at_twilio(f"fault {kind} on {on}", lambda: self.world.twilio.add_fault(kind, on=on, times=times))

    @rule(kind=st.sampled_from(LISTING_FAULTS))
    def lists_meet(self, kind: str) -> None:
        """Until it is over: which of two lists is asked for first is chance."""
        self.world.at_twilio(f"fault {kind} on list", lambda: self.world.twilio.add_fault(kind, on="list"))

    @rule(kind=st.sampled_from(CALL_FAULTS))
    def questions_meet(self, kind: str) -> None:
        self.world.at_twilio(f"fault {kind} on fetch", lambda: self.world.twilio.add_fault(kind, on="fetch-call"))

    @rule()
    def faults_are_over(self) -> None:
        self.world.at_twilio("no faults", self.world.twilio.clear_faults)

    # Webhooks: in order, out of order, twice, never

    @rule(process=process, place=st.just(0) | place)
    def webhook(self, process: int, place: int) -> None:
        self.world.deliver_one(process, place)

    @rule(process=process, place=place)
    def webhook_again(self, process: int, place: int) -> None:
        self.world.deliver_again(process, place)

    @rule(place=place)
    def webhook_is_lost(self, place: int) -> None:
        self.world.lose_one(place)

    # Calls, legs, conferences, recordings

    @rule(call=call, of=st.sampled_from(["call", "conference"]), announced=st.booleans())
    def recording_begins(self, call: int, of: str, announced: bool) -> None:
        owner = self.world.owner(call) if of == "call" else self.world.calls[0].conference
        if owner is not None:
            self.world.begin_recording(owner, announced=announced)

    @rule(place=place)
    def recording_ends(self, place: int) -> None:
        self.world.set_recording(place, "completed")

    @rule(place=place, state=st.sampled_from(["paused", "in-progress"]))
    def foreign_hand(self, place: int, state: str) -> None:
        self.world.set_recording(place, state)

    @rule(process=process, place=place)
    def foreign_resume_is_reported(self, process: int, place: int) -> None:
        self.world.report_resumed(process, place)

    @rule(call=call, linked=st.booleans())
    def bob_is_dialled(self, call: int, linked: bool) -> None:
        self.world.dial(call, "client:bob", linked=linked)

    @rule(call=call, place=place)
    def a_leg_hangs_up(self, call: int, place: int) -> None:
        """The customer's, where an agent dialled; an agent's, who may have handed the call over."""
        self.world.hang_up_leg(call, place)

    @rule(call=call, leg=st.just(0) | place)
    def joins(self, call: int, leg: int) -> None:
        self.world.join(call, self.world.calls[0].conference, leg)

    @rule(call=call, leg=st.just(0) | place)
    def leaves(self, call: int, leg: int) -> None:
        self.world.leave(call, self.world.calls[0].conference, leg)

    @rule(call=call, sure=st.integers(0, 2))
    def hangs_up(self, call: int, sure: int) -> None:
        if sure == 2:
            self.world.hang_up(call)

    @invariant()
    def all_holds(self) -> None:
        self.checks.all()

    def teardown(self) -> None:
        if not self.checks.failed:
            self.checks.settles()

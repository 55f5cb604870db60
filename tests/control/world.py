"""The world of the state machine: calls at the simulated Twilio, processes of the bot over one database, a clock, and
webhooks that wait to be handed over.

It keeps a model of what the bot cannot know yet, so that `Checks` can tell ignorance from error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bot.actors import By
from bot.call import Call
from bot.control import CallControl
from bot.messages import Policy, Reply
from bot.reports import OWN_RESUME_IS_OLD_NEWS
from bot.results import Outcome
from bot.settings import Settings
from bot.simulator.client import SimulatorClient, SimulatorRefused
from bot.storage import calls, schema
from bot.storage.engine import Database
from bot.telephony import webhooks
from tests.conftest import SAM
from tests.control.bench import ALICE, BOB, CRM, READERS, SECRET
from tests.control.clock import Clock
from tests.control.news import News
from tests.control.processes import Event, Line, Process

PEOPLE: dict[str, tuple[By, str]] = {
    "alice": (ALICE, "agent:alice"),
    "bob": (BOB, "agent:bob"),
    "crm": (CRM, "api:crm"),
    "ivr2": (By(actor="ivr2", source="api"), "api:ivr2"),
    "ivr": (By(actor="ivr", source="ivr"), "ivr"),
    "payment": (By(actor="payment", source="payment"), "payment:PK1"),
}
SUPERVISOR = By(actor=SAM.name, source="agent")
CUSTOMER = "+15005550006"
PROCESSES = 2
A_MOMENT = 0.01
TRIES = 4
CLAIM_AND_A_BIT = 6.0


@dataclass
class Placed:
    """A call as it was placed. `legs` begins with its own SID; `customer` is None where all of them are ours."""

    sid: str
    legs: list[str]
    conference: str | None
    customer: str | None


@dataclass(frozen=True)
class Flight:
    """A command on its way: for which call, and since when the claim for it is held at the most."""

    sid: str
    claimed_at: datetime


@dataclass
class Truth:
    """One recording, as only the simulator knows it."""

    sid: str
    owner: str
    state: str

    @property
    def is_live(self) -> bool:
        return self.state in {"in-progress", "paused"}


@dataclass
class World:
    """Everything the machine acts upon. `story` is what happened, for whoever has to understand a failure."""

    twilio: SimulatorClient
    settings: Settings
    policy: Policy
    database: Database
    clock: Clock
    calls: list[Placed] = field(default_factory=list)
    heard: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    begun: dict[str, datetime] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    """Owners of recordings that came to their end without a command."""
    news: News = field(default_factory=News)
    story: list[str] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)
    overlaps: int = 0
    failures: list[str] = field(default_factory=list)
    """What failed first stands first; playing it again may fail in another way, for back-offs differ by chance."""
    crm: tuple[By, str] = PEOPLE["crm"]

    def __post_init__(self) -> None:
        self._acting: list[tuple[int, str]] = []
        self.line = Line(self._take_off, self._land)
        self.processes = [
            Process(f"process-{number + 1}", self.settings, self.policy, self.line) for number in range(PROCESSES)
        ]

    def start_over(self) -> None:
        """An empty world over the same database; its clock goes on."""
        for process in self.processes:
            process.restart()
        self.twilio.reset()
        self.twilio.set(callbacks="hold")
        for kept in (
            self.calls, self.heard, self.dropped, self.begun, self.foreign, self.ended, self.story, self.flights,
            self.line.events, self.line.dies_listing, self.line.kept,
        ):  # fmt: skip
            kept.clear()
        self.news = News()
        self.overlaps = 0

    def follow(self, **policy: Any) -> None:
        """The operator's choices, for all processes."""
        self.policy = replace(self.policy, **policy)
        self.tell(f"policy: {policy}")
        for process in self.processes:
            process.follow(self.policy)

    def close(self) -> None:
        for process in self.processes:
            process.close()

    def tell(self, what: str) -> None:
        self.story.append(f"{self.clock.now():%H:%M:%S.%f} {what}")

    # What people and programs do

    def act(self, process: int, call: int, what: str, do: Callable[[CallControl, str], object]) -> bool:
        """Let a process do something for a call. One that waits for a reply cannot do anything else meanwhile; whether
        another could.
        """
        return self._by_whoever_is_free(process, self._placed(call).sid, what, do)

    def _by_whoever_is_free(
        self, process: int, sid: str, what: str, do: Callable[[CallControl, str], object]
    ) -> bool:  # fmt: skip
        free = [number for number in (process, *range(PROCESSES)) if all(number != busy for busy, _ in self._acting)]
        if free:
            self._act(free[0], sid, what, do)
        return bool(free)

    def _act(self, process: int, sid: str, what: str, do: Callable[[CallControl, str], object]) -> None:
        self.tell(f"process {process + 1}: {what} {sid[:6]}")
        deaths = self.processes[process].deaths
        self._acting.append((process, sid))
        try:
            with self.processes[process].living() as control:
                outcome = do(control, sid)
                if isinstance(outcome, Outcome):
                    self.tell(f"  -> {outcome.problem or 'done'}")
        finally:
            self._acting.pop()
        if self.processes[process].deaths > deaths:
            self.tell(f"  process {process + 1} died of it")

    def pause(
        self,
        process: int,
        call: int,
        who: str,
        seconds: int | None = None,
        *,
        conference: str | None = None,
        leg: bool = False,
    ) -> None:
        def do(control: CallControl, sid: str) -> Outcome:
            return control.pause(sid, *PEOPLE[who], max_seconds=seconds, conference=conference)

        name = self._placed(call).legs[-1 if leg else 0]
        self._by_whoever_is_free(process, name, f"{who} pauses", do)

    def resume(self, process: int, call: int, who: str) -> None:
        self.act(process, call, f"{who} resumes", lambda control, sid: control.resume(sid, *PEOPLE[who]))

    def beat(self, process: int, call: int) -> None:
        self.act(process, call, "payment beats", lambda control, sid: control.beat(sid, *PEOPLE["payment"]))

    def release(self, process: int, call: int, place: int) -> None:
        """A supervisor ends one of the holds."""
        known = self.find(self._placed(call).sid)
        if known is not None and known.holds:
            hold = known.holds[place % len(known.holds)]
            what = f"supervisor releases that of {hold.holder}"
            self.act(process, call, what, lambda control, sid: control.release(sid, SUPERVISOR, hold.id))

    def _placed(self, call: int) -> Placed:
        return self.calls[call % len(self.calls)]

    def pause_in_full(self, process: int, call: int, who: str) -> None:
        """Again and again, as a request does within its patience."""
        self.pause(process, call, who)
        for _ in range(TRIES):
            self.converge(process, call)
            self.advance(A_MOMENT)

    def converge(self, process: int, call: int) -> None:
        self.act(process, call, "converge", lambda control, sid: control.converge(sid))

    def run_beside(self, process: int) -> None:
        """What a process does beside its requests, one thing of it."""
        waiting = self.processes[process].beside.waiting
        if waiting and all(number != process for number, _ in self._acting):
            job = waiting.pop(0)
            self._act(process, self.calls[0].sid, "beside", lambda _, __: job())

    def sweep(self) -> int:
        """Converge what is due; how many calls that was."""
        due = [placed for placed in self.calls if (at := self.due(placed.sid)) is not None and at <= self.clock.now()]
        for placed in due:
            self.act(0, self.calls.index(placed), "sweep", lambda control, sid: control.converge(sid))
        return len(due)

    # The line to Twilio

    def expect(self, event: Event) -> None:
        self.line.events.append(event)

    def _take_off(self) -> Flight:
        sid = self._acting[-1][1]
        call = self.find(sid)
        taken_at = call.claim.taken_at if call is not None and call.claim is not None else self.clock.now()
        flight = Flight(call.sid if call is not None else sid, taken_at)
        now = self.clock.now()
        self.overlaps += sum(
            other.sid == flight.sid and now < other.claimed_at + self.policy.claim for other in self.flights
        )
        self.flights.append(flight)
        self.tell("  a command sets off")
        return flight

    def _land(self, flight: Flight, reply: Reply | None) -> None:
        self.flights.remove(flight)
        self.tell(f"  its reply: {reply.kind if reply else None} {reply.code or '' if reply else ''}")
        if reply is not None and reply.kind == "confirmed" and reply.recording is not None:
            self.foreign.discard(reply.recording)

    def arrive(self) -> None:
        """A command that was kept is carried out; nobody hears of it."""
        if self.line.kept:
            late = self.line.kept.pop(0)
            self.tell(f"late: {late.text}: {late.send().kind}")

    # Time

    def advance(self, seconds: float) -> None:
        """Let time go by. What is kept arrives before it is too late; who is frozen wakes before that."""
        until = self.clock.now() + timedelta(seconds=seconds)
        for flight in self.flights:
            until = min(until, flight.claimed_at + self.policy.claim + self.policy.late - timedelta(seconds=1))
        for kept in list(self.line.kept):
            assert isinstance(kept.flight, Flight)
            last = kept.flight.claimed_at + self.policy.late - timedelta(seconds=0.5)
            if last <= until:
                self._move_to(last)
                self.arrive()
        self._move_to(until)

    def advance_to_due(self, until: datetime | None = None) -> bool:
        """To the moment when something falls due; False if nothing does."""
        times = [at for placed in self.calls if (at := self.due(placed.sid)) is not None]
        if not times or (until is not None and min(times) > until):
            return False
        self.advance(max(0.0, (min(times) - self.clock.now()).total_seconds()) + A_MOMENT)
        return True

    def freeze(self, meanwhile: Callable[[], object]) -> None:
        """Whoever waits for a reply stands still until the claim has run out, and somebody else acts meanwhile."""
        self.advance(CLAIM_AND_A_BIT)
        meanwhile()

    def _move_to(self, when: datetime) -> None:
        seconds = (when - self.clock.now()).total_seconds()
        if seconds > 0:
            self.clock.advance(seconds)
            self.tell(f"{seconds:.2f} s go by")

    # Webhooks

    def waiting(self) -> list[dict[str, Any]]:
        return [one for one in self.twilio.callbacks() if one["id"] not in self.heard | self.dropped]

    def deliver(self, process: int, callback: dict[str, Any]) -> None:
        """Hand one over, for the first time or again."""
        endpoint = callback["url"].rsplit("/", 1)[1]
        fields, read = READERS[endpoint]
        form = {name: value for name, value in callback["params"].items() if name in fields}
        report = read(form)
        digest = webhooks.digest(SECRET, endpoint, fields, form)
        said = " ".join(str(form[key])[:12] for key in form if key.endswith(("Status", "Event", "RecordingSid")))
        if self.act(process, 0, f"callback {said} for", lambda control, _: control.receive(report, digest)):
            self.heard.add(callback["id"])
            self.news.take(form, self.clock.now())

    def deliver_one(self, process: int, place: int) -> None:
        waiting = self.waiting()
        if waiting:
            self.deliver(process, waiting[place % len(waiting)])

    def deliver_again(self, process: int, place: int) -> None:
        known = [one for one in self.twilio.callbacks() if one["id"] in self.heard]
        if known:
            self.deliver(process, known[place % len(known)])

    def lose_one(self, place: int) -> None:
        waiting = self.waiting()
        if waiting:
            self.dropped.add(waiting[place % len(waiting)]["id"])
            self.tell("a callback is lost")

    # What goes on at Twilio

    def at_twilio(self, what: str, do: Callable[[], Any]) -> Any:
        """Something happens there, unless it cannot (the call is over, the leg is in the conference already)."""
        try:
            result = do()
        except SimulatorRefused:
            return None
        self.tell(f"twilio: {what} {result if isinstance(result, str) else ''}")
        return result

    def place(self, **wanted: Any) -> None:
        """A customer's call."""
        placed = self.twilio.place_call(**wanted)
        legs = [placed.call, *([placed.agent_leg] if placed.agent_leg else [])]
        self._add(Placed(placed.call, legs, placed.conference, placed.call))

    def place_agent_s(self, *, dials: bool, **wanted: Any) -> None:
        """Alice's call: she dials a customer, or sits in a conference where customers come and go."""
        placed = self.twilio.place_call(customer="client:alice", number=CUSTOMER, **wanted)
        dialled = [self.twilio.add_leg(placed.call, CUSTOMER)] if dials else []
        self._add(Placed(placed.call, [placed.call, *dialled], placed.conference, dialled[0] if dials else None))

    def _add(self, placed: Placed) -> None:
        self.calls.append(placed)
        self.tell(f"placed {placed}")

    def dial(self, call: int, to: str, *, linked: bool) -> None:
        placed = self._placed(call)
        leg = self.at_twilio(f"leg to {to}", lambda: self.twilio.add_leg(placed.sid, to, linked=linked))
        if leg is not None and linked:
            placed.legs.append(leg)

    def hang_up_leg(self, call: int, place: int) -> None:
        others = self._placed(call).legs[1:]
        if others:
            leg = others[place % len(others)]
            self.at_twilio(f"leg {leg[:6]} hangs up", lambda: self.twilio.hang_up(leg))

    def hang_up(self, call: int) -> None:
        sid = self._placed(call).sid
        self.at_twilio(f"{sid[:6]} hangs up", lambda: self.twilio.hang_up(sid))

    def open_conference(self, recordings: int) -> None:
        """One that nobody's end ends."""
        conference = self.twilio.open_conference("desk")
        for _ in range(recordings):
            self.twilio.start_recording(conference)
        self.calls[0].conference = conference

    def join(self, call: int, conference: str | None, place: int = 0) -> None:
        if conference is not None:
            leg = self._leg(call, place)
            self.at_twilio(f"{leg[:6]} joins", lambda: self.twilio.join(conference, leg))

    def leave(self, call: int, conference: str | None, place: int = 0) -> None:
        if conference is not None:
            leg = self._leg(call, place)
            self.at_twilio(f"{leg[:6]} leaves", lambda: self.twilio.leave(conference, leg))

    def _leg(self, call: int, place: int) -> str:
        legs = self._placed(call).legs
        return legs[place % len(legs)]

    def set_recording(self, place: int, state: str) -> None:
        """By a foreign hand, or because it came to its end."""
        live = [one for one in self.truths() if one.is_live]
        if live:
            one = live[place % len(live)]
            if state == "completed":
                self.ended.add(one.owner)
            else:
                self.foreign.add(one.sid)
            self.at_twilio(f"{one.sid[:6]} set to {state}", lambda: self.twilio.set_recording(one.sid, state))

    def report_resumed(self, process: int, place: int) -> None:
        """Twilio tells of a recording that somebody else resumed; what comes soon after our own resume is its echo."""
        resumed = [one for one in self.truths() if one.state == "in-progress" and one.sid in self.foreign]
        told = {one["params"].get("RecordingSid"): one for one in self.twilio.callbacks()}
        known = [one for one in resumed if one.sid in told]
        if not known:
            return
        one = known[place % len(known)]
        if not any(self._is_echo(placed, one.sid) for placed in self.calls):
            self.foreign.discard(one.sid)
        changed = {"RecordingStatus": "resumed", "Timestamp": f"{self.clock.now():%a, %d %b %Y %H:%M:%S +0000}"}
        self.deliver(process, told[one.sid] | {"params": told[one.sid]["params"] | changed})

    def _is_echo(self, placed: Placed, recording: str) -> bool:
        call = self.find(placed.sid)
        known = call.recording(recording) if call is not None else None
        at = known.resumed_at if known is not None else None
        return at is not None and self.clock.now() - at < OWN_RESUME_IS_OLD_NEWS

    def owner(self, call: int) -> str:
        return self._placed(call).sid

    def begin_recording(self, owner: str, *, announced: bool) -> None:
        sid = self.at_twilio(
            f"recording of {owner[:6]} begins", lambda: self.twilio.start_recording(owner, announced=announced)
        )
        if sid is not None:
            self.begun[sid] = self.clock.now()

    def truths(self) -> list[Truth]:
        state = self.twilio.state()
        owners = [*state["calls"], *state["conferences"]]
        return [Truth(one["sid"], owner["sid"], one["state"]) for owner in owners for one in owner["recordings"]]

    def may_stay_paused(self, one: Truth) -> bool:
        """A foreign hand paused it."""
        return one.sid in self.foreign

    # What the database says

    def find(self, sid: str) -> Call | None:
        with self.database.read() as connection:
            return calls.find(connection, sid)

    def due(self, sid: str) -> datetime | None:
        call = self.find(sid)
        return None if call is None else self.due_of(call.sid)

    def due_of(self, sid: str) -> datetime | None:
        query = schema.calls.select().where(schema.calls.c.sid == sid)
        with self.database.read() as connection:
            at: datetime | None = connection.execute(query).one().due_at
        return at

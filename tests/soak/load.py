"""The load: clients that pause and resume the same calls, each for itself, while some requests to Twilio go wrong."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

from bot.simulator.client import SimulatorClient
from tests.e2e.api import Answer, Api
from tests.soak.calls import Calls, UpCall
from tests.soak.ledger import Ledger, answer_to, called_paused, hold_of
from tests.soak.truth import truth_of

THINK_SECONDS = (0.05, 0.4)
RETRY_SECONDS = 0.1
IDLE_SECONDS = 120.0
"""Within this every client has come to rest: each of its requests may hang on an orphan that accepts no more."""
FAULTS = (
    {"kind": "lost"},
    {"kind": "reset"},
    {"kind": "503"},
    {"kind": "delay", "seconds": 0.5},
    {"kind": "delay", "seconds": 1.5},
    {"kind": "late", "seconds": 2.0},
)
STRUCK = ("command", "pause", "resume", "list", "any")
ALLOWED = {
    "pause": {200, 409, 502, 503, 504},
    "resume": {200, 403, 409, 502, 503, 504},
    "look": {200, 404, 503},
}
"""403: the answer to the same client's first resume was lost."""


@dataclass
class Noted:
    """What all clients noted together. `unsafe` and `odd` are sentences about what must never be."""

    answers: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    looks: int = 0
    unsafe: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Load:
    """Clients at work between `go` and `rest`."""

    def __init__(
        self,
        apis: dict[str, Api],
        twilio: SimulatorClient,
        calls: Calls,
        ledger: Ledger,
        chance: Callable[[str], Random],
    ) -> None:
        self.noted = Noted()
        self._twilio = twilio
        self._clients = [
            _Client(name, api, twilio, calls, ledger, self.noted, chance(name)) for name, api in apis.items()
        ]
        self._pool = ThreadPoolExecutor(len(self._clients), thread_name_prefix="client")
        self._working: list[Future[None]] = []

    def go(self) -> None:
        for client in self._clients:
            client.resting.clear()
        self._working = [self._pool.submit(client.work) for client in self._clients]

    def rest(self) -> None:
        """From now on no client begins anything, and no fault is on; what is under way comes to its end by itself."""
        for client in self._clients:
            client.resting.set()
        with self.noted.lock:
            self._twilio.clear_faults()

    def wait_idle(self) -> None:
        """Until nothing is under way any more. Raises what went wrong in a client itself."""
        for working in self._working:
            working.result(IDLE_SECONDS)
        self._working = []

    def close(self) -> None:
        for client in self._clients:
            client.resting.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class _Client:
    """One holder. `_holds` has the hold of each call that it keeps paused, as far as it was told."""

    name: str
    api: Api
    twilio: SimulatorClient
    calls: Calls
    ledger: Ledger
    noted: Noted
    chance: Random
    resting: threading.Event = field(default_factory=threading.Event)
    _holds: dict[str, str] = field(default_factory=dict)

    @property
    def _holder(self) -> str:
        return f"api:{self.name}"

    def work(self) -> None:
        while not self.resting.is_set():
            self._act(self.calls.pick(self.chance))
            self.resting.wait(self.chance.uniform(*THINK_SECONDS))

    def _act(self, call: UpCall) -> None:
        act = self.chance.random()
        if act < 0.05:
            self.calls.hang_up(call)
        elif act < 0.10:
            self.calls.record(call)
        elif call.sid not in self._holds:
            self._break_something(call)
            self._pause(call)
        elif act < 0.55:
            self._look(call)
        else:
            self._break_something(call)
            self._resume(call)

    def _break_something(self, call: UpCall) -> None:
        if self.chance.random() > 0.25:
            return
        fault, on, times = self.chance.choice(FAULTS), self.chance.choice(STRUCK), self.chance.randint(1, 2)
        with self.noted.lock:
            if not self.resting.is_set():
                self.twilio.add_fault(**fault, on=on, call=call.sid, times=times)
                self.noted.faults += 1

    def _pause(self, call: UpCall) -> None:
        body = {"reason": "card"} | ({"conference": call.conference} if call.conference else {})
        answer = self._ask("pause", call, lambda: self.api.pause(call.sid, **body))
        if answer is None:
            return
        hold = self.ledger.paused(call.sid, self._holder, answer)
        if hold is not None:
            self._holds[call.sid] = hold
        if answer.status == 200:
            self._compare(call, called_paused(answer.body), "a pause was answered with 200")
            if not answer.is_safe or hold is None:
                self._note(self.noted.odd, f"{call.sid}: a pause was answered with 200 and {answer.body}")

    def _resume(self, call: UpCall) -> None:
        answer = self._ask("resume", call, lambda: self.api.resume(call.sid))
        hold = self._holds.pop(call.sid)
        if answer is not None:
            self.ledger.resumed(call.sid, hold, answer)

    def _look(self, call: UpCall) -> None:
        """The truth between two answers that both say safe, while our own hold is open: nothing may run in between."""
        before = self._ask("look", call, lambda: self.api.call(call.sid))
        truth = truth_of(self.twilio, call.sid)
        after = self._ask("look", call, lambda: self.api.call(call.sid))
        if before is None or after is None or not (before.is_safe and after.is_safe):
            return
        if hold_of(before.body, self._holder) is None or hold_of(after.body, self._holder) is None:
            return
        judged = call.first | (called_paused(before.body) & called_paused(after.body))
        with self.noted.lock:
            self.noted.looks += 1
        if truth.running(judged):
            self._note(self.noted.unsafe, f"{call.sid}: safe before and after, and {truth.states} in between")

    def _compare(self, call: UpCall, claimed: frozenset[str], when: str) -> None:
        """Our hold is open, so what every list of this pause shows, and what was called paused, must be paused."""
        truth = truth_of(self.twilio, call.sid)
        if running := truth.running(call.first | claimed):
            self._note(self.noted.unsafe, f"{call.sid}: {when}, and {', '.join(sorted(running))} ran")

    def _ask(self, what: str, call: UpCall, send: Callable[[], Answer]) -> Answer | None:
        """Ask until somebody answers; None if it is time to rest before that. An over call is forgotten."""
        while (answer := answer_to(send)) is None:
            self._count(f"{what} cut")
            if self.resting.wait(RETRY_SECONDS):
                return None
        self._count(f"{what} {answer.status}")
        if answer.status not in ALLOWED[what]:
            self._note(self.noted.odd, f"{call.sid}: {what} was answered with {answer.status} {answer.body}")
        if answer.body.get("code") == "call-over":
            self.calls.forget(call)
        return answer

    def _count(self, what: str) -> None:
        with self.noted.lock:
            self.noted.answers[what] += 1

    def _note(self, where: list[str], sentence: str) -> None:
        with self.noted.lock:
            where.append(f"{sentence} ({self.name}, {time.strftime('%H:%M:%S')})")

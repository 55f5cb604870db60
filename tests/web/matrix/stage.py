"""Playing cases: all at once over one application, so that their patience runs out together.

Every call is placed, told of, and paused where a resume is to come. Then each gets its fault and its wish, and what
came of it is noted once Twilio has done with all requests. Then the faults are off, and the worker sweeps until every
call is what is wanted. What depends on the machine's speed, as how often a command was tried, is left out.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from bot.call import Problem, is_safe
from bot.holds import UNPROVEN_REPORTED_AFTER
from bot.recording import due
from bot.simulator.client import PlacedCall
from bot.worker import SWEEP_SECONDS, Worker
from tests.conftest import ALICE
from tests.web.bench import Bench, Browser, Json, Page, json_of
from tests.web.matrix.cases import Case

STARTED_AT_ONCE = 4
"""So many wishes begin together: all of them in one moment would make a slow machine miss the bot's own time limits."""
WITHIN_SECONDS = 90.0
LOOK_SECONDS = 0.05
FAR_AHEAD = timedelta(seconds=120)
TRUTH = {"in-progress": "runs", "paused": "paused", "completed": "ended", "absent": "absent"}
T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """A call as the API shows it, and what its recordings really do, as only Twilio knows (`truth`)."""

    desired: str
    observed: str
    safe: bool
    holds: int
    truth: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """What came of a case: of the wish under the fault (`now`), and in the end, long after the fault (`later`)."""

    status: int
    code: str | None
    headline: str
    reason: str
    entries: tuple[str, ...]
    now: Seen
    later: Seen


@dataclass(frozen=True)
class Scene:
    """A case under way, and how long its call's log and Twilio's were before the wish."""

    case: Case
    placed: PlacedCall
    entries: int = 0
    requests: int = 0


@dataclass(frozen=True)
class Told:
    """What was answered to a wish, and what its page said right after."""

    status: int
    body: Json
    page: Page


def play(bench: Bench, cases: Iterable[Case]) -> dict[Case, Row]:
    """The rows of these cases. Their calls are new ones."""
    with _stage(bench) as stage:
        placed = [(case, stage.place(case)) for case in cases]
        stage.deliver()
        stage.in_turn(stage.pause_first, [Scene(case, call) for case, call in placed if case.wish == "resume"])
        scenes = [stage.with_fault(case, call) for case, call in placed]
        told = stage.in_turn(stage.wish, scenes)
        entries = [tuple(bench.types(scene.placed.call)[scene.entries :]) for scene in scenes]
        now = [stage.seen(scene, one.body.get("call", one.body)) for scene, one in zip(scenes, told, strict=True)]
        bench.twilio.clear_faults()
        later = stage.settle(scenes)
    return {
        scene.case: Row(one.status, one.body.get("code"), one.page.status, reason_of(one.page), said, before, after)
        for scene, one, said, before, after in zip(scenes, told, entries, now, later, strict=True)
    }


def reason_of(page: Page) -> str:
    """The line below the headline, with its advice."""
    found = re.search(r'<p class="reason">(.*?)</p>', page.html, re.DOTALL)
    assert found is not None, page.html
    return Page(found[1]).text


@contextmanager
def _stage(bench: Bench) -> Iterator[Stage]:
    services = bench.services
    worker = Worker(services.database, services.journal, services.control)
    with ThreadPoolExecutor(200, thread_name_prefix="wish") as threads:
        yield Stage(bench, bench.signed_in(ALICE), worker, threads)


@dataclass(frozen=True)
class Stage:
    """The application with Alice signed in, her customers, and a worker for the end."""

    bench: Bench
    alice: Browser
    worker: Worker
    threads: ThreadPoolExecutor
    reading: threading.Lock = field(default_factory=threading.Lock)

    # Before the wish

    def place(self, case: Case) -> PlacedCall:
        """Alice's call. Where a recording is unannounced, it is the conference's if there is one."""
        twilio, is_both = self.bench.twilio, case.shape == "both"
        on_call = 1 if is_both else int(case.shape)
        wanted = {"agent": ALICE.contact, **({"conference": "desk"} if is_both else {})}
        if case.kind != "unannounced":
            return twilio.place_call(**wanted, recordings=on_call, conference_recordings=int(is_both))
        placed = twilio.place_call(**wanted, recordings=int(is_both))
        twilio.add_fault("unannounced", call=placed.call)
        for _ in range(on_call):
            twilio.start_recording(placed.conference or placed.call)
        return placed

    def deliver(self) -> None:
        """Everything that Twilio has to report of all calls by now, in order."""
        for callback in self.bench.twilio.callbacks():
            reply = self.bench.post_webhook(callback["url"].rsplit("/", 1)[1], callback["params"])
            assert reply.status_code == 204, reply.text

    def pause_first(self, scene: Scene) -> None:
        """Where nothing records, that is in vain; it lasts until its end is a finding, however fast the machine is."""
        reply = self.bench.api().pause(scene.placed.call)
        assert reply.status_code == (200 if scene.case.is_recorded else 409), reply.text
        if not scene.case.is_recorded:
            opened_at = datetime.fromisoformat(json_of(reply)["call"]["holds"][0]["opened_at"])
            until(lambda: datetime.now(UTC) - opened_at > UNPROVEN_REPORTED_AFTER)

    def with_fault(self, case: Case, placed: PlacedCall) -> Scene:
        if case.fault is not None:
            self.bench.twilio.add_fault(call=placed.call, **case.fault)
        entries, requests = self.bench.types(placed.call), self.bench.twilio.requests(call=placed.call)
        return Scene(case, placed, len(entries), len(requests))

    # The wish

    def in_turn(self, what: Callable[[Scene], T], scenes: Sequence[Scene]) -> list[T]:
        """Do it for all, each in a thread of its own; the next few begin when Twilio has heard of those before."""
        doing = []
        for at in range(0, len(scenes), STARTED_AT_ONCE):
            begun = [(scene, self.threads.submit(what, scene)) for scene in scenes[at : at + STARTED_AT_ONCE]]
            for scene, one in begun:
                until(partial(self._has_begun, scene, one))
            doing += [one for _, one in begun]
        return [one.result() for one in doing]

    def _has_begun(self, scene: Scene, doing: Future[T]) -> bool:
        return doing.done() or len(self._requests(scene)) > scene.requests

    def wish(self, scene: Scene) -> Told:
        api, call = self.bench.api(), scene.placed.call
        if scene.case.wish == "pause":
            reply = api.pause(call)
        elif scene.case.wish == "resume":
            reply = api.resume(call)
        else:
            reply = api.stop(call, confirm=True)
        with self.reading:
            page = self.alice.page(f"/calls/{call}/state")
        return Told(reply.status_code, json_of(reply), page)

    # What came of it

    def seen(self, scene: Scene, shown: Json) -> Seen:
        until(lambda: all(one["reply"] or one["outcome"] == "cut" for one in self._requests(scene)))
        return Seen(
            shown["desired"], shown["observed"], shown["safe_to_take_card"], len(shown["holds"]), self._truth(scene)
        )

    def settle(self, scenes: Sequence[Scene]) -> list[Seen]:
        """Sweep until every call is what is wanted, as far as Twilio can make it so."""
        waiting = list(scenes)

        def is_settled() -> bool:
            self.worker.sweep()
            waiting[:] = [scene for scene in waiting if not self._is_settled(scene)]
            return not waiting

        until(is_settled, SWEEP_SECONDS)
        return [self.seen(scene, self.bench.api().call(scene.placed.call)) for scene in scenes]

    def _is_settled(self, scene: Scene) -> bool:
        """Proven, or nothing falls due but guards; where Twilio records nothing, it is asked again and again."""
        call = self.bench.services.control.find(scene.placed.call)
        assert call is not None
        now = datetime.now(UTC)
        next_at = due(call, now)
        is_quiet = is_safe(call, now) or next_at is None or next_at > now + FAR_AHEAD
        return call.claim is None and (is_quiet or call.problem is Problem.NOTHING_RECORDING)

    def _requests(self, scene: Scene) -> list[Json]:
        return self.bench.twilio.requests(call=scene.placed.call)

    def _truth(self, scene: Scene) -> tuple[str, ...]:
        """Of the call's recordings, then of the conference's."""
        call = self.bench.twilio.call(scene.placed.call)
        found = [*call["recordings"], *(one for each in call["conferences"] for one in each["recordings"])]
        return tuple(TRUTH[one["state"]] for one in found)


def until(what: Callable[[], object], look_seconds: float = LOOK_SECONDS) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(look_seconds)

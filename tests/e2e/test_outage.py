"""The database taken away from the running processes and given back: nobody is told a lie, nothing that was
acknowledged is lost, and everything comes back without a restart.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest
from playwright.sync_api import BrowserContext, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from bot.simulator.client import PlacedCall
from tests.conftest import ALICE, DATABASES
from tests.e2e.agent_page import CONVERGED_MS, NOT_PAUSED, RECORDING, SAFE, CallPage, Desk
from tests.e2e.api import Answer, Api
from tests.e2e.processes import until
from tests.e2e.stack import Stack, running_stack
from tests.support.full_disk import full_disk
from tests.support.postgres import postgres_server

ANSWERED_SECONDS = 12.0
"""The longest that anything may take: the bot's own limits end after 8 s and a little."""
NOTICED_MS = 15_000.0
PRESS_MS = 1_000.0
RECOVERED_SECONDS = 30.0
HOLD_SECONDS = 4
BUSY_CALLS = 2
NOT_PAUSED_ALL = "NOT PAUSED: do not take the card"
WHY = {"sqlite": "can be read, but not written: is its disk full?", "postgresql": "unavailable"}


@dataclass(frozen=True)
class Place:
    """A stack and the way to take its database away."""

    kind: str
    stack: Stack
    away: Callable[[], AbstractContextManager[None]]


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        with running_stack(tmp_path, f"sqlite:///{tmp_path / 'bot.sqlite3'}") as stack:
            pids = (*stack.web.children(), stack.web.pid, stack.worker.pid)
            yield Place("sqlite", stack, lambda: full_disk(*pids))
        return
    with postgres_server() as server, running_stack(tmp_path, server.new_database()) as stack:

        @contextmanager
        def stopped() -> Iterator[None]:
            server.stop()
            try:
                yield
            finally:
                server.start()

        yield Place("postgresql", stack, stopped)


@dataclass
class Traffic:
    """Programs that pause and resume their own calls as fast as they are answered, until told to stop."""

    api: Api
    stop: Event = field(default_factory=Event)
    answers: list[tuple[str, str, Answer, float]] = field(default_factory=list)

    def run(self, sid: str) -> None:
        while not self.stop.is_set():
            for name, ask in (("pause", self.api.pause), ("read", self.api.call), ("resume", self.api.resume)):
                began = time.monotonic()
                self.answers.append((sid, name, ask(sid), time.monotonic() - began))


@contextmanager
def traffic(api: Api, calls: list[PlacedCall]) -> Iterator[Traffic]:
    """While the block runs. What went wrong in it is raised at its end."""
    busy = Traffic(api)
    with ThreadPoolExecutor(len(calls)) as threads:
        running: list[Future[None]] = [threads.submit(busy.run, one.call) for one in calls]
        try:
            yield busy
        finally:
            busy.stop.set()
    for one in running:
        one.result()


def health(stack: Stack, path: str) -> tuple[int, str]:
    host, port = stack.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=ANSWERED_SECONDS)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def is_away(place: Place) -> bool:
    status, told = health(place.stack, "/readyz")
    return status == 503 and WHY[place.kind] in told


def is_told_of_outage(page: CallPage) -> bool:
    """At the latest once Pause was pressed. Where the database cannot be read either, the page has lost its buttons and
    says so by itself.
    """
    if page.page.get_by_text("This page tries again by itself.").is_visible():
        return True
    with suppress(PlaywrightTimeout):
        page.page.get_by_role("button", name="Pause", exact=True).click(timeout=PRESS_MS)
    return False


def states(stack: Stack, call: PlacedCall) -> list[str]:
    return [one["state"] for one in stack.twilio.call(call.call)["recordings"]]


def reported(stack: Stack, recording: str) -> list[int]:
    """What we answered to the reports of this recording."""
    callbacks = [one for one in stack.twilio.callbacks() if one["params"].get("RecordingSid") == recording]
    return [one["http"] for one in callbacks if one["http"] is not None]


def is_problem(answer: Answer) -> bool:
    return (answer.body["type"], answer.body["status"], "call" in answer.body) == ("about:blank", answer.status, False)


def test_database_taken_away_and_given_back(place: Place, new_context: Callable[..., BrowserContext]) -> None:
    stack, twilio, api = place.stack, place.stack.twilio, place.stack.api
    processes = {*stack.web.children(), stack.web.pid, stack.worker.pid}
    held, due, fresh, *busy = (twilio.place_call(agent=ALICE.contact) for _ in range(3 + BUSY_CALLS))
    twilio.settle()
    window = Desk(new_context, stack, {}).window(ALICE)
    seen, pressed, listed = window.call(held.call), window.call(fresh.call), window.open("/calls")
    safe_in_the_list = listed.locator(f"li.safe:has-text('{held.call}')")
    seen.press("Pause")
    seen.says(SAFE)
    expect(safe_in_the_list).to_have_count(1, timeout=NOTICED_MS)

    with traffic(api, busy) as asked:
        assert api.pause(due.call, max_seconds=HOLD_SECONDS).is_safe
        over_at = time.monotonic() + HOLD_SECONDS
        with place.away():
            until(lambda: is_away(place), ANSWERED_SECONDS, "not ready any more, and why")
            assert health(stack, "/healthz")[0] == 200
            until(lambda: is_told_of_outage(pressed), ANSWERED_SECONDS, "who presses is told")
            for call_page in (seen, pressed):
                call_page.says(NOT_PAUSED, NOTICED_MS)
            expect(listed.get_by_role("status")).to_have_text(NOT_PAUSED_ALL, timeout=NOTICED_MS)
            expect(window.open(f"/calls/{held.call}").get_by_role("status")).to_have_text(NOT_PAUSED_ALL)
            for answer in (api.pause(fresh.call), api.call(held.call), api.resume(due.call)):
                assert (answer.status, is_problem(answer)) == (503, True)
            unknown = twilio.start_recording(held.call)
            until(lambda: reported(stack, unknown), ANSWERED_SECONDS, "the new recording is reported")
            assert reported(stack, unknown) == [503]
            until(lambda: time.monotonic() > over_at, HOLD_SECONDS + 1, "the hold is over")
        told = len(asked.answers)
        until(lambda: health(stack, "/readyz")[0] == 200, RECOVERED_SECONDS, "ready again")
        until(lambda: states(stack, held) == ["paused", "paused"], RECOVERED_SECONDS, "the new recording is paused")
        seen.says(SAFE, CONVERGED_MS)
        pressed.says(RECORDING, CONVERGED_MS)
        expect(safe_in_the_list).to_have_count(1, timeout=NOTICED_MS)
        until(lambda: states(stack, due) == ["in-progress"], RECOVERED_SECONDS, "the hold that ran out is over")
        assert api.pause(fresh.call).is_safe
        until(lambda: len(asked.answers) > told + 10, RECOVERED_SECONDS, "the others go on")

    assert {*stack.web.children(), stack.web.pid, stack.worker.pid} == processes
    assert_answered_well(asked)
    assert_nothing_lost(stack, asked)
    assert_log_is_short(place)


def assert_answered_well(asked: Traffic) -> None:
    """Paused, refused for the database, or not proven because a command was left open when it went."""
    assert {answer.status for _, _, answer, _ in asked.answers} <= {200, 503, 504}
    assert max(seconds for *_, seconds in asked.answers) < ANSWERED_SECONDS
    refused = [answer for _, _, answer, _ in asked.answers if answer.status == 503]
    assert refused != []
    assert [answer for answer in refused if not is_problem(answer)] == []


def assert_nothing_lost(stack: Stack, asked: Traffic) -> None:
    """Each hold that anybody was ever shown is in the log, and the log verifies."""
    for sid in {sid for sid, *_ in asked.answers}:
        shown = {
            hold["id"]
            for one, _, answer, _ in asked.answers
            if one == sid and answer.status == 200
            for hold in answer.body["holds"]
        }
        logged = {one["detail"]["hold"] for one in stack.auditor.entries(sid) if one["type"] == "hold.opened"}
        assert shown != set()
        assert shown - logged == set()
    verified = stack.bot("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def assert_log_is_short(place: Place) -> None:
    """Each process says once that reading, and once that writing, went away and came back. With a full disk what they
    say is lost.
    """
    least = 0 if place.kind == "sqlite" else 1
    for part, processes in ((place.stack.web, 2), (place.stack.worker, 1)):
        lines = part.output().splitlines()
        assert least <= sum("database.away" in line for line in lines) <= 2 * processes, lines
        assert sum("database.back" in line for line in lines) <= 2 * processes, lines
        assert [line for line in lines if "Traceback" in line or '"unexpected"' in line] == []

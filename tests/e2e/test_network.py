"""The network between bot and Twilio at its worst. While it lasts nothing is called safe; afterwards everything is set
right by itself, and never with two commands for one call at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import BrowserContext

from bot.call import desired, observed
from tests.conftest import ALICE, DATABASES
from tests.e2e.agent_page import CONVERGED_MS, NOT_PAUSED, SAFE, Desk
from tests.e2e.api import Answer
from tests.e2e.network import TIMEOUT_SECONDS, Network
from tests.e2e.processes import until
from tests.support.proxy import KINDS, Kind

SETTLED_SECONDS = 20.0
"""After the fault. Eight seconds of failures lead to a back-off of 10 s at most; the rest is for a busy machine."""
LOOK_SECONDS = 0.2


@dataclass
class Pair:
    """Two calls under the same fault: one that records and is to be paused, one that is paused and to be resumed."""

    recording: str
    paused: str


@dataclass
class Watch:
    """What the API said of calls while somebody looked again and again."""

    network: Network
    calls: list[str]
    safe: set[str] = field(default_factory=set)
    looks: int = 0

    def look(self) -> None:
        self.looks += 1
        self.safe |= {call for call in self.calls if self.network.stack.api.call(call).body["safe_to_take_card"]}


@contextmanager
def watching(network: Network, calls: list[str]) -> Iterator[Watch]:
    watch = Watch(network, calls)
    is_over = threading.Event()

    def look_again() -> None:
        while not is_over.wait(LOOK_SECONDS):
            watch.look()

    with ThreadPoolExecutor(1) as thread:
        looked = thread.submit(look_again)
        try:
            yield watch
        finally:
            is_over.set()
        looked.result()


def placed_pair(network: Network) -> Pair:
    twilio, api = network.stack.twilio, network.stack.api
    recording, paused = (twilio.place_call(agent=ALICE.contact).call for _ in range(2))
    twilio.settle()
    assert api.pause(paused).is_safe
    return Pair(recording, paused)


def ask_all(network: Network, pairs: list[Pair]) -> tuple[list[Answer], list[Answer]]:
    """Everybody at once: the answers of the pauses, and those of the resumes."""
    api = network.stack.api
    with ThreadPoolExecutor(2 * len(pairs)) as threads:
        pauses: list[Future[Answer]] = [threads.submit(api.pause, pair.recording) for pair in pairs]
        resumes: list[Future[Answer]] = [threads.submit(api.resume, pair.paused) for pair in pairs]
        return [one.result() for one in pauses], [one.result() for one in resumes]


def state_at_twilio(network: Network, call: str) -> list[str]:
    return [one["state"] for one in network.stack.twilio.call(call)["recordings"]]


def settles(network: Network, pairs: list[Pair]) -> None:
    """Without anybody asking again, all is as wanted, at Twilio and in the bot's eyes."""

    def is_settled() -> bool:
        calls = [network.call(sid) for pair in pairs for sid in (pair.recording, pair.paused)]
        return all(observed(call) == desired(call) and call.claim is None for call in calls) and all(
            network.stack.api.call(pair.recording).body["safe_to_take_card"] for pair in pairs
        )

    until(is_settled, SETTLED_SECONDS, "every call is as it is wanted")
    assert [state_at_twilio(network, pair.recording) for pair in pairs] == [["paused"]] * len(pairs)
    assert [state_at_twilio(network, pair.paused) for pair in pairs] == [["in-progress"]] * len(pairs)
    assert network.stack.twilio.counters()["overlaps"] == 0


@pytest.mark.parametrize("network", DATABASES, indirect=True)
def test_broken_network_is_never_called_safe_and_sets_itself_right(network: Network) -> None:
    """Every fault of the wire, each on two calls of its own, all at the same time."""
    pairs = {kind: placed_pair(network) for kind in KINDS}
    for kind, pair in pairs.items():
        for call in (pair.recording, pair.paused):
            network.fault(kind, about=call, seconds=1.5 * TIMEOUT_SECONDS)
    with watching(network, [pair.recording for pair in pairs.values()]) as watch:
        pauses, resumes = ask_all(network, list(pairs.values()))
    statuses: dict[Kind, int] = {kind: answer.status for kind, answer in zip(KINDS, pauses, strict=True)}
    assert statuses == dict.fromkeys(KINDS, 504)
    assert [answer.status for answer in resumes if answer.status == 200] == []
    assert (watch.safe, watch.looks > 0) == (set(), True)
    network.clear()
    settles(network, list(pairs.values()))


@pytest.mark.parametrize(("network", "door"), [("sqlite", "refuse"), ("postgresql", "stall")], indirect=["network"])
def test_twilio_out_of_reach_is_never_called_safe_and_sets_itself_right(network: Network, door: str) -> None:
    """Nothing could be sent, so nothing can arrive late."""
    pair = placed_pair(network)
    for proxy in network.proxies:
        getattr(proxy, door)()
    with watching(network, [pair.recording]) as watch:
        pauses, resumes = ask_all(network, [pair])
    assert [(one.status, one.body["code"]) for one in (*pauses, *resumes)] == [(504, "unreachable")] * 2
    assert (watch.safe, watch.looks > 0) == (set(), True)
    assert network.call(pair.paused).late_resume_until is None
    network.clear()
    settles(network, [pair])


def test_page_says_not_paused_while_the_network_is_broken(
    network: Network, new_context: Callable[..., BrowserContext]
) -> None:
    """And says that it is safe by itself, once it is."""
    call = network.stack.twilio.place_call(agent=ALICE.contact).call
    network.stack.twilio.settle()
    page = Desk(new_context, network.stack, {}).window(ALICE).call(call)
    network.fault("drop", about=call)
    page.press("Pause")
    page.says(NOT_PAUSED)
    assert [said for said in page.has_said() if said.startswith(SAFE)] == []
    network.clear()
    page.says(SAFE, CONVERGED_MS)
    assert state_at_twilio(network, call) == ["paused"]
    assert network.stack.twilio.counters()["overlaps"] == 0

"""The three loads, from one asyncio thread: it shares the cores with what it measures, so it does as little as it can.

Times run from the moment a request was due to the arrival of the last byte of its answer. Only answers with status 200
are timed, or a bot that refuses quickly would look fast; all others are counted.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CONTENT_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
ANSWER_SECONDS = 30.0
GRACE_SECONDS = 3.0
RAMP_SHARE = 0.1
SINGLES_NOT_COUNTED = 4

UNANSWERED = 0
"""Stands for the status of a request whose connection broke, or that had no answer in time."""


@dataclass(slots=True)
class Result:
    """What came of one load. `seconds` is how long it ran; `calls` are those answered 200, counted or not."""

    times: list[float] = field(default_factory=list)
    not_200: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    calls: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.times) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send, and how one request for a call is written."""

    port: int
    request: Callable[[str], bytes]


def new_call() -> str:
    return "CA" + secrets.token_hex(16)


def one_at_a_time(target: Target, count: int) -> Result:
    return asyncio.run(_one_at_a_time(target, count))


def at_once(target: Target, size: int, rounds: int, *, warm: bool = True) -> Result:
    """`rounds` bursts of `size` requests in one instant; with `warm`, one more before them that is not counted."""
    return asyncio.run(_at_once(target, size, rounds, warm))


def closed_loop(target: Target, clients: int, seconds: float) -> Result:
    """Each client asks again as soon as it is answered. They join over a tenth of the time more, not counted."""
    return asyncio.run(_closed_loop(target, clients, seconds))


class _Wire(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.is_open = False
        self._received = b""
        self._answer: asyncio.Future[tuple[int, float]] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.is_open = True

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, float]]:
        """The status, and when the answer was whole."""
        self._received = b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end]
        length = CONTENT_LENGTH.search(head)
        if len(self._received) < end + 4 + (int(length[1]) if length else 0):
            return
        if b"connection: close" in head.lower():
            self.close()
        self._finish(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.is_open = False
        self._finish(UNANSWERED)

    def close(self) -> None:
        self.is_open = False
        self._transport.close()

    def _finish(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, time.perf_counter()))


class _Client:
    """Keeps its connection as long as the other side does."""

    def __init__(self, target: Target, result: Result) -> None:
        self._target = target
        self._result = result
        self._wire: _Wire | None = None

    async def ask(self, due: float, counted: Callable[[float], bool] = lambda _: True) -> None:
        """One request for a new call; its time runs from `due`."""
        call = new_call()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._wire is None or not self._wire.is_open:
                    loop = asyncio.get_running_loop()
                    _, self._wire = await loop.create_connection(_Wire, "127.0.0.1", self._target.port)
                status, arrived = await self._wire.ask(self._target.request(call))
        except (OSError, TimeoutError):
            self.close()
            status, arrived = UNANSWERED, time.perf_counter()
        if status != 200:
            self._result.not_200[status] += 1
            return
        self._result.calls.append(call)
        if counted(arrived):
            self._result.times.append(arrived - due)

    def close(self) -> None:
        if self._wire is not None and self._wire.is_open:
            self._wire.close()


@contextmanager
def _clients(target: Target, result: Result, count: int) -> Iterator[list[_Client]]:
    clients = [_Client(target, result) for _ in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


async def _one_at_a_time(target: Target, count: int) -> Result:
    result = Result()
    with _clients(target, result, 1) as (client,):
        for _ in range(SINGLES_NOT_COUNTED):
            await client.ask(0.0, lambda _: False)
        began = time.perf_counter()
        for _ in range(count):
            await client.ask(time.perf_counter())
        result.seconds = time.perf_counter() - began
    return result


async def _at_once(target: Target, size: int, rounds: int, warm: bool) -> Result:
    result = Result()
    with _clients(target, result, size) as clients:
        if warm:
            await asyncio.gather(*(client.ask(0.0, lambda _: False) for client in clients))
        for _ in range(rounds):
            due = time.perf_counter()
            await asyncio.gather(*(client.ask(due) for client in clients))
            result.seconds += time.perf_counter() - due
    return result


async def _closed_loop(target: Target, count: int, seconds: float) -> Result:
    """After the end, answers under way are waited for a little: they are not counted, but refusals among them are."""
    result = Result(seconds=seconds)
    joining = time.perf_counter()
    ramp_seconds = RAMP_SHARE * seconds
    begin = joining + ramp_seconds
    end = begin + seconds

    async def run(client: _Client, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        while (due := time.perf_counter()) < end:
            await client.ask(due, lambda arrived: begin <= arrived < end)

    with _clients(target, result, count) as clients:
        tasks = [asyncio.create_task(run(one, ramp_seconds * index / count)) for index, one in enumerate(clients)]
        _, late = await asyncio.wait(tasks, timeout=ramp_seconds + seconds + GRACE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        result.not_200[UNANSWERED] += len(late)
    return result

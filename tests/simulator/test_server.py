"""The wire itself: connections that stay, many that wait, bodies that do not fit."""

from __future__ import annotations

import asyncio
import base64
import http.client
import socket
import time
from urllib.parse import urlsplit

from bot.simulator.client import SimulatorClient
from tests.simulator.process import ACCOUNT, TOKEN, Simulator
from tests.simulator.rest_client import Rest

_MANY = 600


def test_connection_stays_open_between_requests(sim: SimulatorClient, simulator: Simulator) -> None:
    placed = sim.place_call()
    parts = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    connection.connect()
    first = connection.sock
    try:
        for path in (f"/sim/calls/{placed.call}", "/sim/nothing", "/sim/state"):
            connection.request("GET", path)
            reply = connection.getresponse()
            reply.read()
            assert reply.version == 11
            assert connection.sock is first
    finally:
        connection.close()


def _exchange(simulator: Simulator, request: bytes) -> bytes:
    parts = urlsplit(simulator.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def test_body_that_is_too_large_or_of_unknown_length_is_refused(sim: SimulatorClient, simulator: Simulator) -> None:
    assert sim.state()["calls"] == []
    head = b"POST /sim/calls HTTP/1.1\r\nHost: localhost\r\n"
    assert _exchange(simulator, head + b"Content-Length: 9999999\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    for field in (b"Content-Length: many", b"Transfer-Encoding: chunked"):
        assert _exchange(simulator, head + field + b"\r\n\r\n").startswith(b"HTTP/1.1 411 ")


def test_stays_responsive_while_hundreds_wait(sim: SimulatorClient, simulator: Simulator, rest: Rest) -> None:
    waiting, quick = sim.place_call(), sim.place_call()
    sim.add_fault("delay", call=waiting.call, seconds=3)
    took, statuses = asyncio.run(_crowd(sim, simulator, rest, waiting.call, quick.call))
    assert statuses == [b"HTTP/1.1 200 OK"] * _MANY
    assert took < 0.5


async def _crowd(
    sim: SimulatorClient, simulator: Simulator, rest: Rest, waiting: str, quick: str
) -> tuple[float, list[bytes]]:
    """Hundreds of delayed requests; meanwhile one that is not. How long that one took, and the others' status lines."""
    crowd = [asyncio.create_task(_listing(simulator, waiting)) for _ in range(_MANY)]
    await asyncio.to_thread(_all_arrived, sim)
    assert not any(one.done() for one in crowd)
    began = time.monotonic()
    reply = await asyncio.to_thread(rest.get, f"Calls/{quick}.json")
    took = time.monotonic() - began
    assert reply.status == 200
    return took, await asyncio.gather(*crowd)


def _all_arrived(sim: SimulatorClient) -> None:
    until = time.monotonic() + 10
    while sim.counters()["requests"] < _MANY:
        assert time.monotonic() < until
        time.sleep(0.02)


async def _listing(simulator: Simulator, call: str) -> bytes:
    parts = urlsplit(simulator.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    basic = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{call}/Recordings.json"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {basic}\r\n\r\n".encode())
    line = (await reader.readline()).strip()
    writer.close()
    await writer.wait_closed()
    return line

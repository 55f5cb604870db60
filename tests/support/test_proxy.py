"""The proxy itself: each fault, seen from both ends."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests.support.proxy import KINDS, Kind, Proxy, running_proxy
from tests.telephony.raw_server import OK, RawServer, keep_alive, serving

WITHIN_SECONDS = 10.0
GIVES_UP_SECONDS = 0.3
BODY = "Status=paused"


@pytest.fixture
def server() -> Iterator[RawServer]:
    with serving(keep_alive) as one:
        yield one


@pytest.fixture
def proxy(server: RawServer) -> Iterator[Proxy]:
    with running_proxy(server.url) as one:
        yield one


@pytest.fixture
def beside() -> Iterator[Callable[..., Future[int]]]:
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


class Client:
    """One kept-alive connection."""

    def __init__(self, proxy: Proxy, seconds: float = WITHIN_SECONDS) -> None:
        parts = urlsplit(proxy.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)

    def ask(self, path: str = "/") -> int:
        self._connection.request("POST", path, BODY)
        reply = self._connection.getresponse()
        assert reply.read() == b"{}"
        return reply.status

    def close(self) -> None:
        self._connection.close()


def ask(proxy: Proxy, path: str = "/", seconds: float = WITHIN_SECONDS) -> int:
    client = Client(proxy, seconds)
    try:
        return client.ask(path)
    finally:
        client.close()


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not look():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def test_without_a_fault_every_request_passes_and_the_connection_stays(proxy: Proxy, server: RawServer) -> None:
    client = Client(proxy)
    assert [client.ask("/a"), client.ask("/b")] == [200, 200]
    client.close()
    assert [(one.split()[1], one.partition("\r\n\r\n")[2]) for one in server.requests] == [("/a", BODY), ("/b", BODY)]


@pytest.mark.parametrize("kind", KINDS)
def test_fault_leaves_other_requests_alone(proxy: Proxy, kind: Kind) -> None:
    proxy.fault(kind, about="/CA1/", seconds=60)
    assert ask(proxy, "/CA2/") == 200


@pytest.mark.parametrize("kind", ["delay-request", "delay-reply"])
def test_delay_is_as_long_as_asked_for(proxy: Proxy, kind: Kind) -> None:
    proxy.fault(kind, seconds=0.3)
    began = time.monotonic()
    assert ask(proxy) == 200
    assert time.monotonic() - began >= 0.3


def test_delayed_request_arrives_though_its_client_gave_up(proxy: Proxy, server: RawServer) -> None:
    proxy.fault("delay-request", seconds=2 * GIVES_UP_SECONDS)
    with pytest.raises(TimeoutError):
        ask(proxy, seconds=GIVES_UP_SECONDS)
    assert server.requests == []
    until(lambda: len(server.requests) == 1)


def test_dropped_request_never_arrives_not_even_later(proxy: Proxy, server: RawServer) -> None:
    proxy.fault("drop")
    client = Client(proxy, GIVES_UP_SECONDS)
    with pytest.raises(TimeoutError):
        client.ask("/dropped")
    proxy.clear()
    client.close()
    assert ask(proxy, "/next") == 200
    assert [one.split()[1] for one in server.requests] == ["/next"]


def test_held_request_goes_on_when_it_is_released(
    proxy: Proxy, server: RawServer, beside: Callable[..., Future[int]]
) -> None:
    proxy.fault("hold")
    asked = beside(ask, proxy, "/held")
    until(lambda: proxy.held == ["POST /held HTTP/1.1"])
    assert (server.requests, asked.done()) == ([], False)
    proxy.clear(keep_held=True)
    assert ask(proxy, "/passes") == 200
    assert (proxy.held, proxy.passed) == (["POST /held HTTP/1.1"], ["POST /passes HTTP/1.1"])
    proxy.clear()
    assert asked.result(WITHIN_SECONDS) == 200
    assert [one.split()[1] for one in server.requests] == ["/passes", "/held"]


def test_held_request_is_forgotten_if_its_client_gave_up(proxy: Proxy, server: RawServer) -> None:
    proxy.fault("hold")
    with pytest.raises(TimeoutError):
        ask(proxy, "/held", GIVES_UP_SECONDS)
    proxy.clear()
    until(lambda: proxy.held == [])
    assert ask(proxy, "/next") == 200
    assert [one.split()[1] for one in server.requests] == ["/next"]


def test_cut_is_a_reset_in_the_middle_of_the_reply(proxy: Proxy, server: RawServer) -> None:
    proxy.fault("cut")
    with pytest.raises((ConnectionResetError, http.client.HTTPException)):
        ask(proxy)
    assert len(server.requests) == 1


def test_halved_reply_ends_in_the_middle(proxy: Proxy) -> None:
    proxy.fault("halve-reply")
    with connected(proxy) as client:
        client.sendall(request_of("/"))
        assert read_all(client) == OK[: len(OK) // 2]


def test_halved_request_arrives_by_half_and_is_not_answered() -> None:
    arrived: list[bytes] = []
    has_ended = threading.Event()

    def talk(_server: RawServer, connection: socket.socket) -> None:
        arrived.append(read_all(connection))
        has_ended.set()

    with serving(talk) as server, running_proxy(server.url) as proxy:
        proxy.fault("halve-request")
        with connected(proxy) as client:
            client.sendall(request_of("/"))
            assert read_all(client) == b""
        assert has_ended.wait(WITHIN_SECONDS)
    assert arrived == [request_of("/")[: len(request_of("/")) // 2]]


def test_refused_connection_is_refused_until_the_door_opens_again(proxy: Proxy) -> None:
    client = Client(proxy)
    assert client.ask() == 200
    proxy.refuse()
    with pytest.raises((OSError, http.client.HTTPException)):
        client.ask()
    with pytest.raises(ConnectionRefusedError):
        ask(proxy)
    proxy.clear()
    assert ask(proxy) == 200
    client.close()


def test_stalled_door_lets_nobody_in_and_nothing_be_sent(
    proxy: Proxy, server: RawServer, beside: Callable[..., Future[int]]
) -> None:
    client = Client(proxy)
    assert client.ask("/before") == 200
    proxy.stall()
    with pytest.raises((OSError, http.client.HTTPException)):
        client.ask("/cut")
    with pytest.raises(TimeoutError):
        ask(proxy, "/gave-up", GIVES_UP_SECONDS)
    asked = beside(ask, proxy, "/waited")
    until(lambda: proxy.knocking() == 1)
    proxy.clear()
    assert asked.result(WITHIN_SECONDS) == 200
    assert [one.split()[1] for one in server.requests] == ["/before", "/waited"]
    client.close()


def test_client_that_goes_away_is_missed_by_the_server() -> None:
    """So that the simulator knows which of its commands are still in flight."""
    was_left = threading.Event()

    def talk(server: RawServer, connection: socket.socket) -> None:
        server.read(connection)
        assert connection.recv(1) == b""
        was_left.set()

    with serving(talk) as server, running_proxy(server.url) as proxy:
        with pytest.raises(TimeoutError):
            ask(proxy, seconds=GIVES_UP_SECONDS)
        assert was_left.wait(WITHIN_SECONDS)


def test_servers_reset_reaches_the_client_as_an_end() -> None:
    def talk(server: RawServer, connection: socket.socket) -> None:
        server.read(connection)

    with serving(talk) as server, running_proxy(server.url) as proxy, pytest.raises(http.client.RemoteDisconnected):
        ask(proxy)


def connected(proxy: Proxy) -> socket.socket:
    parts = urlsplit(proxy.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), WITHIN_SECONDS)


def request_of(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode()


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65_536):
        data += piece
    return data

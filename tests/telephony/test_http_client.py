"""One deadline for a whole request, whatever the other side does; and what it means for what was sent."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from bot.telephony.http_client import PooledHttpClient, Unanswered, Unsent
from tests.telephony.raw_server import OK, RawServer, Talk, keep_alive, once, reset, serving, silence, slowly

TWILIO = "https://api.twilio.com/2010-04-01/Accounts/AC1/Calls/CA1.json"
LIMIT_SECONDS = 0.4


@contextmanager
def client_of(url: str, seconds: float = LIMIT_SECONDS) -> Iterator[PooledHttpClient]:
    client = PooledHttpClient(timeout_seconds=seconds, connections=100, base_url=url)
    yield client
    client._pools.clear()  # noqa: SLF001 - nothing but the process's end closes it otherwise


@contextmanager
def talking(
    talk: Talk, prefix: str = "", seconds: float = LIMIT_SECONDS
) -> Iterator[tuple[RawServer, PooledHttpClient]]:
    with serving(talk) as server, client_of(server.url + prefix, seconds) as client:
        yield server, client


def test_nothing_is_sent_at_or_after_the_deadline_that_was_set_for_it() -> None:
    """However long ago that was, and whatever the time limit of the request itself."""
    with talking(keep_alive) as (server, client):
        with client.no_later_than(time.monotonic()), pytest.raises(Unsent, match="too late"):
            client.request("POST", TWILIO)
        with client.no_later_than(time.monotonic() + 60):
            assert client.request("POST", TWILIO).status_code == 200
        assert client.request("POST", TWILIO).status_code == 200
        assert len(server.requests) == 2


def test_request_ends_at_the_deadline_that_was_set_for_it() -> None:
    with talking(silence, seconds=60) as (_, client):
        began = time.monotonic()
        with client.no_later_than(began + LIMIT_SECONDS), pytest.raises(Unanswered, match="no reply in time"):
            client.request("POST", TWILIO)
        assert time.monotonic() - began < 30


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(silence, id="silence"),
        pytest.param(slowly(LONG), id="dripping headers"),
        pytest.param(
            slowly(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 500), id="chunks"
        ),
    ],
)
def test_whole_request_ends_at_its_deadline(talk: Talk) -> None:
    with talking(talk) as (_, client):
        began = time.monotonic()
        with pytest.raises(Unanswered, match="no reply in time"):
            client.request("POST", TWILIO, data={"Status": "paused"})
        assert LIMIT_SECONDS - 0.05 <= time.monotonic() - began < LIMIT_SECONDS + 0.5


def test_dripping_body_ends_at_the_deadline() -> None:
    def talk(server: RawServer, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(LONG[:45])
        slowly(b"x" * 900)(server, connection)

    with talking(talk) as (_, client):
        began = time.monotonic()
        with pytest.raises(Unanswered, match="no reply in time"):
            client.request("GET", TWILIO)
        assert time.monotonic() - began < LIMIT_SECONDS + 0.5


def test_limit_of_one_request_does_not_touch_the_next() -> None:
    with talking(keep_alive) as (_, client):
        assert client.request("GET", TWILIO).status_code == 200
        time.sleep(LIMIT_SECONDS)
        time.sleep(0.1)
        assert client.request("GET", TWILIO).status_code == 200


def test_limit_given_for_one_request_is_kept() -> None:
    with talking(silence, seconds=30) as (_, client):
        began = time.monotonic()
        with pytest.raises(Unanswered):
            client.request("GET", TWILIO, timeout=0.2)
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(reset, id="reset"),
        pytest.param(once(b""), id="closed without a reply"),
        pytest.param(once(LONG[:100]), id="cut short"),
        pytest.param(once(b"I am no web server\r\n\r\n"), id="not HTTP"),
        pytest.param(once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), id="cut in a chunk"),
    ],
)
def test_reply_that_is_not_whole_is_unanswered(talk: Talk) -> None:
    with talking(talk) as (_, client), pytest.raises(Unanswered):
        client.request("POST", TWILIO, data={"Status": "paused"})


def test_connection_that_is_refused_sent_nothing() -> None:
    with client_of(f"http://127.0.0.1:{closed_port()}") as client, pytest.raises(Unsent):
        client.request("POST", TWILIO, data={"Status": "paused"})


def test_host_that_does_not_exist_sent_nothing() -> None:
    with client_of("http://twilio.invalid", 5.0) as client, pytest.raises(Unsent):
        client.request("POST", TWILIO)


@pytest.mark.parametrize("status", [204, 302, 401, 404, 429, 500, 503])
def test_any_whole_reply_is_returned(status: int) -> None:
    reply = f"HTTP/1.1 {status} Whatever\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".encode()
    with talking(once(reply)) as (server, client):
        assert client.request("GET", TWILIO).status_code == status
        assert len(server.requests) == 1


def test_request_says_what_the_sdk_wants() -> None:
    with talking(keep_alive) as (server, client):
        client.request(
            "post",
            TWILIO + "?a=1",
            params={"b": "2 3"},
            data={"Status": "paused", "PauseBehavior": "skip"},
            headers={"Content-Type": "application/x-www-form-urlencoded", "X-One": "1"},
            auth=("AC1", "secret"),
        )
    head, body = server.requests[0].split("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "POST /2010-04-01/Accounts/AC1/Calls/CA1.json?a=1&b=2+3 HTTP/1.1"
    assert "authorization: Basic QUMxOnNlY3JldA==".lower() in [line.lower() for line in lines]
    assert "X-One: 1" in lines
    assert body == "Status=paused&PauseBehavior=skip"


def test_path_prefix_of_the_base_url_is_kept() -> None:
    with talking(keep_alive, prefix="/api/laml") as (server, client):
        client.request("GET", TWILIO)
    assert server.requests[0].startswith("GET /api/laml/2010-04-01/Accounts/AC1/Calls/CA1.json HTTP/1.1\r\n")


def test_connections_are_kept_and_used_again() -> None:
    with talking(keep_alive) as (server, client):
        for _ in range(20):
            client.request("GET", TWILIO)
        assert (server.connections, len(server.requests)) == (1, 20)


def test_burst_of_fifty_opens_fifty_and_the_next_burst_none() -> None:
    together = threading.Barrier(50)

    def talk(server: RawServer, connection: socket.socket) -> None:
        while server.read(connection):
            together.wait(5)
            connection.sendall(OK)

    with talking(talk, seconds=5) as (server, client), ThreadPoolExecutor(50) as threads:
        for _ in range(3):
            replies = list(threads.map(lambda _: client.request("GET", TWILIO).status_code, range(50)))
            assert replies == [200] * 50
        assert server.connections == 50


def test_broken_connection_is_not_used_again() -> None:
    with talking(slowly(LONG)) as (server, client):
        for _ in range(2):
            with pytest.raises(Unanswered):
                client.request("GET", TWILIO)
        assert server.connections == 2


def test_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    with talking(once(OK)) as (server, client):
        assert client.request("GET", TWILIO).status_code == 200
        time.sleep(0.1)
        assert client.request("GET", TWILIO).status_code == 200
        assert server.connections == 2


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_deadline_is_kept_after_a_fork() -> None:
    """The watchdog's thread does not live on in a child; it is started there anew."""
    with talking(slowly(LONG)) as (_, client):
        with pytest.raises(Unanswered):
            client.request("GET", TWILIO)
        child = os.fork()
        if child == 0:
            try:
                client.request("GET", TWILIO)
            except Unanswered:
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0

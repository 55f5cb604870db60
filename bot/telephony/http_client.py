"""The Twilio SDK's `HttpClient` over a urllib3 pool, with one deadline on the wall clock for a whole request.

The SDK's own client waits for ever, pools at most `cpus + 4` connections and costs three times the CPU. urllib3's time
limits hold for each read, so that a server that drips bytes could keep a thread for ever: a watchdog shuts the socket
down at the deadline, whatever it is doing.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from twilio.http import HttpClient
from twilio.http.response import Response
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

BODY_BYTES_MAX = 4_000_000
POOLS_MAX = 8


class Unsent(Exception):
    """No connection could be made: nothing was sent, so nothing can arrive late."""


class Unanswered(Exception):
    """Sent, at least in part, and no whole reply came in time. `str()` says why in a word or two."""


class Watchdog:
    """Shuts sockets down at their deadlines. One thread for each process, started on first use, also after a fork."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Guard]] = []
        self._counter = itertools.count()
        self._changed = threading.Condition()
        self._pid = 0

    @contextmanager
    def guard(self, deadline: float) -> Iterator[Guard]:
        """Until the block ends, whatever socket the guard is given is shut down at `deadline` (monotonic)."""
        guard = Guard(deadline)
        with self._changed:
            self._start()
            heapq.heappush(self._due, (guard.deadline, next(self._counter), guard))
            if self._due[0][2] is guard:
                self._changed.notify()
        token = _current.guard = guard
        try:
            yield token
        finally:
            _current.guard = None
            guard.release()

    def _start(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._due = []
            threading.Thread(target=self._run, name="twilio-deadlines", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due:
                    self._changed.wait()
                wait = self._due[0][0] - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                guard = heapq.heappop(self._due)[2]
            guard.expire()


class Guard:
    """The socket that one request uses now. A guard that ran out shuts down every socket it is given later, too."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.expired = False
        self._released = False

    def watch(self, sock: socket.socket | None) -> None:
        with self._lock:
            self._socket = sock
            self.expired = self.expired or time.monotonic() >= self.deadline
            if self.expired:
                _shut_down(sock)

    def expire(self) -> None:
        with self._lock:
            if not self._released:
                self.expired = True
                _shut_down(self._socket)

    def release(self) -> None:
        with self._lock:
            self._released = True
            self._socket = None


def _shut_down(sock: socket.socket | None) -> None:
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


class _Current(threading.local):
    guard: Guard | None = None
    deadline: float | None = None


_current = _Current()
watchdog = Watchdog()


@contextmanager
def answered_within(seconds: float) -> Iterator[None]:
    """One request in the block, over `watched_pools`, with a deadline on the wall clock, however the other side drips.

    Raises `Unsent` or `Unanswered` for what went wrong, with neither address nor content.
    """
    with watchdog.guard(time.monotonic() + seconds) as guard:
        try:
            yield
        except urllib3.exceptions.NewConnectionError:
            raise Unsent("no connection") from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unanswered("no reply in time" if guard.expired else _in_a_word(error)) from None


class _Watched:
    """Hands its socket to the current guard: when it connects, and when a pooled connection is used again."""

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # urllib3's connection is the other base
        self._watch()

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        self._watch()
        super().putrequest(*args, **kwargs)  # type: ignore[misc]  # as above

    def _watch(self) -> None:
        if self.sock is not None and _current.guard is not None:
            _current.guard.watch(self.sock)


class _HTTPConnection(_Watched, HTTPConnection):
    pass


class _HTTPSConnection(_Watched, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def watched_pools(connections: int) -> urllib3.PoolManager:
    """Connections whose sockets the watchdog guards, where a request is made within its `guard`."""
    pools = urllib3.PoolManager(num_pools=POOLS_MAX, maxsize=connections, block=False)
    pools.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return pools


class PooledHttpClient(HttpClient):
    """`base_url` replaces scheme, host and a path prefix of whatever address the SDK asks for."""

    def __init__(self, *, timeout_seconds: float, connections: int, base_url: str | None = None) -> None:
        self.timeout_seconds = timeout_seconds
        self._base_url = base_url
        self._pools = watched_pools(connections)

    @contextmanager
    def no_later_than(self, deadline: float | None) -> Iterator[None]:
        """What this thread asks for in the block ends at `deadline` (monotonic), even if the process is frozen between
        the moment when that was decided and the moment when it would be sent.
        """
        _current.deadline = deadline
        try:
            yield
        finally:
            _current.deadline = None

    def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,  # noqa: ARG002 - the SDK's signature; a redirect is never followed
    ) -> Response:
        """Raises `Unsent` or `Unanswered`; any whole reply is returned, whatever its status."""
        now = time.monotonic()
        deadline = min(now + (timeout or self.timeout_seconds), _current.deadline or math.inf)
        if deadline <= now:
            raise Unsent("too late")
        sent_headers = dict(headers or {})
        if auth is not None:
            sent_headers.update(urllib3.make_headers(basic_auth=":".join(auth)))
        body = urlencode(data, doseq=True) if data else None
        with watchdog.guard(deadline) as guard:
            try:
                return self._send(method.upper(), self._address(url, params), body, sent_headers, deadline - now)
            except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
                raise Unsent("no connection") from error
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise Unanswered("no reply in time" if guard.expired else _in_a_word(error)) from error

    def _send(self, method: str, url: str, body: str | None, headers: dict[str, str], seconds: float) -> Response:
        reply = self._pools.request(
            method,
            url,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(total=seconds),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            content = reply.read(BODY_BYTES_MAX, decode_content=True)
            if reply.length_remaining:
                raise Unanswered("a reply cut short or too long")
            reply.drain_conn()
        except BaseException:
            reply.close()
            raise
        reply.release_conn()
        return Response(reply.status, content.decode("utf-8", "replace"), reply.headers)

    def _address(self, url: str, params: Mapping[str, object] | None) -> str:
        if self._base_url is not None:
            parts = urlsplit(url)
            url = self._base_url + parts.path + (f"?{parts.query}" if parts.query else "")
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params, doseq=True)
        return url


def _in_a_word(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        return "no reply in time"
    return "the connection broke"

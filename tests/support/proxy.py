"""A small proxy between the bot and the simulated Twilio, with a network's faults, switched on and off at any time.

It knows just enough of HTTP to tell one message from the next, so that a fault can be kept to the requests of one call:

delay-request  forwarded so many seconds later, even if the client has given up: a late command
delay-reply    answered so many seconds later
drop           swallowed: nobody gets it, nobody answers
hold           kept until it is released, and then forwarded, unless the client has gone meanwhile
cut            forwarded; half of the reply comes, then a reset
halve-request  half of the request is forwarded, then both ends are closed
halve-reply    forwarded; half of the reply comes, then the end of the connection

The door is for connections: `stall` lets nobody in (the client's kernel goes on knocking, so nothing can be sent, and
nothing arrives late), `refuse` turns everybody away.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

HOST = "127.0.0.1"
BACKLOG = 256
LOOK_SECONDS = 0.05
FILL_SECONDS = 0.2
MESSAGE_BYTES_MAX = 1_000_000
SYN_SENT = "02"

Kind = Literal["delay-request", "delay-reply", "drop", "hold", "cut", "halve-request", "halve-reply"]
KINDS: tuple[Kind, ...] = ("delay-request", "delay-reply", "drop", "hold", "cut", "halve-request", "halve-reply")


@dataclass(frozen=True)
class _Fault:
    kind: Kind
    about: str
    seconds: float


class Proxy:
    """Safe for any number of threads. `held` and `passed` have the first lines of requests: those that are being held,
    and those that were forwarded whole.
    """

    def __init__(self, target_url: str) -> None:
        parts = urlsplit(target_url)
        self._target = (parts.hostname or HOST, parts.port or 80)
        self._place = _bound(0)
        self._port: int = self._place.getsockname()[1]
        self.url = f"http://{HOST}:{self._port}"
        self.held: list[str] = []
        self.passed: list[str] = []
        self._changed = threading.Condition(threading.RLock())
        self._faults: list[_Fault] = []
        self._releases = 0
        self._listener: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._open_ones: set[socket.socket] = set()
        self._is_closed = False
        self.clear()
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    # What a test switches

    def fault(self, kind: Kind, about: str = "", seconds: float = 0.0) -> None:
        """From now on, and until `clear`, this happens to every request whose first line has `about` in it."""
        with self._changed:
            self._faults.append(_Fault(kind, about, seconds))

    def clear(self, *, keep_held: bool = False) -> None:
        """No faults, an open door; what was held goes on, if it is not to be kept for longer."""
        with self._changed:
            self._faults = []
            self._releases += 0 if keep_held else 1
            for filler in self._fillers:
                filler.close()
            self._fillers = []
            if self._listener is None:
                self._listener = _bound(self._port)
                self._listener.setblocking(False)
            self._listener.listen(BACKLOG)
            self._changed.notify_all()

    def refuse(self) -> None:
        """Turn every connection away; those that are open are cut."""
        with self._changed:
            if self._listener is not None:
                self._listener.shutdown(socket.SHUT_RDWR)  # closing alone waits for whoever looks at it
                self._listener.close()
                self._listener = None
            self.cut_all()

    def stall(self) -> None:
        """Let nobody in, but turn nobody away; those that are open are cut."""
        with self._changed:
            if self._listener is None:
                raise RuntimeError("the door is shut: clear first")
            self._listener.listen(0)
            while len(self._fillers) < BACKLOG and (filler := self._filler()):
                self._fillers.append(filler)
            self.cut_all()

    def cut_all(self) -> None:
        """A reset for whoever is connected now."""
        with self._changed:
            for one in self._open_ones:
                _prepare_reset(one)
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def knocking(self) -> int:
        """How many connections wait to be let in, as the kernel tells."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
        return sum(row[2].endswith(f":{self._port:04X}") and row[3] == SYN_SENT for row in rows)

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self.refuse()
            self._place.close()
            for filler in self._fillers:
                filler.close()
            self._changed.notify_all()

    # The door

    def _filler(self) -> socket.socket | None:
        """A connection that nobody accepts; None once the queue for them is full."""
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex((HOST, self._port))
        if select.select([], [filler], [], FILL_SECONDS)[1]:
            return filler
        filler.close()
        return None

    def _accept(self) -> None:
        while not self._is_closed:
            with self._changed:
                listener = self._listener
                if listener is None or self._fillers:
                    self._changed.wait(LOOK_SECONDS)
                    continue
            with suppress(OSError, ValueError):
                if select.select([listener], [], [], LOOK_SECONDS)[0]:
                    self._let_in(listener)

    def _let_in(self, listener: socket.socket) -> None:
        with self._changed:
            if self._fillers or listener is not self._listener:
                return
            client = listener.accept()[0]
            client.setblocking(True)
            self._open_ones.add(client)
        threading.Thread(target=self._serve, args=(client,), name="proxied", daemon=True).start()

    # One connection

    def _serve(self, client: socket.socket) -> None:
        try:
            with suppress(OSError):
                while request := read_message(client):
                    with socket.create_connection(self._target) as server:
                        if not self._exchange(client, server, request):
                            return
        finally:
            with self._changed:
                self._open_ones.discard(client)
                client.close()

    def _exchange(self, client: socket.socket, server: socket.socket, request: bytes) -> bool:
        """One request and its reply, with what happens to them on the way; whether the connection goes on."""
        fault = self._fault_of(request)
        kind = fault.kind if fault else None
        if kind == "drop":
            _swallow(client)
            return False
        if kind == "hold" and not self._hold(client, request):
            return False
        if kind == "halve-request":
            server.sendall(request[: len(request) // 2])
            return False
        if fault and kind == "delay-request":
            self._wait(fault.seconds)
        self.passed.append(_first_line(request))
        server.sendall(request)
        reply = _reply(client, server)
        if fault and kind == "delay-reply":
            self._wait(fault.seconds)
        if kind in {"cut", "halve-reply"}:
            client.sendall(reply[: len(reply) // 2])
            if kind == "cut":
                _prepare_reset(client)
            return False
        client.sendall(reply)
        return bool(reply)

    def _fault_of(self, request: bytes) -> _Fault | None:
        line = _first_line(request)
        with self._changed:
            return next((fault for fault in self._faults if fault.about in line), None)

    def _hold(self, client: socket.socket, request: bytes) -> bool:
        """Wait until it may go on; whether the client is still there then."""
        line = _first_line(request)
        with self._changed:
            self.held.append(line)
            releases = self._releases
            self._changed.wait_for(lambda: self._is_closed or self._releases > releases)
            self.held.remove(line)
        return not _is_gone(client)

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, seconds)


@contextmanager
def running_proxy(target_url: str) -> Iterator[Proxy]:
    """A proxy in front of `target_url`, for as long as the block runs."""
    proxy = Proxy(target_url)
    try:
        yield proxy
    finally:
        proxy.close()


def read_message(sock: socket.socket) -> bytes:
    """One request or reply as it came, body included; what came of it if the other side ends in the middle."""
    data = b""
    while len(data) < MESSAGE_BYTES_MAX and not _is_whole(data):
        piece = sock.recv(65_536)
        if not piece:
            break
        data += piece
    return data


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    sizes = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= sum(int(size) for size in sizes)


def _reply(client: socket.socket, server: socket.socket) -> bytes:
    """The server's; empty as soon as the client is gone, so that the server can see that, too."""
    while True:
        readable = select.select([server, client], [], [])[0]
        if server in readable:
            return read_message(server)
        if _is_gone(client):
            return b""


def _is_gone(client: socket.socket) -> bool:
    """Whether the other side has closed; what it may have sent stays to be read."""
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _swallow(client: socket.socket) -> None:
    while client.recv(65_536):
        pass


def _first_line(request: bytes) -> str:
    return request.partition(b"\r\n")[0].decode("latin-1")


def _bound(port: int) -> socket.socket:
    """A socket that has the port. One that never listens keeps it for us while the door is shut."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound


def _prepare_reset(sock: socket.socket) -> None:
    """Closing will be a reset."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

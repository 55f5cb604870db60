"""One HTTP exchange's connection, as the simulator's faults need it: watched, cut, or written to a byte at a time.

The server puts a ``Wire`` into each request's environment; a handler tells by it how its answer is to be sent.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ENVIRON_KEY = "simulator.wire"


@dataclass(frozen=True, slots=True)
class Drip:
    """Send this part of the answer (headers or body) one byte at a time, with so many seconds between them."""

    part: str
    seconds: float


class Wire:
    """The connection of the exchange that runs now."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.drip: Drip | None = None
        self.cut = False
        """Reset the connection instead of answering."""
        self.on_end: Callable[[str], None] = lambda _outcome: None
        """Called with answered, cut or gave-up, before the client can know of it."""

    def client_gone(self) -> bool:
        """Whether the client has closed its end. Never blocks; any thread may ask."""
        try:
            if not _readable(self._connection, 0):
                return False
            return self._connection.recv(1, socket.MSG_PEEK) == b""
        except (OSError, ValueError):
            return True

    def wait(self, seconds: float) -> None:
        """Let real time pass; a client that goes away meanwhile is noted at once, and the time passes all the same."""
        until = time.monotonic() + seconds
        watching = True
        while (left := until - time.monotonic()) > 0:
            if not watching:
                time.sleep(left)
                continue
            try:
                readable = _readable(self._connection, left)
            except (OSError, ValueError):
                readable = True
            if readable:
                watching = False
                if self.client_gone():
                    self.on_end("gave-up")

    def reset(self) -> None:
        """Close with a TCP reset instead of an orderly end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self._connection.detach())


def _readable(connection: socket.socket, seconds: float) -> bool:
    """Not select(): with hundreds of connections, file numbers pass its limit of 1024."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def of(environ: dict[str, Any]) -> Wire:
    """The wire of a request."""
    wire = environ[ENVIRON_KEY]
    if not isinstance(wire, Wire):
        raise TypeError("the request does not come from the simulator's own server")
    return wire

"""What receives a second copy: a TCP syslog server that keeps whole messages, and entries read back from them."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

WAIT_SECONDS = 15.0
HEADER = re.compile(
    rb"<110>1 (?P<at>\S+) (?P<host>\S+) pci-pause-bot - (?P<type>\S+) "
    rb'\[meta sequenceId="(?P<number>[0-9]+)"\] (?P<msg>.*)',
    re.DOTALL,
)


def until(is_so: Callable[[], bool]) -> None:
    """Look until it is so."""
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


def first_seen(copies: list[bytes]) -> list[bytes]:
    """The copies without those that came again."""
    return list(dict.fromkeys(copies))


class SyslogServer:
    """Takes RFC 6587 octet-counted messages of any number of connections. `cut` closes those that are open."""

    def __init__(self, port: int = 0) -> None:
        self.messages: list[bytes] = []
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def address(self) -> str:
        return f"syslog://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)

    def cut(self) -> None:
        while self._connections:
            connection = self._connections.pop()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def entries(self) -> list[bytes]:
        """The MSG of each message, which must be well-formed."""
        return [_text_of(one) for one in list(self.messages)]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                thread = threading.Thread(target=self._read, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection.makefile("rb") as stream:
            while length := _length(stream.read):
                content = stream.read(length)
                if len(content) == length:
                    self.messages.append(content)


def _length(read: Callable[[int], bytes]) -> int:
    digits = b""
    while (sign := read(1)) not in {b"", b" "}:
        digits += sign
    return int(digits) if sign else 0


def _text_of(message: bytes) -> bytes:
    found = HEADER.fullmatch(message)
    assert found is not None, "a message is not as RFC 5424 wants it"
    return found["msg"]

"""Servers that speak as badly as a test wants, on a free port of the loopback."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class RawServer:
    """What came: one text for each request, and how many connections."""

    url: str
    requests: list[str] = field(default_factory=list)
    connections: int = 0

    def read(self, connection: socket.socket) -> str:
        """One request with its body; empty when the client is gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65_536)
            if not piece:
                return ""
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        sizes = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while sizes and len(body) < int(sizes[0]):
            body += connection.recv(65_536)
        text = (head + b"\r\n\r\n" + body).decode()
        self.requests.append(text)
        return text


Talk = Callable[[RawServer, socket.socket], None]


@contextmanager
def serving(talk: Talk) -> Iterator[RawServer]:
    """Each connection is talked to in a thread of its own, until the block ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        server = RawServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        open_ones: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    server.connections += 1
                    open_ones.append(connection)
                    threading.Thread(target=run, args=(connection,), daemon=True).start()

        def run(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                talk(server, connection)

        threading.Thread(target=accept, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        for connection in open_ones:
            connection.close()


def keep_alive(server: RawServer, connection: socket.socket) -> None:
    while server.read(connection):
        connection.sendall(OK)


def slowly(reply: bytes, seconds: float = 0.05) -> Talk:
    """One byte after another: every read of the client's gets something in time."""

    def talk(server: RawServer, connection: socket.socket) -> None:
        server.read(connection)
        for byte in reply:
            connection.sendall(bytes([byte]))
            time.sleep(seconds)

    return talk


def once(reply: bytes) -> Talk:
    """This reply, and then the end of the connection."""

    def talk(server: RawServer, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(reply)

    return talk


def reset(server: RawServer, connection: socket.socket) -> None:
    """RST instead of a reply."""
    server.read(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(server: RawServer, connection: socket.socket) -> None:
    server.read(connection)
    connection.recv(1)

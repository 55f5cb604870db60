"""The HTTP server: a thread for each connection, HTTP/1.1 with keep-alive, small packets sent at once.

Werkzeug's own handler closes every connection after one answer, so that a client's pool would be of no use; hence a
``run_wsgi`` of our own, which reads the whole body first and then may keep the connection.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Iterable
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from bot.simulator.wire import ENVIRON_KEY, Drip, Wire

_BACKLOG = 1024
_BODY_MAX_BYTES = 1_000_000
_IDLE_SECONDS = 120.0
_UNREADABLE = "411 Length Required"
_TOO_LARGE = "413 Content Too Large"


class Handler(WSGIRequestHandler):
    """One connection: requests one after the other, until either side has enough."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Nothing: the simulator keeps its own log."""

    def run_wsgi(self) -> None:
        body = self._read_body()
        if isinstance(body, str):
            self.close_connection = True
            self.wfile.write(f"HTTP/1.1 {body}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return
        wire = Wire(self.connection)
        environ = self.make_environ()
        environ["wsgi.input"] = io.BytesIO(body)
        environ[ENVIRON_KEY] = wire
        head, payload = self._ask(environ)
        try:
            self._answer(wire, head, payload)
        except OSError:
            self.close_connection = True
            wire.on_end("gave-up")

    def _read_body(self) -> bytes | str:
        """The body, or the status line with which it is refused."""
        if "Transfer-Encoding" in self.headers:
            return _UNREADABLE
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            return _UNREADABLE
        if not 0 <= length <= _BODY_MAX_BYTES:
            return _TOO_LARGE
        if length and self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.rfile.read(length)

    def _ask(self, environ: dict[str, Any]) -> tuple[bytes, bytes]:
        """The application's answer: head and body as they go over the wire."""
        status, headers = "", list[tuple[str, str]]()

        def start_response(line: str, fields: list[tuple[str, str]], _exc_info: Any = None) -> Any:
            nonlocal status, headers
            status, headers = line, fields
            return lambda _data: None

        chunks: Iterable[bytes] = self.server.app(environ, start_response)
        try:
            payload = b"".join(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()
        lines = [f"HTTP/1.1 {status}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in headers if name.lower() != "connection"]
        if not any(name.lower() == "content-length" for name, _ in headers):
            lines.append(f"Content-Length: {len(payload)}")
        lines.append("Connection: close" if self.close_connection else "Connection: keep-alive")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head, b"" if self.command == "HEAD" else payload

    def _answer(self, wire: Wire, head: bytes, payload: bytes) -> None:
        if wire.cut:
            self.close_connection = True
            wire.on_end("cut")
            wire.reset()
        elif wire.drip:
            self.close_connection = True
            self._drip(wire, wire.drip, head, payload)
        else:
            wire.on_end("answered")
            self.wfile.write(head + payload)

    def _drip(self, wire: Wire, drip: Drip, head: bytes, payload: bytes) -> None:
        slow = head + payload
        if drip.part == "body":
            self.wfile.write(head)
            slow = payload
        for at in range(len(slow)):
            wire.wait(drip.seconds)
            if wire.client_gone():
                raise ConnectionResetError
            if at == len(slow) - 1:
                wire.on_end("answered")
            self.wfile.write(slow[at : at + 1])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; OSError if the address is not to be had. Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def make_server(listening: socket.socket, app: Any) -> ThreadedWSGIServer:
    """The server on that socket, which it takes over."""
    host, port = listening.getsockname()[:2]
    server = ThreadedWSGIServer(host, port, app, Handler, fd=listening.fileno())
    listening.close()
    return server

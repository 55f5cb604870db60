"""A tiny HTTP server that receives callbacks, checks their signature with Twilio's own validator and keeps them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator

from tests.simulator.process import TOKEN


@dataclass(frozen=True)
class Received:
    """One callback as it came in."""

    path: str
    params: dict[str, str]
    signed: bool
    token: str


class Receiver:
    """What came in, in order; ``answer`` is the status the next ones get."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer = 204
        self._lock = threading.Lock()
        self._received: list[Received] = []

    def add(self, received: Received) -> None:
        with self._lock:
            self._received.append(received)

    def clear(self) -> None:
        self.answer = 204
        with self._lock:
            self._received.clear()

    def all(self, **params: str) -> list[Received]:
        """Those that carry these parameters."""
        with self._lock:
            return [one for one in self._received if params.items() <= one.params.items()]

    def wait(self, wanted: Callable[[list[Received]], bool], within_seconds: float = 5.0) -> list[Received]:
        """Look until what came in is as wanted."""
        until = time.monotonic() + within_seconds
        while not wanted(self.all()):
            assert time.monotonic() < until, self.all()
            time.sleep(0.01)
        return self.all()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port."""
    validator = RequestValidator(TOKEN)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            params = dict(parse_qsl(body, keep_blank_values=True))
            signature = self.headers["X-Twilio-Signature"]
            signed = validator.validate(f"{receiver.url}{self.path}", params, signature)
            receiver.add(Received(self.path, params, signed, self.headers["I-Twilio-Idempotency-Token"]))
            self.send_response(receiver.answer)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

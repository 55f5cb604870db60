"""A tiny HTTP server that receives callbacks, checks their signature with Twilio's own validator and keeps them.

It serves TwiML too, where a test puts some.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from twilio.request_validator import RequestValidator

from tests.simulator.process import TOKEN


@dataclass(frozen=True)
class Received:
    """One callback as it came in."""

    path: str
    params: dict[str, str]
    signed: bool
    token: str
    method: str = "POST"


@dataclass(frozen=True)
class Served:
    """What a path answers; ``seconds`` later."""

    body: str
    status: int = 200
    type: str = "text/xml"
    seconds: float = 0.0


class Receiver:
    """What came in, in order; ``answer`` is the status the next ones get."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer = 204
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._served: dict[str, list[Served]] = {}

    def serve(self, path: str, *documents: str | Served) -> str:
        """Answer requests for a path with these, one after the other, and with the last one from then on; its URL."""
        with self._lock:
            self._served[path] = [one if isinstance(one, Served) else Served(one) for one in documents]
        return f"{self.url}{path}"

    def served(self, path: str) -> Served:
        with self._lock:
            documents = self._served.get(path, [Served("", self.answer)])
            return documents.pop(0) if len(documents) > 1 else documents[0]

    def at(self, path: str) -> list[dict[str, str]]:
        """The parameters of what came to this path, in order."""
        return [one.params for one in self.all() if one.path.partition("?")[0] == path]

    def add(self, received: Received) -> None:
        with self._lock:
            self._received.append(received)

    def clear(self) -> None:
        self.answer = 204
        with self._lock:
            self._received.clear()
            self._served.clear()

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
            self._take(params, params)

        def do_GET(self) -> None:
            self._take(dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)), {})

        def _take(self, params: dict[str, str], form: dict[str, str]) -> None:
            signed = validator.validate(f"{receiver.url}{self.path}", form, self.headers["X-Twilio-Signature"])
            token = self.headers["I-Twilio-Idempotency-Token"]
            receiver.add(Received(self.path, params, signed, token, self.command))
            served = receiver.served(urlsplit(self.path).path)
            time.sleep(served.seconds)
            with suppress(OSError):  # the simulator may not have waited for it
                self._answer(served)

        def _answer(self, served: Served) -> None:
            self.send_response(served.status)
            if served.body:
                self.send_header("Content-Type", served.type)
            self.end_headers()
            self.wfile.write(served.body.encode())

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

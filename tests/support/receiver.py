"""A system that wants the results of payments: receives POSTs over real HTTP, keeps them, answers as told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

CUT = 0
"""An answer that is none: the connection is closed."""


@dataclass(frozen=True)
class Got:
    """One request as it came in."""

    headers: dict[str, str]
    body: bytes


class Receiver:
    """`answers` are the statuses of the next requests, or `CUT`; after them, and without any, it is 204. `answers_to`
    are those to requests with this in their body.
    """

    def __init__(self) -> None:
        self.received: list[Got] = []
        self.answers: list[int] = []
        self.answers_to: dict[bytes, list[int]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Got(dict(self.headers.items()), body))
                answers = next((some for part, some in receiver.answers_to.items() if part in body), receiver.answers)
                answer = answers.pop(0) if answers else 204
                if answer == CUT:
                    self.close_connection = True
                    return
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                """Nothing: the test looks for itself."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/results"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, count: int, within_seconds: float = 10.0) -> list[Got]:
        """Look until so many have come in."""
        until = time.monotonic() + within_seconds
        while len(self.received) < count:
            assert time.monotonic() < until, f"{len(self.received)} of {count} came in"
            time.sleep(0.01)
        return self.received

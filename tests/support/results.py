"""The system that wants the results of payments: takes the posts in and checks them as Standard Webhooks say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = b"a key of twenty-four bytes, or more"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
Json = dict[str, Any]


class Desk:
    """What came in, by its id and in order; `answers` is the status that the next posts get."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers = 204
        self._lock = threading.Lock()
        self._received: list[tuple[str, Json]] = []

    @property
    def received(self) -> list[tuple[str, Json]]:
        with self._lock:
            return list(self._received)

    def take(self, message_id: str, body: Json) -> None:
        with self._lock:
            self._received.append((message_id, body))


def is_genuine(message_id: str, timestamp: str, body: bytes, signature: str) -> bool:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return signature == "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()


@contextmanager
def result_desk() -> Iterator[Desk]:
    """On a free port, for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            names = ("webhook-id", "webhook-timestamp", "webhook-signature")
            message_id, timestamp, signature = (self.headers[name] for name in names)
            genuine = is_genuine(message_id, timestamp, body, signature)
            if genuine:
                desk.take(message_id, json.loads(body))
            self.send_response(desk.answers if genuine else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    desk = Desk(f"http://127.0.0.1:{server.server_address[1]}/results")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield desk
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""The second copy by HTTP: each batch is one POST of newline-delimited JSON, one line an entry, exactly its bytes.

`Log-Origin` (percent-encoded beyond ASCII), `Log-Position` (of the first line) and `Log-Entries` say which part of
which log it is, so that a receiver knows a repeat by its positions. A 2xx says that all of it was received; redirects
are not followed.
"""

from __future__ import annotations

import string
from http import HTTPStatus
from urllib.parse import quote

import urllib3

from bot.sinks import Batch, SinkFailed, TooLarge
from bot.telephony.http_client import Unanswered, Unsent, answered_within, watched_pools

ASCII = string.punctuation
"""Beside letters and digits, what of an origin is sent as it is: a header holds no more."""


class HttpSink:
    def __init__(self, url: str, origin: str, token: str | None) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/x-ndjson", "Log-Origin": quote(origin, ASCII)}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._pools = watched_pools(1)

    def send(self, batch: Batch, seconds: float) -> None:
        try:
            with answered_within(seconds):
                status = self._post(batch, seconds)
        except (Unsent, Unanswered) as error:
            raise SinkFailed(str(error)) from None
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise TooLarge(f"answered with {status}")
        if not 200 <= status < 300:
            raise SinkFailed(f"answered with {status}")

    def _post(self, batch: Batch, seconds: float) -> int:
        """The status is the answer. A body is not waited for: its connection is not used again."""
        reply = self._pools.request(
            "POST",
            self._url,
            body=b"".join(body + b"\n" for body in batch.bodies),
            headers=self._headers | {"Log-Position": str(batch.first), "Log-Entries": str(len(batch.bodies))},
            timeout=urllib3.Timeout(total=seconds),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        if reply.length_remaining == 0:
            reply.release_conn()
        else:
            reply.close()
        return reply.status

    def close(self) -> None:
        self._pools.clear()

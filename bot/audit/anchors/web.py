"""`https://…` and `http://…`: a POST of the note as text. 2xx means that it was received and is kept."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlsplit

import urllib3

from bot.audit.anchors.anchor import AnchorFailed
from bot.telephony.http_client import Unanswered, Unsent, answered_within, watched_pools

SECONDS = 10.0
"""On the wall clock, however the other side drips."""

REPLY_BYTES_MAX = 1_000_000


def name_of(kind: str, url: str) -> str:
    """The host and a mark of the whole URL, whose path may be a secret."""
    return f"{kind}{urlsplit(url).hostname}#{sha256(url.encode()).hexdigest()[:8]}"[:200]


class WebAnchor:
    def __init__(self, url: str, every: timedelta) -> None:
        self.name = name_of(f"{urlsplit(url).scheme}://", url)
        self.every = every
        self._post = Post(url)

    def keep(self, note: str) -> None:
        self._post.send(note.encode(), "text/plain; charset=utf-8")


class Post:
    """POSTs to one URL. A redirect is not followed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pools = watched_pools(1)

    def send(self, body: bytes, content_type: str) -> bytes:
        """The reply's body, at most `REPLY_BYTES_MAX` of it. Raises `AnchorFailed` for anything but 2xx in time."""
        try:
            with answered_within(SECONDS):
                status, reply = self._exchange(body, content_type)
        except (Unsent, Unanswered) as error:
            raise AnchorFailed(str(error)) from None
        if not 200 <= status < 300:
            raise AnchorFailed(f"answered with {status}")
        return reply

    def _exchange(self, body: bytes, content_type: str) -> tuple[int, bytes]:
        reply = self._pools.request(
            "POST",
            self._url,
            body=body,
            headers={"Content-Type": content_type},
            timeout=urllib3.Timeout(total=SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            return reply.status, reply.read(REPLY_BYTES_MAX)
        finally:
            reply.close()

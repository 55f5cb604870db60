"""Another system's view of the bot: its API over real HTTP, one connection for each request."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30.0
Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """`body` is the JSON that came; a problem's has the call's state under `call`."""

    status: int
    body: Json

    @property
    def is_safe(self) -> bool:
        return self.status == 200 and self.body["safe_to_take_card"] is True


@dataclass(frozen=True)
class Api:
    """The API at `url` with one key. Threads may share it. OSError or HTTPException if nobody answers."""

    url: str
    key: str

    def pause(self, sid: str, **body: Any) -> Answer:
        return self.send("POST", f"/calls/{sid}/pause", body or None)

    def resume(self, sid: str) -> Answer:
        return self.send("POST", f"/calls/{sid}/resume")

    def stop(self, sid: str) -> Answer:
        return self.send("POST", f"/calls/{sid}/stop", {"confirm": True})

    def call(self, sid: str) -> Answer:
        return self.send("GET", f"/calls/{sid}")

    def entries(self, call: str) -> list[Json]:
        """Every entry of the call, oldest first."""
        found: list[Json] = []
        after = ""
        while True:
            page = self.send("GET", f"/entries?call={call}&limit=500&after={after}").body
            found += page["entries"]
            if page["next"] is None:
                return found
            after = str(page["next"])

    def send(self, method: str, path: str, body: Json | None = None) -> Answer:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        headers = {"Authorization": f"Bearer {self.key}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            return Answer(reply.status, json.loads(reply.read()))
        finally:
            connection.close()

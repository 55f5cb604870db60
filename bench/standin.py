"""A stand-in for Twilio that answers everything after a fixed delay: `python -m bench.standin SECONDS`.

Keep-alive HTTP/1.1 on a free port of 127.0.0.1, which is printed. It knows what a pause needs (update and list a call's
recordings, fetch a call), has one live recording for every CallSid, remembers nothing, and so costs little: what is
measured shall be the bot. Under `/count` it says at once how much it has answered, and what that cost.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import Any
from urllib.parse import parse_qs

CONTENT_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
PATH = re.compile(
    r"/2010-04-01/Accounts/(?P<account>AC[0-9a-fA-F]{32})/Calls/(?P<call>CA[0-9a-fA-F]{32})"
    r"(?P<list>/Recordings(?:/(?P<recording>Twilio\.CURRENT|RE[0-9a-fA-F]{32}))?)?\.json"
)
BACKLOG = 4_096
DATE = "Fri, 14 Oct 2016 21:56:34 +0000"


class StandIn(asyncio.Protocol):
    """One connection."""

    answered = 0

    def __init__(self, delay_seconds: float) -> None:
        self._delay_seconds = delay_seconds
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = CONTENT_LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            self._answer(head.split(b"\r\n", 1)[0].decode("ascii"), body.decode("ascii"))

    def _answer(self, line: str, body: str) -> None:
        method, target, _ = line.split(" ", 2)
        if target == "/count":
            self._transport.write(_http(200, {"answered": StandIn.answered, "cpu_seconds": time.process_time()}))
            return
        StandIn.answered += 1
        self._loop.call_later(self._delay_seconds, self._transport.write, _http(*reply(method, target, body)))


def reply(method: str, target: str, body: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON, in Twilio's shape."""
    path = target.split("?", 1)[0]
    found = PATH.fullmatch(path)
    if found is None:
        return 404, {
            "code": 20404,
            "message": f"The requested resource {path} was not found",
            "more_info": "https://www.twilio.com/docs/errors/20404",
            "status": 404,
        }
    account, call = found["account"], found["call"]
    if found["recording"]:
        status = parse_qs(body).get("Status", ["processing"])[0] if method == "POST" else "processing"
        return 200, _recording(account, call, status)
    return 200, _list(account, call, path) if found["list"] else _call(account, call)


def _recording(account: str, call: str, status: str) -> dict[str, Any]:
    """The call's one recording; its SID follows from the call's."""
    sid = "RE" + call[2:]
    return {
        "sid": sid,
        "uri": f"/2010-04-01/Accounts/{account}/Calls/{call}/Recordings/{sid}.json",
        "price": None,
        "track": "both",
        "source": "StartCallRecordingAPI",
        "status": status,
        "call_sid": call,
        "channels": 2,
        "duration": None,
        "error_code": None,
        "price_unit": None,
        "start_time": DATE,
        "account_sid": account,
        "api_version": "2010-04-01",
        "date_created": DATE,
        "date_updated": DATE,
        "conference_sid": None,
        "encryption_details": None,
    }


def _list(account: str, call: str, path: str) -> dict[str, Any]:
    first = f"{path}?PageSize=50&Page=0"
    return {
        "recordings": [_recording(account, call, "processing")],
        "first_page_uri": first,
        "next_page_uri": None,
        "previous_page_uri": None,
        "uri": first,
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": 0,
    }


def _call(account: str, call: str) -> dict[str, Any]:
    uri = f"/2010-04-01/Accounts/{account}/Calls/{call}.json"
    return {"sid": call, "account_sid": account, "parent_call_sid": None, "status": "in-progress", "uri": uri}


def _http(status: int, content: dict[str, Any]) -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'NOT FOUND'}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def serve(delay_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: StandIn(delay_seconds), "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))

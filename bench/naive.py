"""A pause bot as tutorials write it: a client for each request, one INSERT as the log, gunicorn's sync workers."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import Any

from flask import Flask, Response, jsonify
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

TWILIO = os.environ["TWILIO_API_BASE_URL"]
DATABASE = os.environ["NAIVE_DATABASE"]

app = Flask(__name__)
with closing(sqlite3.connect(DATABASE)) as database, database:
    database.execute("CREATE TABLE IF NOT EXISTS events (at TEXT, call TEXT, status TEXT)")


class Detour(TwilioHttpClient):
    """Twilio's own client, sent to the stand-in."""

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]  # passed on
        return super().request(method, url.replace("https://api.twilio.com", TWILIO, 1), *args, **kwargs)


@app.post("/api/v1/calls/<sid>/pause")
def pause(sid: str) -> Response:
    client: Any = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"], http_client=Detour())
    recording = client.calls(sid).recordings("Twilio.CURRENT").update(status="paused", pause_behavior="skip")
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("INSERT INTO events VALUES (datetime('now'), ?, ?)", (sid, recording.status))
    return jsonify(status=recording.status)


@app.get("/readyz")
def readyz() -> Response:
    return jsonify(status="ready")

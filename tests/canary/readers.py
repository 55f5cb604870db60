"""Everything that whoever reads later can get to see: pages, API, metrics, the download, the export, the tables."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

from sqlalchemy import select

from bot.storage import schema
from bot.storage.engine import Database
from tests.canary.house import House
from tests.canary.wire import Request, Sender, send

PAGE = 500
PATIENCE_SECONDS = 15


def later_readings(
    house: House, agent: Sender, reviewer: Sender, crm: Sender, auditor: Sender, calls: list[str]
) -> Iterator[bytes]:
    """The answers, one after the other."""
    for path in ("/metrics", "/readyz", "/healthz"):
        yield send(house.url, Request("GET", path)).data
    yield _good(house, agent, "/calls")
    for sid in calls:
        yield send(house.url, agent.dressed(Request("GET", f"/calls/{sid}"), house.url)).data
        yield send(house.url, reviewer.dressed(Request("GET", f"/review/calls/{sid}"), house.url)).data
        yield _good(house, crm, f"/api/v1/calls/{sid}")
    yield _good(house, reviewer, "/review")
    yield _good(house, reviewer, "/review/entries.csv")
    yield _good(house, crm, "/api/v1/calls?limit=500")
    yield from _entries(house, auditor)


def _entries(house: House, auditor: Sender) -> Iterator[bytes]:
    """The whole log, page by page."""
    after: int | None = -1
    while after is not None:
        query = f"?limit={PAGE}" + (f"&after={after}" if after >= 0 else "")
        page = _good(house, auditor, f"/api/v1/entries{query}")
        yield page
        after = json.loads(page.partition(b"\n\n")[2])["next"]


def _good(house: House, reader: Sender, target: str) -> bytes:
    """Asked again while the bot is busy: it was just given everything at once."""
    until = time.monotonic() + PATIENCE_SECONDS
    answer = send(house.url, reader.dressed(Request("GET", target), house.url))
    while answer.status in {429, 503} and time.monotonic() < until:
        time.sleep(0.2)
        answer = send(house.url, reader.dressed(Request("GET", target), house.url))
    assert answer.status == 200, answer.text
    return answer.data


def tables(database_url: str) -> bytes:
    """Every row of every table, as the driver gives it."""
    database = Database(database_url)
    try:
        with database.read() as connection:
            rows = [row for table in schema.metadata.sorted_tables for row in connection.execute(select(table)).all()]
    finally:
        database.close()
    return "\n".join("\t".join(_text(value) for value in row) for row in rows).encode("utf-8", "surrogatepass")


def _text(value: object) -> str:
    return bytes(value).decode("latin-1") if isinstance(value, (bytes, memoryview)) else str(value)


def call_bodies(database_url: str) -> list[dict[str, object]]:
    """The calls as they are kept."""
    database = Database(database_url)
    try:
        with database.read() as connection:
            return [json.loads(body) for body in connection.execute(select(schema.calls.c.body)).scalars()]
    finally:
        database.close()


def export(house: House) -> bytes:
    """`bot audit export` into the house, and what it said."""
    done = subprocess.run(
        ["bot", "audit", "export", str(house.folder / "export")],
        cwd=house.folder / "cwd",
        env=dict(house.environment),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr

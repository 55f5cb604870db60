"""Reading the log is an entry, whichever way it is read (PCI DSS 10.2.1.3): who, from where, looking for what."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import CAROL
from tests.web.bench import Bench

FILTER = {"outcome": "success", "from": "2026-01-01"}
READINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "review.index": ("GET", "/review?outcome=success&from=2026-01-01", {"view": "entries", "filter": FILTER}),
    "review.call_story": ("GET", "/review/calls/{call}", {"view": "call"}),
    "review.csv": ("GET", "/review/entries.csv?outcome=success&from=2026-01-01", {"view": "csv", "filter": FILTER}),
    "review.verify": ("POST", "/review/verify", {"problems": 0}),
    "api.list_entries": ("GET", "/api/v1/entries?after=1&limit=7", {"after": "1", "limit": 7}),
}
"""Every endpoint that shows something of the log, how it is asked, and what its entry says of it."""

ELSEWHERE = {"review.look_for_number", "review.call_evidence"}
"""The one only leads to `review.index`; the other has tests of its own, for it needs a signed checkpoint."""

TYPES = {"review.csv": "log.exported", "review.verify": "log.verified"}


def test_every_way_of_reading_is_in_the_table(web_bench: Bench) -> None:
    """A new page under /review, or of entries in the API, gets its entry and its line."""
    rules = web_bench.app.url_map.iter_rules()
    reading = {str(one.endpoint) for one in rules if str(one).startswith("/review") or "entries" in str(one)}
    assert reading == set(READINGS) | ELSEWHERE


@pytest.mark.parametrize("endpoint", sorted(READINGS))
def test_reading_is_an_entry_that_says_what_was_looked_for(endpoint: str, web_bench: Bench) -> None:
    method, path, expected = READINGS[endpoint]
    path = path.format(call=web_bench.place_call())
    if endpoint.startswith("api."):
        reply, reader, source = web_bench.api("auditor").get(path.removeprefix("/api/v1")), "auditor", "api"
    else:
        carol = web_bench.signed_in(CAROL)
        reply = carol.get(path) if method == "GET" else carol.post(path, carol.token("/review"))
        reader, source = CAROL.name, "agent"
    assert reply.status_code == 200
    entry = [one for one in web_bench.entries() if one["type"].startswith("log.")][-1]
    wanted = {"type": TYPES.get(endpoint, "log.read"), "actor": reader, "source": source, "origin": "127.0.0.1"}
    assert wanted.items() <= entry.items()
    assert expected.items() <= entry["detail"].items()


def test_asking_for_a_call_of_which_the_log_says_nothing_makes_it_no_known_one(web_bench: Bench) -> None:
    nowhere = "CA" + "f" * 32
    carol, auditor = web_bench.signed_in(CAROL), web_bench.api("auditor")
    for _ in range(2):
        carol.get(f"/review?call={nowhere}")
        assert auditor.get(f"/entries?call={nowhere}").get_json()["entries"] == []
    assert carol.get(f"/review/calls/{nowhere}").status_code == 404
    read = [one for one in web_bench.entries() if one["type"] == "log.read"]
    assert [(one["call"], one["detail"]["filter"]) for one in read] == [(None, {"call": nowhere})] * 4

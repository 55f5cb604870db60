"""The same pages and the same check on PostgreSQL, in what differs there: bytes, snapshots, who writes meanwhile."""

from __future__ import annotations

import re
import threading

from bot.audit.check import verify_database
from bot.audit.entry import Draft
from tests.review.bench import ALICES_CALL, Bench
from tests.support.tamper import tamper


def _fill(bench: Bench, count: int) -> None:
    bench.log(*(Draft(type="hold.opened", actor="alice", source="agent", call=ALICES_CALL) for _ in range(count)))


def test_verify_finds_a_changed_entry(review_postgresql_bench: Bench) -> None:
    _fill(review_postgresql_bench, 5)
    database = review_postgresql_bench.services.database
    assert verify_database(database, None).ok
    with database.write() as connection:
        tamper(connection, "UPDATE entries SET body = body || '\\x20' WHERE position = 1")
    report = verify_database(database, None)
    assert "the stored leaf hash differs from the entry's own at 1" in report.problems


def test_verify_while_others_write_is_good(review_postgresql_bench: Bench) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            _fill(review_postgresql_bench, 3)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reports = [verify_database(review_postgresql_bench.services.database, None) for _ in range(20)]
    finally:
        stop.set()
        writer.join()
    assert [report.problems for report in reports if report.problems] == []
    assert reports[0].size < reports[-1].size


def test_pages_show_what_is_there(review_postgresql_bench: Bench) -> None:
    _fill(review_postgresql_bench, 60)
    carol = review_postgresql_bench.signed_in("carol")
    assert len(re.findall(r'id="entry-', carol.page("/review?type=hold.opened&from=2020-01-01"))) == 50
    assert len(re.findall(r'id="entry-', carol.page(f"/review/calls/{ALICES_CALL}"))) == 60
    assert len(carol.page("/review/entries.csv?type=hold.opened").splitlines()) == 61
    assert "<h1>The log is consistent, but" in carol.post("/review/verify", "/review").text
    assert carol.get("/review?actor=a%00b").status_code == 400

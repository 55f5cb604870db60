from __future__ import annotations

import csv
import io

import pytest

from bot.audit.entry import Draft
from bot.review import table
from bot.storage.entries import Filter
from tests.review.bench import ALICES_CALL, Bench, Browser


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20x",
        " =1",
        "\u00a0\uff1d1",
    ],
)
def test_csv_cell_that_begins_like_a_formula_is_disarmed(text: str, review_bench: Bench, review_carol: Browser) -> None:
    review_bench.log(Draft(type="hold.opened", actor=text, reason=text, before=text))
    row = _rows(review_carol.get("/review/entries.csv?type=hold.opened").text)[0]
    assert (row["actor"], row["reason"], row["before"]) == (f"'{text}", f"'{text}", f"'{text}")


def test_csv_has_the_filtered_entries_in_log_order(review_bench: Bench, review_carol: Browser) -> None:
    review_bench.log(
        Draft(
            type="hold.opened",
            actor="alice",
            source="agent",
            call=ALICES_CALL,
            detail={"holder": "agent:alice", "n": 1},
        ),
        Draft(type="hold.opened", actor="bob", source="agent"),
        Draft(type="hold.released", actor="alice", source="agent", reason='says "so", twice\nor so'),
    )
    reply = review_carol.get("/review/entries.csv?actor=alice")
    assert reply.content_type == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"].startswith('attachment; filename="log-20')
    rows = _rows(reply.text)
    assert tuple(rows[0]) == table.COLUMNS
    assert [row["type"] for row in rows] == ["hold.opened", "hold.released"]
    assert rows[0]["detail"] == '{"holder":"agent:alice","n":1}'
    assert rows[0]["call"] == ALICES_CALL
    assert rows[1]["reason"] == 'says "so", twice\nor so'


def test_csv_download_is_an_entry_and_not_in_itself(review_bench: Bench, review_carol: Browser) -> None:
    text = review_carol.get("/review/entries.csv?outcome=success").text
    assert "log.exported" not in text
    last = review_bench.entries()[-1].fields
    assert (last["type"], last["actor"], last["source"], last["origin"]) == (
        "log.exported",
        "carol",
        "agent",
        "127.0.0.1",
    )
    assert last["detail"] == {"view": "csv", "filter": {"outcome": "success"}}


def test_csv_of_many_entries_has_each_once(review_bench: Bench, review_carol: Browser) -> None:
    wanted = table.FETCH_ROWS * 2 + 1
    review_bench.log(*(Draft(type="hold.opened", actor=f"n{number}") for number in range(wanted)))
    rows = _rows(review_carol.get("/review/entries.csv?type=hold.opened").text)
    assert [row["actor"] for row in rows] == [f"n{number}" for number in range(wanted)]


@pytest.mark.parametrize(("rows_max", "is_cut"), [(4, True), (5, False), (6, False)])
def test_csv_that_is_cut_says_so_in_its_last_line(rows_max: int, is_cut: bool, review_bench: Bench) -> None:
    review_bench.log(*(Draft(type="hold.opened") for _ in range(5)))
    text = "".join(table.lines(review_bench.services.database, Filter(), 5, rows_max))
    lines = text.splitlines()
    assert len(lines) == 1 + min(rows_max, 5) + is_cut
    assert lines[-1].startswith("CUT: only the first 4 entries are here") == is_cut


def test_csv_stops_where_the_log_ended_when_it_was_asked_for(review_bench: Bench) -> None:
    review_bench.log(*(Draft(type="hold.opened") for _ in range(5)))
    assert len("".join(table.lines(review_bench.services.database, Filter(), 3)).splitlines()) == 1 + 3


def test_csv_with_a_bad_filter_is_refused(review_carol: Browser) -> None:
    reply = review_carol.get("/review/entries.csv?source=nowhere")
    assert reply.status_code == 400
    assert "Source is one of" in reply.text

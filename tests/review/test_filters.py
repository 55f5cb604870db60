from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.review import filters
from bot.storage.entries import Filter

CALL = "CA" + "a" * 32


def test_read_without_arguments_wants_everything() -> None:
    query = filters.read({"actor": "  ", "page": "7"})
    assert (query.filter, query.values, query.problems) == (Filter(), {}, ())


def test_read_of_days_includes_both() -> None:
    query = filters.read({"from": "2026-11-22", "to": "2026-11-23"})
    assert query.problems == ()
    assert query.filter.since == datetime(2026, 11, 22, tzinfo=UTC)
    assert query.filter.until == datetime(2026, 11, 24, tzinfo=UTC)


def test_read_of_instants_includes_the_last_one() -> None:
    query = filters.read({"from": "2026-11-22T10:00:00+02:00", "to": "2026-11-22T09:00:00.000001Z"})
    assert query.problems == ()
    assert query.filter.since == datetime(2026, 11, 22, 8, tzinfo=UTC)
    assert query.filter.until == datetime(2026, 11, 22, 9, 0, 0, 2, tzinfo=UTC)


def test_read_of_an_offset_whose_plus_became_a_space() -> None:
    assert filters.read({"from": "2026-11-22T10:00:00 02:00"}).filter.since == datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_read_of_pages() -> None:
    query = filters.read({"call": CALL, "before": "120", "after": "7"})
    assert (query.before, query.after, query.values) == (120, 7, {"call": CALL})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("call", "CA123", "Call is a CallSid: CA and 32 hexadecimal digits."),
        ("source", "nowhere", "Source is one of agent, api, ivr, payment, system, twilio."),
        ("outcome", "good", "Outcome is one of failure, success, unknown."),
        ("actor", "x" * 101, "Agent or other actor has at most 100 characters."),
        ("actor", "a\x00b", "Agent or other actor holds characters that cannot be printed."),
        ("type", "4111 1111 1111 1111", "Type looks like a card number. Card numbers are never searched for here."),
        ("before", "1e3", "This link to a page is damaged: go back to the newest entries."),
    ],
)
def test_read_of_a_bad_value_says_what_is_wrong(name: str, value: str, problem: str) -> None:
    assert filters.read({name: value}).problems == (problem,)


@pytest.mark.parametrize(
    "value",
    ["yesterday", "2026-13-01", "2026-11-22T10:00:00", "2026-11-22T25:00:00Z", "9999-12-31T23:59:59-14:00", "20261122"],
)
@pytest.mark.parametrize("name", ["from", "to"])
def test_read_of_a_bad_time_says_what_is_wrong(name: str, value: str) -> None:
    (problem,) = filters.read({name: value}).problems
    assert problem.endswith("is a day in UTC (2026-11-22) or a time with its zone (2026-11-22T10:00:00Z).")


def test_read_of_the_last_day_there_is_does_not_overflow() -> None:
    assert len(filters.read({"to": "9999-12-31"}).problems) == 1


def test_read_of_times_the_wrong_way_round_is_refused() -> None:
    query = filters.read({"from": "2026-11-23", "to": "2026-11-22"})
    assert query.problems == ("From is after To: nothing can lie between them.",)


def test_read_shows_no_card_number_again() -> None:
    assert filters.read({"actor": "4111111111111111"}).values == {}


def test_read_of_one_instant_as_both_ends_wants_that_instant() -> None:
    query = filters.read({"from": "2026-11-22T10:00:00Z", "to": "2026-11-22T10:00:00Z"})
    assert query.filter.since is not None
    assert query.filter.until == query.filter.since + timedelta(microseconds=1)

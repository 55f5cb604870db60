from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.life.clock import Sample, jump_seconds

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def sample(steady: float, seconds: float, took: float = 0.0) -> Sample:
    return Sample(steady, START + timedelta(seconds=seconds), steady + took)


@pytest.mark.parametrize(
    ("passed", "shown", "jump"),
    [
        (5.0, 5.0, None),
        (5.0, 6.9, None),
        (5.0, 3.1, None),
        (5.0, 8.0, 3.0),
        (5.0, 3_605.0, 3_600.0),
        (5.0, 2.0, -3.0),
        (5.0, -3_595.0, -3_600.0),
        (3_600.0, 3_605.0, None),
        (3_600.0, 3_610.0, 10.0),
    ],
)
def test_jump_is_what_the_clock_shows_more_or_less_than_passed(passed: float, shown: float, jump: float | None) -> None:
    assert jump_seconds(sample(0, 0), sample(passed, shown)) == jump


def test_slow_reading_is_no_jump() -> None:
    """The time was read at any moment of those 10 s."""
    assert jump_seconds(sample(0, 0), sample(5, 14, took=10)) is None
    assert jump_seconds(sample(0, 9, took=10), sample(15, 16)) is None
    assert jump_seconds(sample(0, 0), sample(5, 18, took=10)) == 3.0

"""Figures with their goals beside them. Times are printed as multiples of the stand-in's delay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.ledger import Ledger
from bench.load import UNANSWERED, Result
from bench.plan import DELAY_SECONDS

SINGLE_MEDIAN_MAX = 1.10
BURST_MEDIAN_MAX = 2.0
BURST_P99_MAX = 4.0
LOOP_PER_SECOND_MIN = 200.0
LOOP_NAIVE_MIN = 15.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One number; `most` or `least` is its goal, if it has one."""

    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def reached(self) -> bool | None:
        if self.most is not None:
            return self.value <= self.most
        return None if self.least is None else self.value >= self.least

    def __str__(self) -> str:
        text = f"{_up(self.value):,.2f} ×" if self.unit == "×" else f"{math.floor(self.value):,}{self.unit}"
        if self.reached is None:
            return text
        goal = f"≤ {self.most:g}" if self.most is not None else f"≥ {self.least:g}"
        return f"{text} (goal {goal}: {'reached' if self.reached else 'NOT REACHED'})"


@dataclass(frozen=True, slots=True)
class Loads:
    """The three results of one subject."""

    singles: Result
    burst: Result
    loop: Result


def _up(value: float) -> float:
    """Rounded to the worse side, so that no figure looks as if it had reached its goal when it has not."""
    return value if math.isnan(value) else math.ceil(value * 100) / 100


def quantile(times: Sequence[float], share: float) -> float:
    """The smallest time that `share` of all times do not exceed; not a number if there are none."""
    ordered = sorted(times)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def of_delay(times: Sequence[float], share: float) -> float:
    return quantile(times, share) / DELAY_SECONDS


def lines(loads: Loads, words: tuple[str, str, str], *, naive_per_second: float | None = None) -> list[str]:
    """One line for each load. With the naive bot's throughput, it is the bot's own and has goals."""
    has_goals = naive_per_second is not None
    found = [
        _line(words[0], loads.singles, SINGLE_MEDIAN_MAX if has_goals else None),
        _line(words[1], loads.burst, *((BURST_MEDIAN_MAX, BURST_P99_MAX) if has_goals else ())),
        _line(words[2], loads.loop),
    ]
    rate = Figure(loads.loop.per_second, " a second", least=LOOP_PER_SECOND_MIN if has_goals else None)
    indent = " " * 29
    found.append(f"{indent}{rate}")
    if naive_per_second:
        found.append(f"{indent}{Figure(loads.loop.per_second / naive_per_second, '× naive', least=LOOP_NAIVE_MIN)}")
    return found


def _line(name: str, result: Result, median_max: float | None = None, p99_max: float | None = None) -> str:
    median = Figure(of_delay(result.times, 0.5), "×", most=median_max)
    p99 = Figure(of_delay(result.times, 0.99), "×", most=p99_max)
    return f"  {name:<27}median {median}, p99 {p99}, not 200: {_not_200(result)}"


def _not_200(result: Result) -> str:
    counts = sorted((status, count) for status, count in result.not_200.items() if count)
    words = (f"{count} × {'unanswered' if status == UNANSWERED else status}" for status, count in counts)
    return f"{sum(count for _, count in counts)}" + (f" ({', '.join(words)})" if counts else "")


def ledger_line(ledger: Ledger) -> str:
    verified = (
        f"verifies ({ledger.seconds:.1f} s)" if ledger.verified else "DOES NOT VERIFY: " + "; ".join(ledger.problems)
    )
    audited = "all" if not ledger.missing else f"NOT ALL ({ledger.missing:,} missing)"
    return (
        f"  the log: {ledger.size:,} entries, {verified}; of {ledger.answered:,} pauses answered 200, "
        f"{audited} have hold.opened, command.sent and command.confirmed"
    )

"""Every fault, on every command, for every shape of a call: what is answered, shown, logged and left, by the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from openapi_core import OpenAPI

from tests.simulator.process import Simulator
from tests.web.bench import Bench
from tests.web.matrix import table
from tests.web.matrix.cases import CASES, KINDS, PLACES, Case, of_place
from tests.web.matrix.laws import broken
from tests.web.matrix.limits import patient_bench
from tests.web.matrix.stage import play

ON_POSTGRESQL = ("none", "lost", "21220", "unannounced")
"""Of the faults, one that leaves it open what was done, one that refuses, and the one that hides a recording."""


@pytest.fixture
def bench(simulator: Simulator, web_url: str, web_document: OpenAPI, tmp_path: Path) -> Iterator[Bench]:
    with patient_bench(simulator, web_url, tmp_path, web_document) as bench:
        yield bench


def check(bench: Bench, cases: Iterable[Case]) -> None:
    rows = play(bench, cases)
    assert broken(rows) == []
    assert "\n".join(table.differences(rows)) == ""
    assert bench.twilio.counters()["overlaps"] == 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("place", PLACES)
def test_no_fault_makes_a_call_wrong_or_stuck(place: str, bench: Bench) -> None:
    check(bench, of_place(place))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("web_url", ["postgresql"], indirect=True)
def test_postgresql_makes_no_difference(bench: Bench) -> None:
    check(bench, [case for place in PLACES for case in of_place(place, ON_POSTGRESQL)])


def test_table_has_a_line_for_every_case_and_no_other() -> None:
    blocks = table.kept()
    assert list(blocks) == [table.WORDS, *KINDS]
    lines = [(kind, *line.split()[:2]) for kind in KINDS for line in blocks[kind]]
    assert lines == [(case.kind, case.place, case.shape) for case in CASES]

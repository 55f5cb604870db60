"""Plays all cases and prints the table as it is now."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.simulator.process import running
from tests.web.conftest import document, password, prepare
from tests.web.matrix import table
from tests.web.matrix.cases import CASES, PLACES, Case, of_place
from tests.web.matrix.limits import patient_bench
from tests.web.matrix.stage import Row, play


def main() -> None:
    words = table.kept()[table.WORDS]
    played = {case: row for place in PLACES for case, row in play_alone(of_place(place)).items()}
    rows = {case: played[case] for case in CASES}
    print(table.printed({table.WORDS: words} | table.lines(rows)))


def play_alone(cases: Iterable[Case]) -> dict[Case, Row]:
    """With a database and a simulator of their own."""
    with tempfile.TemporaryDirectory() as folder, running() as simulator:
        simulator.client.set(callbacks="hold")
        url = f"sqlite:///{folder}/bot.sqlite3"
        prepare(url, password())
        with patient_bench(simulator, url, Path(folder), document()) as bench:
            return play(bench, cases)


if __name__ == "__main__":
    main()

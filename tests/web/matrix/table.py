"""The expected outcome of every case, as a text that people can check: `fault_matrix.txt`.

A block for each fault, a line for each case: which request meets the fault, and how many recordings the call has
(`both`: one of its own, one of its conference); what the API answers; how the page begins, and the sentence below by
its name in the block `words`; whether it is safe, and what the recordings really do; after the bar, long after the
fault is off, what the API says of the call and what the recordings do; last, the entries of the wish.

`.venv/bin/python -m tests.web.matrix` plays all cases and prints the table as it is now; nothing rewrites the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.web.matrix.cases import Case
from tests.web.matrix.stage import Row, Seen

TABLE = Path(__file__).with_name("fault_matrix.txt")
WORDS = "words"
HEADLINES = ("Paused", "Recording", "NOT PAUSED")
LONGEST_CYCLE = 8
LINE = "{:<6} {:<4} {:<21} {:<10} {:<17} {:<4} {:<13} | {:<19} {:<4} {:<13} | {}"


def kept() -> dict[str, list[str]]:
    """The blocks of the file."""
    blocks = [block.splitlines() for block in TABLE.read_text(encoding="utf-8").strip().split("\n\n")]
    return {first.strip("[]"): rest for first, *rest in blocks}


def lines(rows: Mapping[Case, Row]) -> dict[str, list[str]]:
    """The lines of these cases as they are now, by fault."""
    names = _names()
    blocks: dict[str, list[str]] = {}
    for case, row in rows.items():
        blocks.setdefault(case.kind, []).append(_line(case, row, names))
    return blocks


def differences(rows: Mapping[Case, Row]) -> list[str]:
    """The lines that are not in the file as they are now, with what it has in their place."""
    before = {(kind, *one.split()[:2]): one for kind, rest in kept().items() for one in rest}
    names = _names()
    now = {case: _line(case, row, names) for case, row in rows.items()}
    return [
        f"[{case.kind}]\nnow   {one}\ntable {before[case.kind, case.place, case.shape]}"
        for case, one in now.items()
        if one != before[case.kind, case.place, case.shape]
    ]


def printed(blocks: Mapping[str, list[str]]) -> str:
    return "\n\n".join("\n".join((f"[{name}]", *rest)) for name, rest in blocks.items())


def _names() -> dict[str, str]:
    """Of the sentences of the page."""
    return {text: name for name, text in (one.split(maxsplit=1) for one in kept()[WORDS])}


def _line(case: Case, row: Row, names: Mapping[str, str]) -> str:
    return LINE.format(
        case.place,
        case.shape,
        f"{row.status} {row.code or ''}",
        next((one for one in HEADLINES if row.headline.startswith(one)), row.headline),
        names.get(row.reason, row.reason),
        _safe(row.now),
        _truth(row.now),
        f"{row.later.desired} {row.later.observed}",
        _safe(row.later),
        _truth(row.later),
        " ".join(without_repetitions(row.entries)),
    )


def _safe(seen: Seen) -> str:
    return "safe" if seen.safe else "-"


def _truth(seen: Seen) -> str:
    return " ".join(seen.truth) or "."


def without_repetitions(types: tuple[str, ...]) -> tuple[str, ...]:
    """The entries, but each series that follows on itself only once: how often something was tried is chance.

    That a command was sent is left out: its outcome says so.
    """
    found = [one for one in types if one != "command.sent"]
    for length in range(1, LONGEST_CYCLE + 1):
        at = 0
        while at + 2 * length <= len(found):
            if found[at : at + length] == found[at + length : at + 2 * length]:
                del found[at + length : at + 2 * length]
            else:
                at += 1
    return tuple(found)

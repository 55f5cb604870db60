"""Every state × every message, as the control asks: the message, then what is to be done.

A row: the message, desired, observed, safe or -, what is done next, the facts (those of the claim, `command.sent`, left
out), and why the wish was refused. `.` stands for what is left as it was.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.messages import Decision
from tests.core.examples import short
from tests.core.table_cases import MESSAGES, STATES

TABLE = Path(__file__).with_name("decide_table.txt")


def row(state: str, message: str) -> str:
    """What comes of it, as one line of the table."""
    story = STATES[state]()
    sent = MESSAGES[message]
    if isinstance(sent, timedelta):
        story.seconds += sent.total_seconds()
        sent = None
    decision = Decision(call=story.call) if sent is None else story.tell(sent)
    then, facts = short(decision.effect), decision.facts
    if decision.effect is None:
        then, facts = story.converge(), (*facts, *story.facts)
    desired, observed, safe = story.state
    said = ", ".join(fact.type for fact in facts if fact.type != "command.sent") or "."
    parts = (
        message,
        desired,
        observed,
        "safe" if safe else "-",
        then,
        said + (f" ! {decision.refused}" if decision.refused else ""),
    )
    return "{:<16} {:<9} {:<9} {:<5} {:<20} {}".format(*parts)


def table() -> dict[str, list[str]]:
    """The rows that are kept, by state."""
    blocks = TABLE.read_text().strip().split("\n\n")
    return {block.splitlines()[0].strip("[]"): block.splitlines()[1:] for block in blocks}


@pytest.mark.parametrize("state", STATES)
def test_decide_does_what_the_table_says(state: str) -> None:
    assert [row(state, message) for message in MESSAGES] == table()[state]


def test_table_has_no_other_states() -> None:
    assert list(table()) == list(STATES)

"""Which cases there are: every fault, on every command, for every shape of a call."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bot.simulator.faults import KINDS as FAULTS

KINDS = ("none", *FAULTS)
PLACES = ("pause", "list", "resume", "stop")
"""Which request meets the fault. `list` is the one beside a pause; the others are the wish's own command."""

SHAPES = ("0", "1", "2", "both")
"""How many recordings the call has; `both` is one of the call and one of its conference."""

SECONDS = {"delay": 4.0, "late": 4.0, "drip": 0.5}
"""Longer than the bot's time limit, so that none is answered in time, and applied while it may still be expected."""


@dataclass(frozen=True, order=True)
class Case:
    """A wish for a call of this shape, while requests of this kind meet this fault."""

    kind: str
    place: str
    shape: str

    @property
    def wish(self) -> str:
        return "pause" if self.place == "list" else self.place

    @property
    def is_recorded(self) -> bool:
        return self.shape != "0"

    @property
    def fault(self) -> dict[str, Any] | None:
        """What is switched on before the wish. Who is not announced is found all the same, unless the list fails."""
        if self.kind == "none" or (self.kind == "unannounced" and self.place != "list"):
            return None
        kind = "500" if self.kind == "unannounced" else self.kind
        return {"kind": kind, "on": self.place, **({"seconds": SECONDS[kind]} if kind in SECONDS else {})}


def _makes_sense(case: Case) -> bool:
    """A list has no status to be wrong, and without a recording there is none to announce."""
    if case.place == "list":
        return case.kind not in {"none", "wrong-status"} and (case.kind != "unannounced" or case.is_recorded)
    return case.kind != "unannounced" or case.is_recorded


CASES = tuple(
    case
    for case in (Case(kind, place, shape) for kind in KINDS for place in PLACES for shape in SHAPES)
    if _makes_sense(case)
)


def of_place(place: str, kinds: Collection[str] = KINDS) -> tuple[Case, ...]:
    """The cases whose fault is met there."""
    return tuple(case for case in CASES if case.place == place and case.kind in kinds)

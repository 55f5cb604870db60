"""What a run found, as a table with one column for each database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.soak.killer import WORKER

SHOWN_MAX = 20
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass
class Report:
    """One run on one database. `wrong` has a sentence for everything that must not be: empty means good."""

    database: str
    calls: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    taken_over: int = 0
    acknowledged: int = 0
    entries: int = 0
    faults: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    rests: int = 0
    lost: int = 0
    unsafe: int = 0
    overlaps: int = 0
    slowest_settlement_seconds: float = 0.0
    verified: bool = False
    wrong: list[str] = field(default_factory=list)

    def rows(self) -> list[tuple[str, str]]:
        web = {kind: count for kind, count in self.kills.items() if kind != WORKER}
        answered = sum(count for what, count in self.answers.items() if not what.endswith("cut"))
        return [
            ("calls", f"{self.calls:,}"),
            ("API requests answered", f"{answered:,}"),
            ("API requests without an answer", f"{self.answers.total() - answered:,}"),
            ("commands sent to Twilio", f"{self.commands:,}"),
            ("  taken over from the dead", f"{self.taken_over:,}"),
            ("faults switched on", f"{self.faults:,}"),
            ("kills of web processes", f"{sum(web.values()):,}"),
            *((f"  {kind}", f"{count:,}") for kind, count in sorted(web.items())),
            ("kills of bot workers", f"{self.kills[WORKER]:,}"),
            ("entries in the log", f"{self.entries:,}"),
            ("entries acknowledged", f"{self.acknowledged:,}"),
            ("entries lost", f"{self.lost:,}"),
            ("pauses looked at while safe", f"{self.looks:,}"),
            ("safe, and not paused", f"{self.unsafe:,}"),
            ("overlapping commands", f"{self.overlaps:,}"),
            ("rests", f"{self.rests:,}"),
            ("slowest settlement", f"{self.slowest_settlement_seconds:.1f} s"),
            ("log verified", "yes" if self.verified else "NO"),
        ]


def table(reports: Sequence[Report]) -> str:
    """All of them beside each other, then what was wrong."""
    columns = [dict(report.rows()) for report in reports]
    names = list(dict.fromkeys(name for column in columns for name in column))
    lines = [" " * 30 + "".join(f"{NAMES[report.database]:>14}" for report in reports)]
    lines += [f"{name:<30}" + "".join(f"{column.get(name, '0'):>14}" for column in columns) for name in names]
    for report in reports:
        answers = ", ".join(f"{what}: {count:,}" for what, count in sorted(report.answers.items()))
        lines.append(f"\n{NAMES[report.database]}, answers: {answers}")
        lines += [f"  WRONG: {sentence}" for sentence in report.wrong[:SHOWN_MAX]]
        if len(report.wrong) > SHOWN_MAX:
            lines.append(f"  WRONG: and {len(report.wrong) - SHOWN_MAX:,} more")
    return "\n".join(lines)

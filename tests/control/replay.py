"""The log read the way an auditor reads it: which holds are open and which recordings were last proven paused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.call import CURRENT, NEW
from bot.storage import entries
from bot.storage.engine import Database
from bot.storage.entries import Filter

CLOSING = frozenset({"hold.released", "hold.expired", "hold.closed"})
UNDOING = frozenset({"recording.doubted", "recording.left_to_others", "recording.ended"})


@dataclass
class Replay:
    """What the entries of one call, and of the legs that were merged into it, say so far."""

    sids: list[str]
    holds: dict[str, set[str]] = field(default_factory=dict)
    paused: dict[str, str] = field(default_factory=dict)
    """Recordings confirmed paused since the last command of another kind, and what each belongs to."""
    entries: int = 0
    types: list[str] = field(default_factory=list)
    grace: timedelta | None = None
    """The shortest time by which a hold outlasted its limit before it ended by itself."""
    renewed: bool = False
    """Whether a new recording was begun in the place of what was stopped."""
    _sent_of: dict[str, str] = field(default_factory=dict)
    _positions: dict[str, int] = field(default_factory=dict)

    def read(self, database: Database) -> None:
        """Take in what was added since."""
        found = []
        with database.read() as connection:
            for sid in self.sids:
                found += entries.oldest(connection, Filter(call=sid), self._positions.get(sid), 1000)
        for entry in sorted(found):
            self._positions[entry.fields["call"]] = entry.position
            self._take(entry.fields)

    def open_holds(self) -> set[str]:
        """Those of the call itself; a leg that we took for a call has its own until it is merged."""
        return self.holds.get(self.sids[0], set())

    def _take(self, entry: dict[str, Any]) -> None:
        self.entries += 1
        self.types.append(entry["type"])
        self._take_hold(entry, entry["type"], entry.get("detail") or {})
        self._take_recording(entry, entry["type"], entry.get("detail") or {})

    def _take_hold(self, entry: dict[str, Any], kind: str, detail: dict[str, Any]) -> None:
        own = self.holds.setdefault(entry["call"], set())
        if kind == "hold.expired":
            late_by = datetime.fromisoformat(entry["at"]) - datetime.fromisoformat(detail["expires_at"])
            self.grace = late_by if self.grace is None else min(self.grace, late_by)
        if kind == "hold.opened":
            own.add(detail["hold"])
        elif kind in CLOSING:
            for holds in self.holds.values():
                holds.discard(detail["hold"])
        elif kind == "call.merged":
            self.holds.pop(detail["leg"], None)
            own.update(detail.get("holds", ()))

    def _take_recording(self, entry: dict[str, Any], kind: str, detail: dict[str, Any]) -> None:
        if kind == "command.sent":
            self._sent(entry["id"], detail)
        elif kind == "command.confirmed" and detail["wish"] == "paused":
            self.paused[entry["recording"]] = self._sent_of[entry["cause"]]
        elif kind == "command.confirmed" and detail["target"] == NEW:
            self.renewed = True
        elif kind == "recording.paused_with":
            self.paused[entry["recording"]] = "conference"
        elif kind in UNDOING or (kind == "finding.raised" and entry["reason"] == "drift"):
            self.paused.pop(entry["recording"], None)

    def _sent(self, token: str, detail: dict[str, Any]) -> None:
        self._sent_of[token] = detail["of"]
        if detail["wish"] == "paused":
            return
        touched = [sid for sid, of in self.paused.items() if of == "call"]
        for sid in touched if detail["target"] == CURRENT else [detail["target"]]:
            self.paused.pop(sid, None)

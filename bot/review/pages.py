"""The log in pages, by keyset: the hundredth costs what the first costs, and nothing is counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bot.review.filters import Query
from bot.storage import callers, calls, entries
from bot.storage.entries import Entry, Filter

PAGE_ENTRIES = 50
STORY_ENTRIES = 200
LEGS_MAX = 20


@dataclass(frozen=True, slots=True)
class Page:
    """`older` and `newer` are the positions to go on from, or None where nothing follows."""

    entries: list[Entry]
    older: int | None = None
    newer: int | None = None


def newest_first(connection: Connection, query: Query, size: int = PAGE_ENTRIES) -> Page:
    """The page before position `query.before`, or the one after `query.after`, or the newest."""
    wanted = filter_of(connection, query)
    if query.after is not None:
        found = entries.oldest(connection, wanted, query.after, size + 1)
        shown = found[:size][::-1]
        return Page(shown, _last(shown), shown[0].position if len(found) > size else None)
    found = entries.newest(connection, wanted, query.before, size + 1)
    shown = found[:size]
    newer = shown[0].position if shown and query.before is not None else None
    return Page(shown, _last(shown) if len(found) > size else None, newer)


def filter_of(connection: Connection, query: Query) -> Filter:
    """With the calls of the number that was looked for."""
    if query.number is None:
        return query.filter
    return replace(query.filter, calls=callers.calls_of(connection, query.number))


def _last(shown: list[Entry]) -> int | None:
    return shown[-1].position if shown else None


@dataclass(frozen=True, slots=True)
class Story:
    """A call in the order of the log. `related`: calls it is a leg of, or legs that have entries of their own."""

    sid: str
    entries: list[Entry]
    later: int | None
    related: tuple[str, ...]


def story(connection: Connection, sid: str, after: int | None, size: int = STORY_ENTRIES) -> Story | None:
    """None if neither the log nor the calls know this SID. A leg without entries has its call's story."""
    found = entries.oldest(connection, Filter(call=sid), after, size + 1)
    if not found and not is_told(connection, sid):
        call = calls.find(connection, sid)
        if call is None or call.sid == sid:
            return None
        told = story(connection, call.sid, after, size)
        return None if told is None else replace(told, related=())
    shown = found[:size]
    return Story(sid, shown, _last(shown) if len(found) > size else None, _related(connection, sid))


def is_told(connection: Connection, sid: str) -> bool:
    """Whether the log has any entry of this call."""
    return bool(entries.oldest(connection, Filter(call=sid), None, 1))


def _related(connection: Connection, sid: str) -> tuple[str, ...]:
    """The same conversation under other names: before a merge, a leg had entries of its own."""
    call = calls.find(connection, sid)
    legs = [leg.sid for leg in call.legs][:LEGS_MAX] if call else []
    names = {*calls.of_conference(connection, sid), *legs} - {sid}
    return tuple(name for name in sorted(names) if is_told(connection, name))

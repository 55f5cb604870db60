"""Calls: loaded whole under a lock, saved whole with what the log says of the change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from pydantic import TypeAdapter
from sqlalchemy import BindParameter, Connection, Select, and_, bindparam, delete, func, insert, or_, select, update

from bot.audit.entry import Draft
from bot.audit.journal import Transaction
from bot.call import Call, desired, observed
from bot.messages import Fact
from bot.recording import due
from bot.storage.schema import calls, names, seats

_codec = TypeAdapter(Call)

# Made once: building a statement costs more than running it.
_LOCKED = select(calls.c.body).where(calls.c.sid == bindparam("sid")).with_for_update()
_LOCK = _LOCKED.subquery()
_LOCKED_WITH_CLOCK = select(_LOCK.c.body, func.clock_timestamp().label("now"))
"""The clock stands outside the locking query, or it would show the time before the wait for the lock."""

_READ = select(calls.c.body).where(calls.c.sid == bindparam("sid"))
_OWNERS = select(names.c.call).where(names.c.name == bindparam("name")).order_by(names.c.call)
_COPIES: dict[str, BindParameter[Any]] = {
    name: bindparam(name)
    for name in ("account", "agent", "is_over", "desired", "observed", "due_at", "updated_at", "body")
}
_INSERT = insert(calls).values(sid=bindparam("call_sid"), **_COPIES)
_UPDATE = update(calls).where(calls.c.sid == bindparam("call_sid")).values(**_COPIES)


class Loaded(NamedTuple):
    """A call under lock, and the database's clock once the lock was ours. `is_new`: there is no row yet."""

    call: Call
    now: datetime
    is_new: bool


def load(transaction: Transaction, sid: str, account: str) -> Loaded:
    """The call of this name (its own SID, a leg's or a conference's), locked until the commit; a new one if unknown."""
    found = _locked(transaction, sid)
    if found is None or found[0].status == "merged":
        known_as = _resolved(transaction.connection, sid)
        found = _locked(transaction, known_as) if known_as != sid else found
    if found is None:
        return Loaded(Call(sid=sid, account=account), transaction.now(), is_new=True)
    return Loaded(*found, is_new=False)


def _locked(transaction: Transaction, sid: str) -> tuple[Call, datetime] | None:
    if transaction.is_sqlite:
        body = transaction.connection.execute(_LOCKED, {"sid": sid}).scalar_one_or_none()
        return None if body is None else (_codec.validate_json(body), transaction.now())
    row = transaction.connection.execute(_LOCKED_WITH_CLOCK, {"sid": sid}).one_or_none()
    return None if row is None else (_codec.validate_json(row.body), row.now.astimezone(UTC))


def save(transaction: Transaction, loaded: Loaded, call: Call, facts: Iterable[Fact]) -> None:
    """Write the call and an entry for each fact. Saving what has not changed writes nothing."""
    if call != loaded.call or loaded.is_new:
        _write(transaction, loaded, call)
    for fact in facts:
        transaction.append(draft_of(call, fact))


def _write(transaction: Transaction, loaded: Loaded, call: Call) -> None:
    values = {
        "call_sid": call.sid,
        "account": call.account,
        "agent": call.agent,
        "is_over": call.over,
        "desired": desired(call).value,
        "observed": observed(call),
        "due_at": due(call, loaded.now),
        "updated_at": loaded.now,
        "body": _codec.dump_json(call).decode(),
    }
    transaction.connection.execute(_INSERT if loaded.is_new else _UPDATE, values)
    for name in sorted(call.names - loaded.call.names):
        add_name(transaction, name, call.sid)
    _seat(transaction, loaded.call, call)


def forget_caller(transaction: Transaction, sid: str) -> bool | None:
    """Take the last four digits of the caller's number out of the document, which stays as old as it is. Whether there
    were any; None if there is no such call.
    """
    found = _locked(transaction, sid)
    if found is None:
        return None
    call, _ = found
    if call.caller is None:
        return False
    body = _codec.dump_json(replace(call, caller=None)).decode()
    transaction.connection.execute(update(calls).where(calls.c.sid == sid).values(body=body))
    return True


def _seat(transaction: Transaction, before: Call, after: Call) -> None:
    """Whose page shows the call: only while it lives, so that the table stays small."""
    old = frozenset() if before.over else before.agents
    new = frozenset() if after.over else after.agents
    if old - new:
        gone = seats.c.agent.in_(old - new)
        transaction.connection.execute(delete(seats).where(seats.c.call == after.sid, gone))
    for agent in sorted(new - old):
        known = select(seats.c.agent).where(seats.c.agent == agent, seats.c.call == after.sid)
        if transaction.connection.execute(known).first() is None:
            transaction.connection.execute(insert(seats).values(agent=agent, call=after.sid))


def add_name(transaction: Transaction, name: str, sid: str) -> None:
    """From now on Twilio may call this call by that name too."""
    known = select(names.c.name).where(names.c.name == name, names.c.call == sid)
    if transaction.connection.execute(known).first() is None:
        transaction.connection.execute(insert(names).values(name=name, call=sid))


def draft_of(call: Call, fact: Fact) -> Draft:
    return Draft(
        id=fact.id or uuid4().hex,
        cause=fact.cause,
        type=fact.type,
        actor=fact.by.actor,
        source=fact.by.source,
        origin=fact.by.origin,
        account=call.account,
        call=call.sid,
        recording=fact.recording,
        outcome=fact.outcome,
        reason=fact.reason,
        before=None if fact.before is None else str(fact.before),
        after=None if fact.after is None else str(fact.after),
        detail={key: value for key, value in fact.detail.items() if value is not None} or None,  # type: ignore[misc]
    )


def find(connection: Connection, sid: str) -> Call | None:
    """The call of this name as last saved, without a lock."""
    call = _read(connection, sid)
    return _read(connection, _resolved(connection, sid)) if call is None or call.status == "merged" else call


def _resolved(connection: Connection, name: str) -> str:
    """The SID under which the call of this name is kept now: a leg may have been merged, and its parent again."""
    seen = {name}
    waiting = list(_owners(connection, name))
    while waiting:
        sid = waiting.pop(0)
        if sid in seen:
            continue
        seen.add(sid)
        call = _read(connection, sid)
        if call is not None and call.status != "merged":
            return sid
        waiting += _owners(connection, sid)
    return name


def _read(connection: Connection, sid: str) -> Call | None:
    body = connection.execute(_READ, {"sid": sid}).scalar_one_or_none()
    return None if body is None else _codec.validate_json(body)


def of_conference(connection: Connection, conference: str) -> tuple[str, ...]:
    """The SIDs of all calls known to have been in this conference, in lock order."""
    return _owners(connection, conference)


def _owners(connection: Connection, name: str) -> tuple[str, ...]:
    return tuple(connection.execute(_OWNERS, {"name": name}).scalars())


def due_now(connection: Connection, now: datetime, limit: int) -> Sequence[str]:
    """SIDs of calls for which something has fallen due, the longest waiting first. Its cost does not grow with the
    past.
    """
    query = select(calls.c.sid).where(calls.c.due_at <= now).order_by(calls.c.due_at).limit(limit)
    return connection.execute(query).scalars().all()


def of_agent(connection: Connection, agent: str, limit: int) -> list[Call]:
    """The live calls that the agent is on, the latest first."""
    query = select(calls.c.body).join(seats, seats.c.call == calls.c.sid)
    mine = and_(seats.c.agent == agent, calls.c.is_over.is_(False))
    return _listed(connection, query.where(mine).order_by(calls.c.updated_at.desc()).limit(limit))


def live(connection: Connection, limit: int) -> list[Call]:
    """All live calls, the latest first."""
    query = select(calls.c.body).where(calls.c.is_over.is_(False))
    return _listed(connection, query.order_by(calls.c.updated_at.desc()).limit(limit))


def without_agent(connection: Connection, limit: int) -> list[Call]:
    """Live calls that belong to nobody: an agent may claim one."""
    nobody = and_(calls.c.agent.is_(None), calls.c.is_over.is_(False))
    return _listed(connection, select(calls.c.body).where(nobody).order_by(calls.c.updated_at.desc()).limit(limit))


def page(connection: Connection, after: tuple[datetime, str] | None, limit: int) -> list[tuple[datetime, Call]]:
    """Calls, last changed first; `after` is the key of the last one seen."""
    query = (
        select(calls.c.updated_at, calls.c.body).order_by(calls.c.updated_at.desc(), calls.c.sid.desc()).limit(limit)
    )
    if after is not None:
        at, sid = after
        query = query.where(or_(calls.c.updated_at < at, and_(calls.c.updated_at == at, calls.c.sid < sid)))
    return [(row.updated_at, _codec.validate_json(row.body)) for row in connection.execute(query)]


def _listed(connection: Connection, query: Select[Any]) -> list[Call]:
    return [_codec.validate_json(body) for body in connection.execute(query).scalars()]

"""Status callbacks taken in: whose calls they speak of, and what each of those calls is told.

All of it is one transaction: the delivery is marked as taken, and every call it concerns is decided upon and saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from bot.audit.journal import Transaction
from bot.call import CALL_OVER, Call, Participant
from bot.messages import CallReported, ConferenceReported, Fact, Policy, RecordingReported
from bot.recording import decide, unite
from bot.storage import callers, calls, deliveries, users
from bot.telephony.webhooks import Report

Told = CallReported | RecordingReported | ConferenceReported


def take_in(transaction: Transaction, report: Report, digest: bytes, account: str, policy: Policy) -> list[str] | None:
    """The SIDs of the calls it was told to; None if it is a repeat, which changes nothing."""
    if deliveries.is_repeat(transaction, digest):
        return None
    account = report.account or account
    addressed = sorted(_addressed(transaction, report), key=lambda pair: pair[0])  # the order of locks
    return [_tell(transaction, sid, message, report.caller, account, policy) for sid, message in addressed]


def _tell(transaction: Transaction, sid: str, message: Told, digest: bytes | None, account: str, policy: Policy) -> str:
    loaded = calls.load(transaction, sid, account)
    call = loaded.call
    if isinstance(message, CallReported) and callers.is_erased(transaction.connection, call.sid):
        message = replace(message, caller=None)
    facts: tuple[Fact, ...] = ()
    if isinstance(message, CallReported) and message.parent is not None and call.sid == message.parent:
        call, facts = _absorb(transaction, call, message.sid, loaded.now, policy)
    if isinstance(message, ConferenceReported):
        present = _present_in(transaction, call, message)
        legs = {one.leg for one in (*call.participants, *present) if one.present}
        message = replace(message, present=present, staff=_staff_among(transaction, call, legs, message.participant))
    decision = decide(call, message, loaded.now, policy)
    facts = (*facts, *decision.facts)
    if not (loaded.is_new and not facts):
        calls.save(transaction, loaded, decision.call, facts)
        if isinstance(message, CallReported) and message.caller is not None:
            callers.note(transaction, call.sid, digest, message.caller)
    return decision.call.sid


def _absorb(
    transaction: Transaction, parent: Call, leg: str, now: datetime, policy: Policy
) -> tuple[Call, tuple[Fact, ...]]:
    """If the leg was taken for a call of its own until now, its holds and recordings move to the parent."""
    known = calls.load(transaction, leg, parent.account)
    if known.is_new or known.call.sid != leg or known.call.over:
        return parent, ()
    united, emptied, facts = unite(parent, known.call, now, policy)
    calls.save(transaction, known, emptied, ())
    return united, facts


# Whose call it is


def _addressed(transaction: Transaction, report: Report) -> Iterator[tuple[str, Told]]:
    """Who is told what: the call itself; all that are known in the conference; and, when a leg is over, the calls whose
    guest it was.
    """
    message = report.message
    if isinstance(message, CallReported):
        yield _known_as(transaction, report.call or message.sid), _with_people(transaction, message, report)
        if message.status in CALL_OVER:
            yield from _hosts(transaction, message)
        return
    named = {_known_as(transaction, report.call)} if report.call else set()
    if report.conference is not None:
        sids = calls.of_conference(transaction.connection, report.conference)
        named |= {_known_as(transaction, sid) for sid in sids}
    yield from ((sid, message) for sid in named)


def _with_people(transaction: Transaction, message: CallReported, report: Report) -> CallReported:
    """Who of ours is on the leg, and who at its other end."""
    found = [users.at(transaction.connection, contact) for contact in (report.on_leg, report.other_end)]
    on_leg, other = (user.name if user is not None and user.is_agent else None for user in found)
    return replace(message, agent=on_leg, dialled_by=other, staff=found[0] is not None)


def _hosts(transaction: Transaction, message: CallReported) -> Iterator[tuple[str, ConferenceReported]]:
    """A leg that is over has left the conferences it was in, also if nobody says so."""
    own = calls.find(transaction.connection, message.sid)
    for conference in (*own.conferences, *own.left) if own is not None else ():
        for sid in calls.of_conference(transaction.connection, conference):
            host = calls.find(transaction.connection, sid)
            if host is None or (own is not None and host.sid == own.sid):
                continue
            if any(one.leg == message.sid and one.present for one in host.participants):
                left = ConferenceReported(
                    conference=conference, event="participant-leave", participant=message.sid, by=message.by
                )
                yield host.sid, left


def _known_as(transaction: Transaction, sid: str) -> str:
    call = calls.find(transaction.connection, sid)
    return call.sid if call is not None else sid


def _present_in(transaction: Transaction, call: Call, message: ConferenceReported) -> tuple[Participant, ...]:
    """Who was there before: asked for when a conference is new to the call."""
    if message.event != "participant-join" or message.conference in call.conferences:
        return ()
    sids = calls.of_conference(transaction.connection, message.conference)
    others = [other for sid in sids if (other := calls.find(transaction.connection, sid)) is not None]
    there = {
        one.leg: one
        for other in others
        for one in other.participants
        if one.conference == message.conference and one.present
    }
    return tuple(there.values())


def _staff_among(transaction: Transaction, call: Call, present: set[str], participant: str | None) -> frozenset[str]:
    """Which legs in the call's conferences are ours: a supervisor who listens is no customer."""
    legs = present | ({participant} if participant else set())
    others = {sid: calls.find(transaction.connection, sid) for sid in legs - call.names - {call.sid}}
    return frozenset(
        sid for sid, other in others.items() if other and any(leg.sid == sid and leg.staff for leg in other.legs)
    )

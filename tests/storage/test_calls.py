from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.actors import By
from bot.audit.journal import Journal, Transaction
from bot.call import Call, Claim, Hold, Leg, Of, Problem, Recording, State, Wish
from bot.messages import Fact
from bot.storage import calls, deliveries, entries, throttles, users
from bot.storage.engine import Database
from bot.storage.entries import Filter
from bot.storage.users import At
from tests.conftest import ALICE, SAM, Person
from tests.core.examples import CONFERENCE, LEG, PARENT, RE1, SID, at

ACCOUNT = "AC" + "0" * 32
FULL = Call(
    sid=SID,
    account=ACCOUNT,
    status="in-progress",
    started_at=at(0),
    agent="alice",
    caller="…0006",
    legs=(Leg(sid=LEG, status="in-progress", sequence=3, agent="alice", since=at(1)),),
    conferences=(CONFERENCE,),
    holds=(Hold(id="h", holder="api:crm", reason="card ü", opened_at=at(2), expires_at=at(302), overdue=True),),
    recordings=(
        Recording(
            sid=RE1, of=Of.CONFERENCE, owner=CONFERENCE, state=State.PAUSED, confirmed_at=at(3), commanded=True,
            doubt=True, unanswered=Wish.RECORDING, toggle=True,
        ),
    ),
    stop_wanted=True,
    paused_since=at(2),
    claim=Claim(token="t", node="n", taken_at=at(4), until=at(9), wish=Wish.PAUSED, target=RE1),
    nothing_said=Wish.PAUSED,
    reconfirm_at=(at(5), at(15)),
    failures=2,
    next_at=at(6),
    problem=Problem.BUSY,
)  # fmt: skip


def save(journal: Journal, call: Call, *facts: Fact) -> None:
    def change(transaction: Transaction) -> None:
        calls.save(transaction, calls.load(transaction, call.sid, call.account), call, facts)

    journal.write(change, call.sid)


def find(database: Database, sid: str) -> Call | None:
    with database.read() as connection:
        return calls.find(connection, sid)


def test_call_comes_back_as_it_was_saved(database: Database, journal: Journal) -> None:
    save(journal, FULL)
    assert find(database, SID) == FULL
    loaded = journal.write(lambda transaction: calls.load(transaction, SID, ACCOUNT))
    assert (loaded.call, loaded.is_new) == (FULL, False)


def test_unknown_call_is_new_and_not_found(database: Database, journal: Journal) -> None:
    loaded = journal.write(lambda transaction: calls.load(transaction, SID, ACCOUNT))
    assert (loaded.call, loaded.is_new) == (Call(sid=SID, account=ACCOUNT), True)
    assert find(database, SID) is None


def test_legs_and_conferences_are_names_of_the_call(database: Database, journal: Journal) -> None:
    save(journal, FULL)
    assert find(database, LEG) == FULL
    loaded = journal.write(lambda transaction: calls.load(transaction, LEG, ACCOUNT))
    assert loaded.call.sid == SID
    with database.read() as connection:
        assert calls.of_conference(connection, CONFERENCE) == (SID,)


def test_merged_call_is_found_under_its_parent(database: Database, journal: Journal) -> None:
    save(journal, Call(sid=LEG, account=ACCOUNT, status="merged"))
    save(journal, replace(FULL, sid=PARENT))
    found = find(database, LEG)
    assert found is not None
    assert found.sid == PARENT


def test_leg_of_a_merged_leg_is_found_under_the_parent(database: Database, journal: Journal) -> None:
    """A transfer from a leg that was taken for a call of its own: the chain ends at the parent."""
    save(journal, Call(sid=SID, account=ACCOUNT, legs=(Leg(sid=LEG, status="in-progress"),)))
    save(journal, Call(sid=SID, account=ACCOUNT, status="merged"))
    save(journal, Call(sid=PARENT, account=ACCOUNT, legs=(Leg(sid=SID, status="in-progress"),)))
    found = find(database, LEG)
    assert found is not None
    assert found.sid == PARENT


def test_facts_become_entries_with_who_what_and_where(database: Database, journal: Journal) -> None:
    by = By(actor="alice", source="agent", origin="10.0.0.1")
    fact = Fact(
        type="tested", by=by, recording=RE1, outcome="failure", reason="why", before="a", after="b", detail={"n": 1}
    )
    save(journal, FULL, fact)
    with database.read() as connection:
        (entry,) = entries.oldest(connection, Filter(), None, 10)
    wanted = {
        "type": "tested", "actor": "alice", "source": "agent", "origin": "10.0.0.1", "account": ACCOUNT, "call": SID,
        "recording": RE1, "outcome": "failure", "reason": "why", "before": "a", "after": "b", "detail": {"n": 1},
    }  # fmt: skip
    assert {name: entry.fields[name] for name in wanted} == wanted


def test_what_falls_due_is_found_longest_waiting_first(database: Database, journal: Journal) -> None:
    for seconds, sid in ((20, SID), (10, LEG), (400, PARENT)):
        hold = Hold(id="h", holder="x", reason=None, opened_at=at(0), expires_at=at(seconds))
        waiting = Call(sid=sid, account=ACCOUNT, holds=(hold,), next_at=at(seconds), paused_since=at(0))
        save(journal, waiting)
    with database.read() as connection:
        assert list(calls.due_now(connection, at(30), 10)) == [LEG, SID]
        assert list(calls.due_now(connection, at(30), 1)) == [LEG]


def test_pages_of_calls_are_by_key(database: Database, journal: Journal) -> None:
    for sid in (SID, LEG, PARENT):
        save(journal, Call(sid=sid, account=ACCOUNT))
    with database.read() as connection:
        first = calls.page(connection, None, 2)
        rest = calls.page(connection, (first[-1][0], first[-1][1].sid), 2)
    assert [call.sid for _, call in (*first, *rest)] == [PARENT, LEG, SID]


def test_calls_of_an_agent_and_of_nobody(database: Database, journal: Journal) -> None:
    save(journal, Call(sid=SID, account=ACCOUNT, agent="alice"))
    save(journal, Call(sid=LEG, account=ACCOUNT))
    save(journal, Call(sid=PARENT, account=ACCOUNT, agent="alice", status="completed"))
    with database.read() as connection:
        assert [call.sid for call in calls.of_agent(connection, "alice", 10)] == [SID]
        assert [call.sid for call in calls.without_agent(connection, 10)] == [LEG]
        assert calls.of_agent(connection, "bob", 10) == []


def test_agent_is_found_by_any_way_of_writing_the_contact(
    database: Database, journal: Journal, cast: tuple[Person, ...]
) -> None:
    assert ALICE in cast
    journal.write(
        lambda transaction: users.set_contacts(transaction, "bob", ("sip:bob@Example.com", "+1 (500) 555-0001"))
    )
    with database.read() as connection:
        assert users.at(connection, "client:alice") == At("alice", is_agent=True)
        assert users.at(connection, "client:Alice") is None
        assert users.at(connection, "sip:Bob@example.com;transport=tls") == At("bob", is_agent=True)
        assert users.at(connection, "+15005550001") == At("bob", is_agent=True)
        assert users.at(connection, "+15005550002", None) is None


def test_supervisor_on_a_leg_is_ours_and_no_agent(
    database: Database, journal: Journal, cast: tuple[Person, ...]
) -> None:
    assert SAM in cast
    journal.write(lambda transaction: users.set_contacts(transaction, "sam", ("client:sam",)))
    with database.read() as connection:
        assert users.at(connection, "client:sam") == At("sam", is_agent=False)


def test_call_is_on_the_list_of_every_agent_on_it_and_of_nobody_once_it_is_over(
    database: Database, journal: Journal
) -> None:
    """Bob is consulted; then he leaves."""
    legs = tuple(Leg(sid=sid, status="in-progress", agent=agent) for sid, agent in ((LEG, "alice"), (PARENT, "bob")))
    call = Call(sid=SID, account=ACCOUNT, agent="bob", legs=legs)
    save(journal, call)
    assert _listed(database) == {"alice": [SID], "bob": [SID]}
    save(journal, replace(call, agent="alice", legs=(legs[0], replace(legs[1], status="completed"))))
    assert _listed(database) == {"alice": [SID], "bob": []}
    save(journal, replace(call, agent="alice", status="completed"))
    assert _listed(database) == {"alice": [], "bob": []}


def _listed(database: Database) -> dict[str, list[str]]:
    with database.read() as connection:
        return {agent: [call.sid for call in calls.of_agent(connection, agent, 10)] for agent in ("alice", "bob")}


def test_delivery_is_a_repeat_until_it_is_forgotten(journal: Journal) -> None:
    assert journal.write(lambda transaction: deliveries.is_repeat(transaction, b"d" * 32)) is False
    assert journal.write(lambda transaction: deliveries.is_repeat(transaction, b"d" * 32)) is True
    journal.write(deliveries.forget_old)
    assert journal.write(lambda transaction: deliveries.is_repeat(transaction, b"d" * 32)) is True


def test_throttle_counts_within_its_window(journal: Journal) -> None:
    hour = timedelta(hours=1)
    counts = [journal.write(lambda transaction: throttles.count(transaction, "k", hour)) for _ in range(3)]
    assert counts == [1, 2, 3]
    assert journal.write(lambda transaction: throttles.count(transaction, "k", timedelta(0))) == 1

"""The phone flow of the bot's own: greeting, menu, codes, agents. The caller gets words or a person, whatever fails."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.audit.journal import Transaction
from bot.storage import users
from bot.storage.users import Role
from bot.web import flow, menu, pay
from tests.conftest import ALICE, BOB, SAM
from tests.support.full_disk import full_disk
from tests.web.bench import PUBLIC, UNKNOWN_CALL, Bench
from tests.web.caller import Answer, Caller, caller, configured
from tests.web.conftest import DATABASE_FILE

CARD = "4111111111111111"
REPLY_SECONDS_MAX = 12.0
EVERYBODY = [("Client", "alice"), ("Client", "bob"), ("Client", "mallory")]


@pytest.fixture
def dave(web_bench: Bench) -> Caller:
    """A customer on a call that is recorded."""
    return caller(web_bench)


@pytest.fixture
def newcomer(web_bench: Bench) -> Caller:
    """A customer whose call still rings: nobody heard of it."""
    return Caller(web_bench, UNKNOWN_CALL)


def is_the_menu(answer: Answer, attempt: int = 1) -> bool:
    return answer.only("Gather").attrib["action"] == f"{PUBLIC}/twilio/menu?try={attempt}"


# The greeting


def test_voice_begins_the_recording_before_the_greeting_and_ends_in_the_menu(newcomer: Caller) -> None:
    heard = newcomer.at("voice")
    assert heard.tags == ["Start", "Say", "Gather"]
    (recording,) = heard.only("Start")
    assert (recording.tag, recording.attrib) == (
        "Recording",
        {
            "recordingStatusCallback": f"{PUBLIC}/twilio/recording-status",
            "recordingStatusCallbackEvent": "in-progress completed absent",
            "channels": "dual",
        },
    )
    assert is_the_menu(heard)


def test_voice_that_comes_again_begins_no_second_recording(dave: Caller) -> None:
    assert dave.at("voice").tags == ["Say", "Gather"]


# The menu


def test_menu_asks_for_one_key_star_and_hash_among_them_and_hears_of_silence(dave: Caller) -> None:
    gather = dave.at("menu").only("Gather")
    assert gather.attrib == {
        "input": "dtmf",
        "numDigits": "1",
        "finishOnKey": "",
        "timeout": "5",
        "actionOnEmptyResult": "true",
        "method": "POST",
        "action": f"{PUBLIC}/twilio/menu?try=1",
    }
    assert [say.tag for say in gather] == ["Say"]


def test_agent_is_a_choice(dave: Caller) -> None:
    assert dave.press(dave.at("menu"), "2").goes_to == f"{PUBLIC}/twilio/agent"


def test_payment_is_not_offered_where_none_is_configured(dave: Caller) -> None:
    asked = dave.at("menu")
    assert "card" not in asked.prompt
    assert dave.press(asked, "1").words == [menu.NOT_OFFERED]
    refused = dave.at("pay")
    assert (refused.words, refused.goes_to) == ([pay.NOT_NOW], f"{PUBLIC}/twilio/agent")
    assert dave.recordings == ["in-progress"]


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_agent_can_be_chosen_at_each_try(dave: Caller, attempt: int) -> None:
    assert dave.at(f"menu?try={attempt}", Digits="2").goes_to == f"{PUBLIC}/twilio/agent"


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("", menu.SILENCE), ("3", menu.NOT_OFFERED), ("#", menu.NOT_OFFERED), ("22", menu.NOT_OFFERED),
        (CARD, menu.NOT_OFFERED), ("two", menu.NOT_OFFERED), (" 2", menu.NOT_OFFERED),
    ],
)  # fmt: skip
def test_key_that_is_wrong_late_missing_or_one_too_many_is_explained_and_asked_again(
    dave: Caller, digits: str, words: str
) -> None:
    asked = dave.at("menu")
    for attempt in (2, 3):
        asked = dave.press(asked, digits)
        assert asked.words == [words]
        assert is_the_menu(asked, attempt)
    given_up = dave.press(asked, digits)
    assert (given_up.words, given_up.goes_to) == ([menu.TO_AGENT], f"{PUBLIC}/twilio/agent")
    assert dave.recordings == ["in-progress"]


def test_key_that_is_posted_without_digits_is_silence(dave: Caller) -> None:
    assert dave.at("menu?try=1").words == [menu.SILENCE]


def test_step_that_comes_twice_is_answered_twice_alike(dave: Caller) -> None:
    for digits in ("2", "*", "3", ""):
        first, second = (dave.at("menu?try=2", Digits=digits).text for _ in range(2))
        assert first == second


# Star, and the codes


def test_star_waits_a_moment_for_a_second_key(dave: Caller) -> None:
    gather = dave.press(dave.at("menu"), "*").only("Gather")
    assert gather.attrib == {
        "input": "dtmf",
        "numDigits": "1",
        "finishOnKey": "",
        "timeout": "2",
        "actionOnEmptyResult": "true",
        "method": "POST",
        "action": f"{PUBLIC}/twilio/menu?try=1&after=star",
    }
    assert list(gather) == []


@pytest.mark.parametrize("second", ["", "*", "1", "2", "9", "#", "77", CARD])
def test_star_without_a_code_is_back_to_the_menu(dave: Caller, second: str) -> None:
    back = dave.press(dave.press(dave.at("menu"), "*"), second)
    assert back.tags == ["Gather"]
    assert is_the_menu(back)
    assert dave.recordings == ["in-progress"]


def test_star_does_not_begin_the_tries_anew(dave: Caller) -> None:
    """A line that sends nothing but stars and noise reaches an agent all the same."""
    asked = dave.press(dave.at("menu"), "3")
    assert is_the_menu(dave.press(dave.press(asked, "*"), ""), attempt=2)


def star(dave: Caller, digit: str) -> Answer:
    return dave.press(dave.press(dave.at("menu"), "*"), digit)


def test_codes_pause_and_resume_in_the_menu(dave: Caller) -> None:
    paused = star(dave, "7")
    assert paused.words == [menu.PAUSED]
    assert is_the_menu(paused)
    assert (dave.recordings, dave.holders) == (["paused"], ["ivr:keys"])
    resumed = star(dave, "8")
    assert resumed.words == [menu.GOES_ON]
    assert is_the_menu(resumed)
    assert (dave.recordings, dave.holders) == (["in-progress"], [])


def test_both_keys_of_a_code_at_once_are_the_code(dave: Caller) -> None:
    assert dave.press(dave.at("menu"), "*7").words == [menu.PAUSED]
    assert dave.recordings == ["paused"]


def test_code_that_was_chosen_otherwise_is_the_one(dave: Caller) -> None:
    with configured(dave.bench, dtmf_pause_code="*0", dtmf_resume_code="*7"):
        assert star(dave, "0").words == [menu.PAUSED]
        assert star(dave, "7").words == [menu.GOES_ON]


def test_pause_that_is_not_proven_is_said_and_leaves_no_hold(dave: Caller) -> None:
    dave.bench.twilio.add_fault("401", on="pause", call=dave.call)
    told = star(dave, "7")
    assert told.words == [menu.NOT_PAUSED]
    assert is_the_menu(told)
    assert dave.holders == []


def test_pause_of_a_call_without_a_recording_is_not_proven(web_bench: Bench) -> None:
    assert star(caller(web_bench, recordings=0), "7").words == [menu.NOT_PAUSED]


def test_resume_does_not_claim_that_it_goes_on_while_another_keeps_it_paused(dave: Caller) -> None:
    dave.bench.api().pause(dave.call)
    star(dave, "7")
    assert star(dave, "8").words == [menu.LET_GO]
    assert (dave.recordings, dave.holders) == (["paused"], ["api:crm"])


def test_pause_that_twilio_leaves_unanswered_is_answered_in_time(dave: Caller) -> None:
    dave.bench.twilio.add_fault("delay", on="pause", seconds=30, call=dave.call)
    began = time.monotonic()
    assert star(dave, "7").words == [menu.NOT_PAUSED]
    assert time.monotonic() - began < REPLY_SECONDS_MAX
    assert dave.holders == []


# Agents


def test_every_agent_is_rung_and_the_bot_hears_of_the_legs(dave: Caller) -> None:
    heard = dave.at("agent")
    assert heard.tags == ["Dial"]
    assert heard.only("Dial").attrib == {
        "action": f"{PUBLIC}/twilio/agent?tried=agents",
        "method": "POST",
        "timeout": str(flow.RING_SECONDS),
    }
    assert heard.rung == EVERYBODY
    for noun in heard.only("Dial"):
        assert noun.attrib == {
            "statusCallback": f"{PUBLIC}/twilio/call-status",
            "statusCallbackEvent": "initiated ringing answered completed",
            "statusCallbackMethod": "POST",
        }


def test_call_that_belongs_to_an_agent_rings_that_one(web_bench: Bench) -> None:
    dave = caller(web_bench, agent=BOB)
    assert dave.at("agent").rung == [("Client", "bob")]


def set_contacts(bench: Bench, **contacts: tuple[str, ...]) -> None:
    def change(transaction: Transaction) -> None:
        for name, wanted in contacts.items():
            users.set_contacts(transaction, name, wanted)

    bench.services.journal.write(change)


def test_numbers_and_sip_addresses_are_rung_as_such_and_what_cannot_be_is_left_out(dave: Caller) -> None:
    set_contacts(dave.bench, alice=("+49 30 1234567", "sip:Alice@example.org"), bob=("bob's desk",), mallory=())
    assert dave.at("agent").rung == [("Number", "+49301234567"), ("Sip", "sip:alice@example.org")]


def test_no_more_than_ten_are_rung_at_once(dave: Caller) -> None:
    set_contacts(dave.bench, alice=tuple(f"client:alice{number}" for number in range(30)))
    assert len(dave.at("agent").rung) == 10


def test_only_agents_who_may_work_are_rung(dave: Caller) -> None:
    def change(transaction: Transaction) -> None:
        users.set_contacts(transaction, SAM.name, ("client:sam",))
        found = users.lock(transaction, ALICE.name)
        assert found is not None
        users.disable(transaction, found)
        assert found.role is Role.AGENT

    dave.bench.services.journal.write(change)
    assert dave.at("agent").rung == EVERYBODY[1:]


def test_agent_of_the_call_who_may_not_work_any_more_is_replaced_by_all_others(web_bench: Bench) -> None:
    dave = caller(web_bench, agent=ALICE)
    set_contacts(web_bench, alice=())
    assert dave.at("agent").rung == EVERYBODY[1:]


def test_conversation_that_was_had_ends_the_call(dave: Caller) -> None:
    assert dave.dialled(dave.at("agent"), "completed").tags == ["Hangup"]


@pytest.mark.parametrize("status", ["no-answer", "busy", "failed", "canceled", "", "new-word"])
def test_agents_who_do_not_answer_lead_to_an_apology(dave: Caller, status: str) -> None:
    sorry = dave.dialled(dave.at("agent"), status)
    assert (sorry.tags, sorry.words) == (["Say", "Hangup"], [flow.NOBODY])


@pytest.mark.parametrize(
    ("fallback", "rung"),
    [
        ("client:desk", ("Client", "desk")),
        ("+4930123456", ("Number", "+4930123456")),
        ("sip:desk@example.org", ("Sip", "sip:desk@example.org")),
    ],
)
def test_fallback_is_tried_once(dave: Caller, fallback: str, rung: tuple[str, str]) -> None:
    with configured(dave.bench, voice_fallback=fallback):
        again = dave.dialled(dave.at("agent"), "no-answer")
        assert again.rung == [rung]
        assert dave.dialled(again, "completed").tags == ["Hangup"]
        assert dave.dialled(again, "busy").words == [flow.NOBODY]


def test_without_any_agent_the_fallback_is_rung_or_an_apology_said(dave: Caller) -> None:
    set_contacts(dave.bench, alice=(), bob=(), mallory=())
    assert dave.at("agent").words == [flow.NOBODY]
    with configured(dave.bench, voice_fallback="client:desk"):
        assert dave.at("agent").rung == [("Client", "desk")]


# Our own trouble


def test_database_that_cannot_be_written_is_no_error(dave: Caller) -> None:
    assert star(dave, "7").words == [menu.PAUSED]
    with full_disk():
        assert is_the_menu(dave.at("voice"))
        assert star(dave, "7").words == [menu.NOT_PAUSED]
        assert star(dave, "8").words == [menu.LET_GO]
        assert dave.at("agent").rung == EVERYBODY
    assert star(dave, "7").words == [menu.PAUSED]


@contextmanager
def silent(bench: Bench) -> Iterator[None]:
    """The database says nothing to whoever asks for calls or users: somebody has locked them."""
    with bench.services.database.engine.connect() as connection:
        connection.execute(text("LOCK TABLE calls, users IN ACCESS EXCLUSIVE MODE"))
        yield
        connection.rollback()


@pytest.mark.parametrize("web_url", ["postgresql"], indirect=True)
def test_database_that_says_nothing_still_leads_to_a_person_or_an_apology_in_time(dave: Caller) -> None:
    asked = dave.at("menu?try=1", Digits="*")

    def at_once(*steps: Callable[[], Answer]) -> list[Answer]:
        began = time.monotonic()
        with ThreadPoolExecutor(len(steps)) as threads:
            answers = [future.result() for future in [threads.submit(step) for step in steps]]
        assert time.monotonic() - began < REPLY_SECONDS_MAX
        return answers

    with silent(dave.bench):
        greeted, paused, resumed, sorry = at_once(
            lambda: dave.at("voice"),
            lambda: dave.press(asked, "7"),
            lambda: dave.press(asked, "8"),
            lambda: dave.at("agent"),
        )
        with configured(dave.bench, voice_fallback="client:desk"):
            (fallback,) = at_once(lambda: dave.at("agent"))
    assert greeted.tags == ["Start", "Say", "Gather"]
    assert (paused.words, resumed.words, sorry.words) == ([menu.NOT_PAUSED], [menu.LET_GO], [flow.NOBODY])
    assert fallback.rung == [("Client", "desk")]
    assert star(dave, "7").words == [menu.PAUSED]


@pytest.mark.parametrize("step", ["voice", "menu", "pay", "agent"])
def test_fault_of_our_own_making_is_heard_as_an_apology(dave: Caller, step: str) -> None:
    services = dave.bench.app.extensions["bot"]
    dave.bench.app.extensions["bot"] = replace(services, payments=None)
    try:
        assert dave.at(step).words == [flow.NOBODY]
        with configured(dave.bench, voice_fallback="client:desk"):
            assert dave.at(step).rung == [("Client", "desk")]
            assert dave.at("agent?tried=fallback").words == [flow.NOBODY]
    finally:
        dave.bench.app.extensions["bot"] = services


# Refusals, and what is kept


@pytest.mark.parametrize(
    "step",
    [
        "menu?try=0",
        "menu?try=4",
        "menu?try=",
        f"menu?try={CARD}",
        "menu?try=1&after=hash",
        "agent?tried=x",
        "agent?tried=",
    ],
)
def test_malformed_step_is_refused_without_its_value(dave: Caller, step: str) -> None:
    reply = dave.post(step, Digits="*7")
    assert reply.status_code == 400
    assert CARD not in reply.text


@pytest.mark.parametrize("step", ["voice", "menu", "menu?try=1", "agent"])
def test_step_without_signature_or_call_is_refused(dave: Caller, step: str) -> None:
    assert dave.post(step, signature="wrong").status_code == 403
    assert dave.post(step, CallSid="CA1").status_code == 400
    assert dave.post(step, CallSid="").status_code == 400
    assert dave.bench.app.test_client().get(f"/twilio/{step}").status_code in {403, 405}


def test_digits_are_nowhere(web_log: io.StringIO, dave: Caller, tmp_path: Path) -> None:
    answers = [
        dave.at(step, Digits=CARD).text
        for step in ("voice", "menu", "menu?try=1", "menu?try=3", "menu?try=1&after=star", "agent")
    ]
    assert dave.post("menu?try=9", Digits=CARD).status_code == 400
    assert dave.post("menu?try=1", Digits=CARD, CallSid=CARD).status_code == 400
    kept = b"".join(path.read_bytes() for path in tmp_path.glob(f"{DATABASE_FILE}*"))
    assert CARD not in "".join(answers) + web_log.getvalue() + str(dave.bench.entries())
    assert CARD.encode() not in kept


def test_choice_is_no_entry(dave: Caller) -> None:
    before = dave.bench.types(dave.call)
    for digits in ("1", "2", "3", "*", ""):
        dave.press(dave.at("menu"), digits)
    assert dave.bench.types(dave.call) == before

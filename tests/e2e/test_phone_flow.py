"""Whole calls through the bot's own phone flow: a simulated Twilio runs the TwiML that the bot serves, a caller presses
keys, and what counts is what the recording holds in the end.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bot.simulator.client import Json, SimulatorClient
from bot.web import flow, menu, pay
from tests.e2e.processes import until
from tests.e2e.stack import Stack, running_stack, straight
from tests.support.dtmf import digits_in
from tests.support.receiver import Receiver

TEMPO = 20
CALL_SECONDS = 30.0
SOON_SECONDS = 20.0
STEP_SECONDS_MAX = 12.0
NUMBER = "5555555555554444"
SPARES = "1278*#"
"""Keys of the menu: no card here has any of them, so that a key that can be heard tells where it was pressed."""

CARD = (
    {"when": "pay:payment-card-number", "keys": NUMBER},
    {"when": "pay:expiration-date", "keys": "0699#"},
    {"when": "pay:security-code", "keys": "363#"},
    {"when": "pay:postal-code", "keys": "94605#"},
)
LEAVES = {"when": "gather", "hang_up": True}
LEAVES_WHILE_IT_RINGS = {"when": "dial", "hang_up": True}
AGENT_ANSWERS = {"when": "dial", "answer": True}
Step = dict[str, Any]


def key(keys: str) -> Step:
    """Pressed in the menu."""
    return {"when": "gather", "keys": keys}


@pytest.fixture(scope="module")
def desk() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory, desk: Receiver) -> Iterator[Stack]:
    """A bot that takes payments, with somebody to ring when no agent answers."""
    folder = tmp_path_factory.mktemp("phone")
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    wanted = {"PAYMENT_CONNECTOR": "Desk", "PAYMENT_RESULT_URL": desk.url, "PAYMENT_RESULT_SECRET": secret}
    url = f"sqlite:///{folder / 'bot.sqlite3'}"
    with running_stack(folder, url, straight, **wanted, VOICE_FALLBACK="client:night") as stack:
        yield stack


@pytest.fixture
def twilio(phone: Stack, desk: Receiver) -> SimulatorClient:
    """Without faults, calls and results of the tests before."""
    phone.twilio.reset()
    phone.twilio.set(tempo=TEMPO)
    desk.received.clear()
    desk.answers.clear()
    return phone.twilio


@dataclass(frozen=True)
class Played:
    """A call that is over, as the bot and the simulated Twilio have it."""

    phone: Stack
    sid: str
    seen: Json

    @property
    def heard(self) -> list[str]:
        return [str(words) for words in self.seen["heard"]]

    @property
    def stretches(self) -> list[str]:
        (recording,) = self.seen["recordings"]
        return [str(one["state"]) for one in recording["stretches"]]

    @property
    def keys_recorded(self) -> str:
        """What can be heard of the keypad in the recording's sound."""
        (recording,) = self.seen["recordings"]
        return digits_in(self.phone.twilio.audio(recording["sid"]))

    @property
    def steps(self) -> list[str]:
        """The steps that Twilio asked for, by name."""
        return [str(one["url"]).split("/twilio/")[1].split("?")[0] for one in self.phone.twilio.steps(self.sid)]

    @property
    def entries(self) -> list[Json]:
        return self.phone.auditor.entries(self.sid)

    @property
    def results(self) -> list[str]:
        """How the payments ended, in the words of the log."""
        return [str(one["reason"]) for one in self.entries if one["type"] == "payment.finished"]


def begin(phone: Stack, *script: Step) -> str:
    """A call from its first ring."""
    return phone.twilio.place_call(voice=True, script=list(script)).call


def play(phone: Stack, *script: Step) -> Played:
    return over(phone, begin(phone, *script))


def over(phone: Stack, sid: str) -> Played:
    """The call once it is over: no step failed or was slow, no hold is left, and no card was recorded or logged."""
    phone.twilio.wait_for(sid, "over", CALL_SECONDS)
    phone.twilio.settle()
    until(lambda: phone.api.call(sid).body["status"] == "completed", SOON_SECONDS, "the bot knows of the call's end")
    played = Played(phone, sid, phone.twilio.call(sid))
    assert played.seen["flow"]["script"] == 0, (played.heard, played.steps)
    steps = phone.twilio.steps(sid)
    assert [one for one in steps if one["http"] != 200 or one["seconds"] > STEP_SECONDS_MAX] == []
    assert phone.api.call(sid).body["holds"] == []
    assert set(played.keys_recorded) <= set(SPARES)
    assert NUMBER not in json.dumps(played.entries) + phone.web.output() + phone.worker.output()
    return played


# Paying


def test_card_is_taken_in_a_pause_and_nothing_of_it_is_heard(
    phone: Stack, twilio: SimulatorClient, desk: Receiver
) -> None:
    paid = play(phone, key("1"), *CARD, LEAVES)
    assert paid.heard[0] == flow.GREETING
    assert pay.SAVED in paid.heard
    assert paid.stretches == ["recorded", "skipped", "recorded"]
    assert paid.results == ["success"]
    (got,) = desk.received
    assert json.loads(got.body)["data"]["call"] == paid.sid
    assert twilio.debugger() == []


@pytest.mark.parametrize("result", ["payment-connector-error", "internal-error"])
def test_connector_that_fails_leads_to_an_agent_in_a_recording_that_goes_on(
    phone: Stack, twilio: SimulatorClient, desk: Receiver, result: str
) -> None:
    twilio.set(connector=result)
    failed = play(phone, key("1"), *CARD, LEAVES_WHILE_IT_RINGS)
    assert pay.FAILED in failed.heard
    assert failed.stretches == ["recorded", "skipped", "recorded"]
    assert (failed.results, desk.received) == ([result], [])


def test_caller_whose_attempts_are_used_up_reaches_an_agent(phone: Stack, twilio: SimulatorClient) -> None:
    wrong = {"when": "pay:payment-card-number", "keys": "5555555555554445"}
    failed = play(phone, key("1"), wrong, wrong, wrong, LEAVES_WHILE_IT_RINGS)
    assert pay.FAILED in failed.heard
    assert failed.stretches == ["recorded", "skipped", "recorded"]
    assert failed.results == ["too-many-failed-attempts"]
    assert twilio.debugger() == []


def test_star_within_a_payment_is_back_to_the_menu(phone: Stack, twilio: SimulatorClient) -> None:
    star = {"when": "pay:expiration-date", "keys": "*"}
    back = play(phone, key("1"), CARD[0], star, key("2"), LEAVES_WHILE_IT_RINGS)
    assert back.stretches == ["recorded", "skipped", "recorded"]
    assert back.results == ["caller-interrupted-with-star"]
    assert twilio.debugger() == []


def test_two_payments_in_one_call_are_two_pauses(phone: Stack, desk: Receiver, twilio: SimulatorClient) -> None:
    paid = play(phone, key("1"), *CARD, key("1"), *CARD, LEAVES)
    assert paid.stretches == ["recorded", "skipped", "recorded", "skipped", "recorded"]
    assert paid.results == ["success", "success"]
    assert len({got.headers["webhook-id"] for got in desk.received}) == 2
    assert twilio.debugger() == []


def test_result_that_cannot_be_delivered_is_told_as_unconfirmed(
    phone: Stack, desk: Receiver, twilio: SimulatorClient
) -> None:
    desk.answers += [500, 500]
    lost = play(phone, key("1"), *CARD, LEAVES_WHILE_IT_RINGS)
    assert pay.UNCERTAIN in lost.heard
    assert pay.SAVED not in lost.heard
    assert lost.stretches == ["recorded", "skipped", "recorded"]
    assert twilio.debugger() == []


def test_result_that_comes_twice_is_delivered_once(phone: Stack, twilio: SimulatorClient, desk: Receiver) -> None:
    twilio.set(pay_action="repeat")
    paid = play(phone, key("1"), *CARD, LEAVES)
    assert paid.steps.count("pay/done") == 2
    assert paid.results == ["success"]
    assert len(desk.received) == 1


def test_result_that_never_comes_leaves_nothing_open(phone: Stack, twilio: SimulatorClient, desk: Receiver) -> None:
    """The call ends with it: Twilio has no other way on."""
    twilio.set(pay_action="drop")
    ended = play(phone, key("1"), *CARD)
    assert ended.stretches == ["recorded", "skipped"]
    assert (ended.results, desk.received) == (["call-over"], [])


# No proof, no card


@pytest.mark.parametrize("fault", [{"kind": "401"}, {"kind": "delay", "seconds": 30}, {"kind": "503"}], ids=str)
def test_pause_that_is_refused_or_unanswered_never_asks_for_a_card(
    phone: Stack, twilio: SimulatorClient, fault: dict[str, Any]
) -> None:
    twilio.add_fault(on="pause", **fault)
    refused = play(phone, key("1"), LEAVES_WHILE_IT_RINGS)
    assert pay.NOT_NOW in refused.heard
    assert "pay/done" not in refused.steps
    assert "Pay" not in "".join(one["twiml"] for one in twilio.steps(refused.sid))


def test_list_that_cannot_be_had_never_asks_for_a_card(phone: Stack, twilio: SimulatorClient) -> None:
    twilio.add_fault("503", on="list")
    refused = play(phone, key("1"), LEAVES_WHILE_IT_RINGS)
    assert pay.NOT_NOW in refused.heard
    assert "pay/done" not in refused.steps


# Hanging up


@pytest.mark.parametrize(
    "script",
    [
        [{"when": "heard:Welcome", "hang_up": True}],
        [LEAVES],
        [key("*"), LEAVES],
        [key("1"), *(CARD[:0]), {"when": "pay:payment-card-number", "hang_up": True}],
        [key("1"), *(CARD[:1]), {"when": "pay:expiration-date", "hang_up": True}],
        [key("1"), *(CARD[:3]), {"when": "pay:postal-code", "hang_up": True}],
        [key("2"), LEAVES_WHILE_IT_RINGS],
    ],
    ids=["greeting", "menu", "star", "card", "date", "postal-code", "ringing"],
)
def test_caller_may_hang_up_at_any_step(phone: Stack, twilio: SimulatorClient, script: list[Step]) -> None:
    """Nothing stays open, and nothing of a card was recorded."""
    left = play(phone, *script)
    assert set(left.results) <= {"caller-hung-up", "call-over"}
    assert twilio.debugger() == []


# The codes


def test_codes_pause_and_resume_in_the_menu(phone: Stack, twilio: SimulatorClient) -> None:
    told = play(phone, key("*"), key("7"), key("*"), key("8"), LEAVES)
    assert [words for words in told.heard if words in {menu.PAUSED, menu.GOES_ON}] == [menu.PAUSED, menu.GOES_ON]
    assert told.stretches == ["recorded", "skipped", "recorded"]
    assert "*" in told.keys_recorded
    assert twilio.debugger() == []


def test_noise_reaches_an_agent_after_three_tries(phone: Stack, twilio: SimulatorClient) -> None:
    lost = play(phone, key("#"), key("#"), key("#"), LEAVES_WHILE_IT_RINGS)
    assert [words for words in lost.heard if words == menu.NOT_OFFERED] == [menu.NOT_OFFERED] * 2
    assert menu.TO_AGENT in lost.heard
    assert twilio.debugger() == []


# Agents


def test_agent_who_answers_has_the_call_and_can_pause_it(phone: Stack, twilio: SimulatorClient) -> None:
    sid = begin(phone, key("2"), AGENT_ANSWERS)
    until(lambda: phone.api.call(sid).body.get("agent") == "alice", SOON_SECONDS, "the call belongs to who answered")
    assert phone.api.pause(sid).is_safe
    twilio.press(sid, NUMBER)
    assert phone.api.resume(sid).status == 200
    (leg,) = (one["sid"] for one in twilio.call(sid)["legs"] if one["status"] == "in-progress" and one["sid"] != sid)
    twilio.hang_up(leg)
    had = over(phone, sid)
    assert had.stretches == ["recorded", "skipped", "recorded"]
    assert flow.NOBODY not in had.heard
    assert twilio.debugger() == []


def test_nobody_answers_and_the_caller_hears_an_apology(phone: Stack, twilio: SimulatorClient) -> None:
    alone = play(phone, key("2"))
    assert alone.heard[-1] == flow.NOBODY
    assert [one["to"] for one in twilio.call(alone.sid)["legs"][1:]] == [
        "client:alice", "client:bob", "client:dave", "client:night",
    ]  # fmt: skip
    assert alone.steps == ["voice", "menu", "agent", "agent", "agent"]
    assert twilio.debugger() == []

"""<Pay>: what is asked of the caller, what is told of it, and every way it can end."""

from __future__ import annotations

import re
import time

import pytest

from bot.simulator.client import Json, SimulatorClient, SimulatorRefused
from tests.simulator.flows import begin, play, response
from tests.simulator.process import ACCOUNT
from tests.simulator.receiver import Receiver, Served
from tests.simulator.rest_client import Rest

PAID = "/twilio/paid"
STATUS = "/twilio/pay-status"
NUMBER = "4111111111111111"
CARD = {"when": "pay:payment-card-number", "keys": NUMBER}
DATE = {"when": "pay:expiration-date", "keys": "1299#"}
CODE = {"when": "pay:security-code", "keys": "737#"}
SHORT = 'securityCode="false" postalCode="false"'


@pytest.fixture(autouse=True)
def paid(receiver: Receiver) -> None:
    """What the action of a <Pay> answers."""
    receiver.serve(PAID, response("<Say>Thank you</Say>"))


def _pay(attributes: str = "", inside: str = "") -> str:
    return f'<Pay action="paid" {attributes}>{inside}</Pay><Say>never</Say>'


def _keys(when: str, keys: str) -> dict[str, str]:
    return {"when": f"pay:{when}", "keys": keys}


def _told(receiver: Receiver) -> dict[str, str]:
    """What the action was told, without what every request for TwiML says."""
    (told,) = receiver.at(PAID)
    common = ("ApiVersion", "CallStatus", "Called", "Caller", "Direction", "From", "To", "AccountSid", "CallSid")
    return {name: value for name, value in told.items() if name not in common}


def test_card_becomes_a_token(sim: SimulatorClient, receiver: Receiver, rest: Rest) -> None:
    attributes = f'statusCallback="{STATUS}" paymentConnector="Shop" postalCode="94105"'
    call = play(sim, receiver, _pay(attributes), script=[CARD, DATE, CODE])
    told = _told(receiver)
    assert re.fullmatch("tok_[A-Za-z]{24}", told.pop("PaymentToken"))
    assert re.fullmatch("cus_[A-Za-z]{24}", told.pop("ProfileId"))
    known = {"PaymentConnector": "Shop", "PaymentMethod": "credit-card", "PaymentCardPostalCode": "94105"}
    typed = {
        "PaymentCardNumber": "xxxxxxxxxxxx1111",
        "PaymentCardType": "visa",
        "ExpirationDate": "1299",
        "SecurityCode": "xxx",
    }
    assert told == {"Result": "success"} | known | typed
    assert (call["heard"][-1], call["flow"]["script"], sim.debugger()) == ("Thank you", 0, [])
    sim.settle()
    first, *others = receiver.at(STATUS)
    assert (
        first == {"AccountSid": ACCOUNT, "CallSid": call["sid"], "For": "payment-card-number", "Attempt": "1"} | known
    )
    assert [one["For"] for one in others] == ["expiration-date", "security-code", "payment-processing"]
    assert others[-1].items() >= typed.items()
    assert all(one.signed for one in receiver.all())
    shown = [
        str(receiver.all()),
        rest.get("/").text,
        str(sim.state()),
        str(sim.callbacks()),
        str(sim.steps(call["sid"])),
    ]
    assert not any(NUMBER in one for one in shown)


def test_charge_has_a_confirmation_code(sim: SimulatorClient, receiver: Receiver) -> None:
    attributes = f'chargeAmount="20.45" currency="eur" {SHORT} description="tea" language="en-GB" validCardTypes="amex"'
    amex = _keys("payment-card-number", "378282246310005#1299#")
    play(sim, receiver, _pay(attributes, '<Parameter name="order" value="7"/>'), script=[amex])
    told = _told(receiver)
    assert re.fullmatch("ch_[A-Za-z]{24}", told["PaymentConfirmationCode"])
    assert (told["Result"], told["PaymentCardType"], told["PaymentCardNumber"]) == (
        "success",
        "amex",
        "xxxxxxxxxxx0005",
    )
    assert not told.keys() & {"PaymentToken", "SecurityCode", "PaymentCardPostalCode"}


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ("", "timeout"),
        ("#", "invalid-card-number"),
        ("4111#", "invalid-card-number"),
        ("30569309025904", "invalid-card-type"),
    ],
)
def test_failed_attempts_are_used_up(sim: SimulatorClient, receiver: Receiver, keys: str, error: str) -> None:
    attributes = f'statusCallback="{STATUS}" maxAttempts="2" timeout="2" validCardTypes="visa, mastercard"'
    play(sim, receiver, _pay(attributes), script=[_keys("payment-card-number", keys)] if keys else [])
    assert _told(receiver)["Result"] == "too-many-failed-attempts"
    sim.settle()
    assert [(one["Attempt"], one.get("ErrorType")) for one in receiver.at(STATUS)] == [("1", None), ("2", error)]


def test_every_field_is_checked_and_typed_twice_if_wanted(sim: SimulatorClient, receiver: Receiver) -> None:
    twice = '<Prompt for="expiration-date" requireMatchingInputs="true"><Say>Again</Say></Prompt>'
    typed = [
        ("payment-card-number", "30569309025904"),
        ("expiration-date", "0#"), ("expiration-date", "1299#"), ("expiration-date", "1#"),
        ("expiration-date", "1299#"), ("expiration-date", "1299#"),
        ("security-code", "7#"), ("security-code", "737#"),
        ("postal-code", "9#"), ("postal-code", "941#"),
    ]  # fmt: skip
    script = [_keys(*one) for one in typed]
    attributes = f'statusCallback="{STATUS}" minPostalCodeLength="3"'
    call = play(sim, receiver, _pay(attributes, twice), script=script)
    told = _told(receiver)
    assert (told["Result"], told["PaymentCardPostalCode"], call["heard"].count("Again")) == ("success", "941", 2)
    sim.settle()
    assert [(one["For"], one["ErrorType"]) for one in receiver.at(STATUS) if "ErrorType" in one] == [
        ("expiration-date", "invalid-date"), ("expiration-date", "input-matching-failed"),
        ("security-code", "invalid-security-code"), ("postal-code", "invalid-postal-code"),
    ]  # fmt: skip


def test_prompt_that_fits_best_is_said(sim: SimulatorClient, receiver: Receiver) -> None:
    inside = "".join(
        f"<Prompt {when}><Say>{words}</Say></Prompt>"
        for when, words in (
            ('for="payment-card-number"', "card"),
            ('for="payment-card-number expiration-date" errorType="timeout invalid-card-number"', "failed"),
            ('for="payment-card-number" errorType="timeout" attempt="3"', "last"),
        )
    )
    call = play(sim, receiver, _pay('timeout="1"', inside))
    assert call["heard"] == ["card", "failed", "last", "Thank you"]


def test_star_interrupts(sim: SimulatorClient, receiver: Receiver) -> None:
    call = play(sim, receiver, _pay(), script=[_keys("payment-card-number", "4*")])
    assert _told(receiver)["Result"] == "caller-interrupted-with-star"
    assert call["heard"][-1] == "Thank you"


def test_hang_up_is_told_to_the_action(sim: SimulatorClient, receiver: Receiver) -> None:
    call = begin(sim, receiver, _pay('timeout="500"'))
    sim.wait_for(call, "pay:payment-card-number")
    sim.press(call, NUMBER)
    sim.wait_for(call, "pay:expiration-date")
    sim.hang_up(call)
    shown = sim.wait_for(call, "over")
    (told,) = receiver.at(PAID)
    assert (told["Result"], told["CallStatus"]) == ("caller-hung-up", "completed")
    assert (told["PaymentCardNumber"], "Thank you" in shown["heard"]) == ("xxxxxxxxxxxx1111", False)


@pytest.mark.parametrize(
    "attribute",
    ['chargeAmount="abc"', 'tokenType="eternal"', 'validCardTypes="tea"', 'paymentMethod="cash"', 'maxAttempts="9"',
     'colour="red"', 'input="speech"'],
)  # fmt: skip
def test_attribute_that_makes_no_sense_ends_it_at_once(
    sim: SimulatorClient, receiver: Receiver, attribute: str
) -> None:
    call = play(sim, receiver, _pay(attribute))
    assert (_told(receiver)["Result"], call["heard"]) == ("validation-error", ["Thank you"])
    assert [one["code"] for one in sim.debugger()] == [12200]


def test_connector_may_fail(sim: SimulatorClient, receiver: Receiver) -> None:
    """Both calls are at their date before the connector is to fail."""
    calls = [
        begin(sim, receiver, _pay(f'{SHORT} timeout="500"'), script=[_keys("payment-card-number", "4222222222222#")])
        for _ in range(2)
    ]
    for call, outcome in zip(calls, ("payment-connector-error", "internal-error"), strict=True):
        sim.wait_for(call, "pay:expiration-date")
        sim.set(connector=outcome)
        sim.press(call, "1299#")
        sim.wait_for(call, "over")
    told = [
        (one["CallSid"], one["Result"], one["PayErrorCode"], bool(one["PaymentError"])) for one in receiver.at(PAID)
    ]
    assert told == [
        (calls[0], "payment-connector-error", "64001", True), (calls[1], "internal-error", "64002", True),
    ]  # fmt: skip
    assert not any("PaymentToken" in one for one in receiver.at(PAID))


def _starred(sim: SimulatorClient, receiver: Receiver) -> Json:
    return play(sim, receiver, _pay(), script=[_keys("payment-card-number", "*")])


def test_action_may_be_lost(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.set(pay_action="drop")
    call = _starred(sim, receiver)
    assert (call["status"], receiver.at(PAID), "never" in call["heard"]) == ("completed", [], False)
    (entry,) = sim.debugger()
    assert (entry["code"], entry["url"], entry["http"]) == (11200, receiver.url + PAID, None)
    assert entry["params"]["Result"] == "caller-interrupted-with-star"


def test_action_may_be_repeated(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.set(pay_action="repeat")
    receiver.serve(PAID, Served("", status=500), response("<Say>Second</Say>"))
    call = _starred(sim, receiver)
    first, second = [one for one in receiver.all() if one.path == PAID]
    assert (first.params, first.token) == (second.params, second.token)
    assert call["heard"][-1] == "Second"


def test_without_action_the_next_verb_follows(sim: SimulatorClient, receiver: Receiver) -> None:
    call = play(sim, receiver, "<Pay/><Say>Next</Say>", script=[_keys("payment-card-number", "*")])
    assert call["heard"][-1] == "Next"


def test_status_callbacks_obey_the_settings(sim: SimulatorClient, receiver: Receiver) -> None:
    sim.set(callbacks="hold")
    play(sim, receiver, _pay(f'statusCallback="{STATUS}"'), script=[_keys("payment-card-number", "*")])
    assert receiver.at(STATUS) == []
    sim.release_callbacks()
    sim.settle()
    assert [one["For"] for one in receiver.at(STATUS)] == ["payment-card-number"]


@pytest.mark.parametrize("setting", [{"connector": "late"}, {"pay_action": "twice"}])
def test_unknown_outcome_is_refused(sim: SimulatorClient, setting: dict[str, str]) -> None:
    with pytest.raises(SimulatorRefused, match="must be one of"):
        sim.set(**setting)


def test_patience_of_a_prompt_follows_the_tempo(sim: SimulatorClient, receiver: Receiver) -> None:
    began = time.monotonic()
    play(sim, receiver, _pay('timeout="20" maxAttempts="1"', "<Prompt/>"), tempo=100)
    assert 0.2 <= time.monotonic() - began < 2

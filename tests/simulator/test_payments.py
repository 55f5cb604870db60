"""Agent-assisted payments: sessions, captures by key, what is reported of them, and what is refused."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException

from bot.simulator.client import SimulatorClient
from tests.simulator.flows import begin
from tests.simulator.process import ACCOUNT, Simulator
from tests.simulator.receiver import Received, Receiver
from tests.simulator.rest_client import Reply, Rest, sdk
from tests.simulator.schema import PAYMENT, problems
from tests.support.dtmf import digits_in

CARD = "4242424242424242"
AMEX = "378282246310005"
NOBODY = "CA" + "0" * 32


class Desk:
    """An agent's desk: it takes payments on one leg of a call, and is told what the customer types."""

    def __init__(self, sim: SimulatorClient, rest: Rest, receiver: Receiver, leg: str) -> None:
        self.sim, self.rest, self.receiver, self.leg = sim, rest, receiver, leg
        self._keys = itertools.count(1)
        self.sid = ""

    def create(self, **wanted: str) -> Reply:
        return self._post(f"Calls/{self.leg}/Payments.json", wanted, "/started")

    def begin(self, **wanted: str) -> str:
        self.sid = str(self._good(self.create(**wanted), 201)["sid"])
        return self.sid

    def update(self, **wanted: str) -> Reply:
        return self._post(f"Calls/{self.leg}/Payments/{self.sid}.json", wanted, "/updated")

    def capture(self, piece: str, keys: str = "") -> None:
        self._good(self.update(Capture=piece), 202)
        if keys:
            self.sim.press(self.leg, keys)

    def everything(self) -> None:
        for piece, keys in (
            ("payment-card-number", CARD),
            ("expiration-date", "1230"),
            ("security-code", "123"),
            ("postal-code", "94109"),
        ):
            self.capture(piece, keys)

    def finish(self, status: str) -> dict[str, str]:
        """Complete or cancel; the last callback."""
        self._good(self.update(Status=status), 202)
        return self.told()[-1].params

    def told(self) -> list[Received]:
        assert self.sim.settle()["failed"] == 0
        return self.receiver.all(Sid=self.sid)

    def shown(self) -> dict[str, Any]:
        """The session as the control API shows it."""
        (found,) = [one for one in self.sim.call(self.leg)["payments"] if one["sid"] == self.sid]
        return dict(found)

    def _post(self, path: str, wanted: dict[str, str], route: str) -> Reply:
        common = {"IdempotencyKey": f"key-{next(self._keys)}", "StatusCallback": f"{self.receiver.url}{route}"}
        return self.rest.send("POST", path, {name: value for name, value in (common | wanted).items() if value != "-"})

    @staticmethod
    def _good(reply: Reply, status: int) -> dict[str, Any]:
        assert reply.status == status, reply.text
        assert problems(reply.json, PAYMENT) == []
        return reply.json


@pytest.fixture
def desk(sim: SimulatorClient, rest: Rest, receiver: Receiver) -> Desk:
    """The agent's desk during a call, without the call's own callbacks."""
    placed = sim.place_call(agent="client:alice")
    sim.settle()
    receiver.clear()
    return Desk(sim, rest, receiver, placed.call)


def test_session_is_begun_captured_and_completed(desk: Desk) -> None:
    sid = desk.begin()
    assert desk.shown() == {
        "sid": sid,
        "leg": desk.leg,
        "state": "in-progress",
        "capture": None,
        "required": ["payment-card-number", "expiration-date", "security-code", "postal-code"],
    }
    desk.everything()
    assert (desk.shown()["capture"], desk.shown()["required"]) == (None, [])
    end = desk.finish("complete")
    assert (end["Result"], end["TokenType"], "ChargeAmount" in end) == ("success", "reusable", False)
    assert end["PaymentToken"].startswith("tok_")
    assert desk.shown()["state"] == "success"
    assert [one.path for one in desk.told()] == ["/started"] + ["/updated"] * (1 + sum((16, 4, 3, 5)) + 2 * 4)
    assert all(one.signed for one in desk.told())


def test_every_callback_names_account_call_and_session(desk: Desk) -> None:
    desk.begin(PaymentConnector="Shop", ChargeAmount="20.45", Currency="eur")
    desk.everything()
    assert desk.finish("complete")["PaymentConfirmationCode"].startswith("ch_")
    for one in desk.told():
        fixed = {
            "AccountSid": ACCOUNT,
            "CallSid": desk.leg,
            "Sid": desk.sid,
            "PaymentConnector": "Shop",
            "PaymentMethod": "credit-card",
            "ChargeAmount": "20.45",
            "Currency": "eur",
        }
        assert fixed.items() <= one.params.items()
        assert "TokenType" not in one.params


def test_card_number_is_crossed_out_while_and_after_it_is_typed(desk: Desk) -> None:
    desk.begin()
    desk.capture("payment-card-number", CARD)
    first, *keys, last = desk.told()[1:]
    assert (first.params["Capture"], first.params["PartialResult"]) == ("payment-card-number", "true")
    assert [one.params["PaymentCardNumber"] for one in keys] == ["x" * typed for typed in range(1, 17)]
    assert {one.params["PartialResult"] for one in keys} == {"true"}
    assert (last.params["PartialResult"], last.params["PaymentCardNumber"]) == ("false", "xxxx-xxxx-xxxx-4242")
    assert (last.params["PaymentCardType"], last.params["Required"]) == (
        "visa",
        "expiration-date,security-code,postal-code",
    )
    assert CARD[:8] not in json.dumps(desk.sim.callbacks()) + json.dumps(desk.sim.requests())


def test_code_is_crossed_out_and_date_and_postal_code_are_not(desk: Desk) -> None:
    desk.begin()
    desk.everything()
    last = desk.told()[-1].params
    assert (last["SecurityCode"], last["ExpirationDate"], last["PaymentCardPostalCode"]) == ("xxx", "1230", "94109")
    assert "Required" not in last
    codes = {one.params["SecurityCode"] for one in desk.told() if one.params.get("Capture") == "security-code"
             and "SecurityCode" in one.params}  # fmt: skip
    assert codes == {"x", "xx", "xxx"}


def test_amex_has_fifteen_digits_and_a_code_of_four(desk: Desk) -> None:
    desk.begin(PostalCode="false")
    desk.capture("payment-card-number", AMEX)
    desk.capture("expiration-date", "1230")
    desk.capture("security-code", "1234")
    last = desk.told()[-1].params
    assert (last["PaymentCardNumber"], last["SecurityCode"], last["PaymentCardType"]) == (
        "xxxx-xxxxxx-x0005",
        "xxxx",
        "amex",
    )
    assert desk.shown()["required"] == []


def test_only_what_is_wanted_is_required(desk: Desk) -> None:
    desk.begin(SecurityCode="false", PostalCode="false")
    assert desk.shown()["required"] == ["payment-card-number", "expiration-date"]


def test_hash_ends_an_entry(desk: Desk) -> None:
    desk.begin(MinPostalCodeLength="3")
    desk.capture("postal-code", "9410#")
    assert desk.told()[-1].params["PaymentCardPostalCode"] == "9410"


@pytest.mark.parametrize(
    ("piece", "keys", "error"),
    [
        ("payment-card-number", "4242424242424241", "invalid-card-number"),
        ("payment-card-number", "42#", "invalid-card-number"),
        ("payment-card-number", "6011111111111117", "invalid-card-type"),
        ("expiration-date", "1320", "invalid-date"),
        ("expiration-date", "0120", "invalid-date"),
        ("security-code", "12#", "invalid-security-code"),
        ("security-code", "#", "invalid-security-code"),
        ("postal-code", "941#", "invalid-postal-code"),
    ],
)
def test_wrong_entry_is_reported_and_ends_the_capture(desk: Desk, piece: str, keys: str, error: str) -> None:
    desk.begin()
    if piece == "security-code":
        desk.capture("payment-card-number", CARD)
    desk.capture(piece, keys)
    last = desk.told()[-1].params
    assert (last["Capture"], last["ErrorType"], last["Attempt"]) == (piece, error, "1")
    assert last["PartialResult"] == "false"
    assert piece in last["Required"]
    assert desk.shown()["capture"] is None
    before = len(desk.told())
    desk.sim.press(desk.leg, "1")  # goes nowhere
    assert len(desk.told()) == before


def test_second_try_counts_and_succeeds(desk: Desk) -> None:
    desk.begin()
    desk.capture("expiration-date", "1320")
    desk.capture("expiration-date", "1321")
    assert desk.told()[-1].params["Attempt"] == "2"
    desk.capture("expiration-date", "1230")
    assert desk.told()[-1].params["ExpirationDate"] == "1230"


def test_entry_that_stops_is_timed_out_or_taken_as_it_is(desk: Desk) -> None:
    desk.begin(Timeout="1", MinPostalCodeLength="3")
    desk.capture("payment-card-number", "4242")
    desk.receiver.wait(lambda _: bool(desk.receiver.all(ErrorType="timeout", Capture="payment-card-number")))
    desk.capture("postal-code", "9410")
    desk.receiver.wait(lambda _: bool(desk.receiver.all(PartialResult="false", PaymentCardPostalCode="9410")))
    assert desk.shown()["required"] == ["payment-card-number", "expiration-date", "security-code"]


def test_code_before_the_number_cannot_be_checked(desk: Desk) -> None:
    desk.begin()
    desk.capture("security-code")
    assert desk.told()[-1].params["ErrorType"] == "invalid-card-number-security-code-capture-sequence"
    assert desk.shown()["capture"] is None


def test_new_capture_takes_the_place_of_the_one_under_way(desk: Desk) -> None:
    desk.begin()
    desk.capture("payment-card-number", "424242")
    desk.capture("expiration-date", "12")
    assert desk.shown()["capture"] == "expiration-date"
    desk.sim.press(desk.leg, "30")
    assert desk.told()[-1].params["ExpirationDate"] == "1230"
    assert desk.shown()["required"] == ["payment-card-number", "security-code", "postal-code"]


def test_capturing_again_clears_what_there_was(desk: Desk) -> None:
    desk.begin()
    desk.everything()
    desk.capture("expiration-date")
    assert desk.shown()["required"] == ["expiration-date"]
    assert "ExpirationDate" not in desk.told()[-1].params
    assert desk.update(Status="complete").code == 20001


def test_complete_with_something_missing_is_refused(desk: Desk) -> None:
    desk.begin()
    desk.capture("payment-card-number", CARD)
    refused = desk.update(Status="complete")
    assert (refused.status, refused.code) == (400, 20001)
    assert "expiration-date, security-code, postal-code" in refused.text
    assert desk.shown()["state"] == "in-progress"


@pytest.mark.parametrize("result", ["payment-connector-error", "internal-error"])
def test_connector_that_fails_is_reported(desk: Desk, result: str) -> None:
    desk.sim.set(connector=result)
    desk.begin(ChargeAmount="1")
    desk.everything()
    end = desk.finish("complete")
    assert end["Result"] == desk.shown()["state"] == result
    assert end["PayErrorCode"].isdigit()
    assert end["PaymentError"]
    assert "PaymentToken" not in end


@pytest.mark.parametrize(("kind", "prefix"), [("one-time", "tok_"), ("reusable", "tok_"), ("payment-method", "pm_")])
def test_nothing_to_charge_gives_a_token(desk: Desk, kind: str, prefix: str) -> None:
    desk.begin(TokenType=kind, ChargeAmount="0.00")
    desk.everything()
    assert desk.finish("complete")["PaymentToken"].startswith(prefix)


def test_cancelled_session_is_over(desk: Desk) -> None:
    desk.begin()
    desk.capture("payment-card-number", "42")
    assert desk.finish("cancel")["Status"] == "cancelled"
    assert (desk.shown()["state"], desk.shown()["capture"]) == ("cancelled", None)
    for again in ({"Status": "cancel"}, {"Status": "complete"}, {"Capture": "postal-code"}):
        assert desk.update(**again).code == 20001
    assert desk.create().status == 201


def test_star_gives_the_session_up(desk: Desk) -> None:
    desk.begin()
    desk.capture("payment-card-number", "42*")
    assert desk.told()[-1].params["Result"] == "caller-interrupted-with-star"
    assert desk.shown()["state"] == "caller-interrupted-with-star"


def test_hang_up_ends_the_session_of_that_leg(desk: Desk) -> None:
    desk.begin()
    desk.capture("payment-card-number", "42")
    desk.sim.hang_up(desk.sim.call(desk.leg)["legs"][1]["sid"])
    assert desk.shown()["state"] == "in-progress"
    desk.sim.hang_up(desk.leg)
    end = desk.told()[-1].params
    assert (end["Result"], desk.shown()["state"]) == ("caller-hung-up", "caller-hung-up")
    assert desk.update(Capture="postal-code").code == 20001


def test_keys_are_taken_from_the_session_s_own_leg(desk: Desk) -> None:
    (agent,) = desk.sim.call(desk.leg)["legs"][1:]
    customer, desk.leg = desk.leg, agent["sid"]
    desk.begin()
    desk.capture("expiration-date")
    desk.sim.press(customer, "0130")
    desk.sim.press(agent["sid"], "1230")
    last = desk.told()[-1].params
    assert (last["ExpirationDate"], last["CallSid"]) == ("1230", customer)  # the parent leg, as documented


def test_keys_of_a_capture_are_not_the_gather_s(sim: SimulatorClient, rest: Rest, receiver: Receiver) -> None:
    call = begin(sim, receiver, '<Gather action="/twilio/got" timeout="1000" numDigits="2"/>')
    sim.wait_for(call, "gather")
    desk = Desk(sim, rest, receiver, call)
    desk.begin(Timeout="1")  # far less than a key takes at this tempo: it waits for keys that are being pressed
    desk.capture("expiration-date", "1230")
    sim.press(call, "77")
    sim.wait_for(call, "over")
    assert [one["Digits"] for one in receiver.at("/twilio/got")] == ["77"]
    assert receiver.all(Sid=desk.sid, PartialResult="false")[0].params["ExpirationDate"] == "1230"


def test_tones_of_a_capture_reach_a_recording_that_runs(desk: Desk) -> None:
    desk.begin()
    desk.capture("expiration-date", "1230")
    (recording,) = desk.sim.call(desk.leg)["recordings"]
    assert digits_in(desk.sim.audio(recording["sid"])) == "1230"


def test_one_session_on_a_leg_at_a_time(desk: Desk) -> None:
    desk.begin()
    refused = desk.create()
    assert (refused.status, refused.code) == (400, 20001)
    other = Desk(desk.sim, desk.rest, desk.receiver, desk.sim.call(desk.leg)["legs"][1]["sid"])
    assert other.create().status == 201
    assert len(desk.sim.call(desk.leg)["payments"]) == 2


def test_same_request_again_gets_the_same_session(desk: Desk) -> None:
    first = desk.create(IdempotencyKey="one", Description="shoes")
    again = desk.create(IdempotencyKey="one", Description="shoes")
    assert first.json == again.json
    assert desk.create(IdempotencyKey="one", Description="socks").code == 20001
    assert len(desk.sim.call(desk.leg)["payments"]) == 1
    desk.sim.settle()
    assert len(desk.receiver.all()) == 1


def test_same_update_again_does_not_start_anew(desk: Desk) -> None:
    desk.begin()
    desk.update(Capture="expiration-date", IdempotencyKey="one")
    desk.sim.press(desk.leg, "12")
    desk.update(Capture="expiration-date", IdempotencyKey="one")
    desk.sim.press(desk.leg, "30")
    assert desk.told()[-1].params["ExpirationDate"] == "1230"
    for piece in ("payment-card-number", "postal-code"):  # one key for everything is seen in the field
        assert desk.update(Capture=piece, IdempotencyKey="one").status == 202
    assert desk.shown()["capture"] == "postal-code"


def test_request_whose_reply_was_lost_is_repeated_safely(desk: Desk) -> None:
    desk.sim.add_fault("lost", on="payment", times=1)
    with pytest.raises(ConnectionResetError):
        desk.create(IdempotencyKey="one")
    (made,) = desk.sim.call(desk.leg)["payments"]
    assert desk.create(IdempotencyKey="one").json["sid"] == made["sid"]


def test_faults_strike_each_kind_of_request(desk: Desk) -> None:
    desk.sim.add_fault("429", on="payment", times=1)
    desk.sim.add_fault("500", on="payment-update", times=1)
    assert desk.create().code == 20429
    desk.begin()
    assert desk.update(Capture="postal-code").status == 500
    assert desk.shown()["capture"] is None
    desk.capture("postal-code")
    noted = [(one["kind"], one["target"], one["status"], one["fault"]) for one in desk.sim.requests(call=desk.leg)]
    assert noted == [
        ("payment", None, None, "429"),
        ("payment", None, None, None),
        ("payment-update", desk.sid, "postal-code", "500"),
        ("payment-update", desk.sid, "postal-code", None),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"IdempotencyKey": "-"},
        {"IdempotencyKey": ""},
        {"StatusCallback": "-"},
        {"StatusCallback": "nowhere"},
        {"PaymentMethod": "ach-debit"},
        {"PaymentMethod": "cash"},
        {"TokenType": "eternal"},
        {"ChargeAmount": "-0.5"},
        {"ChargeAmount": "1000000"},
        {"ChargeAmount": "much"},
        {"ChargeAmount": "NaN"},
        {"Currency": "dollars"},
        {"Timeout": "0"},
        {"Timeout": "601"},
        {"Timeout": "soon"},
        {"Input": "speech"},
        {"SecurityCode": "perhaps"},
        {"PostalCode": "94109"},
        {"MinPostalCodeLength": "0"},
        {"ValidCardTypes": "visa shopcard"},
        {"ValidCardTypes": ""},
        {"BankAccountType": "swiss"},
    ],
)
def test_bad_session_is_refused(desk: Desk, wrong: dict[str, str]) -> None:
    refused = desk.create(**wrong)
    assert (refused.status, refused.code) == (400, 20001)
    assert desk.sim.call(desk.leg)["payments"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"Capture": "bank-account-number"},
        {"Capture": "shoe-size"},
        {"Status": "paused"},
        {"Capture": "postal-code", "Status": "cancel"},
        {"Capture": "postal-code", "IdempotencyKey": "-"},
        {"Capture": "postal-code", "StatusCallback": "-"},
    ],
)
def test_bad_update_is_refused(desk: Desk, wrong: dict[str, str]) -> None:
    desk.begin()
    refused = desk.update(**wrong)
    assert (refused.status, refused.code) == (400, 20001)
    assert (desk.shown()["state"], desk.shown()["capture"]) == ("in-progress", None)


def test_unknown_and_unconnected_calls_have_no_sessions(desk: Desk, sim: SimulatorClient, simulator: Simulator) -> None:
    desk.begin()
    mine, desk.leg = desk.leg, NOBODY
    assert desk.create().code == 20404
    assert desk.update(Capture="postal-code").code == 20404
    desk.leg = sim.place_call(answered=False, agent="client:bob").agent_leg or ""
    assert desk.create().code == 21220
    assert desk.update(Capture="postal-code").code == 20404
    sim.hang_up(mine)
    desk.leg = mine
    assert desk.create().code == 21220
    desk.rest = Rest(simulator.url, password="wrong")
    assert desk.create().code == 20003


@pytest.mark.parametrize(
    ("how", "state"), [({"callbacks": "hold"}, "held"), ({"callbacks": "drop"}, "dropped")], ids=["hold", "drop"]
)
def test_callbacks_are_held_or_dropped(desk: Desk, how: dict[str, str], state: str) -> None:
    desk.sim.set(**how)
    desk.begin()
    desk.capture("expiration-date", "1230")
    desk.sim.settle()
    assert desk.receiver.all() == []
    assert len(desk.sim.callbacks(state=state, call=desk.leg)) == 1 + 1 + 4 + 1
    assert desk.sim.release_callbacks("reverse") == (7 if state == "held" else 0)
    if state == "held":
        assert [one.params.get("PartialResult") for one in desk.told()] == ["false", *["true"] * 5, None]


def test_callbacks_are_doubled(desk: Desk) -> None:
    desk.sim.set(callback_copies=2)
    desk.begin()
    first, second = desk.told()
    assert (first.params, first.token) == (second.params, second.token)


def test_page_tells_of_a_session_in_words(desk: Desk) -> None:
    desk.begin(PostalCode="false")
    assert "nothing is being entered" in desk.rest.get("/live").text
    desk.capture("payment-card-number", CARD)
    desk.capture("expiration-date", "12")
    shown = desk.rest.get("/live").text
    assert "expiration date is being entered" in shown
    assert "still needed: expiration date, security code" in shown
    assert CARD[-4:] not in re.sub("[A-Z]{2}[0-9a-f]{32}", "", shown)
    desk.finish("cancel")
    assert "payment session" not in desk.rest.get("/live").text


def test_sdk_takes_a_payment(desk: Desk, simulator: Simulator) -> None:
    url = f"{desk.receiver.url}/sdk"
    with sdk(simulator.url) as client:
        payments = client.calls(desk.leg).payments
        made = payments.create(idempotency_key="1", status_callback=url, charge_amount=10, security_code=False)
        assert made.call_sid == desk.leg
        updated = payments(made.sid).update(idempotency_key="2", status_callback=url, capture="expiration-date")
        assert updated.sid == made.sid
        with pytest.raises(TwilioRestException) as refused:
            payments(made.sid).update(idempotency_key="3", status_callback=url, status="complete")
    assert (refused.value.status, refused.value.code) == (400, 20001)
    desk.sid = made.sid
    assert desk.shown()["required"] == ["payment-card-number", "expiration-date", "postal-code"]


def test_reset_forgets_sessions(desk: Desk, sim: SimulatorClient) -> None:
    desk.begin(Timeout="1")
    desk.capture("postal-code", "1")
    sim.reset()
    assert desk.update(Status="cancel").code == 20404

"""Paying in the bot's own phone flow: no `<Pay>` without a proven pause, and from every result a way on."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.settings import Settings
from bot.web import pay
from tests.conftest import ALICE, SAM
from tests.simulator.process import Simulator
from tests.support.full_disk import full_disk
from tests.support.receiver import Receiver
from tests.support.tamper import tamper
from tests.web.bench import PUBLIC, Bench
from tests.web.caller import Answer, Caller, caller, configured, damage
from tests.web.conftest import DATABASE_FILE, settings_of

CARD = "4111111111111111"
TOKEN_SEEN = "tok_the_token_itself"
CODE_SEEN = "ch_the_confirmation_itself"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
EXPIRY, POSTAL_CODE = "expires-1229", "postal-94105"
"""Longer than in life, so that they stand nowhere by chance."""

TO_AGENT = f"{PUBLIC}/twilio/agent"
REPLY_SECONDS_MAX = 12.0
SOON_SECONDS = 15.0


@pytest.fixture
def desk() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


@pytest.fixture
def web_settings(simulator: Simulator, web_url: str, tmp_path: Path, desk: Receiver) -> Settings:
    """Payments configured."""
    return settings_of(
        simulator.url,
        web_url,
        tmp_path,
        payment_connector="Desk_Connector",
        payment_result_url=desk.url,
        payment_result_secret=SECRET,
    )


@pytest.fixture
def dave(web_bench: Bench) -> Caller:
    return caller(web_bench)


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def payment_of(paying: Answer) -> str:
    (payment,) = parse_qs(urlsplit(paying.only("Pay").attrib["action"]).query)["payment"]
    return payment


def ended(dave: Caller, paying: Answer, result: str | None, **more: str) -> Answer:
    """What Twilio posts when `<Pay>` is over, the card's data as far as it sends them included."""
    form = {
        "PaymentToken": TOKEN_SEEN,
        "PaymentConfirmationCode": CODE_SEEN,
        "PaymentCardNumber": "xxxxxxxxxxxx1111",
        "PaymentCardType": "visa",
        "ExpirationDate": EXPIRY,
        "SecurityCode": "xxx",
        "PaymentCardPostalCode": POSTAL_CODE,
        **more,
    }
    return dave.at(paying.only("Pay").attrib["action"], **form, **({} if result is None else {"Result": result}))


def is_recorded_again(dave: Caller) -> bool:
    return dave.recordings == ["in-progress"] and dave.holders == []


# Before the card


def test_paying_is_a_choice_where_it_is_configured(dave: Caller) -> None:
    asked = dave.at("menu")
    assert "press 1" in asked.prompt
    assert dave.press(asked, "1").goes_to == f"{PUBLIC}/twilio/pay"


def test_card_is_asked_for_once_every_recording_is_paused(web_bench: Bench) -> None:
    dave = caller(web_bench, recordings=2)
    paying = dave.at("pay")
    assert paying.tags == ["Pay"]
    payment = payment_of(paying)
    assert paying.only("Pay").attrib == {
        "paymentConnector": "Desk_Connector",
        "currency": "usd",
        "tokenType": "reusable",
        "postalCode": "true",
        "securityCode": "true",
        "action": f"{PUBLIC}/twilio/pay/done?payment={payment}",
        "statusCallback": f"{PUBLIC}/twilio/pay/status?payment={payment}",
        "statusCallbackMethod": "POST",
    }
    assert dave.recordings == ["paused", "paused"]
    assert dave.holders == [f"payment:{payment}"]


def test_amount_and_fields_are_the_operators(web_settings: Settings, web_bench: Bench) -> None:
    dave = caller(web_bench)
    terms = Settings.model_validate(
        web_settings.model_dump()
        | {"payment_amount": "20.50", "payment_currency": "eur", "payment_token_type": "one-time"}
        | {"payment_postal_code": False, "payment_security_code": False}
    )
    with configured(web_bench, **{name: getattr(terms, name) for name in Settings.model_fields if "payment" in name}):
        said = dave.at("pay").only("Pay").attrib
    assert (said["chargeAmount"], said["currency"], said["tokenType"]) == ("20.50", "eur", "one-time")
    assert (said["postalCode"], said["securityCode"]) == ("false", "false")


@pytest.mark.parametrize("fault", ["401", "delay"])
def test_pause_that_is_refused_or_unanswered_leads_to_an_agent_without_a_card(dave: Caller, fault: str) -> None:
    dave.bench.twilio.add_fault(fault, on="pause", call=dave.call, **({"seconds": 30} if fault == "delay" else {}))
    began = time.monotonic()
    sorry = dave.at("pay")
    assert time.monotonic() - began < REPLY_SECONDS_MAX
    assert (sorry.tags, sorry.words, sorry.goes_to) == (["Say", "Redirect"], [pay.NOT_NOW], TO_AGENT)
    assert dave.holders == []


def test_call_without_a_recording_leads_to_an_agent_without_a_card(web_bench: Bench) -> None:
    assert caller(web_bench, recordings=0).at("pay").words == [pay.NOT_NOW]


def test_step_that_comes_twice_asks_with_a_payment_of_its_own(dave: Caller) -> None:
    """The first answer was lost on its way to Twilio, so nobody is keying anything in."""
    first, second = payment_of(dave.at("pay")), payment_of(dave.at("pay"))
    assert first != second
    assert (dave.recordings, dave.holders) == (["paused"], [f"payment:{second}"])


# What came of it


def test_success_is_delivered_and_recorded_again_before_the_caller_is_thanked(dave: Caller, desk: Receiver) -> None:
    paying = dave.at("pay")
    thanked = ended(dave, paying, "success")
    assert (thanked.tags, thanked.words) == (["Say", "Gather"], [pay.SAVED])
    assert is_recorded_again(dave)
    (got,) = desk.received
    body = json.loads(got.body)
    assert (got.headers["webhook-id"], body["data"]["payment"]) == (payment_of(paying), payment_of(paying))
    assert (body["data"]["call"], body["data"]["token"]) == (dave.call, TOKEN_SEEN)
    assert body["data"]["confirmation_code"] == CODE_SEEN


def test_success_that_cannot_be_delivered_is_told_as_uncertain(dave: Caller, desk: Receiver) -> None:
    desk.answers += [500, 500]
    sorry = ended(dave, dave.at("pay"), "success")
    assert (sorry.words, sorry.goes_to) == ([pay.UNCERTAIN], TO_AGENT)
    assert is_recorded_again(dave)


def test_result_that_comes_twice_is_delivered_once_and_answered_alike(dave: Caller, desk: Receiver) -> None:
    paying = dave.at("pay")
    assert [ended(dave, paying, "success").words for _ in range(2)] == [[pay.SAVED]] * 2
    assert len(desk.received) == 1


def test_star_is_back_to_the_menu(dave: Caller) -> None:
    back = ended(dave, dave.at("pay"), "caller-interrupted-with-star")
    assert back.tags == ["Gather"]
    assert is_recorded_again(dave)


def test_caller_who_hung_up_is_told_nothing(dave: Caller) -> None:
    assert ended(dave, dave.at("pay"), "caller-hung-up").tags == []
    assert is_recorded_again(dave)


@pytest.mark.parametrize(
    "result",
    [
        "too-many-failed-attempts", "payment-connector-error", "validation-error", "internal-error", "a-new-one", CARD,
        "", None,
    ],
)  # fmt: skip
def test_any_other_result_leads_to_an_agent(dave: Caller, desk: Receiver, result: str | None) -> None:
    sorry = ended(dave, dave.at("pay"), result)
    assert (sorry.tags, sorry.words, sorry.goes_to) == (["Say", "Redirect"], [pay.FAILED], TO_AGENT)
    assert is_recorded_again(dave)
    assert desk.received == []


def test_result_of_a_payment_that_nobody_opened_is_none(dave: Caller, desk: Receiver) -> None:
    said = dave.at(f"pay/done?payment={'0' * 32}", Result="success", PaymentToken=TOKEN_SEEN)
    assert (said.words, said.goes_to) == ([pay.UNCERTAIN], TO_AGENT)
    assert desk.received == []


def test_resume_that_twilio_leaves_unanswered_keeps_nobody_waiting(dave: Caller) -> None:
    paying = dave.at("pay")
    dave.bench.twilio.add_fault("delay", on="resume", call=dave.call, seconds=30)
    began = time.monotonic()
    assert ended(dave, paying, "success").words == [pay.SAVED]
    assert time.monotonic() - began < REPLY_SECONDS_MAX
    dave.bench.twilio.clear_faults()
    assert dave.holders == []


def test_two_payments_in_one_call_are_two(dave: Caller, desk: Receiver) -> None:
    first = dave.at("pay")
    ended(dave, first, "caller-interrupted-with-star")
    second = dave.at("pay")
    assert dave.holders == [f"payment:{payment_of(second)}"]
    ended(dave, first, "caller-interrupted-with-star")
    assert (dave.recordings, dave.holders) == (["paused"], [f"payment:{payment_of(second)}"])
    assert ended(dave, second, "success").words == [pay.SAVED]
    assert [got.headers["webhook-id"] for got in desk.received] == [payment_of(second)]


@pytest.mark.parametrize("step", ["voice", "menu", "agent"])
def test_payment_whose_result_never_came_ends_where_the_call_goes_on(dave: Caller, step: str) -> None:
    dave.at("pay")
    dave.at(step)
    until(lambda: is_recorded_again(dave))
    (finished,) = dave.bench.entries(call=dave.call, type="payment.finished")
    assert finished["reason"] == "no-result"


def test_agents_hold_outlasts_the_payment(dave: Caller) -> None:
    dave.bench.api().pause(dave.call)
    ended(dave, dave.at("pay"), "success")
    assert (dave.recordings, dave.holders) == (["paused"], ["api:crm"])


def test_agent_cannot_end_the_payment_in_which_twilio_asks_for_the_card(dave: Caller) -> None:
    """Only Twilio ends its `<Pay>`: the recording would go on while the caller keys in the card."""
    paying = dave.at("pay")
    alice = dave.bench.signed_in(ALICE)
    token = alice.token(f"/calls/{dave.call}")
    assert alice.post(f"/calls/{dave.call}/claim", token).status_code == 303
    alice.post(f"/calls/{dave.call}/payment/cancel", token, script=True)
    assert (dave.recordings, dave.holders) == (["paused"], [f"payment:{payment_of(paying)}"])
    assert ended(dave, paying, "success").words == [pay.SAVED]


def test_supervisor_cannot_release_the_hold_of_the_phone_flows_payment(dave: Caller) -> None:
    """`<Pay>` would go on asking for the card, and the recording would hear it."""
    dave.at("pay")
    sam = dave.bench.signed_in(SAM)
    (hold,) = dave.bench.api().call(dave.call)["holds"]
    token = sam.token(f"/calls/{dave.call}")
    refused = sam.post(f"/calls/{dave.call}/holds/{hold['id']}/release", token, script=True)
    assert "A payment is open" in refused.text
    assert [one["id"] for one in dave.bench.api().call(dave.call)["holds"]] == [hold["id"]]
    assert dave.bench.entries(call=dave.call, type="payment.finished") == []


# Our own trouble, and what is kept


def test_database_that_cannot_be_written_before_the_card_means_no_card(dave: Caller) -> None:
    with full_disk():
        assert dave.at("pay").words == [pay.NOT_NOW]
    assert dave.at("pay").tags == ["Pay"]


def test_database_that_is_away_after_the_card_still_delivers_and_the_rest_follows(dave: Caller, desk: Receiver) -> None:
    paying = dave.at("pay")
    with full_disk():
        said = ended(dave, paying, "success")
        assert said.words == [pay.SAVED]
        assert len(desk.received) == 1
    until(lambda: is_recorded_again(dave))
    assert "payment.delivered" in dave.bench.types(dave.call)


def test_error_that_nobody_foresaw_is_no_error_to_twilio(dave: Caller) -> None:
    """Its debugger would keep the token."""
    paying = dave.at("pay")
    damage(dave.bench, dave.call)
    form = {"PaymentToken": TOKEN_SEEN, "Result": "success"}
    assert dave.post(paying.only("Pay").attrib["statusCallback"], **form).status_code == 204
    assert dave.post(paying.only("Pay").attrib["action"], **form).status_code == 200


def test_log_that_cannot_be_written_is_no_error_to_twilio_and_the_result_arrives(dave: Caller, desk: Receiver) -> None:
    paying = dave.at("pay")
    with dave.bench.services.database.write() as connection:
        tamper(connection, "DELETE FROM head")
    status = dave.post(paying.only("Pay").attrib["statusCallback"], For="payment-card-number", Attempt="1")
    assert status.status_code == 204
    assert ended(dave, paying, "success").words == [pay.SAVED]
    assert len(desk.received) == 1


@pytest.mark.parametrize("step", ["pay/done", "pay/done?payment=", f"pay/done?payment={CARD}", "pay/done?payment=../x"])
def test_malformed_result_is_refused_without_its_value(dave: Caller, step: str) -> None:
    reply = dave.post(step, Result="success")
    assert reply.status_code == 400
    assert CARD not in reply.text


@pytest.mark.parametrize("step", ["pay", f"pay/done?payment={'0' * 32}"])
def test_step_without_signature_or_call_is_refused(dave: Caller, step: str) -> None:
    assert dave.post(step, signature="wrong").status_code == 403
    assert dave.post(step, CallSid="CA1").status_code == 400
    assert dave.recordings == ["in-progress"]


def test_nothing_of_a_card_is_kept(web_log: io.StringIO, dave: Caller, desk: Receiver, tmp_path: Path) -> None:
    paying = dave.at("pay", Digits=CARD)
    status = paying.only("Pay").attrib["statusCallback"]
    for field in ("payment-card-number", "expiration-date", "security-code", "postal-code"):
        assert dave.post(status, For=field, PaymentCardNumber=CARD, ExpirationDate=EXPIRY).status_code == 204
    desk.answers += [500, 500]
    texts = [ended(dave, paying, "success", PaymentCardNumber=CARD, PaymentError=CARD, Digits=CARD).text]
    texts.append(ended(dave, paying, CARD).text)
    texts += [web_log.getvalue(), json.dumps(dave.bench.entries())]
    kept = b"".join(path.read_bytes() for path in tmp_path.glob(f"{DATABASE_FILE}*"))
    for secret in (CARD, TOKEN_SEEN, CODE_SEEN, EXPIRY, POSTAL_CODE):
        assert not any(secret in text for text in texts)
        assert secret.encode() not in kept
    assert all(TOKEN_SEEN.encode() in got.body for got in desk.received)

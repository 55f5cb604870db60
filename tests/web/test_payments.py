"""An agent takes a card by keypad: the page, Twilio's session behind it, and what is left of the card anywhere."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from openapi_core import OpenAPI
from werkzeug.test import TestResponse

from bot.actors import By
from bot.simulator.client import SimulatorClient
from tests.conftest import ALICE, BOB, CAROL, SAM
from tests.simulator.process import Simulator
from tests.support.dtmf import digits_in
from tests.support.receiver import Receiver
from tests.web.bench import Bench, Browser, Page
from tests.web.conftest import DATABASE_FILE, bench_of, settings_of

CARD, EXPIRY, CODE, POSTAL = "payment-card-number", "expiration-date", "security-code", "postal-code"
KEYS = {CARD: "4242424242424242", EXPIRY: "1230", CODE: "737", POSTAL: "90210#"}
SAFE = "Paused: safe to take the card"
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


@dataclass(frozen=True)
class Till:
    """Alice's call, her page, the simulated caller's keypad, and the system that wants the result."""

    bench: Bench
    receiver: Receiver
    call: str
    alice: Browser

    def press(self, action: str = "", **fields: str) -> TestResponse:
        """A button of the payment on Alice's page."""
        path = f"/calls/{self.call}/payment" + (f"/{action}" if action else "")
        return self.alice.post(path, self.alice.token(f"/calls/{self.call}"), script=True, **fields)

    def keys(self, keys: str) -> None:
        self.bench.twilio.press(self.call, keys)
        self.bench.deliver(self.call)

    def enter(self, field: str, keys: str | None = None) -> None:
        assert self.press("ask", field=field).status_code == 200
        self.keys(KEYS[field] if keys is None else keys)

    def page(self) -> Page:
        self.bench.deliver(self.call)
        return self.alice.page(f"/calls/{self.call}/state")

    def page_once_it_says(self, status: str) -> Page:
        """What follows from a callback is done beside it: look until the page says so."""
        until = time.monotonic() + 10
        page = self.page()
        while page.status != status and time.monotonic() < until:
            time.sleep(0.02)
            page = self.page()
        assert page.status == status
        return page

    def page_once_closed(self) -> Page:
        """What the worker does for the call, until Twilio's session is over."""
        until = time.monotonic() + 10
        while any(one["state"] == "in-progress" for one in self.bench.twilio.call(self.call)["payments"]):
            assert time.monotonic() < until
            self.bench.services.payments.tidy(self.call)
            time.sleep(0.05)
        return self.page()

    @property
    def types(self) -> list[str]:
        return [name for name in self.bench.types(self.call) if name.startswith(("payment.", "finding."))]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def web_till(
    simulator: Simulator,
    twilio: SimulatorClient,
    web_url: str,
    web_document: OpenAPI,
    tmp_path: Path,
    receiver: Receiver,
) -> Iterator[Till]:
    settings = settings_of(
        simulator.url,
        web_url,
        tmp_path,
        payment_connector="Default",
        payment_result_url=receiver.url,
        payment_result_secret=SECRET,
    )
    with bench_of(settings, twilio, web_document) as bench:
        call = bench.place_call(ALICE)
        yield Till(bench, receiver, call, bench.signed_in(ALICE))


# A payment that goes well


@pytest.mark.parametrize("web_url", ["sqlite", "postgresql"], indirect=True)
def test_card_is_taken_by_keypad(web_till: Till) -> None:
    begun = web_till.press()
    assert begun.status_code == 200
    page = Page(begun.text)
    assert page.status == SAFE
    assert "Payment by keypad" in page.text
    assert "Complete payment" in page.disabled

    web_till.enter(CARD)
    assert "•••• 4242 (visa)" in web_till.page().text
    for field in (EXPIRY, CODE, POSTAL):
        web_till.enter(field)
    page = web_till.page()
    assert "Complete payment" in page.buttons

    assert web_till.press("complete").status_code == 200
    page = web_till.page_once_it_says("Recording")
    assert "The card was saved" in page.text
    assert web_till.bench.recording_states(web_till.call) == ["in-progress"]

    (got,) = web_till.receiver.wait(1)
    data = json.loads(got.body)["data"]
    assert (data["call"], data["agent"], data["amount"], data["token_type"]) == (
        web_till.call,
        "alice",
        None,
        "reusable",
    )
    assert data["token"]
    asked_and_entered = ["payment.field_asked", "payment.field_entered"] * 4
    assert web_till.types == [
        "payment.begun", "payment.session_opened", *asked_and_entered, "payment.completing", "payment.finished",
        "payment.delivered",
    ]  # fmt: skip


def test_amount_is_charged_and_its_confirmation_code_delivered(web_till: Till) -> None:
    assert "Payment of 20.45 USD by keypad" in Page(web_till.press(amount="20,45").text).text
    for field in KEYS:
        web_till.enter(field)
    web_till.press("complete")
    assert "Paid 20.45 USD" in web_till.page().text
    data = json.loads(web_till.receiver.wait(1)[0].body)["data"]
    assert (data["amount"], data["currency"], data["token"]) == ("20.45", "usd", None)
    assert data["confirmation_code"]


def test_no_tone_of_the_card_is_in_the_recording(web_till: Till) -> None:
    """The simulator lets tones reach recordings, the hard case: only the pause keeps them out."""
    web_till.bench.twilio.press(web_till.call, "12")
    web_till.press()
    for field in KEYS:
        web_till.enter(field)
    web_till.press("complete")
    web_till.page()
    web_till.bench.twilio.press(web_till.call, "34")
    (recording,) = web_till.bench.twilio.call(web_till.call)["recordings"]
    assert digits_in(web_till.bench.twilio.audio(recording["sid"])) == "1234"


def test_two_payments_in_one_call(web_till: Till) -> None:
    for _ in range(2):
        web_till.press()
        for field in KEYS:
            web_till.enter(field)
        web_till.press("complete")
        assert "The card was saved" in web_till.page().text
    first, second = (json.loads(got.body)["data"]["payment"] for got in web_till.receiver.wait(2))
    assert first != second
    assert web_till.types.count("payment.delivered") == 2


def test_result_that_comes_after_another_payment_was_begun_is_delivered(web_till: Till) -> None:
    web_till.press()
    for field in KEYS:
        web_till.enter(field)
    web_till.press("complete")
    web_till.press("cancel")
    assert "Payment by keypad" in Page(web_till.press().text).text
    page = web_till.page()
    assert (page.status, "Payment by keypad" in page.text) == (SAFE, True)
    assert len(web_till.receiver.wait(1)) == 1
    assert web_till.types.count("payment.delivered") == 1


# What goes wrong at the keypad


def test_wrong_number_is_told_and_asked_for_again(web_till: Till) -> None:
    web_till.press()
    web_till.enter(CARD, "4242424242424241")
    assert "not a valid card number: ask again" in web_till.page().text
    web_till.enter(CARD)
    assert "•••• 4242 (visa)" in web_till.page().text


def test_live_progress_counts_keys_and_shows_none(web_till: Till) -> None:
    web_till.press()
    web_till.enter(CARD, "42424")
    page = web_till.page()
    assert "5 keys so far" in page.text
    assert "42424" not in page.html


def test_field_that_was_entered_may_be_asked_for_again(web_till: Till) -> None:
    web_till.press()
    web_till.enter(CARD)
    web_till.press("ask", field=CARD)
    assert "waiting for the caller" in web_till.page().text
    web_till.keys("5555555555554444")
    assert "•••• 4444 (mastercard)" in web_till.page().text


@pytest.mark.parametrize("fate", ["payment-connector-error", "internal-error"])
def test_provider_that_fails_ends_the_payment_and_the_recording_goes_on(web_till: Till, fate: str) -> None:
    web_till.bench.twilio.set(connector=fate)
    web_till.press()
    for field in KEYS:
        web_till.enter(field)
    web_till.press("complete")
    page = web_till.page_once_it_says("Recording")
    assert "Payment failed" in page.text
    assert web_till.receiver.received == []
    assert web_till.bench.entries(call=web_till.call, type="payment.finished")[0]["reason"] == fate


def test_star_ends_the_payment(web_till: Till) -> None:
    web_till.press()
    web_till.enter(CARD, "42*")
    assert "The caller pressed the star key." in web_till.page().text
    web_till.page_once_it_says("Recording")


def test_hang_up_ends_the_payment(web_till: Till) -> None:
    web_till.press()
    web_till.enter(CARD)
    web_till.bench.twilio.hang_up(web_till.call)
    page = web_till.page_once_it_says("Recording ended: the call is over")
    assert "Payment failed" in page.text
    assert web_till.types.count("payment.finished") == 1


def test_agent_cancels_and_the_session_is_closed_before_the_recording_goes_on(web_till: Till) -> None:
    web_till.press()
    web_till.enter(CARD, "4242")
    page = Page(web_till.press("cancel").text)
    assert (page.status, "Payment cancelled" in page.text) == ("Recording", True)
    kinds = [one["kind"] for one in web_till.bench.twilio.requests(call=web_till.call)]
    assert kinds.index("resume") > len(kinds) - 1 - kinds[::-1].index("payment-update")
    assert web_till.types[-2:] == ["payment.finished", "payment.session_closed"]


@pytest.mark.parametrize("fault", ["503", "401"])
def test_recording_does_not_go_on_while_a_cancelled_session_still_listens(web_till: Till, fault: str) -> None:
    web_till.press()
    web_till.enter(CARD, "4242")
    web_till.bench.twilio.add_fault(fault, on="payment-update")
    page = Page(web_till.press("cancel").text)
    assert "Payment cancelled" in page.text
    (session,) = web_till.bench.twilio.call(web_till.call)["payments"]
    assert (session["state"], web_till.bench.recording_states(web_till.call)) == ("in-progress", ["paused"])
    assert not page.status.startswith("Paused")
    web_till.bench.twilio.clear_faults()
    web_till.page_once_closed()
    assert web_till.bench.recording_states(web_till.call) == ["paused"]


# What goes wrong at Twilio


@pytest.mark.parametrize("fault", ["21220", "503", "reset"])
def test_pause_that_is_not_proven_means_no_session(web_till: Till, fault: str) -> None:
    web_till.bench.twilio.add_fault(fault, on="pause")
    page = Page(web_till.press().text)
    assert not page.status.startswith("Paused")
    assert "payment" not in {one["kind"] for one in web_till.bench.twilio.requests()}
    (finished,) = web_till.bench.entries(call=web_till.call, type="payment.finished")
    assert (finished["outcome"], finished["reason"]) == ("failure", "not-proven")


def test_session_that_twilio_refuses_ends_in_a_resume(web_till: Till) -> None:
    web_till.bench.twilio.add_fault("404", on="payment")
    page = Page(web_till.press().text)
    assert any("Twilio did not take up this step" in alert for alert in page.alerts)
    web_till.page_once_it_says("Recording")


def test_session_whose_reply_was_lost_is_asked_for_again_with_the_same_key(web_till: Till) -> None:
    web_till.bench.twilio.add_fault("lost", on="payment", times=1)
    assert Page(web_till.press().text).status == SAFE
    assert len(web_till.bench.twilio.call(web_till.call)["payments"]) == 1
    assert [one["kind"] for one in web_till.bench.twilio.requests() if one["kind"] == "payment"] == ["payment"] * 2


def test_step_that_twilio_does_not_take_up_may_be_tried_again(web_till: Till) -> None:
    web_till.press()
    web_till.bench.twilio.add_fault("503", on="payment-update", times=2)
    page = Page(web_till.press("ask", field=CARD).text)
    assert any("Twilio did not answer" in alert for alert in page.alerts)
    web_till.enter(CARD)
    assert "•••• 4242 (visa)" in web_till.page().text


def test_result_that_cannot_be_delivered_is_a_failed_payment(web_till: Till) -> None:
    web_till.receiver.answers = [500, 500]
    web_till.press()
    for field in KEYS:
        web_till.enter(field)
    web_till.press("complete")
    page = web_till.page()
    assert "did not reach your system: treat it as not paid" in page.text
    assert web_till.types[-3:] == ["payment.finished", "payment.not_delivered", "finding.raised"]


# Whose payment


def test_payment_is_only_for_those_on_the_call(web_till: Till) -> None:
    web_till.press()
    for person in (BOB, SAM):
        other = web_till.bench.signed_in(person)
        token = other.token("/calls") if person is BOB else other.token(f"/calls/{web_till.call}")
        for action, fields in (
            ("ask", {"field": CARD}),
            ("complete", {}),
            *([("cancel", {})] if person is BOB else []),
        ):
            reply = other.post(f"/calls/{web_till.call}/payment/{action}", token, script=True, **fields)
            assert reply.status_code == 403, (person.name, action)
    assert "payment-update" not in {one["kind"] for one in web_till.bench.twilio.requests()}


def test_reviewer_takes_no_card(web_till: Till) -> None:
    carol = web_till.bench.signed_in(CAROL)
    reply = carol.post(f"/calls/{web_till.call}/payment", carol.token("/review"))
    assert reply.status_code == 403


def test_supervisor_may_cancel_and_their_release_closes_the_session(web_till: Till) -> None:
    web_till.press()
    sam = web_till.bench.signed_in(SAM)
    token = sam.token(f"/calls/{web_till.call}")
    (hold,) = web_till.bench.api().call(web_till.call)["holds"]
    reply = sam.post(f"/calls/{web_till.call}/holds/{hold['id']}/release", token, script=True)
    assert reply.status_code == 200
    (session,) = web_till.bench.twilio.call(web_till.call)["payments"]
    assert session["state"] != "in-progress"
    assert "Payment cancelled" in web_till.page().text


def test_supervisor_does_not_resume_into_a_card_that_the_phone_flow_asks_for(web_till: Till) -> None:
    services = web_till.bench.services
    payment, outcome = services.payments.open_for_flow(web_till.call, By(actor="ivr", source="ivr"))
    assert payment is not None
    (hold,) = outcome.call.holds
    sam = web_till.bench.signed_in(SAM)
    token = sam.token(f"/calls/{web_till.call}")
    page = Page(sam.post(f"/calls/{web_till.call}/holds/{hold.id}/release", token, script=True).text)
    assert any("A payment is open" in alert for alert in page.alerts)
    assert web_till.bench.recording_states(web_till.call) == ["paused"]


def test_request_without_token_of_the_page_changes_nothing(web_till: Till) -> None:
    assert web_till.alice.post(f"/calls/{web_till.call}/payment").status_code == 400
    assert web_till.types == []


def test_second_payment_at_once_is_refused(web_till: Till) -> None:
    web_till.press()
    page = Page(web_till.press().text)
    assert any("A payment is open" in alert for alert in page.alerts)
    assert len(web_till.bench.twilio.call(web_till.call)["payments"]) == 1


@pytest.mark.parametrize("amount", ["4242424242424242", "-1", "0", "1.234", "NaN", "1e5", "٣", "1000000"])
def test_amount_that_is_none_is_refused_and_not_repeated(web_till: Till, amount: str) -> None:
    reply = web_till.press(amount=amount)
    assert reply.status_code == 422
    assert amount not in reply.text.replace("999999.99", "") or len(amount) < 3
    assert web_till.types == []


def test_field_that_is_none_is_refused(web_till: Till) -> None:
    web_till.press()
    assert web_till.press("ask", field="4242424242424242").status_code == 422


def test_without_a_connector_no_payment_is_offered(web_bench: Bench) -> None:
    call, alice = web_bench.place_call(ALICE), web_bench.signed_in(ALICE)
    assert "Take card by keypad" not in alice.get(f"/calls/{call}").text
    assert alice.post(f"/calls/{call}/payment", alice.token(f"/calls/{call}")).status_code == 404


# Callbacks


def test_callback_with_a_wrong_signature_changes_nothing(web_till: Till) -> None:
    web_till.press()
    reply = web_till.bench.app.test_client().post(
        f"{web_till.bench.public}/twilio/pay/status?payment={'a' * 32}&ask=1", data={"CallSid": web_till.call}
    )
    assert reply.status_code == 403


def test_callback_that_meets_a_fault_of_our_own_making_is_no_error(web_till: Till) -> None:
    services = web_till.bench.app.extensions["bot"]
    web_till.bench.app.extensions["bot"] = replace(services, payments=None)
    reply = web_till.bench.post_webhook(f"pay/status?payment={'a' * 32}", {"CallSid": web_till.call})
    web_till.bench.app.extensions["bot"] = services
    assert reply.status_code == 204


def test_result_that_comes_three_times_is_delivered_once(web_till: Till) -> None:
    web_till.press()
    for field in KEYS:
        web_till.enter(field)
    web_till.press("complete")
    for _ in range(3):
        web_till.bench.deliver(web_till.call)
    assert len(web_till.receiver.received) == 1
    assert web_till.types.count("payment.finished") == 1


def test_nothing_of_the_card_is_left_in_the_database(web_till: Till, tmp_path: Path) -> None:
    web_till.press()
    for field in KEYS:
        web_till.enter(field)
    web_till.press("complete")
    web_till.page()
    token = json.loads(web_till.receiver.wait(1)[0].body)["data"]["token"]
    kept = b"".join(path.read_bytes() for path in tmp_path.glob(f"{DATABASE_FILE}*"))
    for secret in (*(keys.rstrip("#") for keys in KEYS.values() if len(keys) > 4), token):
        assert secret.encode() not in kept
    assert "4242" not in repr(web_till.bench.services.control.find(web_till.call))

"""What is read of Twilio's payment callbacks, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Malformed
from bot.payment import Field, PaymentReported
from bot.telephony.payment_reports import HANDOVER_FIELDS, REPORT_FIELDS, Handover, card_seen, handover, report

PAYMENT = "a" * 32
SESSION = "PK" + "c" * 32
CARD = "4111111111111111"
CARDS = [
    CARD, "4012888888881881", "4222222222222", "5555555555554444", "2223000048400011", "378282246310005",
    "6011111111111117", "3530111333300000", "30569309025904", "6205500000000000004",
]  # fmt: skip


def read(ask: str = "1", **form: str) -> PaymentReported:
    return report({name: value for name, value in form.items() if name in REPORT_FIELDS}, PAYMENT, ask)


def test_captured_card_number_leaves_its_last_four() -> None:
    said = read(
        Sid=SESSION,
        Capture="payment-card-number",
        Required="expiration-date, security-code",
        PaymentCardNumber="xxxxxxxxxxxx1111",
        PaymentCardType="visa",
    )
    assert said == PaymentReported(
        id=PAYMENT,
        sid=SESSION,
        ask=1,
        field=Field.CARD_NUMBER,
        is_entered=True,
        keys=16,
        last_four="1111",
        brand="visa",
    )


def test_partial_card_number_is_counted() -> None:
    said = read(
        Capture="payment-card-number", PartialResult="true", Required="payment-card-number", PaymentCardNumber="xxxxx"
    )
    assert (said.is_partial, said.is_entered, said.keys, said.last_four) == (True, False, 5, None)


@pytest.mark.parametrize("card", CARDS)
def test_card_number_in_clear_is_only_counted(card: str) -> None:
    """Twilio masks it. If it ever did not, nothing of it may come through."""
    said = read(Capture="payment-card-number", Required="", PaymentCardNumber=card)
    assert (said.keys, said.last_four) == (len(card), None)
    assert not any(card[at : at + 4] in repr(said) for at in range(len(card) - 3))


@given(st.text(alphabet="xX*•0123456789 -", max_size=40))
def test_never_more_than_four_digits_are_kept(value: str) -> None:
    keys, last_four = card_seen(value)
    assert keys <= 40
    assert last_four is None or (len(last_four) == 4 and value.endswith(last_four) and not value[-5].isdigit())


@pytest.mark.parametrize("name", ["ExpirationDate", "SecurityCode", "PaymentCardPostalCode", "Digits", "PaymentError"])
def test_other_card_data_is_not_even_read(name: str) -> None:
    assert name not in REPORT_FIELDS
    assert name not in HANDOVER_FIELDS


def test_pay_speaks_of_its_field_as_for() -> None:
    said = read("", For="security-code", Attempt="2", ErrorType="invalid-security-code")
    assert (said.field, said.ask, said.attempt, said.error) == (Field.SECURITY_CODE, None, 2, "invalid-security-code")


@pytest.mark.parametrize("result", ["success", "caller-hung-up", "validation-error"])
def test_result_is_one_that_twilio_documents(result: str) -> None:
    assert read(Result=result, PayErrorCode="64000").result == result


def test_unknown_result_has_one_name() -> None:
    assert read(Result="4111111111111111").result == "other"


@pytest.mark.parametrize(
    "form",
    [
        {"ErrorType": "4111111111111111"}, {"PaymentCardType": "4111 1111"}, {"Attempt": "4111111111111111"},
        {"PayErrorCode": "4111111111111111"}, {"Capture": "4111111111111111"}, {"For": "bank-account-number"},
    ],
)  # fmt: skip
def test_what_is_no_word_of_twilios_is_dropped(form: dict[str, str]) -> None:
    assert read(**form) == PaymentReported(id=PAYMENT, ask=1)


@pytest.mark.parametrize(
    ("payment", "ask", "form"),
    [
        ("", "1", {}),
        ("4111111111111111", "1", {}),
        ("A" * 32, "1", {}),
        (PAYMENT, "4111111111111111", {}),
        (PAYMENT, "-1", {}),
        (PAYMENT, "1", {"Sid": "4111111111111111"}),
        (PAYMENT, "1", {"Sid": "CA" + "c" * 32}),
    ],
)
def test_what_does_not_name_one_of_our_payments_is_malformed(payment: str, ask: str, form: dict[str, str]) -> None:
    with pytest.raises(Malformed) as caught:
        report(form, payment, ask)
    assert "4111" not in str(caught.value)


def test_handover_shows_nothing_of_itself() -> None:
    handed = handover(
        {"PaymentToken": "tok_secret", "PaymentConfirmationCode": "conf_secret", "ProfileId": "prof_secret"}
    )
    assert handed == Handover("tok_secret", "conf_secret", "prof_secret")
    assert "secret" not in repr(handed)


def test_handover_of_nothing_is_empty() -> None:
    assert handover({"PaymentToken": "", "ProfileId": "x" * 501}) == Handover()

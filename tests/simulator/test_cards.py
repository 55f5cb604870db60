"""The rules of payment cards. The numbers are the payment networks' own test numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.simulator.cards import (
    CODE,
    DEFAULT_TYPES,
    EXPIRY,
    NUMBER,
    POSTAL,
    TYPES,
    brand_of,
    code_problem,
    date_problem,
    is_complete,
    is_full,
    masked,
    masked_in_groups,
    number_problem,
    postal_problem,
)

AUGUST_2027 = datetime(2027, 8, 31, 23, 59, tzinfo=UTC).timestamp()
NUMBERS = {
    "visa": "4242424242424242",
    "mastercard": "5555555555554444",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners-club": "36227206271667",
    "jcb": "3566002020360505",
    "maestro": "6759649826438453",
}


@pytest.mark.parametrize(("brand", "number"), NUMBERS.items())
def test_number_is_told_by_its_brand(brand: str, number: str) -> None:
    found = brand_of(number)
    assert found is not None
    assert found.name == brand
    assert number_problem(number, TYPES) is None
    assert number_problem(number, tuple(set(TYPES) - {brand})) == "invalid-card-type"
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert number_problem(wrong, TYPES) == "invalid-card-number"
    assert number_problem(number[:-1], TYPES) == "invalid-card-number"


def test_new_mastercards_are_known() -> None:
    for number in ("2223003122003222", "2720990000000007"):
        assert number_problem(number, DEFAULT_TYPES) is None


@pytest.mark.parametrize("number", ["", "0", "0000000000000000", "9999999999999995"])
def test_number_of_no_brand_is_wrong(number: str) -> None:
    assert number_problem(number, TYPES) == "invalid-card-number"


def test_card_is_good_until_its_month_is_over() -> None:
    assert date_problem("0827", AUGUST_2027) is None
    assert date_problem("0727", AUGUST_2027) == "invalid-date"
    assert date_problem("1226", AUGUST_2027) == "invalid-date"
    assert date_problem("0128", AUGUST_2027) is None
    for wrong in ("0028", "1328", "128", "", "12280"):
        assert date_problem(wrong, AUGUST_2027) == "invalid-date"


def test_code_is_as_long_as_its_brand_has_it() -> None:
    assert code_problem("123", brand_of(NUMBERS["visa"])) is None
    assert code_problem("1234", brand_of(NUMBERS["visa"])) == "invalid-security-code"
    assert code_problem("1234", brand_of(NUMBERS["amex"])) is None
    assert code_problem("123", brand_of(NUMBERS["amex"])) == "invalid-security-code"
    assert (code_problem("123", None), code_problem("12", None)) == (None, "invalid-security-code")


def test_postal_code_has_five_digits_or_as_many_as_wanted() -> None:
    assert (postal_problem("94109"), postal_problem("9410")) == (None, "invalid-postal-code")
    assert (postal_problem("941", 3), postal_problem("94", 3)) == (None, "invalid-postal-code")
    assert postal_problem("94109000000", 3) == "invalid-postal-code"


@pytest.mark.parametrize(
    ("field", "digits"),
    [
        *((NUMBER, number) for brand, number in NUMBERS.items() if brand != "maestro"),
        (EXPIRY, "1228"),
        (POSTAL, "94109"),
    ],
)
def test_entry_is_over_with_its_last_digit(field: str, digits: str) -> None:
    assert is_full(field, digits)
    assert not is_full(field, digits[:-1])


@pytest.mark.parametrize(("brand", "number"), NUMBERS.items())
def test_number_is_complete_at_its_brands_length(brand: str, number: str) -> None:
    assert not any(is_complete(number[:size]) for size in range(len(number)))
    assert is_complete(number) == (brand != "maestro")


def test_code_is_over_when_its_brand_has_it() -> None:
    assert is_full(CODE, "123", brand_of(NUMBERS["visa"]))
    assert not is_full(CODE, "123", brand_of(NUMBERS["amex"]))
    assert is_full(CODE, "1234", brand_of(NUMBERS["amex"]))


def test_postal_code_of_a_length_of_its_own_may_go_on() -> None:
    assert not is_full(POSTAL, "94109", postal_least=3)


def test_all_but_the_last_four_digits_are_masked() -> None:
    assert masked(NUMBERS["visa"]) == "xxxxxxxxxxxx4242"


def test_masked_number_comes_in_groups() -> None:
    assert masked_in_groups(NUMBERS["visa"]) == "xxxx-xxxx-xxxx-4242"
    assert masked_in_groups("378282246314001") == "xxxx-xxxxxx-x4001"
    assert masked_in_groups(NUMBERS["diners-club"]) == "xxxx-xxxxxx-1667"
    assert masked_in_groups("675964982643") == "xxxx-xxxx-2643"

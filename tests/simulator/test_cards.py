"""What the simulator can tell of a card. The numbers are the payment networks' own test numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.simulator.cards import TYPES, code_problem, date_problem, is_complete, masked, number_problem

ALL = frozenset(TYPES)
NUMBERS = {
    "visa": "4111111111111111",
    "mastercard": "5555555555554444",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "jcb": "3530111333300000",
    "diners-club": "30569309025904",
    "maestro": "6759649826438453",
}
NOW = datetime(2026, 7, 31, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("brand", "number"), NUMBERS.items())
def test_number_is_of_its_brand_alone(brand: str, number: str) -> None:
    assert number_problem(number, frozenset({brand})) is None
    assert number_problem(number, ALL - {brand}) == "invalid-card-type"
    assert number_problem(number[:-1] + str((int(number[-1]) + 1) % 10), ALL) == "invalid-card-number"
    assert number_problem(number[:-4], ALL) == "invalid-card-number"


@pytest.mark.parametrize(("brand", "number"), NUMBERS.items())
def test_number_is_complete_at_its_brands_length(brand: str, number: str) -> None:
    assert not any(is_complete(number[:size]) for size in range(len(number)))
    assert is_complete(number) == (brand != "maestro")


@pytest.mark.parametrize("number", ["", "1", "2720990000000007", "0000000000000000"])
def test_number_of_no_brand_is_invalid(number: str) -> None:
    problem = number_problem(number, ALL)
    assert problem == (None if number.startswith("2720") else "invalid-card-number")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("0726", True),
        ("1299", True),
        ("0626", False),
        ("1225", False),
        ("1326", False),
        ("0026", False),
        ("726", False),
    ],
)
def test_card_is_good_to_the_end_of_its_month(text: str, good: bool) -> None:
    assert date_problem(text, NOW) == (None if good else "invalid-date")


def test_security_code_of_amex_has_four_digits() -> None:
    assert code_problem("1234", NUMBERS["amex"]) is None
    assert code_problem("123", NUMBERS["visa"]) is None
    assert code_problem("123", NUMBERS["amex"]) == code_problem("1234", NUMBERS["visa"]) == "invalid-security-code"


def test_all_but_the_last_four_digits_are_masked() -> None:
    assert masked(NUMBERS["visa"]) == "xxxxxxxxxxxx1111"

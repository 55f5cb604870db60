"""Keys that a caller pressed: what was not offered is only counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Malformed
from bot.telephony.keys import COUNT_MAX, Choice, Code, Count, Pressed, offered, reduced

CODES = {"*7": Code.PAUSE, "*8": Code.RESUME}
OFFERED = frozenset("12*")


@pytest.mark.parametrize(
    ("digits", "told"),
    [
        ("1", Choice("1")), ("2", Choice("2")), ("*", Choice("*")), ("*7", Code.PAUSE), ("*8", Code.RESUME),
        ("", Count(0)), ("3", Count(1)), ("#", Count(1)), ("11", Count(2)), ("*9", Count(2)), ("7", Count(1)),
        ("**7", Count(3)), ("*7*7", Count(4)), ("1*7", Count(3)), (" 1", Count(2)), ("\uff11", Count(1)),
        ("4111111111111111", Count(16)), ("9" * 5000, Count(COUNT_MAX)),
    ],
)  # fmt: skip
def test_keys_become_a_choice_a_code_or_a_count(digits: str, told: Pressed) -> None:
    assert reduced(digits, OFFERED, CODES) == told


@given(st.text())
def test_what_was_not_offered_is_only_counted(digits: str) -> None:
    told = reduced(digits, OFFERED, CODES)
    assert isinstance(told, Count) == (digits not in {*OFFERED, *CODES})
    assert told in {Choice("1"), Choice("2"), Choice("*"), Code.PAUSE, Code.RESUME} or told == Count(
        min(len(digits), COUNT_MAX)
    )


@pytest.mark.parametrize("choices", ["", "1", "12", "123456", "0*#", "11"])
def test_single_keys_are_offered_up_to_six(choices: str) -> None:
    assert offered(choices) == frozenset(choices)


@pytest.mark.parametrize(
    "choices", ["1234567", "0123456789", "a", "1,2", "1 2", "\u0661", "\u00b2", "4111111111111111"]
)
def test_more_keys_than_six_or_none_of_a_telephone_are_refused_without_being_named(choices: str) -> None:
    with pytest.raises(Malformed) as caught:
        offered(choices)
    assert choices == "a" or choices not in str(caught.value)

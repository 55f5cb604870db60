from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.scrub import REMOVED, is_card_number, scrub_card_numbers

# The card schemes' own test numbers.
CARDS = [
    "4111111111111111",
    "4012888888881881",
    "4222222222222",
    "5555555555554444",
    "5105105105105100",
    "2223000048400011",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
    "30569309025904",
    "36259600000004",
    "6243030000000001",
    "6205500000000000004",
    "6304000000000000",
]
KEPT = [
    "CA41111111111111114111111111111111",
    "RE5555555555554444aaa4111111111111",
    "41111111-1111-1111-4111-111111111111",
    "4111111111111111abcdef0123456789",  # a UUID without dashes
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "+4915112345678",
    "+491511234567890",
    "+49 30 1234 5678 901",
    "+1 415-555-2671",
    "2 +4915112345678",
    "1763805600",
    "1763805600123",
    "1763805600123456",
    "1763805600123456789",
    "2026-11-22T10:00:00.123456Z",
    "2026-11-22 10:00:00",
    "192.168.100.200",
    "12 345 678 901",
    "",
]


def in_fours(number: str, separator: str) -> str:
    return separator.join(number[at : at + 4] for at in range(0, len(number), 4))


@pytest.mark.parametrize("number", CARDS)
@pytest.mark.parametrize(
    "separator",
    ["", " ", "-", " - ", ".", "/", "_", ", ", "|", "+", "\u00a0", "\u200b", "\u2013", "\u2022", "\n"],
)
def test_a_card_number_is_removed_however_it_is_grouped(number: str, separator: str) -> None:
    written = in_fours(number, separator) if separator else number
    assert scrub_card_numbers(f"card: {written}, ok") == f"card: {REMOVED}, ok"


@pytest.mark.parametrize("number", CARDS)
def test_a_card_number_is_removed_when_each_digit_stands_alone(number: str) -> None:
    assert scrub_card_numbers(" ".join(number)) == REMOVED


@pytest.mark.parametrize("number", CARDS)
def test_a_number_one_higher_is_kept(number: str) -> None:
    text = str(int(number) + 1)
    assert not is_card_number(text)
    assert scrub_card_numbers(f"number {text}") == f"number {text}"


@pytest.mark.parametrize("text", KEPT)
def test_ids_times_and_phone_numbers_are_kept(text: str) -> None:
    assert scrub_card_numbers(text) == text
    assert scrub_card_numbers(f"see {text} please") == f"see {text} please"


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("4111 1111 1111 1111 12 27 123", f"{REMOVED} 12 27 123"),
        ("12 4111 1111 1111 1111 99", f"12 {REMOVED} 99"),
        ("4111111111111111 5555555555554444", f"{REMOVED} {REMOVED}"),
        ("pan4111111111111111x", f"pan{REMOVED}x"),
        ("+4111111111111111", f"+{REMOVED}"),
        ("+4915112345678 4111111111111111", f"+4915112345678 {REMOVED}"),
        ("\uff14\uff11\uff11\uff11 1111 1111 1111", REMOVED),
        ("CA41111111111111114111111111111111: 4111111111111111", f"CA41111111111111114111111111111111: {REMOVED}"),
    ],
)
def test_a_card_number_is_removed_from_among_other_things(text: str, scrubbed: str) -> None:
    assert scrub_card_numbers(text) == scrubbed


@given(st.text(alphabet="0123456789 -+.aCx\n4\u00b2", max_size=80))
def test_scrubbing_twice_does_the_same_as_once(text: str) -> None:
    once = scrub_card_numbers(text)
    assert scrub_card_numbers(once) == once


@given(st.text(max_size=30), st.sampled_from(CARDS), st.text(max_size=30))
def test_no_card_number_survives_between_any_words(before: str, number: str, after: str) -> None:
    assert number not in scrub_card_numbers(f"{before} : {number} : {after}")


@pytest.mark.parametrize("unit", ["4 ", "6 ", "-4", "4", "4111111111111112 ", "a4", "4   ", "+4 "])
def test_the_longest_text_is_scrubbed_in_time_that_grows_with_its_length_only(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    start = process_time()
    scrub_card_numbers(text)
    assert process_time() - start < 5  # seconds: quadratic work would take minutes

from __future__ import annotations

import pytest

from bot.telephony import numbers

SECRET = b"a secret of the tests"


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+493012345678", "+493012345678"),
        (" +49 (30) 1234-5678 ", "+493012345678"),
        ("0049 30/123.456.78", "+493012345678"),
        ("+1 500 555 0006", "+15005550006"),
        ("03012345678", None),
        ("+0301234567", None),
        ("+123456", None),
        ("+1234567890123456", None),
        ("4111111111111111", None),
        ("+49 30 1234x", None),
        ("anonymous", None),
        ("client:alice", None),
        ("sip:+493012345678@example.org", None),
        ("", None),
        ("\u0661\u0662\u0663\u0664\u0665\u0666\u0667", None),
    ],
)
def test_number_as_people_write_it(typed: str, number: str | None) -> None:
    assert numbers.e164(typed) == number


def test_digest_is_of_the_number_and_the_secret() -> None:
    one = numbers.digest(SECRET, "+493012345678")
    assert one == numbers.digest(SECRET, "+493012345678")
    assert len({one, numbers.digest(b"another", "+493012345678"), numbers.digest(SECRET, "+493012345679")}) == 3


def test_token_has_letters_only_and_leads_back() -> None:
    digest = numbers.digest(SECRET, "+493012345678")
    token = numbers.token(digest)
    assert (len(token), set(token) <= set("abcdefghijklmnop"), numbers.from_token(token)) == (64, True, digest)


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "q" * 64, "0" * 64, "a" * 64 + "\n"])
def test_other_text_is_no_token(text: str) -> None:
    assert numbers.from_token(text) is None

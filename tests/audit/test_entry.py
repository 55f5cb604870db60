from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from bot.audit.entry import MAX_BYTES, Draft, EntryInvalid, EntryTooLong, decode, encode, is_canonical
from bot.scrub import REMOVED

AT = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
CARD = "4111 1111 1111 1111"


def test_an_entry_is_exactly_these_bytes() -> None:
    draft = Draft(
        type="pause.confirmed",
        actor="agent:alice",
        source="agent",
        origin="192.0.2.7",
        account="AC" + "0" * 32,
        call="CA" + "1" * 32,
        recording="RE" + "2" * 32,
        reason='card "now"\n',
        before="recording",
        after="paused",
        cause="request",
        detail={"b": [1, True, None], "a": "é\x00"},
        id="f" * 32,
    )
    assert encode(draft, AT, "web-1").decode() == (
        '{"account":"AC00000000000000000000000000000000","actor":"agent:alice","after":"paused",'
        '"at":"2026-11-22T10:00:00.123456Z","before":"recording","call":"CA11111111111111111111111111111111",'
        '"cause":"request","detail":{"a":"é\\u0000","b":[1,true,null]},"id":"ffffffffffffffffffffffffffffffff",'
        '"node":"web-1","origin":"192.0.2.7","outcome":"success","reason":"card \\"now\\"\\n",'
        '"recording":"RE22222222222222222222222222222222","source":"agent","type":"pause.confirmed","v":1}'
    )


def test_absent_fields_are_null_and_the_rest_has_defaults() -> None:
    fields = decode(encode(Draft(type="worker.started", id="1"), AT, "n"))
    assert {name for name, value in fields.items() if value is None} == {
        *("actor", "origin", "account", "call", "recording", "reason", "before", "after", "cause", "detail"),
    }
    assert (fields["source"], fields["outcome"], fields["v"]) == ("system", "success", 1)


def test_each_draft_has_an_id_of_its_own() -> None:
    assert len({Draft(type="t").id for _ in range(100)}) == 100


def test_time_is_written_in_utc_with_six_digits() -> None:
    at = datetime(2026, 11, 22, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    assert decode(encode(Draft(type="t"), at, "n"))["at"] == "2026-11-22T08:00:00.000000Z"


def test_card_numbers_are_removed_from_reason_and_detail_only() -> None:
    detail: dict[str, Any] = {
        "note": f"said {CARD}",
        "deep": [{"x": CARD}],
        CARD: "key",
        "number": 4111111111111111,
        "count": 3,
    }
    draft = Draft(type="t", call="CA41111111111111114111111111111111", reason=f"read {CARD}", detail=detail)
    body = encode(draft, AT, "4111111111111111")
    fields = decode(body)
    assert fields["reason"] == f"read {REMOVED}"
    assert fields["detail"] == {
        "note": f"said {REMOVED}",
        "deep": [{"x": REMOVED}],
        REMOVED: "key",
        "number": REMOVED,
        "count": 3,
    }
    assert fields["call"] == "CA41111111111111114111111111111111"
    assert fields["node"] == "4111111111111111"
    assert CARD.encode() not in body


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": "robot"}, "source is one of"),
        ({"outcome": "maybe"}, "outcome is one of"),
        ({"type": ""}, "has a type"),
        ({"id": ""}, "has a type and an id"),
        ({"actor": 7}, "actor of an entry is text"),
        ({"reason": 1.5}, "reason of an entry is text"),
        ({"detail": {"x": 1.0}}, "no float"),
        ({"detail": {"x": [float("nan")]}}, "no float"),
        ({"detail": {"x": b"bytes"}}, "no bytes"),
        ({"detail": {"x": {1, 2}}}, "no set"),
        ({"detail": {1: "x"}}, "keys of an entry's detail are text"),
        ({"detail": {"x": 2**53}}, "integer"),
        ({"detail": {"x": -(2**53)}}, "integer"),
        ({"reason": "\ud800"}, "not valid Unicode"),
        ({"detail": {"\ud800": "x"}}, "not valid Unicode"),
    ],
)
def test_what_is_no_entry_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(EntryInvalid, match=message):
        encode(Draft(**{"type": "t", **wrong}), AT, "n")


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(EntryInvalid, match="time zone"):
        encode(Draft(type="t"), AT.replace(tzinfo=None), "n")


def test_a_detail_nested_too_deep_is_refused() -> None:
    detail: dict[str, Any] = {}
    for _ in range(20):
        detail = {"x": detail}
    with pytest.raises(EntryInvalid, match="nested"):
        encode(Draft(type="t", detail=detail), AT, "n")


def test_the_longest_entry_is_taken_and_one_byte_more_is_refused() -> None:
    spare = MAX_BYTES - len(encode(Draft(type="t", id="1", reason=""), AT, "n"))
    assert len(encode(Draft(type="t", id="1", reason="x" * spare), AT, "n")) == MAX_BYTES
    with pytest.raises(EntryTooLong, match="65535 bytes; this one would have 65536"):
        encode(Draft(type="t", id="1", reason="x" * (spare + 1)), AT, "n")
    assert issubclass(EntryTooLong, ValueError)


def test_control_characters_never_break_the_line() -> None:
    everything = "".join(map(chr, range(0x20))) + "\x7f\u0085\u2028\u2029"
    body = encode(Draft(type="t", reason=everything), AT, "n")
    assert b"\n" not in body
    assert b"\r" not in body
    assert decode(body)["reason"] == everything


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"\xff", b'{"type":"\\ud800"}'])
def test_decoding_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011, json's own messages
        decode(body)


@pytest.mark.parametrize(
    "body",
    [b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1,"a":1}', b'{"a":1.0}', b'{"a":"\\u0061"}', b"[]", b"{", b"[" * 100_000],
)
def test_other_spellings_are_not_canonical(body: bytes) -> None:
    assert not is_canonical(body)


def test_what_encode_makes_is_canonical() -> None:
    body = encode(Draft(type="t", detail={"é": "\U0001f600", "z": [], "a": {}}), AT, "n")
    assert is_canonical(body)
    assert json.loads(body)["detail"] == {"é": "\U0001f600", "z": [], "a": {}}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON_VALUES, max_size=4))
def test_any_detail_comes_out_as_rfc_8785_has_it(detail: dict[str, Any]) -> None:
    body = encode(Draft(type="t", id="1", detail=detail), AT, "n")
    assert body == rfc8785.dumps(decode(body))
    assert is_canonical(body)
    assert b"\n" not in body


def test_keys_are_sorted_by_utf_16_units() -> None:
    body = encode(Draft(type="t", detail={"\uffff": 1, "\U0001f600": 2}), AT, "n")
    assert b'"detail":{"\xf0\x9f\x98\x80":2,"\xef\xbf\xbf":1}' in body

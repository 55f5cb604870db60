from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bot
from bot.review.sentences import SENTENCES, sentence

SOURCE = Path(bot.__file__).parent
CALL = "CA" + "a" * 32
RECORDING = "RE" + "1" * 32


def _types_in_source() -> set[str]:
    """Every entry type that some line of the program writes: in a `Draft`, a `Fact` or a `note`, and all of the
    modules that build them with a helper of their own.
    """
    found: set[str] = set()
    for name in ("holds", "capture", "settling"):
        found.update(re.findall(r'"([a-z]+\.[a-z_]+)"', (SOURCE / f"{name}.py").read_text(encoding="utf-8")))
    for path in SOURCE.rglob("*.py"):
        if "simulator" not in path.parts:
            found.update(_types_in(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _types_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in {"Draft", "Fact"}:
            yield from (type_ for word in node.keywords if word.arg == "type" for type_ in _written(word.value))
            yield from (type_ for argument in node.args[:1] for type_ in _written(argument))
        elif node.func.id in {"note", "_note_reading"}:
            yield from (type_ for argument in node.args[:1] for type_ in _written(argument))


def _written(expression: ast.expr) -> Iterator[str]:
    if isinstance(expression, ast.IfExp):
        yield from (*_written(expression.body), *_written(expression.orelse))
    elif isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        yield expression.value
    elif isinstance(expression, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in expression.values)  # type: ignore[misc]


def test_every_type_in_the_source_has_its_own_sentence() -> None:
    written = _types_in_source()
    assert {
        "hold.opened",
        "hold.extended",
        "pause.refused",
        "command.*",
        "log.read",
        "log.verified",
        "sign_in.failed",
        "sign_out",
    } <= written
    plain = {type_ for type_ in written if not type_.endswith("*")}
    assert plain - set(SENTENCES) == set()
    assert {type_ for type_ in written if type_.endswith("*")} == {"command.*"}
    outcomes = {f"command.{outcome}" for outcome in ("sent", "confirmed", "refused", "unanswered", "abandoned")}
    assert outcomes <= set(SENTENCES)


@pytest.mark.parametrize("type_", sorted(SENTENCES))
def test_sentence_with_nothing_but_a_type_reads_well(type_: str) -> None:
    text = sentence({"type": type_})
    assert text[0].isupper() or text[0].isdigit()
    assert text.endswith(".")
    assert "None" not in text
    assert "{" not in text
    assert "  " not in text
    assert " ." not in text
    assert " ," not in text


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {
                "type": "hold.opened",
                "at": "2026-11-22T10:00:01.123456Z",
                "actor": "alice",
                "source": "agent",
                "reason": "card",
                "detail": {"holder": "agent:alice", "expires_at": "2026-11-22T10:05:01.100000+00:00"},
            },
            "Alice asked for a pause (card), until 10:05:01 at the latest.",
        ),
        (
            {
                "type": "hold.opened",
                "at": "2026-11-22T23:59:01.123456Z",
                "actor": "crm",
                "source": "api",
                "detail": {"holder": "api:crm", "expires_at": "2026-11-23T00:04:01+00:00"},
            },
            "The API key crm asked for a pause, until 2026-11-23 00:04:01 at the latest.",
        ),
        (
            {
                "type": "hold.released",
                "actor": "alice",
                "source": "agent",
                "after": "paused",
                "detail": {"holder": "ivr"},
            },
            "Alice ended the pause of the IVR; others still keep the call paused.",
        ),
        (
            {
                "type": "hold.released",
                "actor": "alice",
                "source": "agent",
                "after": "recording",
                "detail": {"holder": "agent:alice"},
            },
            "Alice ended their own pause; the recording is to go on.",
        ),
        (
            {"type": "hold.expired", "source": "system", "after": "recording", "detail": {"holder": "agent:alice"}},
            "The pause of alice reached its time limit and ended; the recording is to go on.",
        ),
        (
            {"type": "hold.cut_short", "actor": "alice", "source": "agent", "detail": {"holder": "payment:PK1"}},
            "Alice had the pause of the payment PK1 cut short; no card may be taken now, and soon it ends.",
        ),
        (
            {"type": "payment.begun", "actor": "ivr", "source": "ivr", "detail": {"via": "ivr", "amount": "20.45 usd"}},
            "The IVR began a payment of 20.45 usd by keypad in the phone flow.",
        ),
        (
            {
                "type": "payment.field_wrong",
                "reason": "invalid-card-number",
                "detail": {"field": "payment-card-number"},
            },
            "What the caller keyed in as the card number was not accepted: it is not a valid card number.",
        ),
        (
            {"type": "payment.not_delivered", "reason": "answered with 500"},
            "The payment's result could not be delivered, and counts as failed: answered with 500.",
        ),
        (
            {"type": "pause.refused", "actor": "bob", "source": "agent", "reason": "not-yours"},
            "Bob asked for a pause and was refused: the call belongs to another agent, or to nobody yet.",
        ),
        (
            {"type": "command.sent", "source": "system", "detail": {"wish": "paused", "target": "Twilio.CURRENT"}},
            "The bot told Twilio to pause the call's current recording.",
        ),
        (
            {
                "type": "command.confirmed",
                "source": "twilio",
                "recording": RECORDING,
                "detail": {"wish": "paused", "target": "Twilio.CURRENT", "safe": True},
            },
            f"Twilio confirmed that recording {RECORDING} is paused. It was now safe to take the card.",
        ),
        (
            {"type": "command.confirmed", "recording": RECORDING, "detail": {"wish": "paused", "safe": False}},
            f"Twilio confirmed that recording {RECORDING} is paused. This alone did not make it safe to take the card.",
        ),
        (
            {"type": "command.confirmed", "recording": RECORDING, "detail": {"wish": "recording", "safe": False}},
            f"Twilio confirmed that recording {RECORDING} is recording again.",
        ),
        (
            {
                "type": "command.refused",
                "source": "twilio",
                "detail": {"wish": "paused", "target": "Twilio.CURRENT", "http": 400, "code": 21220},
            },
            "Twilio refused to pause the call's current recording (HTTP 400, error 21220).",
        ),
        (
            {"type": "recording.ended", "after": "ended", "recording": RECORDING, "detail": {"duration_seconds": 61}},
            f"Twilio reported that recording {RECORDING} is over, 61 s long.",
        ),
        (
            {"type": "call.owner_changed", "before": "alice", "after": "bob"},
            "The call now belongs to bob (before: alice), who is on its live leg.",
        ),
        (
            {"type": "log.read", "actor": "carol", "source": "agent", "detail": {"filter": {"actor": "alice"}}},
            "Carol read the log (actor alice).",
        ),
        (
            {"type": "log.verified", "actor": "carol", "source": "agent", "outcome": "failure", "detail": {"size": 7}},
            "Carol verified the log of 7 entries: it does NOT verify.",
        ),
        ({"type": "made.up"}, "There are no words here for this type of entry (made.up): see its fields."),
    ],
)
def test_sentence_of_an_entry(fields: dict[str, Any], expected: str) -> None:
    assert sentence(fields) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
details = st.dictionaries(
    st.sampled_from(["holder", "expires_at", "wish", "target", "safe", "filter", "legs", "scopes", "http", "size"]),
    json_values | st.just("9999-12-31T23:59:59-14:00"),
)


@given(
    type_=st.sampled_from(sorted(SENTENCES)),
    fields=st.dictionaries(
        st.sampled_from(["at", "actor", "source", "reason", "before", "after", "recording"]), json_values
    ),
    detail=details | json_values,
)
def test_sentence_of_damaged_fields_is_still_one_line(type_: str, fields: dict[str, Any], detail: Any) -> None:
    text = sentence({**fields, "type": type_, "detail": detail})
    assert text
    assert "\n" not in text


def test_sentence_of_a_jump_beyond_all_measure_names_no_seconds() -> None:
    fields = {"type": "clock.jumped", "detail": {"milliseconds": 10**400}}
    assert sentence(fields) == "The clock of the database jumped: the times around this entry may be wrong."

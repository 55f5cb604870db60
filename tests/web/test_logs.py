"""Nothing of a card stays anywhere: a first canary through every door, and the logs' second line of defence."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
import structlog

from tests.conftest import ALICE
from tests.simulator.process import ACCOUNT, TOKEN
from tests.web.bench import PUBLIC, UNKNOWN_CALL, WEBHOOKS, Bench, Page
from tests.web.conftest import DATABASE_FILE
from tests.web.signing import signature_of

CARDS = (
    "4111111111111111", "4012888888881881", "4222222222222", "5555555555554444", "5105105105105100",
    "2223000048400011", "378282246310005", "6011111111111117", "3530111333300000", "30569309025904",
    "36259600000004", "6243030000000001", "6205500000000000004", "6304000000000000",
)  # fmt: skip
GROUPED = ("4111 1111 1111 1111", "3782-822463-10005")
CARD = CARDS[0]
DROPPED = (
    "Digits", "SpeechResult", "UnstableSpeechResult", "StableSpeechResult", "PaymentCardNumber", "ExpirationDate",
    "SecurityCode", "PaymentCardPostalCode", "BankAccountNumber", "BankRoutingNumber", "PaymentToken", "ProfileId",
    "TranscriptionText", "TranscriptionData", "Body", "Anything",
)  # fmt: skip
READ = (
    "CallSid", "ParentCallSid", "AccountSid", "CallStatus", "Direction", "From", "To", "SequenceNumber", "Timestamp",
    "RecordingSid", "ConferenceSid", "RecordingStatus", "RecordingDuration", "RecordingStartTime",
    "StatusCallbackEvent",
)  # fmt: skip
GOOD = {
    "CallSid": UNKNOWN_CALL,
    "AccountSid": ACCOUNT,
    "CallStatus": "in-progress",
    "RecordingSid": "RE" + "1" * 32,
    "RecordingStatus": "in-progress",
    "ConferenceSid": "CF" + "1" * 32,
    "StatusCallbackEvent": "participant-join",
}


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _at_rest(folder: Path) -> bytes:
    files = list(folder.glob(f"{DATABASE_FILE}*"))
    assert files
    return b"".join(path.read_bytes() for path in files)


def _has_card(text: str) -> bool:
    bare = text.replace(" ", "").replace("-", "")
    return any(card in bare for card in CARDS)


def _is_clean(bench: Bench, stream: io.StringIO, folder: Path) -> bool:
    raw = _at_rest(folder)
    return not (
        any(card.encode() in raw for card in (*CARDS, *GROUPED))
        or _has_card(stream.getvalue())
        or _has_card(json.dumps(bench.entries()))
    )


# The canary


@pytest.mark.parametrize("name", WEBHOOKS)
def test_card_in_any_parameter_of_a_webhook_stays_nowhere(
    name: str, web_bench: Bench, web_log: io.StringIO, tmp_path: Path
) -> None:
    told = []
    for number, parameter in enumerate((*DROPPED, *READ)):
        card = CARDS[number % len(CARDS)]
        told.append(web_bench.post_webhook(name, {**GOOD, parameter: card}))
        told.append(web_bench.post_webhook(name, {**GOOD, card: parameter, "Timestamp": str(number)}))
    assert {reply.status_code for reply in told} == {204, 400}
    assert not any(_has_card(reply.text + str(reply.headers)) for reply in told)
    assert _is_clean(web_bench, web_log, tmp_path)


@pytest.mark.parametrize("name", WEBHOOKS)
def test_card_in_path_query_or_header_of_a_webhook_stays_nowhere(
    name: str, web_bench: Bench, web_log: io.StringIO, tmp_path: Path
) -> None:
    client = web_bench.app.test_client()
    for card in (*CARDS, *GROUPED):
        url = f"{PUBLIC}/twilio/{name}?Digits={card}"
        signature = signature_of(TOKEN, url, GOOD)
        headers = dict.fromkeys(("User-Agent", "Referer", "X-Twilio-Digits", "Cookie", "X-Forwarded-For"), card)
        for sign in (signature, card):
            reply = client.post(url, data=GOOD, headers={**headers, "X-Twilio-Signature": sign})
            assert reply.status_code in {204, 403}
            assert not _has_card(reply.text)
        assert not _has_card(client.post(f"{PUBLIC}/twilio/{name}/{card}", data=GOOD).text)
    assert _is_clean(web_bench, web_log, tmp_path)


def test_card_typed_into_the_api_stays_nowhere(web_bench: Bench, web_log: io.StringIO, tmp_path: Path) -> None:
    crm = web_bench.api()
    for card in (*CARDS, *GROUPED):
        for path in (f"/calls/{card}", f"/calls?after={card}&limit={card}", f"/entries?call={card}&after={card}"):
            assert not _has_card(crm.raw("GET", path).text)
            assert not _has_card(web_bench.api("auditor").raw("GET", path).text)
        for body in ({card: 1}, {"conference": card}, {"legs": [card]}, {"max_seconds": card}):
            assert not _has_card(crm.raw("POST", f"/calls/{UNKNOWN_CALL}/pause", json=body).text)
    assert _is_clean(web_bench, web_log, tmp_path)


def test_card_in_the_reason_of_a_pause_stays_nowhere(web_bench: Bench, web_log: io.StringIO, tmp_path: Path) -> None:
    for card in (CARD, *GROUPED):
        call = web_bench.place_call()
        reply = web_bench.api().pause(call, reason=f"card {card} exp 12/29")
        assert reply.status_code == 200
        assert not _has_card(reply.text + web_bench.api().get(f"/calls/{call}").text)
    assert _is_clean(web_bench, web_log, tmp_path)


def test_card_typed_into_a_page_stays_nowhere(web_bench: Bench, web_log: io.StringIO, tmp_path: Path) -> None:
    alice, visitor = web_bench.signed_in(ALICE), web_bench.visitor()
    token = alice.token("/calls")
    for card in (CARD, *GROUPED):
        visitor.sign_in(card, card)
        alice.post(f"/calls/{card}/pause", token)
        alice.post(f"/calls/{UNKNOWN_CALL}/claim", token, reason=card, card=card)
        alice.get(f"/calls/{card}?card={card}")
        alice.get(f"/{card}")
    assert _is_clean(web_bench, web_log, tmp_path)


def test_phone_number_is_in_no_entry(web_bench: Bench, tmp_path: Path) -> None:
    call = web_bench.place_call(ALICE, customer="+4930123456789", number="+4989987654321")
    web_bench.api().pause(call)
    assert "30123456789" not in json.dumps(web_bench.entries())
    raw = _at_rest(tmp_path)
    assert b"30123456789" not in raw
    assert b"89987654321" not in raw
    assert "\u20266789" in Page(web_bench.signed_in(ALICE).get("/calls").text).text


# The log lines


def test_every_line_is_one_json_object(web_log: io.StringIO) -> None:
    structlog.get_logger("bot.test").warning("something.happened", path="/a\nb", call=UNKNOWN_CALL)
    logging.getLogger("bot.other").error("plain %s", "text\nin two lines")
    first, second = _lines(web_log)
    assert (first["event"], first["level"], first["logger"], first["call"]) == (
        "something.happened", "warning", "bot.test", UNKNOWN_CALL,
    )  # fmt: skip
    assert (second["event"], second["level"], second["logger"]) == ("plain text\nin two lines", "error", "bot.other")
    assert str(first["timestamp"]).endswith("Z")


@pytest.mark.parametrize("card", [*CARDS, *GROUPED])
def test_card_number_in_a_line_is_removed(card: str, web_log: io.StringIO) -> None:
    structlog.get_logger("bot.test").warning(f"typed {card}", text=card)
    logging.getLogger("bot.other").warning("typed %s", card)
    assert not _has_card(web_log.getvalue())
    assert web_log.getvalue().count("[card number removed]") == 3


@pytest.mark.parametrize("value", [{"a": [CARD]}, [CARD], (CARD,), int(CARD), {CARD: 1}], ids=repr)
def test_card_number_in_a_value_that_is_no_text_is_removed(value: object, web_log: io.StringIO) -> None:
    structlog.get_logger("bot.test").warning("something.happened", value=value)
    assert not _has_card(web_log.getvalue())


def test_card_number_in_a_traceback_is_removed(web_log: io.StringIO) -> None:
    try:
        raise ValueError(f"cannot read {CARD}")
    except ValueError:
        structlog.get_logger("bot.test").exception("failed")
        logging.getLogger("bot.other").exception("failed")
    assert not _has_card(web_log.getvalue())
    assert all("ValueError" in str(line["exception"]) for line in _lines(web_log))


@pytest.mark.parametrize("kept", [UNKNOWN_CALL, "+4930123456789", "2026-11-22T10:00:00.123456Z", "1763805600123"])
def test_what_only_looks_like_a_card_number_is_kept(kept: str, web_log: io.StringIO) -> None:
    structlog.get_logger("bot.test").warning("something.happened", value=kept)
    assert _lines(web_log)[0]["value"] == kept


def test_failed_request_is_logged_without_its_query(web_bench: Bench, web_log: io.StringIO) -> None:
    web_bench.api().raw("GET", "/calls?after=0001-01-01T00:00:00%2B10:00~x&secret=hidden")
    assert "hidden" not in web_log.getvalue()

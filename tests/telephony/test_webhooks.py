from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from bot.call import Of
from bot.errors import Malformed
from bot.messages import CallReported, ConferenceReported, RecordingReported
from bot.telephony import webhooks
from bot.telephony.webhooks import Report, digest, is_sid, masked
from tests.core.examples import CONFERENCE, LEG, RE1, SID

ACCOUNT = "AC" + "0" * 32
CALL = {
    "CallSid": SID,
    "AccountSid": ACCOUNT,
    "CallStatus": "in-progress",
    "From": "+15005550006",
    "To": "+15005550001",
}
RECORDING = {"RecordingSid": RE1, "CallSid": SID, "RecordingStatus": "completed", "RecordingDuration": "12"}
CONFERENCE_JOIN = {"ConferenceSid": CONFERENCE, "CallSid": LEG, "StatusCallbackEvent": "participant-join"}


def test_call_status_is_read() -> None:
    report = webhooks.call_report(CALL | {"Direction": "inbound", "SequenceNumber": "2"})
    assert report == Report(
        account=ACCOUNT,
        call=SID,
        message=CallReported(sid=SID, status="in-progress", sequence=2, caller="…0006"),
        on_leg="+15005550006",
        other_end="+15005550001",
    )


def test_leg_is_read_as_part_of_its_parent() -> None:
    leg = {"CallSid": LEG, "ParentCallSid": SID, "CallStatus": "answered", "To": "client:alice", "From": "+15005550006"}
    report = webhooks.call_report(leg | {"Direction": "outbound-dial"})
    assert (report.call, report.on_leg, report.other_end) == (SID, "client:alice", "+15005550006")
    assert report.message == CallReported(sid=LEG, parent=SID, status="in-progress", caller=None)


def test_end_that_is_called_is_on_the_leg_where_no_direction_is_said() -> None:
    report = webhooks.call_report(CALL)
    assert (report.on_leg, report.other_end) == ("+15005550001", "+15005550006")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Wed, 25 Nov 2026 10:00:01 +0000", datetime(2026, 11, 25, 10, 0, 1, tzinfo=UTC)),
        ("Wed, 25 Nov 2026 10:00:01 -0000", datetime(2026, 11, 25, 10, 0, 1, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_time_orders_reports_and_one_that_cannot_be_read_is_none(said: str, meant: datetime | None) -> None:
    message = webhooks.call_report(CALL | {"Timestamp": said}).message
    assert isinstance(message, CallReported)
    assert message.at == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [("answered", "in-progress"), ("initiated", "queued"), ("ringing", "ringing"), ("completed", "completed")],
)
def test_call_status_has_one_name_each(said: str, meant: str) -> None:
    message = webhooks.call_report(CALL | {"CallStatus": said}).message
    assert isinstance(message, CallReported)
    assert message.status == meant


def test_recording_status_is_read() -> None:
    assert webhooks.recording_report(RECORDING) == Report(
        account=None,
        call=SID,
        message=RecordingReported(sid=RE1, status="completed", of=Of.CALL, owner=SID, duration_seconds=12),
    )


def test_recording_of_a_conference_belongs_to_the_conference() -> None:
    report = webhooks.recording_report(RECORDING | {"ConferenceSid": CONFERENCE})
    assert (report.conference, report.call) == (CONFERENCE, SID)
    assert isinstance(report.message, RecordingReported)
    assert (report.message.of, report.message.owner) == (Of.CONFERENCE, CONFERENCE)


def test_conference_status_is_read() -> None:
    message = ConferenceReported(conference=CONFERENCE, event="participant-join", participant=LEG)
    assert webhooks.conference_report(CONFERENCE_JOIN) == Report(
        account=None, call=LEG, conference=CONFERENCE, message=message
    )


Reader = Callable[[Mapping[str, str]], Report]


@pytest.mark.parametrize(
    ("read", "form", "name"),
    [
        (webhooks.call_report, CALL | {"CallSid": ""}, "CallSid"),
        (webhooks.call_report, CALL | {"CallSid": "CA1"}, "CallSid"),
        (webhooks.call_report, CALL | {"CallSid": RE1}, "CallSid"),
        (webhooks.call_report, CALL | {"CallSid": SID + "\n"}, "CallSid"),
        (webhooks.call_report, CALL | {"ParentCallSid": "x"}, "ParentCallSid"),
        (webhooks.call_report, CALL | {"AccountSid": "x"}, "AccountSid"),
        (webhooks.call_report, CALL | {"CallStatus": "4111111111111111"}, "CallStatus"),
        (webhooks.call_report, CALL | {"CallStatus": ""}, "CallStatus"),
        (webhooks.call_report, CALL | {"SequenceNumber": "two"}, "SequenceNumber"),
        (webhooks.call_report, CALL | {"SequenceNumber": "-1"}, "SequenceNumber"),
        (webhooks.call_report, CALL | {"SequenceNumber": "1" * 10}, "SequenceNumber"),
        (webhooks.recording_report, {"RecordingSid": RE1, "RecordingStatus": "completed"}, "CallSid"),
        (webhooks.recording_report, RECORDING | {"RecordingSid": "RE1"}, "RecordingSid"),
        (webhooks.recording_report, RECORDING | {"RecordingStatus": "odd"}, "RecordingStatus"),
        (webhooks.recording_report, RECORDING | {"RecordingDuration": "1.5"}, "RecordingDuration"),
        (webhooks.conference_report, CONFERENCE_JOIN | {"ConferenceSid": ""}, "ConferenceSid"),
        (webhooks.conference_report, CONFERENCE_JOIN | {"StatusCallbackEvent": "odd"}, "StatusCallbackEvent"),
    ],
)
def test_malformed_parameter_is_named_and_its_value_is_not(read: Reader, form: Mapping[str, str], name: str) -> None:
    with pytest.raises(Malformed, match=name) as caught:
        read(form)
    value = form.get(name, "")
    assert len(value) < 2 or value not in str(caught.value)


@pytest.mark.parametrize(
    "forbidden",
    ["Digits", "SpeechResult", "PaymentCardNumber", "SecurityCode", "ExpirationDate", "PaymentToken", "RecordingUrl"],
)
def test_card_data_is_not_on_the_allow_list(forbidden: str) -> None:
    assert forbidden not in {*webhooks.CALL_FIELDS, *webhooks.RECORDING_FIELDS, *webhooks.CONFERENCE_FIELDS}


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+15005550006", "…0006"),
        ("+44 (20) 7946-0018", "…0018"),
        ("client:alice", None),
        ("sip:1234567@example.com", None),
        ("anonymous", None),
        ("12345", None),
        ("+" + "1" * 30, None),
        ("", None),
    ],
)
def test_number_is_masked(number: str, shown: str | None) -> None:
    assert masked(number) == shown


def test_repeat_is_known_by_its_allowed_fields() -> None:
    def of(form: Mapping[str, str], endpoint: str = "call-status", secret: bytes = b"s") -> bytes:
        return digest(secret, endpoint, webhooks.CALL_FIELDS, form)

    assert of(CALL) == of(CALL | {"Digits": "4111111111111111"})
    others = [
        of(CALL | {"CallStatus": "completed"}),
        of(CALL | {"Timestamp": "now"}),
        of(CALL, "recording-status"),
        of(CALL, secret=b"other"),
        of({name: CALL[name] for name in CALL if name != "To"}),
    ]
    assert len({of(CALL), *others}) == 6


def test_digest_cannot_be_moved_from_one_field_into_another() -> None:
    forged = {"CallSid": SID, "From": "a\nTo=b"}
    honest = {"CallSid": SID, "From": "a", "To": "b"}
    assert digest(b"s", "e", webhooks.CALL_FIELDS, forged) != digest(b"s", "e", webhooks.CALL_FIELDS, honest)


def test_sid_is_a_prefix_and_32_hexadecimal_digits() -> None:
    assert is_sid(SID, "CA") is True
    assert [is_sid(value, "CA") for value in (SID[:-1], SID + "0", "CA" + "g" * 32, RE1, "")] == [False] * 5

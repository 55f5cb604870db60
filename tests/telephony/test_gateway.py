"""What Twilio's replies mean, against the simulated Twilio."""

from __future__ import annotations

import secrets
import socket

import pytest

from bot.call import CURRENT, Of, Wish
from bot.messages import CallSeen, Kind, Reply, Target
from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.telephony.twilio_gateway import TwilioGateway
from tests.simulator.process import ACCOUNT, KEY_SECRET, KEY_SID, TOKEN


@pytest.fixture
def database_url() -> str:
    """None of these tests needs one."""
    return "sqlite:///unused.sqlite3"


@pytest.fixture
def gateway(settings: Settings) -> TwilioGateway:
    return TwilioGateway(settings, connections=10)


def current(call: str) -> Target:
    return Target(of=Of.CALL, owner=call, recording=CURRENT)


def test_each_wish_is_confirmed_with_the_recording_it_touched(gateway: TwilioGateway, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    confirmed = Reply(kind=Kind.CONFIRMED, http_status=200, recording=placed.recordings[0])
    for wish in (Wish.PAUSED, Wish.RECORDING, Wish.STOPPED):
        assert gateway.command(ACCOUNT, current(placed.call), wish) == confirmed
    told = [(one["kind"], one["status"], one["pause_behavior"]) for one in twilio.requests()]
    assert told == [("pause", "paused", "skip"), ("resume", "in-progress", None), ("stop", "stopped", None)]


def test_recording_is_addressed_by_its_sid(gateway: TwilioGateway, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(recordings=2, conference="desk", conference_recordings=1)
    one = Target(of=Of.CALL, owner=placed.call, recording=placed.recordings[1])
    assert gateway.command(ACCOUNT, one, Wish.PAUSED).recording == placed.recordings[1]
    assert placed.conference is not None
    there = Target(of=Of.CONFERENCE, owner=placed.conference, recording=placed.conference_recordings[0])
    assert gateway.command(ACCOUNT, there, Wish.PAUSED).kind is Kind.CONFIRMED
    assert gateway.command(ACCOUNT, current(placed.call), Wish.PAUSED).code == 16108


@pytest.mark.parametrize(
    ("fault", "kind", "http_status", "code"),
    [
        ("429", Kind.REFUSED, 429, 20429),
        ("16114", Kind.REFUSED, 400, 16114),
        ("21220", Kind.REFUSED, 400, 21220),
        ("404", Kind.REFUSED, 404, 20404),
        ("401", Kind.REFUSED, 401, 20003),
        ("500", Kind.UNANSWERED, 500, 500),
        ("503", Kind.UNANSWERED, 503, 503),
        ("reset", Kind.UNANSWERED, None, None),
        ("lost", Kind.UNANSWERED, None, None),
        ("html-200", Kind.UNANSWERED, None, None),
        ("wrong-status", Kind.UNANSWERED, 200, None),
        ("late", Kind.UNANSWERED, None, None),
        ("drip", Kind.UNANSWERED, None, None),
    ],
)
def test_fault_is_refused_or_unanswered(
    gateway: TwilioGateway, twilio: SimulatorClient, fault: str, kind: Kind, http_status: int | None, code: int | None
) -> None:
    placed = twilio.place_call()
    twilio.add_fault(fault, on="pause")
    reply = gateway.command(ACCOUNT, current(placed.call), Wish.PAUSED)
    assert (reply.kind, reply.http_status, reply.code, reply.recording) == (kind, http_status, code, None)
    assert reply.why


def test_twilio_that_cannot_be_reached_got_nothing(settings: Settings) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        nobody = settings.model_copy(update={"twilio_api_base_url": f"http://127.0.0.1:{one.getsockname()[1]}"})
        reply = TwilioGateway(nobody, connections=1).command(ACCOUNT, current("CA" + "0" * 32), Wish.PAUSED)
    assert reply == Reply(kind=Kind.UNSENT, why="no connection")


def test_wrong_credentials_are_refused(settings: Settings, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    wrong = Settings.read(
        _env_file=None, **settings.model_dump(exclude={"twilio_auth_token"}), twilio_auth_token="wrong"
    )
    reply = TwilioGateway(wrong, connections=1).command(ACCOUNT, current(placed.call), Wish.PAUSED)
    assert (reply.kind, reply.http_status, reply.code) == (Kind.REFUSED, 401, 20003)


def test_api_key_signs_in_where_there_is_one(settings: Settings, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    keyed = Settings.read(
        _env_file=None,
        **settings.model_dump(exclude={"twilio_auth_token", "twilio_api_key_sid", "twilio_api_key_secret"}),
        twilio_auth_token="x" + TOKEN,
        twilio_api_key_sid=KEY_SID,
        twilio_api_key_secret=KEY_SECRET,
    )
    assert TwilioGateway(keyed, connections=1).command(ACCOUNT, current(placed.call), Wish.PAUSED).recording


def test_list_shows_live_and_finished_recordings(gateway: TwilioGateway, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(recordings=2)
    twilio.set_recording(placed.recordings[0], "completed")
    listing = gateway.list_recordings(ACCOUNT, Of.CALL, placed.call)
    assert (listing.ok, listing.missing) == (True, False)
    assert dict(listing.items) == {placed.recordings[0]: "completed", placed.recordings[1]: "processing"}


def test_list_has_all_pages(gateway: TwilioGateway, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(recordings=20)
    more = {twilio.start_recording(placed.call) for _ in range(185)}
    listing = gateway.list_recordings(ACCOUNT, Of.CALL, placed.call)
    assert {sid for sid, _ in listing.items} == {*placed.recordings, *more}
    assert len(twilio.requests(kind="list")) == 2


@pytest.mark.parametrize("fault", ["429", "500", "503", "401", "reset", "lost", "html-200", "late", "drip"])
def test_list_that_is_not_whole_is_none(gateway: TwilioGateway, twilio: SimulatorClient, fault: str) -> None:
    placed = twilio.place_call()
    twilio.add_fault(fault, on="list")
    listing = gateway.list_recordings(ACCOUNT, Of.CALL, placed.call)
    assert (listing.ok, listing.missing, listing.items) == (False, False, ())
    assert listing.why


def test_list_of_an_unknown_call_is_missing(gateway: TwilioGateway) -> None:
    listing = gateway.list_recordings(ACCOUNT, Of.CALL, "CA" + secrets.token_hex(16))
    assert (listing.ok, listing.missing) == (False, True)


def test_call_is_seen_with_its_parent(gateway: TwilioGateway, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(agent="client:alice")
    assert gateway.fetch_call(ACCOUNT, placed.call) == CallSeen(ok=True, status="in-progress")
    leg = str(placed.agent_leg)
    assert gateway.fetch_call(ACCOUNT, leg) == CallSeen(ok=True, status="in-progress", parent=placed.call)
    twilio.hang_up(placed.call)
    assert gateway.fetch_call(ACCOUNT, placed.call) == CallSeen(ok=True, status="completed")
    assert gateway.fetch_call(ACCOUNT, "CA" + secrets.token_hex(16)) == CallSeen(ok=True, http_status=404)


@pytest.mark.parametrize("fault", ["429", "500", "401", "reset", "html-200", "late"])
def test_call_that_cannot_be_fetched_is_not_seen(gateway: TwilioGateway, twilio: SimulatorClient, fault: str) -> None:
    placed = twilio.place_call()
    twilio.add_fault(fault, on="fetch-call", call=placed.call)
    http = {"429": 429, "500": 500, "401": 401}.get(fault)
    assert gateway.fetch_call(ACCOUNT, placed.call) == CallSeen(ok=False, http_status=http)


def test_new_recording_is_begun_with_our_callbacks(gateway: TwilioGateway, twilio: SimulatorClient) -> None:
    placed = twilio.place_call(recordings=0)
    reply = gateway.start_recording(ACCOUNT, placed.call)
    assert (reply.kind, [one["sid"] for one in twilio.call(placed.call)["recordings"]]) == (
        Kind.CONFIRMED, [reply.recording],
    )  # fmt: skip
    (told,) = [one for one in twilio.callbacks() if one["url"].endswith("/twilio/recording-status")]
    assert (told["params"]["RecordingSid"], told["params"]["RecordingStatus"]) == (reply.recording, "in-progress")


def test_recording_of_a_call_that_is_over_is_refused(gateway: TwilioGateway, twilio: SimulatorClient) -> None:
    placed = twilio.place_call()
    twilio.hang_up(placed.call)
    reply = gateway.start_recording(ACCOUNT, placed.call)
    assert (reply.kind, reply.code) == (Kind.REFUSED, 21220)

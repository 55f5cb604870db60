"""A payment's result, posted over real HTTP to a receiver of the tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator

import pytest

from bot.delivery import ATTEMPT_SECONDS, ATTEMPTS, ResultPost
from tests.support.receiver import Receiver
from tests.telephony.raw_server import RawServer, serving, slowly

KEY = b"k" * 24
PAYLOAD = {"type": "payment.succeeded", "data": {"token": "tok_secret", "call": "CA1"}}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_result_arrives_signed_as_standard_webhooks_are(receiver: Receiver) -> None:
    assert ResultPost(receiver.url, KEY).deliver("the-payment", PAYLOAD) is None
    (got,) = receiver.received
    assert json.loads(got.body) == PAYLOAD
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["webhook-id"] == "the-payment"
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 30
    signed = b".".join((b"the-payment", got.headers["webhook-timestamp"].encode(), got.body))
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"


def test_answer_that_is_no_success_is_tried_once_more(receiver: Receiver) -> None:
    receiver.answers = [503, 204]
    assert ResultPost(receiver.url, KEY).deliver("p", PAYLOAD) is None
    assert [got.headers["webhook-id"] for got in receiver.received] == ["p", "p"]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 500])
def test_two_refusals_are_not_delivered(receiver: Receiver, status: int) -> None:
    receiver.answers = [status, status]
    assert ResultPost(receiver.url, KEY).deliver("p", PAYLOAD) == f"answered with {status}"
    assert len(receiver.received) == ATTEMPTS


def test_nobody_there_is_not_delivered() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert ResultPost(url, KEY).deliver("p", PAYLOAD) == "no connection"


def test_silence_is_not_delivered_and_has_its_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        assert ResultPost(url, KEY).deliver("p", PAYLOAD) == "no reply in time"
        assert time.monotonic() - began < ATTEMPTS * ATTEMPT_SECONDS + 2


def test_answer_that_drips_has_its_limit() -> None:
    """Each read of ours gets something in time, for as long as the other side likes."""
    with serving(slowly(b"HTTP/1.1 204 No Content\r\n\r\n", seconds=0.5)) as dripping:
        began = time.monotonic()
        assert ResultPost(dripping.url, KEY).deliver("p", PAYLOAD) == "no reply in time"
        assert time.monotonic() - began < ATTEMPTS * ATTEMPT_SECONDS + 1


def test_success_whose_headers_drip_has_its_limit() -> None:
    with serving(slowly(b"HTTP/1.1 204 No Content\r\nX: " + b"x" * 10_000)) as dripping:
        began = time.monotonic()
        assert ResultPost(dripping.url, KEY).deliver("p", PAYLOAD) is None
        assert time.monotonic() - began < ATTEMPT_SECONDS + 1


@pytest.mark.parametrize("body", [b"", b"x" * 200_000], ids=["never comes", "is long"])
def test_success_counts_whatever_its_body_does(body: bytes) -> None:
    def talk(server: RawServer, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body)
        server.read(connection)

    with serving(talk) as server:
        post = ResultPost(server.url, KEY)
        for _ in range(2):
            began = time.monotonic()
            assert post.deliver("p", PAYLOAD) is None
            assert time.monotonic() - began < 1
        assert len(server.requests) == 2


def test_without_an_address_nothing_is_delivered() -> None:
    assert ResultPost(None, None).deliver("p", PAYLOAD) == "PAYMENT_RESULT_URL is not set"


def test_nothing_of_the_payload_is_logged(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    receiver.answers = [500, 500]
    ResultPost(receiver.url, KEY).deliver("p", PAYLOAD)
    captured = capsys.readouterr()
    assert "tok_secret" not in captured.out + captured.err

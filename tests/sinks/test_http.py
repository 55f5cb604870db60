"""The second copy by HTTP."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from bot.sinks import Batch, SinkFailed
from bot.sinks.http import HttpSink
from tests.support.receiver import CUT, Receiver

ORIGIN = "example.org/log"
BATCH = Batch(41, (b'{"a":1}', b'{"b":2}'))


def test_batch_is_one_post_of_lines_with_its_position() -> None:
    with Receiver() as receiver:
        sink = HttpSink(receiver.url, ORIGIN, "a token")
        sink.send(BATCH, 5)
        sink.send(Batch(43, (b"{}",)), 5)
        sink.close()
    first, second = receiver.received
    assert first.body == b'{"a":1}\n{"b":2}\n'
    wanted = {
        "Content-Type": "application/x-ndjson",
        "Log-Origin": ORIGIN,
        "Log-Position": "41",
        "Log-Entries": "2",
        "Authorization": "Bearer a token",
    }
    assert wanted.items() <= first.headers.items()
    assert (second.body, second.headers["Log-Position"]) == (b"{}\n", "43")


@pytest.mark.parametrize(
    ("origin", "sent"), [("例え.jp/log", "%E4%BE%8B%E3%81%88.jp/log"), ("a.b/~c%d(e)", "a.b/~c%d(e)")]
)
def test_origin_in_any_script_fits_into_its_header(origin: str, sent: str) -> None:
    with Receiver() as receiver:
        sink = HttpSink(receiver.url, origin, None)
        sink.send(BATCH, 5)
        sink.close()
    assert receiver.received[0].headers["Log-Origin"] == sent


@pytest.mark.parametrize("status", [301, 400, 401, 413, 429, 500, 503])
def test_only_a_2xx_is_received(status: int) -> None:
    with Receiver() as receiver:
        receiver.answers = [status]
        sink = HttpSink(receiver.url, ORIGIN, None)
        with pytest.raises(SinkFailed, match=f"answered with {status}"):
            sink.send(BATCH, 5)
        sink.close()
    assert len(receiver.received) == 1, "no redirect is followed and nothing repeated here"


def test_connection_that_breaks_is_not_received() -> None:
    with Receiver() as receiver:
        receiver.answers = [CUT]
        with pytest.raises(SinkFailed, match="broke"):
            HttpSink(receiver.url, ORIGIN, None).send(BATCH, 5)


def test_nobody_there_is_not_received() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SinkFailed, match="no connection"):
        HttpSink(f"http://127.0.0.1:{port}/", ORIGIN, None).send(BATCH, 5)


def test_answer_that_drips_is_cut_off_in_time() -> None:
    """Each byte comes in time for a limit on single reads; the wall clock ends it."""
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                while not over.wait(0.05):
                    connection.sendall(b"H")
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        began = time.monotonic()
        with pytest.raises(SinkFailed):
            HttpSink(f"http://127.0.0.1:{listener.getsockname()[1]}/", ORIGIN, None).send(BATCH, 0.5)
        assert time.monotonic() - began < 3
        over.set()
        thread.join()

"""The second copy by syslog: over TCP, UDP and the local socket."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from bot.audit.entry import Draft, encode
from bot.settings import SYSLOG_BYTES_MIN
from bot.sinks import Batch, SinkFailed
from bot.sinks.syslog import MSGID_CHARACTERS_MAX, LocalSyslog, TcpSyslog, UdpSyslog, message
from tests.sinks.receivers import HEADER, SyslogServer, until

AT = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


def entry(letters: int = 0, type_: str = "hold.opened") -> bytes:
    return encode(Draft(type=type_, actor="alice", detail={"text": "é" * letters}), AT, "node")


def test_message_is_rfc_5424_with_the_entry_as_its_text() -> None:
    body = entry()
    head = b'<110>1 2026-11-22T10:00:00.123456Z host pci-pause-bot - hold.opened [meta sequenceId="8"] '
    assert message(7, body, "host", None) == head + body


@pytest.mark.parametrize(
    "body", [b"not json", b"[]", b'{"type":"\xc3\xa9 \\u0007","at":7}', b'{"at":"' + b"9" * 99 + b'"}']
)
def test_damaged_entry_is_a_message_too(body: bytes) -> None:
    found = HEADER.fullmatch(message(0, body, "host", None))
    assert found is not None
    assert found["msg"] == body


def test_entry_that_is_too_long_is_replaced_by_its_hash() -> None:
    body = entry(5_000)
    found = HEADER.fullmatch(message(7, body, "host", 2_048))
    assert found is not None
    assert json.loads(found["msg"]) == {
        "at": "2026-11-22T10:00:00.123456Z",
        "bytes": len(body),
        "leaf": sha256(b"\0" + body).hexdigest(),
        "position": 7,
        "too_long": True,
        "type": "hold.opened",
    }


def test_what_stands_in_for_a_long_entry_fits_the_least_that_a_receiver_takes() -> None:
    type_ = "t" * MSGID_CHARACTERS_MAX
    assert len(message(10**10, entry(5_000, type_), "h" * 63, SYSLOG_BYTES_MIN)) <= SYSLOG_BYTES_MIN


def test_tcp_counts_octets() -> None:
    with SyslogServer() as server:
        sink = TcpSyslog("127.0.0.1", server.port, None)
        bodies = (entry(), entry(20_000), entry(1))
        sink.send(Batch(0, bodies), 5)
        until(lambda: len(server.messages) == 3)
        assert tuple(server.entries()) == bodies
        sink.close()


def test_tcp_without_a_receiver_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SinkFailed, match="ECONNREFUSED"):
        TcpSyslog("127.0.0.1", port, None).send(Batch(0, (entry(),)), 5)


def test_tcp_to_one_who_takes_nothing_fails_in_time() -> None:
    """The buffers of both kernels fill up; what is in them was acknowledged, the rest was not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sink = TcpSyslog("127.0.0.1", listener.getsockname()[1], None)
        with pytest.raises(SinkFailed, match="not taken in time"):
            sink.send(Batch(0, (entry(30_000),) * 400), 0.5)


@pytest.mark.parametrize("kind", ["udp", "local"])
def test_datagrams_hold_one_message_each(kind: str, tmp_path: Path) -> None:
    family = socket.AF_INET if kind == "udp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0) if kind == "udp" else str(tmp_path / "log"))
        server.settimeout(5)
        name = server.getsockname()
        sink = UdpSyslog(name[0], name[1], None) if kind == "udp" else LocalSyslog(str(tmp_path / "log"), None)
        bodies = (entry(), entry(2))
        sink.send(Batch(0, bodies), 5)
        found = [HEADER.fullmatch(server.recv(70_000)) for _ in range(2)]
        assert [one["msg"] for one in found if one] == list(bodies)
        sink.close()


def test_udp_sends_the_hash_of_what_fits_no_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        sink = UdpSyslog("127.0.0.1", server.getsockname()[1], None)
        body = entry((65_500 - len(entry())) // 2)
        sink.send(Batch(3, (body,)), 5)
        found = HEADER.fullmatch(server.recv(70_000))
        assert found is not None
        assert json.loads(found["msg"])["leaf"] == sha256(b"\0" + body).hexdigest()
        sink.close()


def test_local_socket_that_is_not_there_fails(tmp_path: Path) -> None:
    with pytest.raises(SinkFailed, match="ENOENT"):
        LocalSyslog(str(tmp_path / "none"), None).send(Batch(0, (entry(),)), 5)


def test_local_socket_that_nobody_reads_fails_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        with pytest.raises(SinkFailed, match="not taken in time"):
            LocalSyslog(str(tmp_path / "log"), None).send(Batch(0, (entry(),) * 2_000), 0.5)

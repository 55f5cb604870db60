"""The second copy by syslog (RFC 5424): over the local socket, UDP, or TCP with octet counting (RFC 6587, 3.4.1).

A message's MSG is the entry's JSON, its MSGID the entry's type, its time the entry's own, and `sequenceId` its position
plus one. An entry that is too long for the receiver (`max_bytes`) or the transport is replaced by its position, type,
time, length and leaf hash: the copy still proves what the entry was.

Syslog acknowledges nothing. Over TCP a batch counts as received once the other side's kernel has acknowledged every
byte. If the connection is found closed later, the last batch is sent again; if it was reset, which says that something
lay there unread, the last megabyte. What UDP loses nobody learns.
"""

from __future__ import annotations

import errno
import fcntl
import json
import select
import socket
import struct
import termios
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from bot.audit.entry import decode
from bot.audit.merkle import leaf_hash
from bot.sinks import Batch, SinkFailed

PRIORITY = 13 * 8 + 6
"""Facility 13, log audit; severity 6, informational."""

APP_NAME = "pci-pause-bot"
SEQUENCE_MAX = 2**31 - 1
MSGID_CHARACTERS_MAX = 32
HOST_CHARACTERS_MAX = 255
UDP_BYTES_MAX = 65_507 - 20
ACKNOWLEDGED_RETRY_SECONDS = 0.005
DOUBTFUL_BYTES_MAX = 1_000_000
"""No more than a batch has, so that sending it again takes no longer either."""


def message(position: int, body: bytes, host: str, max_bytes: int | None) -> bytes:
    """One RFC 5424 message, at most `max_bytes` long."""
    try:
        fields = decode(body)
    except (ValueError, RecursionError):
        fields = {}
    at, type_ = str(fields.get("at") or "-"), str(fields.get("type") or "-")
    sequence = position % SEQUENCE_MAX + 1
    head = f'<{PRIORITY}>1 {_word(at)} {host} {APP_NAME} - {_word(type_)} [meta sequenceId="{sequence}"] '.encode()
    if max_bytes is None or len(head) + len(body) <= max_bytes:
        return head + body
    return head + stand_in(position, body, at, type_)


def stand_in(position: int, body: bytes, at: str, type_: str) -> bytes:
    """What is sent of an entry that is too long."""
    short = {"at": at, "bytes": len(body), "leaf": leaf_hash(body).hex(), "position": position, "too_long": True}
    return json.dumps(short | {"type": type_[:MSGID_CHARACTERS_MAX]}, sort_keys=True, separators=(",", ":")).encode()


def _word(text: str) -> str:
    """PRINTUSASCII, as RFC 5424 wants header fields."""
    return "".join(sign for sign in text if "!" <= sign <= "~")[:MSGID_CHARACTERS_MAX] or "-"


def _own_host() -> str:
    return "".join(sign for sign in socket.gethostname() if "!" <= sign <= "~")[:HOST_CHARACTERS_MAX] or "-"


class _Datagrams:
    """One message a datagram. What does not fit into one is replaced by its stand-in."""

    def __init__(self, max_bytes: int | None) -> None:
        self._host = _own_host()
        self._max_bytes = max_bytes
        self._socket: socket.socket | None = None

    def _connect(self) -> socket.socket:
        raise NotImplementedError

    def send(self, batch: Batch, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        try:
            sock = self._socket = self._socket or self._connect()
            for position, body in enumerate(batch.bodies, batch.first):
                sock.settimeout(_left(deadline))
                self._send_one(sock, position, body)
        except OSError as error:
            self.close()
            raise SinkFailed(_why(error)) from None

    def _send_one(self, sock: socket.socket, position: int, body: bytes) -> None:
        try:
            sock.send(message(position, body, self._host, self._max_bytes))
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            sock.send(message(position, body, self._host, 0))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class LocalSyslog(_Datagrams):
    """The host's own syslog, by its datagram socket."""

    def __init__(self, path: str, max_bytes: int | None) -> None:
        super().__init__(max_bytes)
        self._path = path

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        return sock


class UdpSyslog(_Datagrams):
    def __init__(self, host: str, port: int, max_bytes: int | None) -> None:
        super().__init__(min(max_bytes or UDP_BYTES_MAX, UDP_BYTES_MAX))
        self._address = (host, port)

    def _connect(self) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock


class TcpSyslog:
    def __init__(self, host: str, port: int, max_bytes: int | None) -> None:
        self._address = (host, port)
        self._host = _own_host()
        self._max_bytes = max_bytes
        self._socket: socket.socket | None = None
        self._doubtful: deque[bytes] = deque()

    def send(self, batch: Batch, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        content = b"".join(self._frames(batch))
        try:
            if self._socket is not None and _is_closed(self._socket):
                self.close()
                self._doubt(0)
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=_left(deadline))
                self._put(self._socket, b"".join(self._doubtful), deadline)
            self._put(self._socket, content, deadline)
        except OSError as error:
            self.close()
            raise SinkFailed(_why(error)) from None
        self._doubtful.append(content)
        self._doubt(DOUBTFUL_BYTES_MAX)

    def _doubt(self, bytes_max: int) -> None:
        """Keep the last batch, and those before it that fit."""
        while len(self._doubtful) > 1 and sum(map(len, self._doubtful)) > bytes_max:
            self._doubtful.popleft()

    def _frames(self, batch: Batch) -> Iterable[bytes]:
        for position, body in enumerate(batch.bodies, batch.first):
            one = message(position, body, self._host, self._max_bytes)
            yield b"%d %b" % (len(one), one)

    def _put(self, sock: socket.socket, content: bytes, deadline: float) -> None:
        """Until the other side's kernel has all of it."""
        if not content:
            return
        sock.settimeout(_left(deadline))
        sock.sendall(content)
        while _unacknowledged(sock):
            time.sleep(min(ACKNOWLEDGED_RETRY_SECONDS, _left(deadline)))
        if _is_closed(sock):
            raise ConnectionResetError

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _unacknowledged(sock: socket.socket) -> int:
    """Bytes sent that the other side has not acknowledged (Linux, `SIOCOUTQ`); 0 where nobody can say."""
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])


def _is_closed(sock: socket.socket) -> bool:
    """Whether the other side has closed it, having read everything. Raises `OSError` if it reset it. A syslog receiver
    says nothing else.
    """
    readable, _, _ = select.select([sock], [], [], 0)
    if not readable:
        return False
    with suppress(BlockingIOError):
        return sock.recv(4_096, socket.MSG_DONTWAIT) == b""
    return False


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "not taken in time"
    if isinstance(error, socket.gaierror):
        return "its host is unknown"
    return f"the connection failed ({errno.errorcode.get(error.errno or 0, 'closed')})"

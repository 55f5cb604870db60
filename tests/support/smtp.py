"""A mail server of the simplest kind: one mail a connection, STARTTLS and a password if wanted."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self

from tests.support.certificates import Issued


@dataclass
class Post:
    """A mail as it came in: who it is for, what the server was told of its sender, over what."""

    recipient: str
    message: EmailMessage
    signed_in: str | None
    is_encrypted: bool


@dataclass
class MailServer:
    """`refusing` is answered to the next mails' recipients; `silent` accepts connections and says nothing,
    `dripping` takes its time over each byte of its greeting.
    """

    tls: Issued | None = None
    refusing: list[bytes] = field(default_factory=list)
    silent: bool = False
    dripping: bool = False
    received: list[Post] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self._held:
            connection.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if self.silent:
                self._held.append(connection)
                continue
            with suppress(OSError):  # the client went, or trusts no certificate of ours
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            with connection.makefile("rwb") as wire:
                for byte in b"220-here" * 10 if self.dripping else b"":
                    wire.write(bytes([byte]))
                    wire.flush()
                    time.sleep(0.1)
                _say(wire, b"220 here")
                wants_tls = self._talk(wire, is_encrypted=False)
            if wants_tls and self.tls is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.tls.certificate, self.tls.key)
                with context.wrap_socket(connection, server_side=True) as secured, secured.makefile("rwb") as wire:
                    self._talk(wire, is_encrypted=True)

    def _talk(self, wire: Any, *, is_encrypted: bool) -> bool:
        """Until the client goes; whether it went to encrypt."""
        user: str | None = None
        recipient = ""
        while line := wire.readline():
            verb, _, rest = line.strip().partition(b" ")
            match verb.upper():
                case b"EHLO":
                    offered = b"250-STARTTLS\r\n" if self.tls and not is_encrypted else b""
                    _say(wire, b"250-here\r\n" + offered + b"250 AUTH PLAIN")
                case b"STARTTLS":
                    _say(wire, b"220 go")
                    return True
                case b"AUTH":
                    user = base64.b64decode(rest.split()[1]).replace(b"\0", b" ").decode().strip()
                    _say(wire, b"235 welcome")
                case b"RCPT":
                    recipient = rest.decode()
                    _say(wire, self.refusing.pop(0) if self.refusing else b"250 ok")
                case b"DATA":
                    _say(wire, b"354 go")
                    raw = b"".join(iter(wire.readline, b".\r\n"))
                    message = message_from_bytes(raw, policy=policy.default)
                    assert isinstance(message, EmailMessage)
                    self.received.append(Post(recipient, message, user, is_encrypted))
                    _say(wire, b"250 kept")
                case b"QUIT":
                    _say(wire, b"221 bye")
                    return False
                case _:
                    _say(wire, b"250 ok")
        return False


def _say(wire: Any, line: bytes) -> None:
    wire.write(line + b"\r\n")
    wire.flush()

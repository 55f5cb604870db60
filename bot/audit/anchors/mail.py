"""`mailto:…`: the note by mail, as text and as a file to save. SMTP by AUDIT_SMTP_URL, with STARTTLS where offered."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from bot.audit.anchors.anchor import AnchorFailed
from bot.telephony.http_client import Guard, watchdog

SECONDS = 30.0
"""On the wall clock, for the whole conversation."""

PORT = 25
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class MailAnchor:
    """`sender` is the address that the mail comes from."""

    def __init__(self, address: str, smtp_url: str, sender: str, every: timedelta) -> None:
        self.name = f"mailto:{address}"[:200]
        self.every = every
        self._address = address
        self._sender = sender
        self._server = urlsplit(smtp_url)

    def keep(self, note: str) -> None:
        message = self._message(note)
        deadline = time.monotonic() + SECONDS
        with watchdog.guard(deadline) as guard:
            try:
                with _GuardedSMTP(guard, self._server.hostname or "", self._server.port or PORT) as smtp:
                    self._secure(smtp)
                    guard.watch(smtp.sock)
                    self._sign_in(smtp)
                    smtp.send_message(message)
            except smtplib.SMTPException as error:
                raise AnchorFailed(_late(deadline) or _in_a_word(error)) from None
            except ssl.SSLError:
                raise AnchorFailed("no secure connection") from None
            except OSError:
                raise AnchorFailed(_late(deadline) or "no connection") from None
            except ValueError:  # it would say the password
                raise AnchorFailed("the server's name, user or password cannot be sent as it is written") from None

    def _secure(self, smtp: smtplib.SMTP) -> None:
        smtp.ehlo_or_helo_if_needed()
        if smtp.has_extn("starttls"):
            smtp.starttls(context=ssl.create_default_context())
        elif self._server.password and self._server.hostname not in LOOPBACK:
            raise AnchorFailed("the server offers no STARTTLS, and the password is not sent in the clear")

    def _sign_in(self, smtp: smtplib.SMTP) -> None:
        if self._server.username:
            smtp.login(unquote(self._server.username), unquote(self._server.password or ""))

    def _message(self, note: str) -> EmailMessage:
        origin, size = note.split("\n", 2)[:2]
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = self._address
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        message["Subject"] = f"Checkpoint of {origin}: {size} entries"
        message.set_content(f"Keep the attached file. `bot audit verify --anchor` checks the log against it.\n\n{note}")
        message.add_attachment(
            note.encode(), maintype="application", subtype="octet-stream", filename=f"checkpoint-{size}.note"
        )
        return message


class _GuardedSMTP(smtplib.SMTP):
    """Guarded from the first byte on: a server may drip its greeting, too."""

    def __init__(self, guard: Guard, host: str, port: int) -> None:
        self._guard = guard
        super().__init__(host, port, timeout=SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # not in its stubs
        self._guard.watch(connected)
        return connected


def _late(deadline: float) -> str:
    """Both the watchdog and the socket's own limit end it there, in whatever order."""
    return "no reply in time" if time.monotonic() >= deadline else ""


def _in_a_word(error: smtplib.SMTPException) -> str:
    """Replies may hold addresses: the code is enough."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the address was refused"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"answered with {error.smtp_code}"
    return "the connection broke"

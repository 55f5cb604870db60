"""gunicorn's worker with threads, which repeats nothing of a request that it cannot read or serve.

gunicorn itself logs the line, header field or URL that went wrong, and shows it in its answer. Any of them may be, or
hold, a card number that something sent to the wrong place.
"""

from __future__ import annotations

import socket
from typing import Any

import structlog
from gunicorn import util
from gunicorn.http.errors import (  # type: ignore[attr-defined]  # the stubs are older
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    ParseException,
)
from gunicorn.workers.gthread import ThreadWorker

OURS = (InvalidResponseHeader, InvalidResponseHeaderName)
"""Among the errors of reading a request, but raised by what the application answers."""

log = structlog.get_logger(__name__)


class QuietWorker(ThreadWorker):
    def handle_error(self, req: object, client: socket.socket, addr: Any, exc: BaseException) -> None:  # noqa: ARG002 - gunicorn's
        """400 for whatever cannot be read, 500 for what is our fault; neither says more."""
        if isinstance(exc, ParseException) and not isinstance(exc, OURS):
            log.warning("request.unreadable", why=type(exc).__name__, origin=addr[0] if addr else None)
            status, reason = 400, "Bad Request"
        else:
            log.error("request.failed", exc_info=exc)
            status, reason = 500, "Internal Server Error"
        try:
            util.write_error(client, status, reason, "")
        except OSError:
            log.debug("request.unanswered")

"""A payment's result to the system that wants it: one signed POST, from memory, never stored.

Signed as Standard Webhooks are (standardwebhooks.com): `webhook-id`, `webhook-timestamp` and `webhook-signature` (v1,
HMAC-SHA256 over id.timestamp.body). The id is the payment's, so that a receiver knows a repeat. 2xx is received;
anything else is tried once more, then it is not delivered.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping

import structlog
import urllib3

from bot.telephony.http_client import Unanswered, Unsent, answered_within, watched_pools

ATTEMPTS = 2
ATTEMPT_SECONDS = 3.5
"""On the wall clock, however the other side drips: two attempts and the pause between them stay well inside the 12 s in
which a step answers Twilio.
"""

AGAIN_SECONDS = 0.3
CONNECTIONS = 16

log = structlog.get_logger(__name__)


class ResultPost:
    """Safe for any number of threads. `key` signs; `url` is asked with POST, and a redirect is not followed."""

    def __init__(self, url: str | None, key: bytes | None) -> None:
        self._url = url
        self._key = key
        self._pools = watched_pools(CONNECTIONS)

    def deliver(self, message_id: str, payload: Mapping[str, object]) -> str | None:
        """None once it was received; else why not, in a word or two and without anything of the payload."""
        if self._url is None or self._key is None:
            return "PAYMENT_RESULT_URL is not set"
        body = json.dumps(payload, separators=(",", ":")).encode()
        why: str | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(AGAIN_SECONDS)
            why = self._post(self._url, body, sign(self._key, message_id, int(time.time()), body))
            if why is None:
                return None
        log.error("payment.not_delivered", payment=message_id, why=why)
        return why

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> str | None:
        try:
            with answered_within(ATTEMPT_SECONDS):
                status = self._status_of(url, body, headers)
        except (Unsent, Unanswered) as error:
            return str(error)
        return None if 200 <= status < 300 else f"answered with {status}"

    def _status_of(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """The status is the answer: what may follow it is not waited for, and its connection not used again."""
        reply = self._pools.request(
            "POST",
            url,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(total=ATTEMPT_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        reply.close()
        return reply.status


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }

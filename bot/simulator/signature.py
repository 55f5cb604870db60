"""The headers of Twilio's webhooks; the signature is base64 HMAC-SHA1 by auth token, over URL and sorted parameters."""

from __future__ import annotations

import base64
import hashlib
import hmac


def headers(auth_token: str, url: str, params: dict[str, str], token: str) -> dict[str, str]:
    """What goes with a webhook; ``token`` is the same for every attempt at one event."""
    return {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "User-Agent": "TwilioProxy/1.1",
        "I-Twilio-Idempotency-Token": token,
        "X-Twilio-Signature": sign(auth_token, url, params),
    }


def sign(auth_token: str, url: str, params: dict[str, str]) -> str:
    """The value of ``X-Twilio-Signature``. ``url`` is the public one, without its fragment."""
    text = url + "".join(name + params[name] for name in sorted(params))
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")

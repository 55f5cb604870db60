"""Twilio's signature of a webhook: base64 HMAC-SHA1, keyed by the auth token, over URL and sorted parameters."""

from __future__ import annotations

import base64
import hashlib
import hmac


def sign(auth_token: str, url: str, params: dict[str, str]) -> str:
    """The value of ``X-Twilio-Signature``. ``url`` is the public one, without its fragment."""
    text = url + "".join(name + params[name] for name in sorted(params))
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")

"""Twilio's signature, made again from its documentation: https://www.twilio.com/docs/usage/security#validating-requests

Base64 of HMAC-SHA1, keyed by the auth token, over the public URL followed by each parameter's name and value, sorted
by name. Of a JSON body only the SHA-256 is signed, as the URL's parameter `bodySHA256`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping


def signature_of(token: str, url: str, params: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> str:
    pairs = params.items() if isinstance(params, Mapping) else params
    text = url + "".join(name + value for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def body_sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()

"""X-Twilio-Signature (twilio.com/docs/usage/webhooks/webhooks-security): believed only if it fits the public URL.

Wraps the SDK's validator, which raises TypeError for a missing header or for a body without `bodySHA256`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from twilio.request_validator import RequestValidator

SIGNATURE_CHARACTERS_MAX = 100


class SignatureCheck:
    """Checks against the public URL, because behind a proxy the request's own is another."""

    def __init__(self, auth_token: str, public_base_url: str) -> None:
        self._validator = RequestValidator(auth_token)
        self._base_url = public_base_url

    def url(self, path: str, query: str) -> str:
        """The URL that Twilio signed, as we believe it to be."""
        return self._base_url + path + (f"?{query}" if query else "")

    def is_genuine(
        self, *, path: str, query: str, signature: str | None, form: Any, body: bytes, is_json: bool
    ) -> bool:
        """`form` is the raw multi-value form. Never raises, whatever arrives."""
        if not signature or len(signature) > SIGNATURE_CHARACTERS_MAX or not signature.isascii():
            return False
        url = self.url(path, query)
        if not is_json:
            return bool(self._validator.validate(url, form, signature))
        if len(parse_qs(urlsplit(url).query).get("bodySHA256", [])) != 1:
            return False
        try:
            return bool(self._validator.validate(url, body.decode(), signature))
        except (UnicodeDecodeError, TypeError):
            return False

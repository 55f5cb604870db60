"""`rfc3161:https://…`: a time-stamp token over the exact bytes of the note, verified before it is kept.

The receipt is the authority's whole reply (TimeStampResp in DER), which `openssl ts -verify -in` takes as it is. The
certificate that the token leads to is one of AUDIT_TSA_CA_FILE, or of those that the system trusts.
"""

from __future__ import annotations

import ssl
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.x509 import Certificate, load_pem_x509_certificates

from bot.audit.anchors.anchor import AnchorFailed
from bot.audit.anchors.web import Post, name_of

if TYPE_CHECKING:
    from rfc3161_client import TimeStampRequest, TimeStampResponse

# rfc3161_client is imported where it is used: it takes 3 MB, and most processes and commands stamp nothing.


class TimestampAnchor:
    """`ca_file` holds the certificates to trust, in PEM."""

    def __init__(self, url: str, ca_file: Path | None, every: timedelta) -> None:
        self.name = name_of("rfc3161:", url)
        self.every = every
        self._ca_file = ca_file
        self._post = Post(url)

    def keep(self, note: str) -> bytes:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder  # noqa: PLC0415 - see above

        message = note.encode()
        asked = (
            TimestampRequestBuilder()
            .data(message)
            .hash_algorithm(HashAlgorithm.SHA256)
            .nonce(nonce=True)
            .cert_request(cert_request=True)
            .build()
        )
        receipt = self._post.send(asked.as_bytes(), "application/timestamp-query")
        verify_token(receipt, message, trusted(self._ca_file), asked)
        return receipt


def trusted(ca_file: Path | None) -> list[Certificate]:
    """Certificates that a token may lead to. Raises `AnchorFailed`."""
    path = ca_file or system_ca_file()
    try:
        return load_pem_x509_certificates(path.read_bytes()) if path else []
    except (OSError, ValueError):
        raise AnchorFailed(f"{path} holds no certificates that can be read") from None


def system_ca_file() -> Path | None:
    """Where this system keeps what it trusts, in one file."""
    found = ssl.get_default_verify_paths().cafile
    return Path(found) if found else None


def verify_token(
    receipt: bytes, message: bytes, roots: list[Certificate], asked: TimeStampRequest | None = None
) -> TimeStampResponse:
    """The reply, if it is a token over these bytes whose signature leads to one of `roots`, and answers what was asked.
    Raises `AnchorFailed`.
    """
    from rfc3161_client import VerifierBuilder, decode_timestamp_response  # noqa: PLC0415 - see above

    if not roots:
        raise AnchorFailed("there is no certificate to verify the time stamp with: set AUDIT_TSA_CA_FILE")
    try:
        reply = decode_timestamp_response(receipt)
        builder = VerifierBuilder.from_request(asked) if asked else VerifierBuilder()
        for root in roots:
            builder = builder.add_root_certificate(root)
        builder.build().verify(reply, sha256(message).digest())
    except Exception as error:  # noqa: BLE001 - whatever the library makes of a stranger's bytes, they are no time stamp
        raise AnchorFailed(f"the time stamp does not verify: {error}") from None
    return reply


def imprint(receipt: bytes) -> bytes:
    """The SHA-256 digest that a reply's token is over; who signed it is not looked at. ValueError if there is none."""
    from rfc3161_client import decode_timestamp_response  # noqa: PLC0415 - see above

    return decode_timestamp_response(receipt).tst_info.message_imprint.message

"""Where a call flow may be sent on to: a path of ours, or a host that the operator named in REDIRECT_HOSTS.

Anything else is refused: whoever could choose the target could hear the card.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlencode, urlsplit

URL_CHARACTERS_MAX = 2_000


def is_allowed(url: str, hosts: Collection[str]) -> bool:
    """`hosts` are names in lower case; one with a port is allowed with that port alone."""
    if not 0 < len(url) <= URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable():
        return False
    if " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not parts.scheme and not parts.netloc:
        return url.startswith("/") and not url.startswith("//")
    is_known = host in hosts or f"{host}:{port}" in hosts
    return parts.scheme in {"http", "https"} and "@" not in parts.netloc and is_known


def with_parameter(url: str, name: str, value: str) -> str:
    """The same URL with one parameter more. It is not taken apart and rebuilt: what was allowed stays as it was."""
    before, hash_sign, fragment = url.partition("#")
    joint = "" if before.endswith(("?", "&")) else "&" if "?" in before else "?"
    return f"{before}{joint}{urlencode({name: value})}{hash_sign}{fragment}"

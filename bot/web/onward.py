"""Where signing in leads on to, and what of a request may be repeated in a URL or on a page.

Somebody may have typed a card where an address or a name belongs. Then it must not stand in the next URL as well, which
browsers and proxies keep. So only what cannot be a card in whatever writing is repeated: few digits, and no capitals,
without which base64 has none.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode

from bot.scrub import MIN_DIGITS

_SID = re.compile("CA[0-9a-fA-F]{32}")
_PAGE = re.compile(rf"/|(?:/(?:[a-z][a-z.-]*|{_SID.pattern}))+")
_PLAIN = re.compile("[a-z0-9 ._@-]{0,100}")


def onward(wanted: str) -> str | None:
    """The page, without a query that may not be repeated; None if it is no page of ours."""
    path, _, query = wanted.partition("?")
    if not _PAGE.fullmatch(path):
        return None
    pairs = parse_qsl(query, keep_blank_values=True)
    return f"{path}?{urlencode(pairs)}" if pairs and _may_be_repeated(pairs) else path


def may_be_repeated(text: str) -> bool:
    return _may_be_repeated([(text, "")])


def _may_be_repeated(pairs: list[tuple[str, str]]) -> bool:
    """The digits of all of them count together: a card can be split."""
    words = [word for pair in pairs for word in pair if not _SID.fullmatch(word)]
    return all(map(_PLAIN.fullmatch, words)) and sum(map(str.isdecimal, "".join(words))) < MIN_DIGITS

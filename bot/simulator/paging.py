"""Twilio's pages. A page token names the last item shown: the page stays in place while new items come in front."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from bot.simulator.errors import invalid_parameter

_SIZE = 50
_SIZE_MAX = 1000
_CONTROLS = ("PageSize", "Page", "PageToken")


def page(name: str, path: str, query: dict[str, str], items: list[dict[str, Any]], key: str = "sid") -> dict[str, Any]:
    """One page of items (newest first) in Twilio's envelope; ``key`` is the field that names an item."""
    size = min(_number(query, "PageSize", _SIZE, 1), _SIZE_MAX)
    number = _number(query, "Page", 0, 0)
    start = _after(items, query["PageToken"], key) if "PageToken" in query else number * size
    shown = items[start : start + size]
    filters = {name: value for name, value in query.items() if name not in _CONTROLS}

    def uri(at: int, token: str | None) -> str:
        more = {"PageSize": str(size), "Page": str(at)} | ({"PageToken": token} if token else {})
        return f"{path}?{urlencode(filters | more)}"

    following = uri(number + 1, f"PA{shown[-1][key]}") if start + size < len(items) else None
    before = items[start - size - 1][key] if start > size else None
    return {
        "page": number,
        "page_size": size,
        "start": number * size,
        "end": max(number * size + len(shown) - 1, number * size),
        "uri": uri(number, query.get("PageToken")),
        "first_page_uri": uri(0, None),
        "next_page_uri": following,
        "previous_page_uri": uri(number - 1, f"PA{before}" if before else None) if number and start else None,
        name: shown,
    }


def _number(query: dict[str, str], name: str, default: int, least: int) -> int:
    value = query.get(name, str(default))
    if not value.isascii() or not value.isdigit() or len(value) > 9 or int(value) < least:
        raise invalid_parameter(name)
    return int(value)


def _after(items: list[dict[str, Any]], token: str, key: str) -> int:
    for at, item in enumerate(items):
        if token == f"PA{item[key]}":
            return at + 1
    raise invalid_parameter("PageToken")

"""Reading the attributes of one TwiML element. What does not fit is a warning, and the default holds, as at Twilio."""

from __future__ import annotations

import math
from typing import TypeVar
from urllib.parse import urljoin
from xml.etree.ElementTree import Element

from bot.simulator.errors import FlowBroken
from bot.simulator.settings import is_http_url

Value = TypeVar("Value")


class Attributes:
    """Each is taken once; ``done`` warns of what is left."""

    def __init__(self, element: Element, base: str, warnings: list[str]) -> None:
        self.tag = element.tag
        self._left = dict(element.attrib)
        self._base = base
        self._warnings = warnings

    def text(self, name: str, default: str = "") -> str:
        return self._left.pop(name, default)

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        """A list with spaces or commas between."""
        return tuple(self.text(name, default).replace(",", " ").split())

    def url(self, name: str) -> str | None:
        """Whole, by the document's own; None if it is not there or empty."""
        value = self._left.pop(name, "").strip()
        return self.whole_url(value) if value else None

    def whole_url(self, value: str) -> str:
        """FlowBroken 11100 if nothing can be requested there."""
        url = urljoin(self._base, value.strip())
        if not is_http_url(url):
            raise FlowBroken(11100, f"<{self.tag}> has an invalid URL")
        return url

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self._left.pop(name, default)
        return value if value in allowed else self._default(name, default)

    def method(self, name: str = "method") -> str:
        return self.choice(name, ("POST", "GET"), "POST")

    def flag(self, name: str, default: bool) -> bool:
        return self.choice(name, ("true", "false"), "true" if default else "false") == "true"

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        if name not in self._left:
            return default
        value = self._left.pop(name)
        good = value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most
        return int(value) if good else self._default(name, default)

    def seconds(self, name: str, default: float, most: float) -> float:
        try:
            value = float(self._left.pop(name, default))
        except ValueError:
            return self._default(name, default)
        return value if math.isfinite(value) and 0 <= value <= most else self._default(name, default)

    def done(self, *overlooked: str) -> None:
        """``overlooked``: what Twilio has, and what makes no difference here."""
        for name in sorted(self._left.keys() - set(overlooked)):
            self._warnings.append(f"<{self.tag}> has no attribute {name}")

    def _default(self, name: str, default: Value) -> Value:
        self._warnings.append(f"<{self.tag}> has an invalid {name}: the default is taken")
        return default

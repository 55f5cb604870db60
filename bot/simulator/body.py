"""Reading the control API's JSON strictly: a wrong type, a value out of range or an unknown field is a 400."""

from __future__ import annotations

import math
from typing import Any

from flask import request

from bot.simulator.errors import ControlError


class Body:
    """The request's JSON object, empty if none was sent. Each field is taken once; ``done`` refuses what is left."""

    def __init__(self) -> None:
        given = request.get_json(silent=True) if request.get_data() else {}
        if not isinstance(given, dict):
            raise ControlError(400, "the body must be a JSON object, sent as application/json")
        self._left: dict[str, Any] = dict(given)

    def everything(self) -> dict[str, Any]:
        left, self._left = self._left, {}
        return left

    def left(self, name: str, default: Any) -> Any:
        """One field as it came, for somebody else to check."""
        return self._left.pop(name, default)

    def text(self, name: str, default: str = "") -> str:
        value = self._left.pop(name, default)
        if not isinstance(value, str) or len(value) > 200 or not value.isprintable():
            raise ControlError(400, f"{name} must be a text of at most 200 printable characters")
        return value

    def text_or_none(self, name: str) -> str | None:
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return self.text(name)

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise ControlError(400, f"{name} must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise ControlError(400, f"{name} must be true or false")
        return value

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        value = self._left.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ControlError(400, f"{name} must be a whole number from {least} to {most}")
        return value

    def seconds(self, name: str) -> float:
        value = self._left.pop(name, None)
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not good or not 0 <= value <= 10_000_000:
            raise ControlError(400, f"{name} must be a number of seconds, not negative")
        return float(value)

    def done(self) -> None:
        if self._left:
            raise ControlError(400, f"unknown field {', '.join(sorted(self._left))}")

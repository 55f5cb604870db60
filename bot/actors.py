"""PURE. Who does something to a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["agent", "ivr", "payment", "api", "twilio", "system"]


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who did it, through which door, from which address (PCI DSS 10.2.2)."""

    actor: str
    source: Source = "system"
    origin: str | None = None


SYSTEM = By(actor="system")
TWILIO = By(actor="twilio", source="twilio")

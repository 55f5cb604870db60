"""What is different in the settings since the last start. Secrets, and whatever might hold one or a person's data, are
compared by a keyed digest and never shown.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from bot.audit.entry import JSON, Draft
from bot.settings import Settings

SHOWN = frozenset({
    "audit_checkpoint_seconds", "audit_origin", "dtmf_pause_code", "dtmf_resume_code", "pause_behavior",
    "pause_expiry", "pause_failure", "pause_hard_max_seconds", "pause_max_seconds", "payment_amount",
    "payment_currency", "payment_postal_code", "payment_security_code", "payment_token_type", "public_base_url",
    "redirect_hosts", "trusted_proxies", "twilio_edge", "twilio_late_seconds", "twilio_region",
    "twilio_timeout_seconds", "web_threads",
})  # fmt: skip
"""Every other setting, and one that is new, is hidden."""

SHOWN_CHARACTERS_MAX = 200
KEY = "secret_key"
DEFAULT = "default"


def fingerprint(settings: Settings) -> dict[str, str]:
    """What each setting that is not at its default is: its text, or a digest that only the secret key can make."""
    key = settings.secret_key.get_secret_value().encode()
    return {
        name: _text(value) if name in SHOWN else _digest(key, name, value)
        for name, value in settings
        if value != type(settings).model_fields[name].default
    }


def settings_changed(before: Mapping[str, str], after: Mapping[str, str], kind: str) -> Draft | None:
    """The entry about it; None if nothing changed. After a change of the secret key, other secrets cannot be compared:
    `unknown` names them.
    """
    differing = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if not differing:
        return None
    hidden = [name for name in differing if name not in SHOWN and name != KEY]
    unknown = hidden if KEY in differing else []
    changed = [name for name in differing if name not in unknown]
    detail: dict[str, JSON] = {
        "kind": kind,
        "changed": [name.upper() for name in changed],
        "before": {name.upper(): before.get(name, DEFAULT) for name in changed if name in SHOWN},
        "after": {name.upper(): after.get(name, DEFAULT) for name in changed if name in SHOWN},
    }
    if unknown:
        detail["unknown"] = [name.upper() for name in unknown]
    return Draft(type="settings.changed", actor="system", detail=detail)


def _text(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 1] + "…"


def _digest(key: bytes, name: str, value: Any) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return hmac.new(key, f"settings\0{name}\0{text}".encode(), hashlib.sha256).hexdigest()[:32]

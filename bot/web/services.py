"""What the views work with: wired once in `app`, found on the Flask application."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, cast

from flask import current_app, request

from bot.audit.entry import Draft
from bot.audit.journal import Journal
from bot.control import CallControl
from bot.keypad import Payments
from bot.settings import Settings
from bot.storage.engine import Database
from bot.telephony.signature import SignatureCheck
from bot.web.reports import Reports


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    database: Database
    journal: Journal
    control: CallControl
    signature: SignatureCheck
    reports: Reports
    payments: Payments


def services() -> Services:
    return cast(Services, current_app.extensions["bot"])


def secret() -> bytes:
    """SECRET_KEY, which keys the digests of webhooks and of callers' numbers."""
    return services().settings.secret_key.get_secret_value().encode()


def note(type_: str, actor: str | None, source: str = "agent", **more: Any) -> None:
    """An entry about this request, with its origin."""
    services().journal.append(Draft(type=type_, actor=actor, source=source, origin=origin(), **more))


def json_body() -> object:
    """The request's JSON; None if it is none. Nested too deep is none, too."""
    try:
        return request.get_json(silent=True)
    except RecursionError:
        return None


def is_text(value: str) -> bool:
    """What a database keeps: no half of a surrogate pair, which JSON can hold, and no NUL, which a form can."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)


def origin() -> str | None:
    """The address a request came from, behind as many proxies as are trusted. None if they forward no address."""
    try:
        return str(ip_address((request.remote_addr or "").partition("%")[0]))
    except ValueError:
        return None

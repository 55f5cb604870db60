"""AUDIT_ANCHORS -> the anchors."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from bot.audit.anchors.anchor import Anchor
from bot.audit.anchors.file import FileAnchor
from bot.audit.anchors.mail import MailAnchor
from bot.audit.anchors.timestamp import TimestampAnchor
from bot.audit.anchors.web import WebAnchor
from bot.settings import Settings

SPARINGLY = timedelta(hours=1)
"""Mailboxes are read by people, and public time-stamp authorities ask not to be asked often."""


def chosen(settings: Settings) -> list[Anchor]:
    return [_anchor(text, settings) for text in settings.audit_anchors]


def _anchor(text: str, settings: Settings) -> Anchor:
    every = timedelta(seconds=settings.audit_anchor_seconds)
    kind, _, rest = text.partition(":")
    if kind == "file":
        return FileAnchor(Path(rest), every)
    if kind == "mailto":
        smtp = settings.audit_smtp_url.get_secret_value() if settings.audit_smtp_url else ""
        sender = f"audit@{urlsplit(settings.public_base_url).hostname}"
        return MailAnchor(rest, smtp, sender, max(every, SPARINGLY))
    if kind == "rfc3161":
        return TimestampAnchor(rest, settings.audit_tsa_ca_file, max(every, SPARINGLY))
    return WebAnchor(text, every)

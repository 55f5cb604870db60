"""AUDIT_SINK, read: which sink it is, and the name under which its cursor is kept."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from bot.settings import Settings
from bot.sinks import Sink
from bot.sinks.file import FileSink
from bot.sinks.http import HttpSink
from bot.sinks.syslog import LocalSyslog, TcpSyslog, UdpSyslog

DEV_LOG = "/dev/log"
TCP_PORT, UDP_PORT = 601, 514


def sink_name(address: str) -> str:
    """What may be shown and logged: without a query, which may hold a secret. Another name is another cursor."""
    return address.partition("?")[0]


def open_sink(settings: Settings) -> Sink | None:
    """The sink that `AUDIT_SINK` names, whose form `Settings` has checked. Nothing is connected yet."""
    address = settings.audit_sink
    if address is None:
        return None
    if address.startswith("file:"):
        return FileSink(address.removeprefix("file:"))
    if address.startswith("http"):
        token = settings.audit_sink_token
        return HttpSink(address, settings.audit_origin, token.get_secret_value() if token else None)
    return _syslog(address)


def _syslog(address: str) -> Sink:
    parts = urlsplit(address)
    limits = parse_qs(parts.query).get("max_bytes")
    max_bytes = int(limits[0]) if limits else None
    if parts.hostname is None:
        return LocalSyslog(parts.path or DEV_LOG, max_bytes)
    if parts.scheme == "syslog+udp":
        return UdpSyslog(parts.hostname, parts.port or UDP_PORT, max_bytes)
    return TcpSyslog(parts.hostname, parts.port or TCP_PORT, max_bytes)

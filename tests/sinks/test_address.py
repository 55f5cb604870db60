"""AUDIT_SINK and what it stands for."""

from __future__ import annotations

import pytest

from bot.settings import Settings
from bot.sinks import Sink
from bot.sinks.address import open_sink, sink_name
from bot.sinks.file import FileSink
from bot.sinks.http import HttpSink
from bot.sinks.syslog import LocalSyslog, TcpSyslog, UdpSyslog


@pytest.mark.parametrize(
    ("address", "kind", "expected"),
    [
        ("file:/var/log/a copy.jsonl", FileSink, {}),
        ("syslog:", LocalSyslog, {"_path": "/dev/log", "_max_bytes": None}),
        ("syslog:/run/log?max_bytes=2048", LocalSyslog, {"_path": "/run/log", "_max_bytes": 2048}),
        ("syslog://siem", TcpSyslog, {"_address": ("siem", 601), "_max_bytes": None}),
        ("syslog://[::1]:1601?max_bytes=8192", TcpSyslog, {"_address": ("::1", 1601), "_max_bytes": 8192}),
        ("syslog+udp://siem", UdpSyslog, {"_address": ("siem", 514)}),
        ("https://siem.example/in?source=bot", HttpSink, {}),
    ],
)
def test_address_names_its_sink(
    address: str, kind: type[Sink], expected: dict[str, object], settings: Settings
) -> None:
    checked = Settings.read(_env_file=None, **{**settings.model_dump(), "audit_sink": address})
    sink = open_sink(checked)
    assert type(sink) is kind
    assert expected.items() <= vars(sink).items()


def test_without_an_address_there_is_no_sink(settings: Settings) -> None:
    assert open_sink(settings) is None


def test_name_of_a_sink_holds_no_secret() -> None:
    assert sink_name("https://siem.example/in?token=secret") == "https://siem.example/in"

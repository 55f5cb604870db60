"""The processes of the Procfile: their starts, ends and settings are in the log and in its second copy."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import until
from tests.e2e.stack import Stack, running_stack

SOON_SECONDS = 20.0


def log_of(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.auditor.send("GET", "/entries?limit=500").body["entries"]
    return found


@pytest.mark.timeout(120)  # it starts the whole bot, and parts of it again
def test_lives_of_the_processes_are_told_and_copied(tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    with running_stack(tmp_path, f"sqlite:///{tmp_path / 'bot.sqlite3'}", AUDIT_SINK=f"file:{copy}") as stack:
        until(lambda: lives(log_of(stack))["process.started"] == 3, SOON_SECONDS, "two web processes and a worker")
        (child, *_) = stack.web.children()
        stack.worker.end()
        assert lives(log_of(stack)) == {"process.started": 3, "process.stopped": 1}
        stack.environment["PAUSE_MAX_SECONDS"] = "60"
        stack.worker = stack.start("worker")
        until(lambda: lives(log_of(stack))["settings.changed"] == 1, SOON_SECONDS, "the worker's other settings")
        (changed,) = (one for one in log_of(stack) if one["type"] == "settings.changed")
        assert changed["detail"]["after"] == {"PAUSE_MAX_SECONDS": "60"}
        stack.web.process.send_signal(signal.SIGTERM)
        stack.web.process.wait(SOON_SECONDS)
        until(lambda: copied(copy)["process.stopped"] == 3, SOON_SECONDS, "the ends in the second copy")
        assert f"-web-{child}" in copy.read_text(encoding="utf-8")
        stack.worker.end()
        assert copied(copy) >= Counter({"process.started": 4, "process.stopped": 4, "settings.changed": 1})


def lives(log: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one["type"] for one in log if one["type"].startswith(("process.", "settings.")))


def copied(path: Path) -> Counter[str]:
    return Counter(json.loads(line)["type"] for line in path.read_bytes().splitlines())

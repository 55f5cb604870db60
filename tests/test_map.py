"""The map of the code, and that what is said to be pure is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bot

ROOT = Path(__file__).resolve().parents[1]
PURE = (
    "bot.call", "bot.messages", "bot.holds", "bot.backoff", "bot.endings", "bot.looks", "bot.outcomes", "bot.reports",
    "bot.recording", "bot.scrub", "bot.errors", "bot.audit.merkle", "bot.audit.proofs", "bot.audit.entry",
    "bot.audit.checkpoint", "bot.audit.verify", "bot.audit.bridge", "bot.telephony.keys", "bot.telephony.numbers",
)  # fmt: skip
HEAVY = ("flask", "sqlalchemy", "twilio", "psycopg", "alembic")
LOOK = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]; print(*sorted(sys.modules))"


def modules_after(*names: str) -> set[str]:
    """What a new process has loaded once it imported these."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *names], capture_output=True, text=True, check=True, cwd=ROOT, timeout=30
    )
    return set(done.stdout.split())


def test_pure_modules_load_no_flask_sqlalchemy_or_twilio() -> None:
    assert modules_after(*PURE) & set(HEAVY) == set()


@pytest.mark.parametrize("name", PURE)
def test_pure_module_reads_no_clock_and_touches_nothing(name: str) -> None:
    source = (ROOT / (name.replace(".", "/") + ".py")).read_text()
    called = {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    }
    assert (
        called & {"datetime.now", "datetime.utcnow", "time.time", "time.monotonic", "time.sleep", "os.environ"} == set()
    )


def test_package_itself_is_light() -> None:
    assert modules_after("bot") & {*HEAVY, "bot.app"} == set()


def test_simulator_and_bot_share_no_code() -> None:
    loaded = modules_after("bot.simulator.app", "bot.simulator.__main__")
    assert {name for name in loaded if name.startswith("bot.") and not name.startswith("bot.simulator")} == set()


def test_application_is_made_on_first_use() -> None:
    assert bot.create_app.__module__ == "bot.app"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bot.nothing  # noqa: B018 - asking for it is the test


def test_map_names_every_room() -> None:
    assert bot.__doc__ is not None
    there = {path.stem for path in (ROOT / "bot").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    hidden = {"__init__", "__main__", "gunicorn_conf", "logs"}
    assert {name for name in there - hidden if name not in bot.__doc__} == set()


def test_map_is_a_table_that_can_be_read() -> None:
    """One room a line, its name first."""
    assert bot.__doc__ is not None
    firsts = {line.split()[0].strip(",/") for line in bot.__doc__.splitlines() if line.strip()}
    assert {"call", "messages", "recording", "audit", "storage", "telephony", "control", "web", "worker"} <= firsts

"""Structured logs on standard error, one JSON object a line, and no card data in any of them.

Every string is scrubbed as a second line of defence: the first is that card data is dropped before anything could log
it. Tracebacks carry no local variables.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from bot.scrub import scrub_card_numbers

DEPTH_MAX = 8
_KEPT = frozenset({"timestamp", "level", "logger", "call", "recording", "node"})


def set_up(level: int = logging.INFO) -> None:
    """Route structlog and the standard library's logging to standard error as JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _scrub,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _scrub,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("twilio", "urllib3", "sqlalchemy", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _scrub(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key not in _KEPT and not key.startswith("_"):
            event[key] = _clean(value)
    return event


def _clean(value: Any, depth: int = 0) -> Any:
    """Numbers that read as a card number become text; what is nested too deep is left out."""
    if isinstance(value, str):
        return scrub_card_numbers(value)
    if isinstance(value, int) and not isinstance(value, bool):
        scrubbed = scrub_card_numbers(str(value))
        return value if scrubbed == str(value) else scrubbed
    if depth > DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return {scrub_card_numbers(str(key)): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, depth + 1) for item in value]
    return value

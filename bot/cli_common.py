"""What all commands share. Exit codes: 0 good, 1 the log does not verify, 2 usage or environment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from bot.app import wire
from bot.errors import BotError, DatabaseUnavailable
from bot.settings import Settings
from bot.web.services import Services

P = ParamSpec("P")
R = TypeVar("R")


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Our own errors as one sentence on standard error, and the exit code that fits."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except DatabaseUnavailable:
            text = "the database is busy or away, or was never set up (bot init-db); nothing is known to have changed"
            click.echo(f"bot: {text}", err=True)
            sys.exit(2)
        except BotError as error:
            click.echo(f"bot: {error}", err=True)
            sys.exit(2)

    return run


def open_services() -> Services:
    """The bot, wired for this command and let go at its end."""
    wired = wire(Settings.read(), "cli")
    click.get_current_context().call_on_close(wired.database.close)
    return wired

"""The commands around the signer: its own process, its keys, its anchors."""

from __future__ import annotations

import signal
import time

import click

from bot import logs
from bot.app import signing_loop, warn_of_what_is_absent, wire
from bot.cli_common import plainly
from bot.settings import Settings

LOOK_SECONDS = 0.2


@click.command("signer")
@plainly
def audit_signer() -> None:
    """Sign the log and send checkpoints to the anchors until ended, in a process that may be another user's.

    Set AUDIT_SIGNER=process, so that the worker does not sign and needs no key.
    """
    logs.set_up()
    settings = Settings.read()
    services = wire(settings, "signer")
    loop = signing_loop(services)
    warn_of_what_is_absent(settings)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    loop.start()
    while not stopping:
        time.sleep(LOOK_SECONDS)
    loop.stop()
    services.control.close()
    services.database.close()


COMMANDS: tuple[click.Command, ...] = (audit_signer,)

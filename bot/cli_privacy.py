"""The commands about callers' numbers: how much is kept, and its erasure. The log's entries have none to erase."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import click
from sqlalchemy import Connection

from bot.audit.entry import Draft
from bot.audit.journal import Transaction
from bot.cli_common import open_services, plainly
from bot.cli_keeping import Moment
from bot.errors import UsageError
from bot.storage import callers
from bot.telephony import numbers
from bot.telephony.webhooks import is_sid
from bot.web.services import Services

BATCH_CALLS = 200

Find = Callable[[Connection, int], Sequence[str]]


@click.group()
def privacy() -> None:
    """Callers' numbers: show how much is kept, erase it."""


@privacy.command("show")
@click.option("--number", required=True, help="With its country: +49 30 1234567; or - to read it from standard input.")
@plainly
def show(number: str) -> None:
    """Say of how many calls this number is kept, and since when."""
    bot = open_services()
    digest = _digest(bot, number)
    with bot.database.read() as connection:
        kept = callers.kept_of(connection, digest)
    bot.journal.append(Draft(type="privacy.shown", actor="operator", detail={"calls": kept.calls}))
    if not kept.calls or kept.first is None or kept.last is None:
        click.echo("Nothing is kept of this number.")
        return
    click.echo(
        f"Of {kept.calls} calls from {kept.first:%Y-%m-%d} to {kept.last:%Y-%m-%d} a digest and the last four digits"
        " are kept."
    )


@privacy.command("erase")
@click.option(
    "--number", help="Of all calls with this number, written with its country; - reads it from standard input."
)
@click.option("--call", help="Of the call with this SID.")
@click.option("--before", type=Moment(), help="Of all calls that were first reported before this day (UTC).")
@plainly
def erase(number: str | None, call: str | None, before: datetime | None) -> None:
    """Erase digest and last four digits of callers' numbers. The log and its proofs stay as they are."""
    if [number, call, before].count(None) != 2:
        raise UsageError("Say one of --number, --call and --before.")
    bot = open_services()
    count = 0
    if call is not None:
        count = _erase_call(bot, call)
    if number is not None:
        count = _erase_found(bot, "number", partial(_with_number, _digest(bot, number)))
    if before is not None:
        count = _erase_found(bot, "before", partial(_older_than, before))
    is_all = bot.database.empty_wal()
    click.echo(f"Erased what was kept of the caller's number in {count} call{'' if count == 1 else 's'}.")
    if not is_all:
        click.echo("bot: SQLite's write-ahead log is being read and still has it: run this again later.", err=True)


def _digest(bot: Services, typed: str) -> bytes:
    number = numbers.e164(sys.stdin.readline() if typed == "-" else typed)
    if number is None:
        raise UsageError("This is not a number with its country, such as +49 30 1234567.")
    return numbers.digest(bot.settings.secret_key.get_secret_value().encode(), number)


def _with_number(digest: bytes, connection: Connection, limit: int) -> Sequence[str]:
    return callers.with_number(connection, digest, limit)


def _older_than(at: datetime, connection: Connection, limit: int) -> Sequence[str]:
    return callers.older_than(connection, at, limit)


def _erase_call(bot: Services, sid: str) -> int:
    if not is_sid(sid, "CA"):
        raise UsageError("A call is named by its SID: CA and 32 hexadecimal digits.")

    def change(transaction: Transaction) -> int:
        return _note(transaction, callers.erase(transaction, [sid]), "call")

    return bot.journal.write(change, sid)


def _erase_found(bot: Services, by: str, find: Find) -> int:
    """In batches, each with its entry, so that nobody waits long."""
    total = 0
    while True:
        with bot.database.read() as connection:
            sids = find(connection, BATCH_CALLS)
        if not sids and total:
            return total
        total += bot.journal.write(_erasing(sids, by), min(sids, default=""))
        if not sids:
            return total


def _erasing(sids: Sequence[str], by: str) -> Callable[[Transaction], int]:
    return lambda transaction: _note(transaction, callers.erase(transaction, sids), by)


def _note(transaction: Transaction, count: int, by: str) -> int:
    """That it was done, and of how many calls; never of which number."""
    transaction.append(Draft(type="privacy.erased", actor="operator", detail={"by": by, "calls": count}))
    return count

"""The commands about what is kept, for how long, and who may change it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from bot.audit import pruning
from bot.audit.archive_check import is_archive, verify_archive
from bot.audit.check import read_vkey
from bot.cli_common import open_services, plainly
from bot.errors import UsageError
from bot.storage import rights
from bot.web.services import Services


@click.command("grant-sql")
@click.argument("role")
@click.option("--schema", default="public", show_default=True, help="Where the tables are.")
@plainly
def grant_sql(role: str, schema: str) -> None:
    """Print the SQL that gives ROLE what the bot needs on PostgreSQL, and no more; run it as the tables' owner."""
    click.echo(rights.grants(role, schema), nl=False)


class Moment(click.ParamType[datetime]):
    """A day in UTC, at its beginning, or a time with its zone."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("is a day in UTC (2019-11-22) or a time with its zone (2019-11-22T10:00:00Z).", param, ctx)
        if at.tzinfo is None and len(str(value)) > len("2019-11-22"):
            self.fail("is a time without its zone: write 2019-11-22T10:00:00Z.", param, ctx)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at


@click.command("archive")
@click.option("--before", type=Moment(), required=True, help="Only entries older than this day (UTC).")
@click.option("--prune", is_flag=True, help="Then remove them from the database: only beyond AUDIT_RETENTION_MONTHS.")
@click.argument("folder", type=click.Path(path_type=Path))
@plainly
def archive(before: datetime, prune: bool, folder: Path) -> None:
    """Write the log's oldest entries into a new FOLDER that can be verified by itself.

    With a FOLDER that is an archive already, go on from there: tell of it if the log does not yet, and prune.
    """
    bot = open_services()
    vkey = read_vkey(bot.settings.vkey_file)
    if vkey is None:
        raise UsageError(f"The log's public key {bot.settings.vkey_file} is missing.")
    limit = pruning.months_before(datetime.now(UTC), bot.settings.audit_retention_months)
    if prune:
        _refuse_pruning(bot, before, limit)
    is_there = is_archive(folder)
    if is_there:
        checked = verify_archive(folder, vkey)
        if checked.problems:
            raise UsageError(f"The archive does not verify, so nothing was removed: {checked.problems[0]}.")
        if checked.manifest.until >= before:
            raise UsageError(f"The archive in {folder} has entries that are not older than that.")
    else:
        checked = pruning.archive(bot.database, vkey, before, folder)
    if not pruning.is_noted(bot.database, checked.digest):
        bot.journal.append(pruning.archived(checked))
    elif not prune:
        raise UsageError(f"{folder} is an archive already.")
    start, end = checked.manifest.start.size, checked.manifest.end.size
    click.echo(f"Archived the entries {start} to {end - 1} in {folder}, and read them back. Digest {checked.digest}.")
    if prune:
        for base in pruning.prune(bot.database, bot.journal, folder, vkey):
            click.echo(f"Removed the entries before {base.size} from the database.")
        click.echo(f"The database's log begins at entry {end}.")


def _refuse_pruning(bot: Services, before: datetime, limit: datetime) -> None:
    if before > limit:
        months = bot.settings.audit_retention_months
        raise UsageError(
            f"Entries stay in the database for {months} months (AUDIT_RETENTION_MONTHS):"
            f" only what is older than {limit:%Y-%m-%d} may be removed."
        )
    with bot.database.read() as connection:
        if not rights.may_prune(connection):
            raise UsageError("This database role may not remove entries: run this as the owner of the tables.")

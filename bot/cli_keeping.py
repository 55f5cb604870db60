"""The commands about what is kept, for how long, and who may change it."""

from __future__ import annotations

import click

from bot.command import plainly
from bot.storage import rights


@click.command("grant-sql")
@click.argument("role")
@click.option("--schema", default="public", show_default=True, help="Where the tables are.")
@plainly
def grant_sql(role: str, schema: str) -> None:
    """Print the SQL that gives ROLE what the bot needs on PostgreSQL, and no more; run it as the tables' owner."""
    click.echo(rights.grants(role, schema), nl=False)

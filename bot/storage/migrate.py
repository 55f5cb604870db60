"""Creates or migrates the database with Alembic; a test compares the outcome with `schema`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from bot.storage import guards
from bot.storage.engine import Database

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported where it is used: it takes 10 MB, and most processes and commands never migrate anything.
MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Bring the database to the newest schema with its guards, in one transaction. Doing it twice changes nothing;
    guards that somebody removed are put back.
    """
    from alembic import command  # noqa: PLC0415 - see above

    with database.write() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if guards.missing(connection):
            guards.install(connection)


def is_current(connection: Connection) -> bool:
    """Whether the database has exactly the schema that this program was written for."""
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above

    newest = ScriptDirectory.from_config(_config()).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == newest


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config

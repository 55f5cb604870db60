from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from bot.storage import migrate
from bot.storage.engine import Database
from bot.storage.schema import metadata


def test_migrations_make_exactly_the_tables_of_the_schema(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_every_index_of_the_schema_is_there(database: Database) -> None:
    wanted = {(table.name, index.name) for table in metadata.tables.values() for index in table.indexes}
    with database.read() as connection:
        there = inspect(connection)
        found = {(name, index["name"]) for name in metadata.tables for index in there.get_indexes(name)}
    assert wanted <= found


def test_migrating_twice_changes_nothing(database: Database) -> None:
    migrate.upgrade(database)
    with database.read() as connection:
        assert migrate.is_current(connection) is True
        assert connection.execute(text("SELECT count(*) FROM head")).scalar_one() == 1


def test_empty_database_is_not_current(database_url: str) -> None:
    database = Database(database_url)
    with database.read() as connection:
        assert migrate.is_current(connection) is False
    database.close()

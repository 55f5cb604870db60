"""What an owner of the database can do and the bot's own triggers would refuse: for tests that tamper with the log."""

from __future__ import annotations

from sqlalchemy import Connection, text

from bot.storage.guards import TABLES


def lift_guards(connection: Connection) -> None:
    """Take the guards away, as an owner can, in this transaction and from then on."""
    if connection.dialect.name == "sqlite":
        query = text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for name in connection.execute(query).scalars().all():
            connection.execute(text(f"DROP TRIGGER {name}"))
        return
    for table in TABLES:
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))


def tamper(connection: Connection, statement: str) -> None:
    """Change the log behind the bot's back."""
    lift_guards(connection)
    connection.execute(text(statement))

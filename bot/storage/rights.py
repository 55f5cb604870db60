"""PostgreSQL: which rights the bot needs, as SQL for the owner of the tables, and which it has beyond them.

Two roles. The owner runs `bot init-db` and `bot audit archive --prune`; web and worker connect as the bot, which adds
entries and reads them, and cannot change, delete or truncate one, lift a guard or alter a table. SQLite knows no roles:
whoever may write the file may do everything.
"""

from __future__ import annotations

import re

import structlog
from sqlalchemy import Connection, text

from bot.errors import DatabaseUnavailable, UsageError
from bot.storage import guards
from bot.storage.engine import Database
from bot.storage.schema import metadata

log = structlog.get_logger(__name__)

ROLE = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
MIGRATIONS_TABLE = "alembic_version"

_ADDED = "SELECT, INSERT"
_READ = "SELECT"
_FULL = "SELECT, INSERT, UPDATE, DELETE"
_LESS = {
    "entries": _ADDED,
    "checkpoints": "SELECT, INSERT, DELETE",
    "base": _READ,
    MIGRATIONS_TABLE: _READ,
    "head": "SELECT, UPDATE (size, frontier)",
    "calls": "SELECT, INSERT, UPDATE",
    "names": _ADDED,
    "users": "SELECT, INSERT, UPDATE",
    "api_keys": "SELECT, INSERT, UPDATE",
}
"""What differs from reading and writing rows at will."""

_NEEDED = {"entries": {"INSERT"}, "checkpoints": {"INSERT", "DELETE"}, "head": {"UPDATE"}, "base": set[str]()}
"""What the bot does to the log's tables beside reading them."""

_ROLE = text("""
    SELECT role.rolsuper AS superuser,
           pg_has_role(current_user, log.relowner, 'MEMBER') AS owner,
           pg_has_role(current_user, place.nspowner, 'MEMBER') AS schema_owner
    FROM pg_roles role, pg_class log JOIN pg_namespace place ON place.oid = log.relnamespace
    WHERE role.rolname = current_user AND log.oid = to_regclass('entries')
""")
_HELD = text("""
    SELECT log.relname, may.what
    FROM unnest(ARRAY['entries', 'checkpoints', 'head', 'base']) AS log(relname),
         unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS may(what)
    WHERE has_table_privilege(to_regclass(log.relname), may.what)
       OR may.what IN ('INSERT', 'UPDATE') AND has_any_column_privilege(to_regclass(log.relname), may.what)
""")
_LACKING = text("""
    SELECT DISTINCT needed.relname
    FROM unnest(CAST(:tables AS text[]), CAST(:rights AS text[])) AS needed(relname, what)
    WHERE NOT CASE needed.what
        WHEN 'DELETE' THEN has_table_privilege(to_regclass(needed.relname), needed.what)
        ELSE has_any_column_privilege(to_regclass(needed.relname), needed.what)
    END
    ORDER BY needed.relname
""")
_MAY_PRUNE = text("""
    SELECT has_table_privilege('entries', 'DELETE') AND has_table_privilege('base', 'UPDATE')
""")


def grants(role: str, schema: str = "public") -> str:
    """SQL for the owner to run: this role gets what the bot needs and loses all else. Doing it twice changes nothing.

    Raises `UsageError` for a name that would need more than quotation marks.
    """
    for name in (role, schema):
        if not ROLE.fullmatch(name):
            raise UsageError("A role or schema has small letters, digits, _ and - only, 63 characters at most.")
    tables = [MIGRATIONS_TABLE, *sorted(metadata.tables)]
    lines = [
        f'REVOKE CREATE ON SCHEMA "{schema}" FROM PUBLIC, "{role}";',
        f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}";',
        *(f'REVOKE ALL ON TABLE "{schema}"."{table}" FROM PUBLIC, "{role}";' for table in tables),
        *(f'GRANT {_LESS.get(table, _FULL)} ON TABLE "{schema}"."{table}" TO "{role}";' for table in tables),
    ]
    return "\n".join(["BEGIN;", *lines, "COMMIT;", ""])


def lacking(connection: Connection) -> tuple[str, ...]:
    """The tables on which this connection's role has less than the bot needs: after an update that migrated, until the
    owner runs what `bot grant-sql` prints. None on SQLite, and none that do not exist yet.
    """
    if connection.dialect.name == "sqlite":
        return ()
    needed = [
        (table, right)
        for table in (MIGRATIONS_TABLE, *sorted(metadata.tables))
        for right in re.sub(r" \(.*?\)", "", _LESS.get(table, _FULL)).split(", ")
    ]
    tables, what = (list(column) for column in zip(*needed, strict=True))
    return tuple(connection.execute(_LACKING, {"tables": tables, "rights": what}).scalars())


def excess(connection: Connection) -> tuple[str, ...]:
    """What this connection's role may do to the log and the bot never needs, in plain words. Nothing on SQLite."""
    if connection.dialect.name == "sqlite":
        return ()
    row = connection.execute(_ROLE).one_or_none()
    if row is None:  # not migrated yet
        return ()
    if row.superuser:
        return ("is a superuser",)
    if row.owner:
        return ("owns the log's tables",)
    schema = ("owns the log's schema, so it may drop the tables",) if row.schema_owner else ()
    held = connection.execute(_HELD).all()
    return (*schema, *(f"has {what} on {table}" for table, what in held if what not in _NEEDED[table]))


def warn(database: Database) -> None:
    """Say in the process's log what protects the entries less than it could, and what the bot may not do but has to. A
    database that is away is asked nothing: a process starts without it.
    """
    try:
        with database.read() as connection:
            too_much, too_little, lifted = excess(connection), lacking(connection), guards.missing(connection)
    except DatabaseUnavailable:
        return
    if too_much:
        log.warning("database.more_rights_than_needed", role=", ".join(too_much), see="bot grant-sql")
    if too_little:
        log.error("database.rights_missing", tables=too_little, see="bot grant-sql")
    if lifted:
        log.warning("database.guards_missing", guards=sorted(lifted), see="bot init-db puts them back")


def may_prune(connection: Connection) -> bool:
    """Whether this role may remove archived entries. On SQLite everybody may who can write the file."""
    return connection.dialect.name == "sqlite" or bool(connection.execute(_MAY_PRUNE).scalar_one())

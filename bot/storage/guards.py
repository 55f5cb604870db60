"""What the database itself refuses: entries and checkpoints are only ever added, and the head only ever grows.

Triggers, on both databases. An entry may be deleted once it lies below the base, that is once an archive has it; the
base only grows. They stop mistakes and whoever has no more than the bot's rights (`storage.rights`). They do not stop
the owner: on SQLite that is whoever may write the file, on PostgreSQL the role that owns the tables. An owner can drop
a trigger; what they then change is found by the signed checkpoints.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

ONLY_APPENDED = "The audit log is only ever appended to"
TABLES = ("entries", "checkpoints", "head", "base")

_ARCHIVED = "coalesce((SELECT size FROM base WHERE id = 1), 0)"
_ENDS = "(SELECT size FROM head WHERE id = 1)"
_SHRINKS = "NEW.size <= OLD.size OR NEW.id <> OLD.id"

_HOUR = 3_600_000_000
"""In microseconds, as times are kept."""

_KEPT = (
    "OLD.at > (CAST(strftime('%s', 'now') AS INTEGER) - 86400) * 1000000 OR NOT EXISTS "  # noqa: S608 - our own text
    f"(SELECT 1 FROM checkpoints WHERE size > OLD.size AND at / {_HOUR} = OLD.at / {_HOUR})"
)

# (table, what is refused, when, the message)
_SQLITE: tuple[tuple[str, str, str | None, str], ...] = (
    ("entries", "UPDATE", None, "an entry is never changed"),
    ("entries", "DELETE", f"OLD.position >= {_ARCHIVED}", "an entry that no archive has is never deleted"),
    # INSERT OR REPLACE deletes without asking the trigger above.
    ("entries", "INSERT", f"NEW.position < {_ENDS}", "an entry is never put before the end"),
    ("checkpoints", "UPDATE", None, "a checkpoint is never changed"),
    ("checkpoints", "DELETE", _KEPT, "a checkpoint is deleted only where a later one of its hour stays, after a day"),
    (
        "checkpoints",
        "INSERT",
        "EXISTS (SELECT 1 FROM checkpoints WHERE size = NEW.size)",
        "a checkpoint is never replaced",
    ),
    *(
        (table, operation, when, message)
        for table, noun in (("head", "the head"), ("base", "the base"))
        for operation, when, message in (
            ("UPDATE", _SHRINKS, f"{noun} only ever grows"),
            ("DELETE", None, f"{noun} is never deleted"),
            ("INSERT", f"EXISTS (SELECT 1 FROM {table})", f"{noun} is never replaced"),  # noqa: S608 - our own text
        )
    ),
)

_POSTGRESQL_FUNCTIONS: tuple[str, ...] = (
    f"""
    CREATE OR REPLACE FUNCTION guard_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '{ONLY_APPENDED}: % of % is refused.', TG_OP, TG_TABLE_NAME;
    END $$
    """,
    # The schema is named, so that no temporary table of the same name is asked instead.
    f"""
    CREATE OR REPLACE FUNCTION guard_archived() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE archived bigint;
    BEGIN
        EXECUTE format('SELECT size FROM %I.base WHERE id = 1', TG_TABLE_SCHEMA) INTO archived;
        IF EXISTS (SELECT FROM gone WHERE position >= coalesce(archived, 0)) THEN
            RAISE EXCEPTION '{ONLY_APPENDED}: an entry that no archive has is never deleted.';
        END IF;
        RETURN NULL;
    END $$
    """,  # noqa: S608 - our own text
)

_POSTGRESQL_FUNCTIONS += (
    f"""
    CREATE OR REPLACE FUNCTION guard_kept() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE is_later boolean;
    BEGIN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.checkpoints WHERE size > $1 AND at / {_HOUR} = $2 / {_HOUR})',
            TG_TABLE_SCHEMA) INTO is_later USING OLD.size, OLD.at;
        IF NOT is_later OR OLD.at > (extract(epoch FROM clock_timestamp()) - 86400) * 1000000 THEN
            RAISE EXCEPTION
                '{ONLY_APPENDED}: a checkpoint is deleted only where a later one of its hour stays, after a day.';
        END IF;
        RETURN OLD;
    END $$
    """,  # noqa: S608 - our own text
)

_LOCK = "LOCK TABLE head, base, entries, checkpoints IN ACCESS EXCLUSIVE MODE"
"""In the order in which writers and readers of the log take them: a deadlock would hold up a pause for a second."""

_EACH_STATEMENT = "FOR EACH STATEMENT EXECUTE FUNCTION guard_refuse()"
_POSTGRESQL: dict[tuple[str, str], str] = {
    **{(table, "TRUNCATE"): f"BEFORE TRUNCATE ON {table} {_EACH_STATEMENT}" for table in TABLES},
    **{(table, "UPDATE"): f"BEFORE UPDATE ON {table} {_EACH_STATEMENT}" for table in ("entries", "checkpoints")},
    **{
        (table, "UPDATE"): f"BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({_SHRINKS}) EXECUTE FUNCTION guard_refuse()"
        for table in ("head", "base")
    },
    **{(table, "DELETE"): f"BEFORE DELETE ON {table} {_EACH_STATEMENT}" for table in ("head", "base")},
    ("checkpoints", "DELETE"): "BEFORE DELETE ON checkpoints FOR EACH ROW EXECUTE FUNCTION guard_kept()",
    ("entries", "DELETE"): (
        "AFTER DELETE ON entries REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION guard_archived()"
    ),
}


def install(connection: Connection) -> None:
    """Put every guard there anew. On PostgreSQL for the owner of the tables only."""
    if connection.dialect.name == "sqlite":
        for table, operation, when, message in _SQLITE:
            name = _name(table, operation)
            condition = f"WHEN {when} " if when else ""
            refusal = f"SELECT RAISE(ABORT, '{ONLY_APPENDED}: {message}.')"
            _run(connection, f"DROP TRIGGER IF EXISTS {name}")
            _run(connection, f"CREATE TRIGGER {name} BEFORE {operation} ON {table} {condition}BEGIN {refusal}; END")
        return
    _run(connection, _LOCK)
    for function in _POSTGRESQL_FUNCTIONS:
        _run(connection, function)
    for (table, operation), rest in _POSTGRESQL.items():
        name = _name(table, operation)
        _run(connection, f"DROP TRIGGER IF EXISTS {name} ON {table}")
        _run(connection, f"CREATE TRIGGER {name} {rest}")


def missing(connection: Connection) -> frozenset[str]:
    """The guards that are not there, or do not fire: off, or on for replicas only. None where no tables are yet."""
    if not inspect(connection).has_table("entries"):
        return frozenset()
    if connection.dialect.name == "sqlite":
        wanted = {_name(table, operation) for table, operation, _, _ in _SQLITE}
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        wanted = {_name(table, operation) for table, operation in _POSTGRESQL}
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND pg_table_is_visible(tgrelid)"
    return frozenset(wanted - set(connection.execute(text(query)).scalars()))


def _name(table: str, operation: str) -> str:
    return f"guard_{table}_{operation.lower()}"


def _run(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))

"""The tables. Times are UTC microseconds since 1970 in a BIGINT, the same on both databases, and sort as numbers.

A call is read and written whole, so it is one document (`body`); its other columns are copies for indexes. An entry's
`body` is the log's exact bytes; its other columns are copies for the reviewer's filters.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - the base's
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's
        return None if value is None else from_micros(value)


def to_micros(value: datetime) -> int:
    return (value - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    return EPOCH + value * MICROSECOND


calls = Table(
    "calls",
    metadata,
    Column("sid", String(34), primary_key=True),
    Column("account", String(34), nullable=False),
    Column("agent", String(100)),
    Column("is_over", Boolean, nullable=False),
    Column("desired", String(16), nullable=False),
    Column("observed", String(16), nullable=False),
    Column("due_at", Instant),
    Column("updated_at", Instant, nullable=False),
    Column("body", Text, nullable=False),
)
Index(
    "ix_calls_due_at",
    calls.c.due_at,
    sqlite_where=calls.c.due_at.isnot(None),
    postgresql_where=calls.c.due_at.isnot(None),
)
Index("ix_calls_agent_is_over_updated_at", calls.c.agent, calls.c.is_over, calls.c.updated_at)
Index("ix_calls_is_over_updated_at", calls.c.is_over, calls.c.updated_at)
Index("ix_calls_updated_at_sid", calls.c.updated_at, calls.c.sid)

names = Table(
    "names",
    metadata,
    Column("name", String(34), primary_key=True),
    Column("call", String(34), primary_key=True),
)

seats = Table(
    "seats",
    metadata,
    Column("agent", String(100), primary_key=True),
    Column("call", String(34), primary_key=True),
)

callers = Table(
    "callers",
    metadata,
    Column("call", String(34), primary_key=True),
    Column("digest", LargeBinary),
    Column("last_four", String(8)),
    Column("at", Instant, nullable=False),
)
"""All that is kept of a caller's number, beside the log, so that it can be erased: a row without both was."""
Index("ix_callers_digest_call", callers.c.digest, callers.c.call)
Index(
    "ix_callers_at",
    callers.c.at,
    sqlite_where=callers.c.last_four.isnot(None),
    postgresql_where=callers.c.last_four.isnot(None),
)

conditions = Table(
    "conditions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("since", Instant, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Column("type", String(64), nullable=False),
    Column("actor", String(120)),
    Column("source", String(16), nullable=False),
    Column("call", String(34)),
    Column("outcome", String(16), nullable=False),
)
for _column in ("at", "type", "actor", "source", "call", "outcome"):
    Index(f"ix_entries_{_column}_position", entries.c[_column], entries.c.position)

head = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
)

base = Table(
    "base",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
)
"""How many entries live in archives only, and the tree over them: 0 until the first pruning."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

anchorings = Table(
    "anchorings",
    metadata,
    Column("anchor", String(200), primary_key=True),
    Column("size", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", Instant),
    Column("receipt", LargeBinary),
    Column("tries", Integer, nullable=False),
    Column("next_at", Instant),
)
Index("ix_anchorings_size", anchorings.c.size)

users = Table(
    "users",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password", String(200), nullable=False),
    Column("is_temporary", Boolean, nullable=False),
    Column("is_disabled", Boolean, nullable=False),
    Column("session", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Instant),
    Column("created_at", Instant, nullable=False),
    Column("signed_in_at", Instant),
)

contacts = Table(
    "contacts",
    metadata,
    Column("contact", String(255), primary_key=True),
    Column("user", String(100), ForeignKey("users.name"), nullable=False, index=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("scopes", String(200), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("at", Instant, nullable=False, index=True),
)

throttles = Table(
    "throttles",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("since", Instant, nullable=False),
    Column("count", Integer, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("node", String(120), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("began_at", Instant),
    Column("ended_at", Instant),
)

settings_seen = Table(
    "settings_seen",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("body", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

sinks = Table(
    "sinks",
    metadata,
    Column("name", String(500), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("at", Instant),
    Column("holder", String(120)),
    Column("held_until", Instant),
    Column("failures", Integer, nullable=False),
    Column("next_at", Instant),
)

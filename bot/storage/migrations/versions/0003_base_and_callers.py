"""Where the log begins once its oldest entries live in archives, and what is kept of callers' numbers.

The triggers that guard the log are `storage.guards`'; every migration puts them there anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KNOWN = {
    "sqlite": "json_extract(body, '$.caller')",
    "postgresql": "body::json ->> 'caller'",
}


def upgrade() -> None:
    base = op.create_table(
        "base",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_base")),
    )
    op.bulk_insert(base, [{"id": 1, "size": 0, "frontier": b""}])
    op.create_table(
        "callers",
        sa.Column("call", sa.String(length=34), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("last_four", sa.String(length=8), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("call", name=op.f("pk_callers")),
    )
    op.create_index(
        "ix_callers_at",
        "callers",
        ["at"],
        unique=False,
        sqlite_where=sa.text("last_four IS NOT NULL"),
        postgresql_where=sa.text("last_four IS NOT NULL"),
    )
    op.create_index("ix_callers_digest_call", "callers", ["digest", "call"], unique=False)
    known = _KNOWN[op.get_bind().dialect.name]
    op.execute(
        f"INSERT INTO callers (call, last_four, at) SELECT sid, {known}, updated_at FROM calls"  # noqa: S608 - our own text
        f" WHERE {known} IS NOT NULL"
    )

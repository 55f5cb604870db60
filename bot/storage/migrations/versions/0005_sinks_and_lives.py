"""How far the second copy of the log has come; when processes began and ended, and with which settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sinks",
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("holder", sa.String(length=120), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sinks")),
    )
    op.add_column("nodes", sa.Column("began_at", sa.BigInteger(), nullable=True))
    op.add_column("nodes", sa.Column("ended_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "settings_seen",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_settings_seen")),
    )

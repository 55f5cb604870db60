"""Who is on a live call (an agent or several), and what is wrong for everybody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "seats",
        sa.Column("agent", sa.String(length=100), nullable=False),
        sa.Column("call", sa.String(length=34), nullable=False),
        sa.PrimaryKeyConstraint("agent", "call", name=op.f("pk_seats")),
    )
    op.create_table(
        "conditions",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_conditions")),
    )
    op.execute(
        "INSERT INTO seats (agent, call) SELECT agent, sid FROM calls WHERE agent IS NOT NULL AND is_over IS FALSE"
    )

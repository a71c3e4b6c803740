"""Resting entries are found by their own legs: a market can have several, and one guard."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("guards", "entry_open", schema="execution")


def downgrade() -> None:
    op.add_column(
        "guards",
        sa.Column("entry_open", sa.Boolean(), server_default=sa.false(), nullable=False),
        schema="execution",
    )
    op.alter_column("guards", "entry_open", server_default=None, schema="execution")

"""Backtests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tradekit.service.migrations import grant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "backtests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("bar_count", sa.Integer(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("statistics", postgresql.JSONB(), nullable=False),
        sa.Column("trades", postgresql.JSONB(), nullable=False),
        sa.Column("warnings", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backtests")),
        schema="strategy",
    )
    op.create_index(
        op.f("ix_backtests_user_id_created_at"), "backtests", ["user_id", "created_at"], schema="strategy"
    )
    # A finished backtest is never changed.
    grant("strategy.backtests", "SELECT, INSERT")


def downgrade() -> None:
    op.drop_table("backtests", schema="strategy")

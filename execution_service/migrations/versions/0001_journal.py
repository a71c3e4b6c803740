"""The journal: signals, legs, events, guards."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from execution_service.models import TransactionId
from tradekit.service.migrations import grant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "transaction_id", TransactionId(), server_default=sa.text("pg_current_xact_id()"), nullable=False
        ),
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("signal_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_events")),
        schema="execution",
    )
    op.create_index(op.f("ix_events_signal_id"), "events", ["signal_id"], unique=False, schema="execution")
    op.create_index(
        op.f("ix_events_transaction_id_sequence"),
        "events",
        ["transaction_id", "sequence"],
        unique=False,
        schema="execution",
    )
    op.create_table(
        "signals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("alert_key", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("key_from_alert", sa.Boolean(), nullable=False),
        sa.Column("delivery", sa.Text(), server_default="pending", nullable=False),
        sa.Column("alert", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("plan", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sa.UniqueConstraint("account_id", "alert_key", name=op.f("uq_signals_account_id_alert_key")),
        sa.UniqueConstraint("sequence", name=op.f("uq_signals_sequence")),
        schema="execution",
    )
    op.create_index(
        "ix_signals_content",
        "signals",
        ["account_id", "content_hash", "received_at"],
        unique=False,
        schema="execution",
        postgresql_where=sa.text("NOT key_from_alert"),
    )
    op.create_index(
        "ix_signals_unfinished",
        "signals",
        ["sequence"],
        unique=False,
        schema="execution",
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        op.f("ix_signals_user_id_sequence"),
        "signals",
        ["user_id", "sequence"],
        unique=False,
        schema="execution",
    )
    op.create_table(
        "guards",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("signal_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("entry_open", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["signal_id"], ["execution.signals.id"], name=op.f("fk_guards_signal_id")),
        sa.PrimaryKeyConstraint("account_id", "symbol", name=op.f("pk_guards")),
        schema="execution",
    )
    op.create_table(
        "legs",
        sa.Column("signal_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("index", sa.SmallInteger(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=True),
        sa.Column("quantity", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("trigger_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("limit_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("trailing_percent", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("leverage", sa.SmallInteger(), nullable=True),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("exchange_order_id", sa.Text(), nullable=False),
        sa.Column("filled_quantity", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("average_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["signal_id"], ["execution.signals.id"], name=op.f("fk_legs_signal_id")),
        sa.PrimaryKeyConstraint("signal_id", "kind", "index", "attempt", name=op.f("pk_legs")),
        schema="execution",
    )
    op.create_index(
        "ix_legs_unresolved",
        "legs",
        ["signal_id"],
        unique=False,
        schema="execution",
        postgresql_where=sa.text("state IN ('intended', 'unknown', 'open')"),
    )
    op.create_index(
        "uq_legs_client_order_id",
        "legs",
        ["client_order_id"],
        unique=True,
        schema="execution",
        postgresql_where=sa.text("client_order_id <> ''"),
    )
    grant("execution.signals", "SELECT, INSERT, UPDATE")
    grant("execution.legs", "SELECT, INSERT, UPDATE")
    grant("execution.events", "SELECT, INSERT")
    grant("execution.guards", "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    op.drop_index(
        "uq_legs_client_order_id",
        table_name="legs",
        schema="execution",
        postgresql_where=sa.text("client_order_id <> ''"),
    )
    op.drop_index(
        "ix_legs_unresolved",
        table_name="legs",
        schema="execution",
        postgresql_where=sa.text("state IN ('intended', 'unknown', 'open')"),
    )
    op.drop_table("legs", schema="execution")
    op.drop_table("guards", schema="execution")
    op.drop_index(op.f("ix_signals_user_id_sequence"), table_name="signals", schema="execution")
    op.drop_index(
        "ix_signals_unfinished",
        table_name="signals",
        schema="execution",
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.drop_index(
        "ix_signals_content",
        table_name="signals",
        schema="execution",
        postgresql_where=sa.text("NOT key_from_alert"),
    )
    op.drop_table("signals", schema="execution")
    op.drop_index(op.f("ix_events_transaction_id_sequence"), table_name="events", schema="execution")
    op.drop_index(op.f("ix_events_signal_id"), table_name="events", schema="execution")
    op.drop_table("events", schema="execution")

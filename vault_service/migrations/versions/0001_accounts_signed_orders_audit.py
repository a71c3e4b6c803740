"""Accounts, signed orders and the audit."""

import sqlalchemy as sa
from alembic import op

from tradekit.service.migrations import grant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column(
            "testnet", sa.Boolean(), sa.Computed("environment <> 'live'", persisted=True), nullable=False
        ),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("api_key", sa.LargeBinary(), nullable=False),
        sa.Column("api_secret", sa.LargeBinary(), nullable=False),
        sa.Column("passphrase", sa.LargeBinary(), nullable=True),
        sa.Column("data_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "key_id",
            sa.Text(),
            sa.Computed("encode(substring(data_key FROM 2 FOR 8), 'hex')", persisted=True),
            nullable=False,
        ),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.CheckConstraint("exchange IN ('binance', 'okx')", name=op.f("ck_api_keys_exchange")),
        sa.CheckConstraint(
            "environment IN ('paper', 'testnet', 'live')", name=op.f("ck_api_keys_environment")
        ),
        schema="vault",
    )
    op.create_index(op.f("ix_api_keys_user_id_id"), "api_keys", ["user_id", "id"], schema="vault")
    op.create_index(op.f("ix_api_keys_key_id"), "api_keys", ["key_id"], schema="vault")
    op.create_table(
        "signed_orders",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("clock_offset_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "client_order_id", name=op.f("pk_signed_orders")),
        schema="vault",
    )
    op.create_table(
        "audit_entries",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("signal_id", sa.Text(), nullable=True),
        sa.Column("request_digest", sa.LargeBinary(), nullable=True),
        sa.Column("record_version", sa.Integer(), nullable=True),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("entry_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_entries")),
        schema="vault",
    )
    op.create_index(
        op.f("ix_audit_entries_account_id_record_version"),
        "audit_entries",
        ["account_id", "record_version"],
        schema="vault",
        postgresql_where=sa.text("record_version IS NOT NULL"),
    )
    _make_audit_append_only()
    grant("vault.api_keys", "SELECT, INSERT, UPDATE, DELETE")
    grant("vault.signed_orders", "SELECT, INSERT, UPDATE")
    grant("vault.audit_entries", "SELECT, INSERT")


def _make_audit_append_only() -> None:
    op.execute(
        """
        CREATE FUNCTION vault.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit is append-only: % is refused', TG_OP
                USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON vault.audit_entries
        FOR EACH STATEMENT EXECUTE FUNCTION vault.refuse_change()
        """
    )
    # Also for the table's owner, and for a session that plays a replica.
    op.execute("ALTER TABLE vault.audit_entries ENABLE ALWAYS TRIGGER append_only")


def downgrade() -> None:
    op.drop_table("audit_entries", schema="vault")
    op.execute("DROP FUNCTION vault.refuse_change()")
    op.drop_table("signed_orders", schema="vault")
    op.drop_table("api_keys", schema="vault")

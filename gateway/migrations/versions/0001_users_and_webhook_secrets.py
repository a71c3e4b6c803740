"""Users, what lets them in, webhook secrets, how far events were applied."""

import sqlalchemy as sa
from alembic import op

from tradekit.service.migrations import grant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "gateway"
NEW_UUID = sa.text("gen_random_uuid()")
NOW = sa.text("now()")


def upgrade() -> None:
    _create_users()
    _create_sessions()
    _create_login_attempts()
    _create_webhook_secrets()
    op.create_table(
        "event_cursors",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_event_cursors")),
        schema=SCHEMA,
    )
    for table in (
        "users",
        "sessions",
        "token_families",
        "refresh_tokens",
        "login_attempts",
        "webhook_secrets",
    ):
        grant(f"{SCHEMA}.{table}", "SELECT, INSERT, UPDATE, DELETE")
    grant(f"{SCHEMA}.event_cursors", "SELECT, INSERT, UPDATE")


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), server_default=NEW_UUID, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("total_xp", sa.Integer(), server_default="0", nullable=False),
        sa.Column("level", sa.Integer(), server_default="1", nullable=False),
        sa.Column("total_trades", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        schema=SCHEMA,
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), server_default=NEW_UUID, nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session_token", sa.Text(), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        _of_user("sessions"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("session_token", name=op.f("uq_sessions_session_token")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], schema=SCHEMA)
    op.create_table(
        "token_families",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        _of_user("token_families"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_families")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_token_families_user_id"), "token_families", ["user_id"], schema=SCHEMA)
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("family_id", sa.Uuid(), nullable=False),
        sa.Column("password_mark", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["family_id"],
            [f"{SCHEMA}.token_families.id"],
            name=op.f("fk_refresh_tokens_family_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_tokens")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_refresh_tokens_family_id"), "refresh_tokens", ["family_id"], schema=SCHEMA)


def _create_login_attempts() -> None:
    op.create_table(
        "login_attempts",
        sa.Column("id", sa.Uuid(), server_default=NEW_UUID, nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_attempts")),
        schema=SCHEMA,
    )
    for columns in (["account", "tried_at"], ["address", "tried_at"], ["tried_at"]):
        name = op.f(f"ix_login_attempts_{'_'.join(columns)}")
        op.create_index(name, "login_attempts", columns, schema=SCHEMA)


def _create_webhook_secrets() -> None:
    op.create_table(
        "webhook_secrets",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary()),
        sa.Column("previous_expires_at", sa.DateTime(timezone=True)),
        sa.Column("allow_operator_secret", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        _of_user("webhook_secrets"),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_webhook_secrets")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_webhook_secrets_user_id"), "webhook_secrets", ["user_id"], schema=SCHEMA)
    # Every gateway process holds these rows in memory; this tells it which one to read again.
    op.execute(
        """
        CREATE FUNCTION gateway.notify_webhook_secret() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('gateway_webhook_secrets', COALESCE(NEW.account_id, OLD.account_id)::text);
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER notify_webhook_secret AFTER INSERT OR UPDATE OR DELETE ON gateway.webhook_secrets
        FOR EACH ROW EXECUTE FUNCTION gateway.notify_webhook_secret()
        """
    )


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], [f"{SCHEMA}.users.id"], name=op.f(f"fk_{table}_user_id"), ondelete="CASCADE"
    )


def downgrade() -> None:
    tables = (
        "webhook_secrets",
        "login_attempts",
        "refresh_tokens",
        "token_families",
        "sessions",
        "event_cursors",
    )
    for table in (*tables, "users"):
        op.drop_table(table, schema=SCHEMA)
    op.execute("DROP FUNCTION gateway.notify_webhook_secret()")

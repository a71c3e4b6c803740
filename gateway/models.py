"""The tables of the gateway: users and what lets them and their alerts in."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tradekit.service.database import metadata

NOW = func.now()
NEW_UUID = func.gen_random_uuid()


class Base(DeclarativeBase):
    """Registry of the schema `gateway`."""

    metadata = metadata("gateway")
    type_annotation_map = {datetime: DateTime(timezone=True), str: Text, bytes: LargeBinary}  # noqa: RUF012 - SQLAlchemy's own form


class User(Base):
    """A person with a login.

    Attributes:
        email: In lower case; one user per address.
        password: An argon2id hash; a bcrypt hash is replaced at the next login.
        level: 1 + floor(sqrt(total_xp / 100)).
        total_trades: Filled entries.
    """

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=NEW_UUID)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(server_default="")
    password: Mapped[str]
    total_xp: Mapped[int] = mapped_column(server_default="0")
    level: Mapped[int] = mapped_column(server_default="1")
    total_trades: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Session(Base):
    """A session of NextAuth, as its database adapters store it: the token stands as it is shown."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=NEW_UUID)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    session_token: Mapped[str] = mapped_column(unique=True)
    expires: Mapped[datetime]


class TokenFamily(Base):
    """All tokens that come of one login; revoked together."""

    __tablename__ = "token_families"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class RefreshToken(Base):
    """A refresh token: its SHA-256, good for one use.

    Attributes:
        password_mark: Of the password at the time; another password makes the token worthless.
    """

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    family_id: Mapped[UUID] = mapped_column(ForeignKey(TokenFamily.id, ondelete="CASCADE"), index=True)
    password_mark: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class LoginAttempt(Base):
    """A login that was tried and has not succeeded.

    Attributes:
        account: SHA-256 of the address tried, whether or not somebody has it.
        address: Where it came from.
    """

    __tablename__ = "login_attempts"
    __table_args__ = (
        Index("ix_login_attempts_account_tried_at", "account", "tried_at"),
        Index("ix_login_attempts_address_tried_at", "address", "tried_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=NEW_UUID)
    account: Mapped[bytes]
    address: Mapped[str]
    tried_at: Mapped[datetime] = mapped_column(index=True)


class WebhookSecret(Base):
    """What an account's alerts must show: SHA-256 of a random secret of 256 bits.

    Attributes:
        account_id: The vault's id of the account.
        previous_hash: The secret before the last rotation, good until `previous_expires_at`.
        allow_operator_secret: Whether the operator-wide secret opens this account too.
    """

    __tablename__ = "webhook_secrets"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), index=True)
    secret_hash: Mapped[bytes]
    previous_hash: Mapped[bytes | None]
    previous_expires_at: Mapped[datetime | None]
    allow_operator_secret: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class EventCursor(Base):
    """How far a stream of another service's events was applied."""

    __tablename__ = "event_cursors"

    stream: Mapped[str] = mapped_column(primary_key=True)
    cursor: Mapped[str] = mapped_column(server_default="")

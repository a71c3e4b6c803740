"""The tables of schema `vault`."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Computed, DateTime, Index, LargeBinary, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tradekit.service.database import metadata
from vault_service.cipher import RecordContext, SealedCredentials


class Exchange(StrEnum):
    """A supported exchange."""

    BINANCE = "binance"
    OKX = "okx"


class Environment(StrEnum):
    """Where an exchange's keys are valid."""

    PAPER = "paper"
    TESTNET = "testnet"
    LIVE = "live"


class Base(DeclarativeBase):
    """Tables of the vault."""

    metadata = metadata("vault")


class ExchangeAccount(Base):
    """An exchange account; its keys are stored sealed (see cipher.py).

    Attributes:
        key_id: Which key-encryption key the record needs; read from the blob itself.
        version: Bound into every ciphertext; the audit knows the newest, so that an old row is noticed.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("exchange IN ('binance', 'okx')", name="exchange"),
        CheckConstraint("environment IN ('paper', 'testnet', 'live')", name="environment"),
        Index(None, "user_id", "id"),
        Index(None, "key_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID]
    exchange: Mapped[str] = mapped_column(Text)
    environment: Mapped[str] = mapped_column(Text)
    testnet: Mapped[bool] = mapped_column(Computed("environment <> 'live'", persisted=True))
    label: Mapped[str] = mapped_column(Text)
    api_key: Mapped[bytes] = mapped_column(LargeBinary)
    api_secret: Mapped[bytes] = mapped_column(LargeBinary)
    passphrase: Mapped[bytes | None] = mapped_column(LargeBinary)
    data_key: Mapped[bytes] = mapped_column(LargeBinary)
    key_id: Mapped[str] = mapped_column(
        Text, Computed("encode(substring(data_key FROM 2 FOR 8), 'hex')", persisted=True)
    )
    is_active: Mapped[bool]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    def context(self) -> RecordContext:
        """What this record's ciphertexts are bound to."""
        return RecordContext(
            account_id=self.id,
            user_id=self.user_id,
            exchange=self.exchange,
            environment=self.environment,
            is_active=self.is_active,
            version=self.version,
        )

    def sealed(self) -> SealedCredentials:
        """The keys as they are stored."""
        return SealedCredentials(self.data_key, self.api_key, self.api_secret, self.passphrase)

    def seal(self, sealed: SealedCredentials) -> None:
        """Puts sealed keys in."""
        self.data_key = sealed.data_key
        self.api_key = sealed.api_key
        self.api_secret = sealed.api_secret
        self.passphrase = sealed.passphrase


class SignedOrder(Base):
    """The second lock: a create-order that was signed and may still be accepted.

    Attributes:
        valid_until: By the exchange's clock: the request's timestamp plus its window.
        clock_offset_ms: The exchange's clock minus ours, as execution said with the request.
    """

    __tablename__ = "signed_orders"

    account_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    client_order_id: Mapped[str] = mapped_column(Text, primary_key=True)
    request: Mapped[str] = mapped_column(Text)
    valid_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    clock_offset_ms: Mapped[int]


class AuditEntry(Base):
    """One row of the audit; see audit.py for what each column means and how the rows are chained."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        # Answers "what is the newest version of this account's record" while signing.
        Index(
            None,
            "account_id",
            "record_version",
            postgresql_where=text("record_version IS NOT NULL"),
        ),
    )

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    caller: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[uuid.UUID | None]
    account_id: Mapped[uuid.UUID | None]
    signal_id: Mapped[str | None] = mapped_column(Text)
    request_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    record_version: Mapped[int | None]
    previous_hash: Mapped[bytes] = mapped_column(LargeBinary)
    entry_hash: Mapped[bytes] = mapped_column(LargeBinary)

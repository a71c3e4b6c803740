"""The tables of the schema `execution`. The SQL that uses them stands in `journal.py`."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from tradekit.service.database import metadata


class Base(DeclarativeBase):
    """Tables of this service."""

    metadata = metadata("execution")
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it from the class
        str: Text(),
        datetime: DateTime(timezone=True),
        Decimal: Numeric(38, 18),
        dict[str, Any]: JSONB(),
    }


class TransactionId(UserDefinedType[str]):
    """PostgreSQL's xid8: grows with each transaction, never wraps."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name."""
        return "xid8"


# So that what is in the database can be compared with what stands here.
ischema_names["xid8"] = TransactionId


class Signal(Base):
    """One alert. Its insert is the check for duplicates."""

    __tablename__ = "signals"
    __table_args__ = (
        UniqueConstraint("account_id", "alert_key"),
        Index(None, "user_id", "sequence"),
        # An alert that has no id of its own and comes again soon.
        Index(
            "ix_signals_content",
            "account_id",
            "content_hash",
            "received_at",
            postgresql_where=text("NOT key_from_alert"),
        ),
        Index("ix_signals_unfinished", "sequence", postgresql_where=text("finished_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    user_id: Mapped[UUID]
    account_id: Mapped[UUID]
    exchange: Mapped[str]
    symbol: Mapped[str]
    alert_key: Mapped[str]
    content_hash: Mapped[str]
    key_from_alert: Mapped[bool]
    # pending, delivered or undelivered: whether the sender got our answer.
    delivery: Mapped[str] = mapped_column(server_default="pending")
    alert: Mapped[dict[str, Any]]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    message: Mapped[str] = mapped_column(server_default="")
    plan: Mapped[dict[str, Any] | None]
    received_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Leg(Base):
    """One request to the exchange, written before it is sent."""

    __tablename__ = "legs"
    __table_args__ = (
        Index(
            "uq_legs_client_order_id",
            "client_order_id",
            unique=True,
            postgresql_where=text("client_order_id <> ''"),
        ),
        Index(
            "ix_legs_unresolved",
            "signal_id",
            postgresql_where=text("state IN ('intended', 'unknown', 'open')"),
        ),
    )

    signal_id: Mapped[UUID] = mapped_column(ForeignKey("execution.signals.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    index: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    attempt: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    state: Mapped[str]
    side: Mapped[str | None]
    quantity: Mapped[Decimal | None]
    trigger_price: Mapped[Decimal | None]
    limit_price: Mapped[Decimal | None]
    trailing_percent: Mapped[Decimal | None]
    leverage: Mapped[int | None] = mapped_column(SmallInteger)
    client_order_id: Mapped[str]
    exchange_order_id: Mapped[str]
    filled_quantity: Mapped[Decimal]
    average_price: Mapped[Decimal | None]
    valid_until: Mapped[datetime | None]
    reason: Mapped[str]
    message: Mapped[str]
    updated_at: Mapped[datetime]


class Event(Base):
    """Something that happened: the steps of signals, and what the gateway's stream carries. Only added to."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "transaction_id", "sequence"), Index(None, "signal_id"))

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    # Readers follow (transaction_id, sequence): a sequence number alone can become visible late.
    transaction_id: Mapped[str] = mapped_column(TransactionId, server_default=text("pg_current_xact_id()"))
    id: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    user_id: Mapped[UUID]
    account_id: Mapped[UUID]
    signal_id: Mapped[UUID | None]
    kind: Mapped[str]
    attributes: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Guard(Base):
    """An open position of ours that is watched until it is gone."""

    __tablename__ = "guards"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    # The signal whose stop and targets are in force.
    signal_id: Mapped[UUID] = mapped_column(ForeignKey("execution.signals.id"))
    side: Mapped[str]
    created_at: Mapped[datetime]

"""The tables of schema `strategy`."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tradekit.service.database import metadata

# A trade by field name, see trade_view.py. Here, since migrations run where no numpy is installed.
TradeFields = dict[str, str]


class Base(DeclarativeBase):
    """Tables of the strategy service."""

    metadata = metadata("strategy")


class StoredBacktest(Base):
    """A finished backtest; never changed.

    Attributes:
        user_id: Whose it is.
        parameters: Name -> text, all of them.
        statistics: Name -> number or null, see statistics.py.
        trades: See trade_view.py; decimals as text.
    """

    __tablename__ = "backtests"
    __table_args__ = (Index(None, "user_id", "created_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    strategy: Mapped[str] = mapped_column(Text)
    symbol: Mapped[str] = mapped_column(Text)
    bar_count: Mapped[int]
    parameters: Mapped[dict[str, str]] = mapped_column(JSONB)
    statistics: Mapped[dict[str, float | None]] = mapped_column(JSONB)
    trades: Mapped[list[TradeFields]] = mapped_column(JSONB)
    warnings: Mapped[list[str]] = mapped_column(JSONB)

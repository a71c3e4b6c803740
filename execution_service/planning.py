"""From an alert to an order's numbers, and why an alert is not taken."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from execution_service.accounts import Account, Accounts
from execution_service.errors import (
    account_inactive,
    alert_from_future,
    alert_too_old,
    exchange_mismatch,
    key_rejected,
    position_opposite,
    stop_on_wrong_side,
    unknown_symbol,
)
from execution_service.exchanges import errors
from execution_service.exchanges.types import Position
from execution_service.protection import DEFAULT_STOP, DEFAULT_TARGETS
from execution_service.signals import Plan
from tradekit.market.alert import Alert
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import (
    LevelKind,
    Side,
    SizeRefused,
    SizeType,
    StopOnWrongSide,
    entry_quantity,
    stop_price,
    target_price,
)
from tradekit.market.symbol import Market
from tradekit.service.clock import Clock
from tradekit.service.errors import FailedPrecondition

# An alert says when it fired; one that comes later than this is a replay.
REPLAY_WINDOW = timedelta(seconds=120)
FUTURE_TOLERANCE = timedelta(seconds=15)
# Before an alert is durable, the exchange is not waited for longer than this.
PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """What an entry is decided by.

    Attributes:
        positions: The symbol's; two of them only in hedge mode.
    """

    instrument: Instrument
    price: Decimal
    atr: Decimal | None
    available_balance: Decimal
    positions: tuple[Position, ...]

    def opposite(self, side: Side) -> Position | None:
        """The position that an entry on `side` turns around."""
        return next((held for held in self.positions if held.side is side.opposite), None)

    @property
    def net_position(self) -> Decimal:
        """Base currency; below 0 for a short."""
        return sum((held.side.sign * held.quantity for held in self.positions), Decimal(0))


async def check_alert(
    alert: Alert, market: Market, account: Account, accounts: Accounts, clock: Clock
) -> None:
    """Refuses an alert that cannot be carried out, before anything of it is recorded.

    What depends on an exchange that does not answer in time is left to the execution.

    Raises:
        ServiceError: Why it is not taken.
    """
    exchange = account.key.exchange
    for named in (alert.exchange, market.exchange):
        if named is not None and named != exchange:
            raise exchange_mismatch(named, exchange)
    entry_side = alert.action.entry_side
    if entry_side is not None:
        check_time(alert, clock.now())
        if not await accounts.is_active(account):
            raise account_inactive()
        if account.key_rejected is not None:
            raise key_rejected(account.key_rejected.message)
    try:
        async with asyncio.timeout(PATIENCE_S):
            if not await _takes_orders(market.symbol, account, closing=entry_side is None):
                raise unknown_symbol(market.symbol, exchange)
            if entry_side is not None:
                picture = await look(alert, market.symbol, account)
                check_reversal(alert, entry_side, picture)
                make_plan(alert, entry_side, picture)
    except (errors.ExchangeError, TimeoutError):
        return


async def _takes_orders(symbol: str, account: Account, *, closing: bool) -> bool:
    """Whether it is a market; where a position is open there is one to close, whatever the rules say."""
    instrument = await account.market_data.instrument(symbol)
    if not closing:
        return instrument is not None and instrument.trading
    return instrument is not None or bool(await account.positions_of(symbol))


def check_time(alert: Alert, now: datetime) -> None:
    """Refuses an entry that is a replay; a close is taken whatever its age.

    `time` is when the alert fired, or when its bar opened: with an interval the window starts at the bar's
    end.
    """
    if alert.time is None:
        return
    if alert.time > now + FUTURE_TOLERANCE:
        raise alert_from_future()
    bar = alert.interval.duration if alert.interval is not None else timedelta(0)
    age = now - (alert.time + bar)
    if age > REPLAY_WINDOW:
        raise alert_too_old(int(age.total_seconds()), int(REPLAY_WINDOW.total_seconds()))


def check_reversal(alert: Alert, side: Side, picture: Picture) -> None:
    """Refuses to turn a position around when the alert forbids it."""
    if not alert.reverse and picture.opposite(side) is not None:
        raise position_opposite(side.opposite.value)


async def look(alert: Alert, symbol: str, account: Account) -> Picture:
    """Everything that an entry is decided by; from memory when it is fresh, else asked for at once.

    Raises:
        ExchangeError: The exchange did not tell.
        ServiceError: UNKNOWN_SYMBOL.
    """
    data = account.market_data
    rules, price, atr, balance, positions = await asyncio.gather(
        data.instrument(symbol),
        data.last_price(symbol),
        _atr(alert, symbol, account),
        account.balance(),
        account.positions_of(symbol),
    )
    if rules is None:
        raise unknown_symbol(symbol, account.key.exchange)
    return Picture(
        instrument=rules,
        price=alert.limit_price or price,
        atr=atr,
        available_balance=balance.available,
        positions=positions,
    )


async def _atr(alert: Alert, symbol: str, account: Account) -> Decimal | None:
    levels = [
        alert.stop_loss or DEFAULT_STOP,
        *(target.level for target in alert.take_profits or DEFAULT_TARGETS),
    ]
    if all(level.kind is not LevelKind.ATR for level in levels):
        return None
    return await account.market_data.average_true_range(symbol, alert.interval)


def make_plan(alert: Alert, side: Side, picture: Picture) -> Plan:
    """The numbers of an entry.

    Raises:
        ServiceError: BELOW_MIN_SIZE, ABOVE_MAX_SIZE, STOP_ON_WRONG_SIDE, INSUFFICIENT_BALANCE.
    """
    stop = alert.stop_loss or DEFAULT_STOP
    try:
        stop_at = stop_price(
            stop, side=side, entry_price=picture.price, atr=picture.atr, instrument=picture.instrument
        )
        for target in alert.take_profits or DEFAULT_TARGETS:
            target_price(
                target.level,
                side=side,
                entry_price=picture.price,
                atr=picture.atr,
                instrument=picture.instrument,
            )
    except StopOnWrongSide as error:
        raise stop_on_wrong_side(f"The stop or target would trigger at once: {error}.") from error
    if (
        alert.size.type in (SizeType.PERCENT_BALANCE, SizeType.RISK_PERCENT)
        and picture.available_balance <= 0
    ):
        raise FailedPrecondition("INSUFFICIENT_BALANCE", "Insufficient balance: nothing is available.")
    try:
        quantity = entry_quantity(
            alert.size,
            available_balance=picture.available_balance,
            price=picture.price,
            stop_distance=abs(picture.price - stop_at),
            instrument=picture.instrument,
        )
    except SizeRefused as error:
        raise FailedPrecondition(error.reason, str(error)) from error
    return Plan(
        side=side,
        quantity=quantity,
        reference_price=picture.price,
        atr=picture.atr,
        position_before=picture.net_position,
    )

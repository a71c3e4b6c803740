"""What Binance's answers mean: errors, orders, positions, rules, in our words."""

import logging
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from execution_service.exchanges import errors
from execution_service.exchanges.http import Answer, Host
from execution_service.exchanges.reading import (
    decimal,
    decimal_or_zero,
    instant,
    positive,
    printable,
    read,
    sentence,
)
from execution_service.exchanges.types import (
    Balance,
    FundingRate,
    LeverageBracket,
    MarginMode,
    Order,
    OrderKind,
    OrderStatus,
    Position,
)
from execution_service.signals import OrderSide
from tradekit.market.instrument import Instrument
from tradekit.market.sizing import Side
from tradekit.market.volatility import Candle

log = logging.getLogger(__name__)

CURRENCY = "USDT"

_ORDER_STATUS = {
    "NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.OPEN,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.CANCELED,
    "EXPIRED_IN_MATCH": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REFUSED,
}
_ALGO_STATUS = {
    "NEW": OrderStatus.OPEN,
    "TRIGGERING": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.FILLED,
    "FINISHED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REFUSED,
}
_KINDS = {
    "MARKET": OrderKind.MARKET,
    "LIMIT": OrderKind.LIMIT,
    "STOP_MARKET": OrderKind.STOP_LOSS,
    "TAKE_PROFIT_MARKET": OrderKind.TAKE_PROFIT,
    "TRAILING_STOP_MARKET": OrderKind.TRAILING_STOP,
}


def checked(answer: Answer, host: Host) -> Any:
    """The body of a good answer.

    Raises:
        ExchangeError: What the answer means.
    """
    body = answer.body
    refused = isinstance(body, dict) and isinstance(body.get("code"), int) and body["code"] < 0
    if 200 <= answer.status < 300 and isinstance(body, dict | list) and not refused:
        return body
    error = _error_from(answer, host)
    if isinstance(error, errors.RateLimited) and error.exchange_code != str(_TOO_MANY_ORDERS):
        # A limit of our address; that of an account's orders leaves the other accounts alone.
        host.hold_back(error.retry_after)
    raise error


def _error_from(answer: Answer, host: Host) -> errors.ExchangeError:
    body = answer.body if isinstance(answer.body, dict) else {}
    code = body["code"] if isinstance(body.get("code"), int) else 0
    text = printable(body.get("msg", ""))
    if answer.status in (418, 429) or code in (-1003, _TOO_MANY_ORDERS):
        return _rate_limited(answer, code, text, host)
    if answer.status == 503 and _surely_not_done(code, text):
        return errors.Maintenance(
            "The exchange is overloaded.", exchange_code=str(code), retry_after=_BUSY_WAIT
        )
    if code in _MEANINGS and answer.status < 500:
        kind, words = _MEANINGS[code]
        return kind(sentence(words, text), exchange_code=str(code))
    if code in (-1000, -1001, -1006, -1007) or answer.status >= 500 or answer.status == 408 or not code:
        if answer.status == 403:
            # The web firewall in front of Binance: the request did not get through.
            return errors.Unreachable("The exchange's firewall refused the request.", retry_after=_BUSY_WAIT)
        return errors.OutcomeUnknown("The exchange did not say what became of it.", exchange_code=str(code))
    return errors.Refused(f"The exchange refused: {text} ({code}).", exchange_code=str(code))


_BUSY_WAIT = timedelta(milliseconds=400)
_TOO_MANY_ORDERS = -1015


def _rate_limited(answer: Answer, code: int, text: str, host: Host) -> errors.RateLimited:
    """A ban's end stands in the header, or in milliseconds in the text, or it is guessed."""
    wait = answer.retry_after or timedelta(seconds=60 if answer.status == 418 else 5)
    ends = re.search(r"banned until (\d{13})\b", text)
    if answer.retry_after is None and ends is not None:
        wait = min(max(instant(int(ends[1])) - host.exchange_time(), timedelta(0)), timedelta(days=3))
    return errors.RateLimited(
        "The exchange's rate limit is reached.", exchange_code=str(code), retry_after=wait
    )


def _surely_not_done(code: int, text: str) -> bool:
    # Documented as sure failures; the third text of a 503, "Unknown error, …", is not.
    return code == -1008 or text.startswith(("Service Unavailable.", "Internal error; unable to process"))


_Meaning = type[errors.ExchangeError]
_KEY = "The exchange does not accept the API key: {text}"
_FILTER = "The order does not fit the market's rules: {text}"
_BLOCKED = "The exchange has stopped the account: {text}"
_LOCKED = "Open orders or positions forbid the change: {text}"
# Binance's documented codes; texts change, codes do not.
_MEANINGS: dict[int, tuple[_Meaning, str]] = {
    **dict.fromkeys((-1021, -5028), (errors.ClockSkew, "The clock differs from the exchange's.")),
    # -2015 is the key, its permissions or its addresses: Binance does not say which.
    **dict.fromkeys((-1022, -2014, -2015, -2017), (errors.KeyRejected, _KEY)),
    -1002: (errors.PermissionMissing, "The API key is not allowed to do this: {text}"),
    **dict.fromkeys((-2023, -4192, -4400, -4401, -4402, -4403), (errors.AccountBlocked, _BLOCKED)),
    **dict.fromkeys((-4202, -4203, -4205, -4206), (errors.AccountBlocked, _BLOCKED)),
    **dict.fromkeys((-2018, -2019), (errors.BalanceInsufficient, "Insufficient balance: {text}")),
    **dict.fromkeys(
        (-2024, -2027, -2025, -4045), (errors.PositionLimit, "More than the exchange allows: {text}")
    ),
    **dict.fromkeys((-4028, -2028), (errors.LeverageRefused, "The leverage is refused: {text}")),
    **dict.fromkeys((-2021, -4142), (errors.WouldTrigger, "The price is already beyond the trigger.")),
    -5022: (errors.NotPostable, "The order would have been filled at once, and was to be post-only."),
    **dict.fromkeys((-2022, -4118), (errors.NothingToReduce, "There is nothing (more) to close: {text}")),
    **dict.fromkeys((-2011, -2013), (errors.OrderUnknown, "The exchange knows no such order.")),
    -4117: (errors.OrderUnknown, "The order is triggering and can no longer be cancelled."),
    **dict.fromkeys(
        (-1106, -4060, -4061, -4062), (errors.ModeChanged, "The position mode is another one: {text}")
    ),
    -4116: (errors.OrderExists, "An order with this client id is open."),
    -4130: (errors.ProtectionExists, "Another stop or target for the whole position is open."),
    **dict.fromkeys((-4046, -4059, -4171), (errors.AlreadySo, "The setting is already so.")),
    **dict.fromkeys((-4047, -4048, -4067, -4068), (errors.SettingLocked, _LOCKED)),
    **dict.fromkeys(
        (-1013, -1111, -4003, -4004, -4005, -4013, -4014, -4016, -4023, -4024, -4164),
        (errors.RulesChanged, _FILTER),
    ),
}


def instrument(row: dict[str, Any]) -> Instrument:
    filters = {item["filterType"]: item for item in row["filters"]}
    lot, market_lot = filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", filters["LOT_SIZE"])
    return Instrument(
        symbol=row["symbol"],
        tick_size=decimal(filters["PRICE_FILTER"]["tickSize"]),
        lot_size=max(decimal(lot["stepSize"]), decimal(market_lot["stepSize"])),
        min_quantity=max(decimal(lot["minQty"]), decimal(market_lot["minQty"])),
        max_quantity=min(decimal(lot["maxQty"]), decimal(market_lot["maxQty"])),
        min_notional=decimal(filters["MIN_NOTIONAL"]["notional"]),
        trading=row["status"] == "TRADING",
    )


def instruments(body: Any) -> dict[str, Instrument]:
    """The rules of all perpetuals; a market whose rules cannot be read is left out and not traded."""
    readable = {}
    for row in body["symbols"]:
        if row.get("contractType") != "PERPETUAL":
            continue
        try:
            rules = read(instrument, row)
        except errors.OutcomeUnknown:
            log.warning("instrument.unreadable", extra={"symbol": printable(row.get("symbol"))})
            continue
        readable[rules.symbol] = rules
    return readable


def candle(row: list[Any]) -> Candle:
    return Candle(instant(row[0]), *(decimal(value) for value in row[1:5]))


def balance(rows: Any) -> Balance:
    """The USDT row of the futures wallet."""
    row = next((row for row in rows if row["asset"] == CURRENCY), None)
    if row is None:
        return Balance(CURRENCY, Decimal(0), Decimal(0), Decimal(0))
    return Balance(
        currency=CURRENCY,
        total=decimal(row["balance"]),
        available=decimal(row["availableBalance"]),
        unrealized_profit=decimal(row["crossUnPnl"]),
    )


def positions(rows: Any) -> list[Position]:
    """The open positions; symbols with orders only are left out."""
    return [held for held in map(position, rows) if held.quantity > 0]


def position(row: dict[str, Any]) -> Position:
    amount = decimal(row["positionAmt"])
    liquidation = decimal(row["liquidationPrice"])
    return Position(
        symbol=row["symbol"],
        side=Side.LONG if amount > 0 else Side.SHORT,
        quantity=abs(amount),
        entry_price=decimal(row["entryPrice"]),
        mark_price=decimal(row["markPrice"]),
        unrealized_profit=decimal(row["unRealizedProfit"]),
        liquidation_price=liquidation if liquidation > 0 else None,
    )


def margin_mode(rows: Any) -> MarginMode:
    """The mode in a symbol's configuration."""
    return MarginMode.ISOLATED if rows[0]["marginType"] == "ISOLATED" else MarginMode.CROSS


def brackets(rows: Any) -> list[LeverageBracket]:
    """A symbol's brackets, the smallest positions first."""
    return [
        LeverageBracket(
            max_leverage=int(row["initialLeverage"]),
            max_notional=decimal(row["notionalCap"]),
            maintenance_ratio=decimal(row["maintMarginRatio"]),
        )
        for row in sorted(rows[0]["brackets"], key=lambda row: int(row["bracket"]))
    ]


def funding_rate(row: Any) -> FundingRate:
    """The next payment, as the premium index tells it."""
    return FundingRate(decimal(row["lastFundingRate"]), instant(row["nextFundingTime"]))


def order(row: dict[str, Any]) -> Order:
    quantity, filled = positive(row.get("origQty")), decimal_or_zero(row.get("executedQty"))
    if filled < 0 or (quantity is not None and filled > quantity):
        raise ValueError("more was filled than was ordered")
    return Order(
        symbol=row["symbol"],
        side=OrderSide(row["side"].lower()),
        kind=_KINDS.get(row.get("type", ""), OrderKind.OTHER),
        status=_ORDER_STATUS[row["status"]],
        client_order_id=row["clientOrderId"],
        exchange_order_id=str(row["orderId"]),
        quantity=quantity,
        filled_quantity=filled,
        average_price=positive(row.get("avgPrice")),
        limit_price=positive(row.get("price")),
        trigger_price=None,
        reduce_only=row.get("reduceOnly") is True,
    )


def algo_order(row: dict[str, Any]) -> Order:
    return Order(
        symbol=row["symbol"],
        side=OrderSide(row["side"].lower()),
        kind=_KINDS.get(row.get("orderType", ""), OrderKind.OTHER),
        status=_ALGO_STATUS[row["algoStatus"]],
        client_order_id=row["clientAlgoId"],
        exchange_order_id=str(row["algoId"]),
        quantity=None if row.get("closePosition") is True else positive(row.get("quantity")),
        filled_quantity=positive(row.get("actualQty")) or Decimal(0),
        average_price=positive(row.get("actualPrice")),
        limit_price=positive(row.get("price")),
        trigger_price=positive(row.get("triggerPrice")),
        reduce_only=row.get("reduceOnly") is True or row.get("closePosition") is True,
    )

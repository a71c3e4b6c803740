"""What OKX's answers mean: errors, orders, positions, balances, in our words.

OKX answers most refused orders with HTTP 200: the code stands in the body, and for orders in each row
(`sCode`). Codes: OKX API guide, "Error Code".
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from execution_service.exchanges import errors
from execution_service.exchanges.http import Answer, Host
from execution_service.exchanges.okx_contracts import Contract, symbol_of
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
    PositionMode,
)
from execution_service.signals import OrderSide
from tradekit.market.sizing import Side
from tradekit.market.volatility import Candle

T = TypeVar("T")

CURRENCY = "USDT"
# The period of OKX's limits: what was too much is allowed again after it.
LIMIT_PERIOD = timedelta(seconds=2)
BUSY_WAIT = timedelta(milliseconds=400)

_ORDER_STATES = {
    "live": OrderStatus.OPEN,
    "partially_filled": OrderStatus.OPEN,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "mmp_canceled": OrderStatus.CANCELED,
}
_ALGO_STATES = {
    "live": OrderStatus.OPEN,
    "pause": OrderStatus.OPEN,
    "partially_effective": OrderStatus.OPEN,
    "effective": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "order_failed": OrderStatus.REFUSED,
    "partially_failed": OrderStatus.REFUSED,
}
_KINDS = {
    "market": OrderKind.MARKET,
    "optimal_limit_ioc": OrderKind.MARKET,
    "limit": OrderKind.LIMIT,
    "post_only": OrderKind.LIMIT,
    "fok": OrderKind.LIMIT,
    "ioc": OrderKind.LIMIT,
}

Rows = list[dict[str, Any]]


def checked(answer: Answer, host: Host) -> Rows:
    """The rows of a good answer.

    Raises:
        ExchangeError: What the answer means.
    """
    body = answer.body if isinstance(answer.body, dict) else {}
    rows = body.get("data")
    if (
        200 <= answer.status < 300
        and str(body.get("code")) == "0"
        and isinstance(rows, list)
        and all(_row_code(row) == 0 for row in rows)
    ):
        return rows
    error = _error_from(answer, body)
    if isinstance(error, errors.RateLimited) and not error.exchange_code:
        # A 429 without a code is the address's; OKX's own limits are of one endpoint and account.
        host.hold_back(error.retry_after)
    raise error


def _row_code(row: Any) -> int:
    """An order's own code; 0 for rows that have none."""
    return _number(row.get("sCode", 0)) or 0 if isinstance(row, dict) else 0


def _number(code: object) -> int | None:
    text = str(code)
    return int(text) if text.isdecimal() and len(text) < 9 else None


def _error_from(answer: Answer, body: dict[str, Any]) -> errors.ExchangeError:
    code, text = _code_and_text(body)
    if code in _MEANINGS:
        kind, words = _meaning(code, text)
        return _made(kind, sentence(words, text), str(code), answer.retry_after)
    if answer.status == 429:
        return _made(errors.RateLimited, _LIMITED, str(code or ""), answer.retry_after)
    if answer.status == 403:
        return _made(errors.Unreachable, "The exchange's firewall refused the request.", "", None)
    # 1 and 2: look into the rows, which told nothing.
    if code in (None, 0, 1, 2) or answer.status == 408 or answer.status >= 500:
        return errors.OutcomeUnknown(
            "The exchange did not say what became of it.", exchange_code=str(code or "")
        )
    return errors.Refused(f"The exchange refused: {text} ({code}).", exchange_code=str(code))


def _code_and_text(body: dict[str, Any]) -> tuple[int | None, str]:
    """The code that tells most: that of the first refused order, else the request's."""
    rows = body.get("data")
    for row in rows if isinstance(rows, list) else []:
        if code := _row_code(row):
            return code, printable(row.get("sMsg", ""))
    return _number(body.get("code")), printable(body.get("msg", ""))


def _meaning(code: int, text: str) -> "tuple[_Meaning, str]":
    """51000 names a parameter in its text, and no more: of ours two can go wrong by themselves."""
    if code == _PARAMETER and ("posSide" in text or "reduceOnly" in text):
        return errors.ModeChanged, "The position mode is another one: {text}"
    if code == _PARAMETER and "lOrdId" in text:
        # Some clients have seen this instead of 51016; ours are well-formed.
        return errors.OrderExists, _EXISTS
    return _MEANINGS[code]


def _made(
    kind: type[errors.ExchangeError], message: str, code: str, retry_after: timedelta | None
) -> errors.ExchangeError:
    if issubclass(kind, errors.RateLimited):
        return kind(message, exchange_code=code, retry_after=retry_after or LIMIT_PERIOD)
    if issubclass(kind, errors.Unreachable):
        return kind(message, exchange_code=code, retry_after=retry_after or BUSY_WAIT)
    return kind(message, exchange_code=code)


_Meaning = type[errors.ExchangeError]
_PARAMETER = 51000
_LIMITED = "The exchange's rate limit is reached."
_KEY = "The exchange does not accept the API key: {text}"
_PERMISSION = "The API key is not allowed to do this: {text}"
_BLOCKED = "The exchange has stopped the account: {text}"
_FILTER = "The order does not fit the market's rules: {text}"
_BALANCE = "Insufficient balance: {text}"
_LIMIT = "More than the exchange allows: {text}"
_NOTHING = "There is nothing (more) to close: {text}"
_EXISTS = "An order with this client id exists."
_DOWN = "The exchange does not serve at present: {text}"
_UNSURE = "The exchange did not say what became of it."
_REFUSED = "The exchange refused: {text}"


def _all(codes: tuple[int, ...], kind: _Meaning, words: str) -> dict[int, tuple[_Meaning, str]]:
    return dict.fromkeys(codes, (kind, words))


# OKX's documented codes; texts change, codes do not.
_MEANINGS: dict[int, tuple[_Meaning, str]] = {
    **_all((50004, 51149, 51054), errors.OutcomeUnknown, _UNSURE),
    **_all((50001, 50005, 50013, 50026), errors.Maintenance, _DOWN),
    **_all((50011, 50061), errors.RateLimited, _LIMITED),
    **_all((50036, 50102, 50112), errors.ClockSkew, "The clock differs from the exchange's."),
    **_all((50101, *range(50103, 50108), 50111, 50113, 50114, 50119), errors.KeyRejected, _KEY),
    **_all((50100, 50108, 50109), errors.KeyRejected, _KEY),
    **_all((50030, 50110, 50120), errors.PermissionMissing, _PERMISSION),
    **_all((50007, 50009, 50012, 50022, 50027), errors.AccountBlocked, _BLOCKED),
    **_all((51009, 51010, 51024), errors.AccountBlocked, _BLOCKED),
    **_all((_PARAMETER, 50014, 50015, 51001, 51015, 51021, 51022, 51027), errors.Refused, _REFUSED),
    **_all((51008, 51119, 51127, 51131), errors.BalanceInsufficient, _BALANCE),
    **_all((51004, 51025), errors.PositionLimit, _LIMIT),
    **_all((51005, 51006, 51007, 51020, 51116, 51120, 51121, 51202), errors.RulesChanged, _FILTER),
    **_all((51122, 51135, 51136, 51137, 51138), errors.RulesChanged, _FILTER),
    **_all((51016, 51065, 51068, 50071), errors.OrderExists, _EXISTS),
    **_all((51023, 51112, 51169, 51170, 51205), errors.NothingToReduce, _NOTHING),
    **_all(
        (51046, 51047, 51048, 51049, 51051, 51277, 51278, 51279, 51280),
        errors.WouldTrigger,
        "The price is already beyond the trigger.",
    ),
    51088: (errors.ProtectionExists, "Another stop or target for the whole position is open."),
    **_all(
        (51400, 51401, 51402, 51410, 51503, 51509, 51510, 51603),
        errors.OrderUnknown,
        "The exchange knows no such order.",
    ),
    59000: (errors.SettingLocked, "Open orders or positions forbid the change: {text}"),
    **_all((59102, 59103), errors.LeverageRefused, "The leverage is refused: {text}"),
}


def listed(rows: Rows) -> Rows:
    """Rows that are objects and name their market; anything else is no list that OKX documents."""
    if not all(isinstance(row, dict) and "instId" in row for row in rows):
        raise ValueError("rows without a market")
    return rows


def open_rows(rows: Rows) -> Rows:
    """Positions that hold something; OKX also lists some that were just closed."""
    return [row for row in listed(rows) if decimal_or_zero(row["pos"])]


def read_row(
    reader: Callable[[dict[str, Any], Contract], T], row: dict[str, Any], contracts: Mapping[str, Contract]
) -> T:
    """What `reader` makes of a row of a list.

    Raises:
        Unreachable: The row is not of the documented shape: the question may be asked again.
    """
    try:
        return read(lambda row: reader(row, contracts[row["instId"]]), row)
    except errors.OutcomeUnknown as error:
        raise errors.Unreachable(error.message) from error


def held(row: dict[str, Any], contract: Contract) -> tuple[Position, MarginMode]:
    """A position and what stands behind it."""
    return position(row, contract), margin_mode(row)


def balance(rows: Rows) -> Balance:
    """The USDT details; an account that never had any has no row."""
    row = next((row for row in rows[0]["details"] if row["ccy"] == CURRENCY), None)
    if row is None:
        return Balance(CURRENCY, Decimal(0), Decimal(0), Decimal(0))
    return Balance(
        currency=CURRENCY,
        total=decimal(row["cashBal"]),
        # An account that only has spot mode tells no `availEq`.
        available=decimal(row["availEq"] or row["availBal"]),
        unrealized_profit=decimal_or_zero(row.get("upl")),
    )


def position(row: dict[str, Any], contract: Contract) -> Position:
    """A position; signed in net mode, positive with a side in long/short mode."""
    contracts = decimal_or_zero(row["pos"])
    is_long = row["posSide"] == "long" if row["posSide"] in ("long", "short") else contracts > 0
    return Position(
        symbol=_symbol(row),
        side=Side.LONG if is_long else Side.SHORT,
        quantity=contract.quantity(abs(contracts)),
        entry_price=decimal_or_zero(row["avgPx"]),
        mark_price=decimal_or_zero(row["markPx"]),
        unrealized_profit=decimal_or_zero(row["upl"]),
        liquidation_price=positive(row["liqPx"]),
    )


def margin_mode(row: dict[str, Any]) -> MarginMode:
    return MarginMode(row["mgnMode"])


def position_mode(rows: Rows) -> PositionMode:
    """The account's mode in its configuration."""
    return {"long_short_mode": PositionMode.HEDGE, "net_mode": PositionMode.ONE_WAY}[rows[0]["posMode"]]


def leverage(rows: Rows) -> int:
    """The highest of the sides': isolated positions of long/short mode have one leverage each.

    So an entry never has more leverage than what is told here.
    """
    return max(int(decimal(row["lever"])) for row in rows)


def order(row: dict[str, Any], contract: Contract) -> Order:
    quantity = contract.quantity(decimal(row["sz"]))
    filled = contract.quantity(decimal_or_zero(row["accFillSz"]))
    if not 0 <= filled <= quantity:
        raise ValueError("more was filled than was ordered")
    return Order(
        symbol=_symbol(row),
        side=OrderSide(row["side"]),
        kind=_KINDS.get(row["ordType"], OrderKind.OTHER),
        status=_ORDER_STATES[row["state"]],
        client_order_id=row["clOrdId"],
        exchange_order_id=row["ordId"],
        quantity=quantity,
        filled_quantity=filled,
        average_price=positive(row["avgPx"]),
        limit_price=positive(row["px"]),
        trigger_price=None,
        reduce_only=str(row["reduceOnly"]).lower() == "true",
    )


def algo_order(row: dict[str, Any], contract: Contract) -> Order:
    """A conditional order; one with a stop and a target (`oco`) is told as the stop."""
    stop, target = positive(row.get("slTriggerPx")), positive(row.get("tpTriggerPx"))
    follows_position = row.get("closeFraction") == "1"
    return Order(
        symbol=_symbol(row),
        side=OrderSide(row["side"]),
        kind=_algo_kind(row["ordType"], has_stop=stop is not None),
        status=_ALGO_STATES[row["state"]],
        client_order_id=row["algoClOrdId"],
        exchange_order_id=row["algoId"],
        quantity=None if follows_position else contract.quantity(decimal(row["sz"])),
        filled_quantity=contract.quantity(decimal_or_zero(row.get("actualSz"))),
        average_price=positive(row.get("actualPx")),
        limit_price=None,
        trigger_price=stop or target or positive(row.get("triggerPx")),
        reduce_only=follows_position or str(row.get("reduceOnly")).lower() == "true",
    )


def _algo_kind(name: str, *, has_stop: bool) -> OrderKind:
    if name == "move_order_stop":
        return OrderKind.TRAILING_STOP
    if name in ("conditional", "oco"):
        return OrderKind.STOP_LOSS if has_stop else OrderKind.TAKE_PROFIT
    return OrderKind.OTHER


def _symbol(row: dict[str, Any]) -> str:
    symbol = symbol_of(row["instId"])
    if symbol is None:
        raise ValueError("a market that we do not trade")
    return symbol


def candle(row: list[Any]) -> Candle:
    return Candle(instant(row[0]), *(decimal(value) for value in row[1:5]))


def is_closed(row: list[Any]) -> bool:
    """Whether a candle's row is final: its last column is `confirm`."""
    return str(row[-1]) == "1"


def funding_rate(rows: Rows) -> FundingRate:
    return FundingRate(decimal(rows[0]["fundingRate"]), instant(rows[0]["fundingTime"]))


def brackets(contract: Contract, mark_price: Decimal) -> Callable[[Rows], list[LeverageBracket]]:
    """Reads position tiers, which OKX counts in contracts."""
    return lambda rows: [
        LeverageBracket(
            max_leverage=int(decimal(row["maxLever"])),
            max_notional=contract.quantity(decimal(row["maxSz"])) * mark_price,
            maintenance_ratio=decimal(row["mmr"]),
        )
        for row in sorted(rows, key=lambda row: int(row["tier"]))
    ]

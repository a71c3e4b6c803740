"""Binance's user data events, made from what happened to one account.

Fields and order after the documented user data streams and frames captured in 2026: amounts without trailing
zeros; a fill is told as TRADE_LITE, ACCOUNT_UPDATE and ORDER_TRADE_UPDATE, in this order, with one
transaction time; ACCOUNT_UPDATE holds only what changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from paper_exchange.accounts import Account, IncomeType, MarginType, Position
from paper_exchange.binance_wire import Json, trimmed
from paper_exchange.events import (
    AccountChanged,
    Cleared,
    ConditionalOrderChanged,
    Event,
    Execution,
    IncomeBooked,
    OrderChanged,
    PositionChanged,
)
from paper_exchange.exchange import Exchange
from paper_exchange.feed import account_snapshot
from paper_exchange.margin import maintenance_margin, order_notionals
from paper_exchange.orders import (
    ZERO,
    ConditionalOrder,
    ConditionalStatus,
    ConditionalType,
    Fill,
    Order,
    OrderType,
    TimeInForce,
)

_ASSET = "USDT"
_CALL_RATIO = Decimal("0.8")  # maintenance margin / margin balance at which a margin call is sent
_REASONS = {
    IncomeType.FUNDING_FEE: "FUNDING_FEE",
    IncomeType.INSURANCE_CLEAR: "INSURANCE_CLEAR",
    IncomeType.TRANSFER: "DEPOSIT",
}
_LIQUIDATED, _KNOCKED_OUT, _UNFILLABLE, _NO_MARKET = "5", "4", "2", "9"


class UserEvents:
    """Tells one account's events; remembers what it has told, so that it can tell differences."""

    def __init__(self, exchange: Exchange, account: Account) -> None:
        self._exchange = exchange
        self._books = exchange.books
        self._account_id = account.account_id
        self._told = account_snapshot(account)
        self._realized: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
        for fill in self._books.of(account).fills:
            self._realized[fill.symbol, fill.position_side] += fill.realized_pnl
        open_conditional = self._books.of(account).open_conditional.values()
        self._armed = {order.algo_id: _is_armed(order) for order in open_conditional}
        self._called: set[str] = set()

    def of(self, batch: Sequence[Event], now_ms: int) -> list[Json]:
        """The events of one commit, in the order in which the exchange sends them."""
        liquidated = any(
            isinstance(event, OrderChanged) and event.order.type is OrderType.LIQUIDATION for event in batch
        )
        return [event for step in _steps(batch) for event in self._step(step, now_ms, liquidated)]

    def _step(self, step: list[Event], now_ms: int, liquidated: bool) -> Iterator[Json]:
        first = step[0]
        if isinstance(first, Cleared):
            self._realized.clear()
            self._armed.clear()
        if isinstance(first, ConditionalOrderChanged):
            yield from self._conditional(first.order, now_ms)
        if isinstance(first, OrderChanged) and first.fill is not None:
            self._realized[first.fill.symbol, first.fill.position_side] += first.fill.realized_pnl
            yield trade_lite(first.order, first.fill, now_ms)
        yield from self._account_changes(step, now_ms)
        if isinstance(first, OrderChanged):
            yield self._order(first, now_ms, liquidated)

    # Orders

    def _order(self, event: OrderChanged, now_ms: int, liquidated: bool) -> Json:
        order, account = event.order, self._books.accounts[self._account_id]
        same = [o for o in self._books.of(account).open_orders.values() if o.symbol == order.symbol]
        last = self._exchange.market.last(order.symbol, now_ms)
        bids, asks = order_notionals(same, order.position_side, last)
        conditional = None
        if order.algo_id is not None:
            conditional = self._books.of(account).conditional.get(order.algo_id)
        reason = _expiry_reason(event, liquidated)
        return order_trade_update(
            event, conditional, bids=bids, asks=asks, expiry_reason=reason, now_ms=now_ms
        )

    def _conditional(self, order: ConditionalOrder, now_ms: int) -> Iterator[Json]:
        """A trailing stop changes with every new best price; only its arming is told."""
        armed, known = _is_armed(order), self._armed.get(order.algo_id)
        if order.is_open:
            self._armed[order.algo_id] = armed
            if known is None or armed != known:
                yield algo_update(order, None, now_ms)
            return
        self._armed.pop(order.algo_id, None)
        if order.status in (ConditionalStatus.TRIGGERED, ConditionalStatus.REJECTED):
            yield algo_update(order, None, now_ms, status="TRIGGERING")
        actual = None
        if order.status is ConditionalStatus.FINISHED and order.order_id is not None:
            account = self._books.accounts[self._account_id]
            actual = self._books.of(account).orders.get(order.order_id)
        yield algo_update(order, actual, now_ms)

    # Balances, positions, settings

    def _account_changes(self, step: list[Event], now_ms: int) -> Iterator[Json]:
        accounts = [event.account for event in step if isinstance(event, AccountChanged)]
        if not accounts:
            return
        before, self._told = self._told, accounts[-1]
        yield from _config_updates(before, self._told, now_ms)
        moved = {
            event.position.symbol: event.position for event in step if isinstance(event, PositionChanged)
        }
        positions = list(moved.values())
        reason, symbol = _reason(step)
        if reason == "FUNDING_FEE":
            # Funding of a cross position touches the wallet only.
            positions = [position for position in positions if self._is_isolated(position)]
        retyped = [
            name
            for name in self._told.settings
            if self._told.setting(name).margin_type is not before.setting(name).margin_type
        ]
        if retyped and reason is None:
            reason = "MARGIN_TYPE_CHANGE"
            positions = [p for name in retyped for p in self._told.positions_of(name)]
        wallets = (self._told.wallet_balance, self._told.cross_wallet)
        unchanged = wallets == (before.wallet_balance, before.cross_wallet)
        if unchanged and not positions and reason in (None, "ORDER"):
            return
        incomes = [event.income.time_ms for event in step if isinstance(event, IncomeBooked)]
        at_ms = incomes[-1] if incomes else self._told.update_ms
        change = self._told.wallet_balance - before.wallet_balance if reason != "ORDER" else ZERO
        yield self._account_update(
            reason or "MARGIN_TRANSFER", positions, change=change, symbol=symbol, at_ms=at_ms, now_ms=now_ms
        )

    def _is_isolated(self, position: Position) -> bool:
        return self._told.setting(position.symbol).margin_type is MarginType.ISOLATED

    def _account_update(
        self,
        reason: str,
        positions: Iterable[Position],
        *,
        change: Decimal,
        symbol: str,
        at_ms: int,
        now_ms: int,
    ) -> Json:
        account = self._told
        body: Json = {
            "B": [
                {
                    "a": _ASSET,
                    "wb": _text(account.wallet_balance),
                    "cw": _text(account.cross_wallet),
                    "bc": _text(change),
                }
            ],
            "P": [self._position(account, position, now_ms) for position in positions],
            "m": reason,
        }
        if reason == "FUNDING_FEE":
            body["S"] = symbol
        return {"e": "ACCOUNT_UPDATE", "T": at_ms, "E": now_ms, "a": body}

    def _position(self, account: Account, position: Position, now_ms: int) -> Json:
        mark = self._exchange.market.quote(position.symbol, now_ms).mark
        return {
            "s": position.symbol,
            "pa": _text(position.quantity),
            "ep": _text(position.entry_price),
            "bep": _text(position.break_even_price),
            "cr": _text(self._realized[position.symbol, position.side]),
            "up": _text(position.unrealized(mark)),
            "mt": account.setting(position.symbol).margin_type.value,
            "iw": _text(position.isolated_wallet),
            "ps": position.side,
            "ma": _ASSET,
        }

    # Margin calls

    def margin_calls(self, now_ms: int) -> list[Json]:
        """MARGIN_CALL for positions that have newly come near their liquidation."""
        account = self._books.accounts[self._account_id]
        held = account.open_positions()
        if not held:
            self._called.clear()
            return []
        near = {f"{p.symbol}:{p.side}": p for p in held if self._is_near(account, p, now_ms)}
        fresh = [position for key, position in near.items() if key not in self._called]
        self._called = set(near)
        return [self._margin_call(account, fresh, now_ms)] if fresh else []

    def _is_near(self, account: Account, position: Position, now_ms: int) -> bool:
        if account.setting(position.symbol).margin_type is MarginType.ISOLATED:
            quote = self._exchange.market.quote(position.symbol, now_ms)
            left = position.isolated_wallet + position.unrealized(quote.mark)
            kept = maintenance_margin(position, quote, self._exchange.instrument(position.symbol))
        else:
            margin = self._exchange.risk.margin(account, now_ms)
            left, kept = account.cross_wallet + margin.cross_unrealized, margin.cross_maintenance
        return kept > _CALL_RATIO * left

    def _margin_call(self, account: Account, positions: list[Position], now_ms: int) -> Json:
        rows = []
        for position in positions:
            quote = self._exchange.market.quote(position.symbol, now_ms)
            instrument = self._exchange.instrument(position.symbol)
            rows.append(
                {
                    "s": position.symbol,
                    "ps": position.side,
                    "pa": _text(position.quantity),
                    "mt": _MARGIN_TYPES[account.setting(position.symbol).margin_type],
                    "iw": _text(position.isolated_wallet),
                    "mp": _text(quote.mark),
                    "up": _text(position.unrealized(quote.mark)),
                    "mm": _text(maintenance_margin(position, quote, instrument)),
                }
            )
        call: Json = {"e": "MARGIN_CALL", "E": now_ms, "p": rows}
        if any(row["mt"] == "CROSSED" for row in rows):
            call["cw"] = _text(account.cross_wallet)
        return call


_MARGIN_TYPES = {MarginType.CROSS: "CROSSED", MarginType.ISOLATED: "ISOLATED"}


def _steps(batch: Sequence[Event]) -> list[list[Event]]:
    """Cuts a batch into steps: an order's event with the wallet changes it made, a funding payment, …"""
    steps: list[list[Event]] = []
    complete = True
    for event in batch:
        starts = isinstance(event, OrderChanged | ConditionalOrderChanged | Cleared)
        own = isinstance(event, IncomeBooked) and event.income.type is IncomeType.INSURANCE_CLEAR
        if complete or starts or own:
            steps.append([])
        steps[-1].append(event)
        # A funding payment ends with its account; the next one may follow in the same batch.
        complete = isinstance(event, AccountChanged) and _reason(steps[-1])[0] == "FUNDING_FEE"
    return steps


def _reason(step: list[Event]) -> tuple[str | None, str]:
    """Why a step changed the account, and the symbol of a funding payment."""
    if isinstance(step[0], OrderChanged):
        return "ORDER", ""
    for event in step:
        if isinstance(event, IncomeBooked) and event.income.type in _REASONS:
            return _REASONS[event.income.type], event.income.symbol
    return None, ""


def _config_updates(before: Account, after: Account, now_ms: int) -> Iterator[Json]:
    head = {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": after.update_ms}
    for symbol, setting in after.settings.items():
        if setting.leverage != before.setting(symbol).leverage:
            yield head | {"ac": {"s": symbol, "l": setting.leverage}}
    if after.multi_assets != before.multi_assets:
        yield head | {"ai": {"j": after.multi_assets}}


def trade_lite(order: Order, fill: Fill, now_ms: int) -> Json:
    """TRADE_LITE: a fill with the least that a fast client needs."""
    return {
        "e": "TRADE_LITE",
        "E": now_ms,
        "T": fill.time_ms,
        "s": order.symbol,
        "q": _text(order.quantity),
        "p": _text(order.price),
        "m": fill.maker,
        "c": order.client_order_id,
        "S": order.side,
        "L": _text(fill.price),
        "l": _text(fill.quantity),
        "t": fill.trade_id,
        "i": order.order_id,
    }


def order_trade_update(
    event: OrderChanged,
    conditional: ConditionalOrder | None,
    *,
    bids: Decimal,
    asks: Decimal,
    expiry_reason: str,
    now_ms: int,
) -> Json:
    """ORDER_TRADE_UPDATE.

    Args:
        conditional: What the order came from, if from one.
        bids, asks: Notional of the account's open orders of the symbol.
    """
    order, fill = event.order, event.fill
    body = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": _text(order.quantity),
        "p": _text(order.price),
        "ap": _text(order.average_price),
        "sp": _text(order.trigger_price),
        "x": _execution_type(event),
        "X": order.status,
        "i": order.order_id,
        "l": _text(fill.quantity if fill else ZERO),
        "z": _text(order.executed),
        "L": _text(fill.price if fill else ZERO),
        "n": _text(fill.commission if fill else ZERO),
        "N": _ASSET,
        "T": order.update_ms,
        "t": fill.trade_id if fill else 0,
        "b": _text(bids),
        "a": _text(asks),
        "m": fill.maker if fill else False,
        "R": order.reduce_only,
        "wt": order.working_type,
        "ot": order.original_type,
        "ps": order.position_side,
        "cp": order.close_position,
        "rp": _text(fill.realized_pnl if fill else ZERO),
        "pP": order.price_protect,
        "si": 0,
        "ss": 0,
        "V": order.self_trade_prevention,
        "pm": "NONE",
        "gtd": order.good_till_ms,
        "er": expiry_reason,
    }
    if conditional is not None and conditional.type is ConditionalType.TRAILING_STOP_MARKET:
        body |= {"AP": _text(conditional.activation_price), "cr": _text(conditional.callback_rate)}
    return {"e": "ORDER_TRADE_UPDATE", "T": order.update_ms, "E": now_ms, "o": body}


def algo_update(
    order: ConditionalOrder, actual: Order | None, now_ms: int, *, status: str | None = None
) -> Json:
    """ALGO_UPDATE.

    Args:
        actual: The order it became, once that is done.
        status: Instead of the order's own.
    """
    shown = order.order_id is not None and status is None
    body = {
        "caid": order.client_algo_id,
        "aid": order.algo_id,
        "at": "CONDITIONAL",
        "o": order.type,
        "s": order.symbol,
        "S": order.side,
        "ps": order.position_side,
        "f": order.time_in_force,
        "q": _text(order.quantity),
        "X": status or order.status,
        "ai": str(order.order_id) if shown else "",
        "ap": _text(actual.average_price) if actual else "0.00000",
        "aq": _text(actual.executed) if actual else "0.00000",
        "act": (OrderType.LIMIT if order.type.is_limit else OrderType.MARKET) if shown else "0",
        "tp": _text(order.trigger_price),
        "p": _text(order.price),
        "V": order.self_trade_prevention,
        "wt": order.working_type,
        "pm": "NONE",
        "cp": order.close_position,
        "pP": order.price_protect,
        "R": order.reduce_only,
        "tt": order.trigger_ms,
        "gtd": order.good_till_ms,
        "rm": _REJECTIONS.get(order.reject_reason, order.reject_reason),
    }
    if order.type is ConditionalType.TRAILING_STOP_MARKET:
        body["ia"] = _is_armed(order)
    return {"e": "ALGO_UPDATE", "T": order.update_ms, "E": now_ms, "o": body}


_REJECTIONS = {"reduce_only": "Reduce Only reject", "margin_insufficient": "Margin is insufficient."}


def _is_armed(order: ConditionalOrder) -> bool:
    return order.extreme is not None


def _execution_type(event: OrderChanged) -> str:
    """A liquidation's fill is CALCULATED."""
    if event.execution is Execution.TRADE and event.order.type is OrderType.LIQUIDATION:
        return Execution.CALCULATED
    return event.execution


def _expiry_reason(event: OrderChanged, liquidated: bool) -> str:
    """Why an order expired, in the numbers of the documentation of ORDER_TRADE_UPDATE."""
    if event.execution is not Execution.EXPIRED:
        return "0"
    if liquidated:
        return _LIQUIDATED
    if event.order.reduce_only:
        return _KNOCKED_OUT
    if event.order.type is OrderType.MARKET:
        return _NO_MARKET
    return _UNFILLABLE if event.order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK) else "0"


def _text(value: Decimal) -> str:
    return trimmed(round(value, 8)) if value else "0"

"""OKX's account channels: orders, algo orders, positions, balance, fills. Pushed as things happen.

Account and positions show themselves on subscribing and every five seconds while positions are open; orders
only what changes.
"""

from collections.abc import Callable, Sequence

from paper_exchange.accounts import Account, IncomeType, Position
from paper_exchange.events import (
    AccountChanged,
    ConditionalOrderChanged,
    Event,
    Execution,
    IncomeBooked,
    OrderChanged,
    PositionChanged,
)
from paper_exchange.exchange import Exchange
from paper_exchange.okx_account_wire import CURRENCY, AccountWire, money
from paper_exchange.okx_channels import Arg, Channel, Push
from paper_exchange.okx_contracts import INST_TYPE, Contract, Json, Listing, number
from paper_exchange.okx_errors import OkxError
from paper_exchange.okx_order_wire import OrderWire, algo_type
from paper_exchange.orders import ConditionalStatus

_SHOWN_EVERY_MS = 5000
_INST_TYPES = (INST_TYPE, "ANY")
Rows = Callable[[Sequence[Event], int], list[Json]]


class EventChannel:
    """Pushes rows made of events; nothing on subscribing."""

    def __init__(self, arg: Arg, uid: str, rows: Rows) -> None:
        self._arg = {**arg, "uid": uid}
        self._rows = rows

    def opened(self, now_ms: int) -> list[Push]:
        return []

    def happened(self, batch: Sequence[Event], now_ms: int) -> list[Push]:
        return [{"arg": self._arg, "data": [row]} for row in self._rows(batch, now_ms)]

    def tick(self, now_ms: int) -> list[Push]:
        return []


class StateChannel:
    """Pushes all rows on subscribing and regularly, and those that events concern."""

    def __init__(self, arg: Arg, uid: str, shown: Callable[[int], list[Json]], changed: Rows) -> None:
        self._arg = {**arg, "uid": uid}
        self._shown = shown
        self._changed = changed
        self._pushed_ms = 0

    def opened(self, now_ms: int) -> list[Push]:
        self._pushed_ms = now_ms
        return [self._push(self._shown(now_ms), "snapshot")]

    def happened(self, batch: Sequence[Event], now_ms: int) -> list[Push]:
        rows = self._changed(batch, now_ms)
        return [self._push(rows, "event_update")] if rows else []

    def tick(self, now_ms: int) -> list[Push]:
        if now_ms - self._pushed_ms < _SHOWN_EVERY_MS:
            return []
        self._pushed_ms = now_ms
        rows = self._shown(now_ms)
        return [self._push(rows, "snapshot")] if rows else []

    def _push(self, rows: list[Json], kind: str) -> Push:
        return {"arg": self._arg, "eventType": kind, "curPage": 1, "lastPage": True, "data": rows}


class UserChannels:
    """Makes the channels of one account."""

    def __init__(self, exchange: Exchange, listing: Listing, account: Account, uid: str) -> None:
        self._exchange = exchange
        self._listing = listing
        self._account = account
        self._uid = uid
        self._orders = OrderWire(exchange, listing)
        self._wire = AccountWire(exchange, listing)

    def make_private(self, arg: Arg) -> Channel | None:
        """The channel of the private socket that an argument names."""
        match arg["channel"]:
            case "orders":
                return EventChannel(arg, self._uid, self._order_rows(_filter(arg)))
            case "fills":
                return EventChannel(arg, self._uid, self._fill_rows(arg.get("instId")))
            case "positions":
                wanted = _filter(arg)
                return StateChannel(arg, self._uid, self._positions(wanted), self._changed_positions(wanted))
            case "account":
                return StateChannel(arg, self._uid, self._balance, self._changed_balance)
            case "balance_and_position":
                return StateChannel(arg, self._uid, self._everything, self._filled)
            case _:
                return None

    def make_business(self, arg: Arg) -> Channel | None:
        """The channel of the business socket that an argument names."""
        match arg["channel"]:
            case "orders-algo":
                return EventChannel(arg, self._uid, self._algo_rows(_filter(arg), trailing=False))
            case "algo-advance":
                return EventChannel(arg, self._uid, self._algo_rows(_filter(arg), trailing=True))
            case _:
                return None

    # Orders

    def _order_rows(self, wanted: Callable[[Contract], bool]) -> Rows:
        def rows(batch: Sequence[Event], now_ms: int) -> list[Json]:
            return [
                self._order_row(event, now_ms)
                for event in batch
                if isinstance(event, OrderChanged) and wanted(self._listing.of_symbol(event.order.symbol))
            ]

        return rows

    def _order_row(self, event: OrderChanged, now_ms: int) -> Json:
        fill, contract = event.fill, self._listing.of_symbol(event.order.symbol)
        last = self._exchange.market.last(event.order.symbol, now_ms)
        return {
            **self._orders.order(self._account, event.order),
            "amendResult": "0" if event.execution is Execution.AMENDMENT else "",
            "amendSource": "1" if event.execution is Execution.AMENDMENT else "",
            "reqId": "",
            "code": "0",
            "msg": "",
            "execType": ("M" if fill.maker else "T") if fill else "",
            "fillFee": money(-fill.commission) if fill else "0",
            "fillFeeCcy": contract.market.quote if fill else "",
            "fillPnl": money(fill.realized_pnl) if fill else "0",
            "fillNotionalUsd": money(fill.quote_quantity) if fill else "",
            "fillPx": number(fill.price) if fill else "",
            "fillSz": number(contract.contracts(fill.quantity)) if fill else "0",
            "fillTime": str(fill.time_ms) if fill else "",
            "tradeId": str(fill.trade_id) if fill else "",
            "notionalUsd": money(event.order.quantity * (event.order.price or last)),
            "lastPx": number(last),
        }

    def _fill_rows(self, inst_id: str | None) -> Rows:
        def rows(batch: Sequence[Event], now_ms: int) -> list[Json]:
            filled = [event.fill for event in batch if isinstance(event, OrderChanged) and event.fill]
            written = [self._orders.fill(fill) for fill in filled]
            names = ("instId", "fillSz", "fillPx", "side", "ts", "ordId", "tradeId", "execType", "clOrdId")
            return [
                {**{name: row[name] for name in names}, "count": "1"}
                for row in written
                if inst_id in (None, row["instId"])
            ]

        return rows

    def _algo_rows(self, wanted: Callable[[Contract], bool], *, trailing: bool) -> Rows:
        def rows(batch: Sequence[Event], now_ms: int) -> list[Json]:
            return [
                self._algo_row(event, now_ms)
                for event in batch
                if isinstance(event, ConditionalOrderChanged)
                and event.order.status is not ConditionalStatus.FINISHED
                and (algo_type(event.order) == "move_order_stop") == trailing
                and wanted(self._listing.of_symbol(event.order.symbol))
            ]

        return rows

    def _algo_row(self, event: ConditionalOrderChanged, now_ms: int) -> Json:
        order = event.order
        last = self._exchange.market.last(order.symbol, now_ms)
        more = {"amendResult": "", "reqId": "", "notionalUsd": money(order.quantity * last)}
        return {**self._orders.algo(self._account, order), **more}

    # Positions and balance

    def _positions(self, wanted: Callable[[Contract], bool]) -> Callable[[int], list[Json]]:
        def shown(now_ms: int) -> list[Json]:
            return [
                self._position(position, now_ms)
                for position in self._account.open_positions()
                if wanted(self._listing.of_symbol(position.symbol))
            ]

        return shown

    def _changed_positions(self, wanted: Callable[[Contract], bool]) -> Rows:
        def rows(batch: Sequence[Event], now_ms: int) -> list[Json]:
            return [
                self._position(position, now_ms)
                for position in _latest_positions(batch)
                if wanted(self._listing.of_symbol(position.symbol))
            ]

        return rows

    def _position(self, position: Position, now_ms: int) -> Json:
        return {**self._wire.position(self._account, position, now_ms), "pTime": str(now_ms)}

    def _balance(self, now_ms: int) -> list[Json]:
        return [self._wire.balance(self._account, now_ms)]

    def _changed_balance(self, batch: Sequence[Event], now_ms: int) -> list[Json]:
        return self._balance(now_ms) if any(isinstance(event, AccountChanged) for event in batch) else []

    def _everything(self, now_ms: int) -> list[Json]:
        return [self._balance_and_position("snapshot", self._account.open_positions(), [], now_ms)]

    def _filled(self, batch: Sequence[Event], now_ms: int) -> list[Json]:
        fills = [event.fill for event in batch if isinstance(event, OrderChanged) and event.fill]
        funded = any(isinstance(e, IncomeBooked) and e.income.type is IncomeType.FUNDING_FEE for e in batch)
        positions = _latest_positions(batch)
        if not fills and not funded and not positions:
            return []
        kind = "filled" if fills else "funding_fee" if funded else "set_margin"
        trades: list[Json] = [
            {"instId": self._listing.of_symbol(fill.symbol).inst_id, "tradeId": str(fill.trade_id)}
            for fill in fills
        ]
        return [self._balance_and_position(kind, positions, trades, now_ms)]

    def _balance_and_position(
        self, kind: str, positions: list[Position], trades: list[Json], now_ms: int
    ) -> Json:
        account = self._account
        names = (
            "posId", "tradeId", "instId", "instType", "mgnMode", "posSide", "pos", "ccy", "posCcy", "avgPx",
            "nonSettleAvgPx", "settledPnl", "uTime",
        )  # fmt: skip
        written = [self._wire.position(account, position, now_ms) for position in positions]
        return {
            "pTime": str(now_ms),
            "eventType": kind,
            "balData": [
                {"ccy": CURRENCY, "cashBal": money(account.cross_wallet), "uTime": str(account.update_ms)}
            ],
            "posData": [{name: row[name] for name in names} for row in written],
            "trades": trades,
        }


def _filter(arg: Arg) -> Callable[[Contract], bool]:
    """Which contracts instType (mandatory), instFamily and instId leave."""
    if arg.get("instType") not in ("SWAP", "ANY", "FUTURES", "MARGIN", "OPTION", "SPOT"):
        raise OkxError(51015)

    def wanted(contract: Contract) -> bool:
        return (
            arg["instType"] in _INST_TYPES
            and arg.get("instId") in (None, "", contract.inst_id)
            and (arg.get("instFamily") or arg.get("uly") or contract.family) == contract.family
        )

    return wanted


def _latest_positions(batch: Sequence[Event]) -> list[Position]:
    """Each position that changed, as it was in the end."""
    latest = {
        (event.position.symbol, event.position.side): event.position
        for event in batch
        if isinstance(event, PositionChanged)
    }
    return list(latest.values())

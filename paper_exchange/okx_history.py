"""OKX's account history: bills, and the positions that were closed."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from paper_exchange.accounts import Account, Income, IncomeType, MarginType
from paper_exchange.exchange import Exchange
from paper_exchange.okx_account_wire import CURRENCY, money
from paper_exchange.okx_contracts import INST_TYPE, Json, Listing, number
from paper_exchange.okx_order_wire import POS_SIDES, margin_mode
from paper_exchange.okx_paging import page
from paper_exchange.okx_request import OkxRequest, Routes, private
from paper_exchange.orders import ZERO, Fill, OrderType, PositionSide

_WEEK_MS = 7 * 86_400_000
_QUARTER_MS = 92 * 86_400_000
_TYPES = {
    IncomeType.TRANSFER: ("1", "11"),
    IncomeType.REALIZED_PNL: ("2", "5"),
    IncomeType.COMMISSION: ("2", "1"),
    IncomeType.FUNDING_FEE: ("8", "173"),
    IncomeType.INSURANCE_CLEAR: ("5", "118"),
}


@dataclass(slots=True)
class ClosedPosition:
    """A position from flat to flat; prices are means, amounts in the quote coin."""

    symbol: str
    side: PositionSide
    is_long: bool
    opening_trade_id: int
    open_ms: int
    close_ms: int = 0
    opened: Decimal = ZERO
    opened_quote: Decimal = ZERO
    closed: Decimal = ZERO
    closed_quote: Decimal = ZERO
    most: Decimal = ZERO
    held: Decimal = ZERO
    pnl: Decimal = ZERO
    commission: Decimal = ZERO
    liquidated: bool = False


class OkxHistory:
    """Answers what an account had."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing

    def routes(self) -> Routes:
        account = "/api/v5/account"
        return {
            **private("GET", f"{account}/bills", self._bills_of_week, 10),
            **private("GET", f"{account}/bills-archive", self._bills_of_quarter, 5),
            **private("GET", f"{account}/positions-history", self._positions, 10),
        }

    def _bills_of_week(self, request: OkxRequest) -> list[Json]:
        return self._bills(request, request.now_ms - _WEEK_MS)

    def _bills_of_quarter(self, request: OkxRequest) -> list[Json]:
        return self._bills(request, request.now_ms - _QUARTER_MS)

    def _bills(self, request: OkxRequest, since_ms: int) -> list[Json]:
        kind, inst_id = request.fields.optional("type"), request.fields.optional("instId")
        rows, balance = [], ZERO
        for income in self._exchange.books.of(request.account).incomes:
            balance += income.amount
            row = self._bill(income, balance)
            if kind in (None, row["type"]) and inst_id in (None, row["instId"]):
                rows.append(row)
        return page(
            rows,
            request.fields,
            id_of=lambda row: int(str(row["billId"])),
            time_of=lambda row: int(str(row["ts"])),
            since_ms=since_ms,
        )

    def _bill(self, income: Income, balance: Decimal) -> Json:
        kind, sub_type = _TYPES[income.type]
        contract = self._listing.of_symbol(income.symbol) if income.symbol else None
        is_fee = income.type is IncomeType.COMMISSION
        return {
            "bal": money(balance),
            "balChg": money(income.amount),
            "billId": str(income.income_id),
            "ccy": CURRENCY,
            "clOrdId": "",
            "execType": "",
            "fee": money(income.amount) if is_fee else "0",
            "fillIdxPx": "",
            "fillTime": str(income.time_ms),
            "from": "",
            "instId": contract.inst_id if contract else "",
            "instType": INST_TYPE if contract else "",
            "interest": "0",
            "mgnMode": "",
            "notes": "",
            "ordId": "",
            "pnl": money(income.amount) if income.type is IncomeType.REALIZED_PNL else "0",
            "posBal": "",
            "posBalChg": "",
            "px": "",
            "subType": sub_type,
            "sz": "",
            "tag": "",
            "to": "",
            "tradeId": str(income.trade_id or ""),
            "ts": str(income.time_ms),
            "type": kind,
        }

    def _positions(self, request: OkxRequest) -> list[Json]:
        """The latest first; `after` and `before` are times of the last change here."""
        if request.fields.optional("instType") not in (None, INST_TYPE):
            return []
        inst_id = request.fields.optional("instId")
        symbol = None if inst_id is None else self._listing.get(inst_id).market.symbol
        closed = [p for p in closed_positions(self._exchange, request.account) if symbol in (None, p.symbol)]
        chosen = page(
            closed, request.fields, id_of=lambda p: p.close_ms, time_of=lambda p: p.close_ms,
            since_ms=request.now_ms - _QUARTER_MS,
        )  # fmt: skip
        return [self._closed(request.account, position) for position in chosen]

    def _closed(self, account: Account, position: ClosedPosition) -> Json:
        contract = self._listing.of_symbol(position.symbol)
        setting = account.setting(position.symbol)
        funding = self._funding(account, position)
        margin = position.opened_quote / setting.leverage
        realized = position.pnl - position.commission + funding
        return {
            "instType": INST_TYPE,
            "instId": contract.inst_id,
            "mgnMode": margin_mode(setting.margin_type is MarginType.ISOLATED),
            "type": "3" if position.liquidated else "2",
            "cTime": str(position.open_ms),
            "uTime": str(position.close_ms),
            "openAvgPx": number(position.opened_quote / position.opened, 8),
            "nonSettleAvgPx": "",
            "closeAvgPx": number(position.closed_quote / position.closed, 8),
            "posId": str(position.opening_trade_id * 10 + 1),
            "openMaxPos": number(contract.contracts(position.most)),
            "closeTotalPos": number(contract.contracts(position.closed)),
            "realizedPnl": money(realized),
            "settledPnl": "",
            "pnlRatio": money(realized / margin),
            "fee": money(-position.commission),
            "fundingFee": money(funding),
            "liqPenalty": "0",
            "pnl": money(position.pnl),
            "posSide": POS_SIDES[position.side],
            "lever": str(setting.leverage),
            "direction": "long" if position.is_long else "short",
            "triggerPx": "",
            "uly": contract.family,
            "ccy": CURRENCY,
        }

    def _funding(self, account: Account, position: ClosedPosition) -> Decimal:
        return sum(
            (
                income.amount
                for income in self._exchange.books.of(account).incomes
                if income.type is IncomeType.FUNDING_FEE
                and income.symbol == position.symbol
                and position.open_ms <= income.time_ms <= position.close_ms
            ),
            ZERO,
        )


def closed_positions(exchange: Exchange, account: Account) -> Iterator[ClosedPosition]:
    """Retells the account's fills as positions; those that are still open are left out."""
    book = exchange.books.of(account)
    running: dict[tuple[str, PositionSide], ClosedPosition] = {}
    for fill in book.fills:
        key = (fill.symbol, fill.position_side)
        rest = fill.quantity
        position = running.get(key)
        if position is not None and position.is_long != (fill.side == "BUY"):
            closing = min(rest, position.held)
            liquidated = book.orders[fill.order_id].type is OrderType.LIQUIDATION
            _close(position, fill, closing, liquidated=liquidated)
            rest -= closing
            if not position.held:
                yield running.pop(key)
        if rest:
            started = running.setdefault(key, _started(fill))
            _open(started, fill, rest)


def _started(fill: Fill) -> ClosedPosition:
    return ClosedPosition(fill.symbol, fill.position_side, fill.side == "BUY", fill.trade_id, fill.time_ms)


def _open(position: ClosedPosition, fill: Fill, quantity: Decimal) -> None:
    position.opened += quantity
    position.opened_quote += quantity * fill.price
    position.held += quantity
    position.most = max(position.most, position.held)
    position.commission += fill.commission * quantity / fill.quantity


def _close(position: ClosedPosition, fill: Fill, quantity: Decimal, *, liquidated: bool) -> None:
    position.closed += quantity
    position.closed_quote += quantity * fill.price
    position.held -= quantity
    position.pnl += fill.realized_pnl
    position.commission += fill.commission * quantity / fill.quantity
    position.close_ms = fill.time_ms
    position.liquidated = position.liquidated or liquidated

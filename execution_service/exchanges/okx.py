"""OKX v5 perpetual swaps: its words <-> ours.

Sources: OKX API guide v5 (okx.com/docs-v5/en) and exchange-specific behaviour named where it matters.

- Sizes are contracts on the wire and base currency here; `okx_contracts` knows both.
- Placing is asynchronous: an answer only says that the order was accepted. It is told as open, and whoever
  needs its fill asks for it.
- Stops and targets are orders of their own, as on every exchange here, not attached to the entry: each has
  its own client id, is replaced and cancelled by itself, and the stop follows the position's size. Attached
  ones protect some tens of milliseconds earlier, and only the part that their own entry has filled. They are
  offered too (`exits`), beyond what every exchange has: the executor places none (docs/adr/0006).
- OKX has one order that follows the position (`closeFraction`; a second one is refused with 51088). That is
  the stop; a target for the whole position is one over the size that the position has now.
- An order can be accepted until `expTime`. Conditional orders have none: their timestamp is set back, so that
  the 30 s for which OKX takes a timestamp end when the order's own time does.
- The margin mode belongs to each order (`tdMode`); there is no setting to read. An order goes the way of the
  symbol's open position, else the way that was chosen last, else cross.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from execution_service.exchanges import errors
from execution_service.exchanges import okx_answers as answers
from execution_service.exchanges.http import Host
from execution_service.exchanges.okx_contracts import SWAP, Contract, inst_id_of
from execution_service.exchanges.okx_market import OKXMarket, OKXWords
from execution_service.exchanges.okx_orders import AttachedExits, accepted, end_of, id_of, trigger_terms
from execution_service.exchanges.okx_stream import OKXStream
from execution_service.exchanges.reading import milliseconds, printable, read
from execution_service.exchanges.requests import Parameters, Sign, SignedRequests
from execution_service.exchanges.types import (
    AccountKey,
    Balance,
    LeverageBracket,
    MarginMode,
    Order,
    OrderKind,
    OrderRef,
    Position,
    PositionMode,
    Send,
)
from execution_service.signals import OrderSide
from tradekit.market.sizing import Side
from tradekit.service.wire import decimal_text

log = logging.getLogger(__name__)

T = TypeVar("T")

# How far a timestamp may be off before OKX refuses it (50102).
TIMESTAMP_WINDOW = timedelta(seconds=30)
ORDERS_PER_PAGE = 100
# The kinds of conditional orders; only the first two can be asked for together.
_ALGO_KINDS = ("conditional,oco", "move_order_stop", "trigger")


class OKXClient:
    """One account on OKX swaps, in net or long/short mode.

    Args:
        account: Whose it is.
        host: Where it trades.
        sign: Has the vault sign a request.
        market: The same exchange's public side.
    """

    def __init__(self, account: AccountKey, host: Host, sign: Sign, market: OKXMarket) -> None:
        self.account = account
        self._host = host
        self._market = market
        self._requests = SignedRequests(account, host, sign, OKXWords())
        self._position_mode: PositionMode | None = None
        # Of the positions as they were last told, and what was chosen for the next ones.
        self._held_modes: dict[str, dict[Side, MarginMode]] = {}
        self._chosen_modes: dict[str, MarginMode] = {}

    async def get_account_balance(self) -> Balance:
        """The USDT details of the trading account."""
        return await self._requests.ask("GET", "/api/v5/account/balance", {"ccy": "USDT"}, answers.balance)

    async def get_positions(self, symbol: str | None = None) -> list[Position]:
        """The open positions in swaps that we trade."""
        parameters = {"instType": SWAP} | _one_market(symbol)
        rows = await self._requests.ask("GET", "/api/v5/account/positions", parameters, answers.open_rows)
        contracts = await self._contracts_of(rows)
        held = [answers.read_row(answers.held, row, contracts) for row in rows if row["instId"] in contracts]
        self._remember_modes(symbol, held)
        return [position for position, _ in held]

    async def get_leverage(self, symbol: str) -> int:
        """The leverage of the symbol in the margin mode that its next order has."""
        mode = await self.get_margin_mode(symbol)
        parameters = {"instId": inst_id_of(symbol), "mgnMode": mode.value}
        return await self._requests.ask("GET", "/api/v5/account/leverage-info", parameters, answers.leverage)

    async def set_leverage(self, symbol: str, leverage: int, *, signal_id: str) -> int:
        """Sets it for both sides; isolated positions of long/short mode have one each."""
        mode = await self.get_margin_mode(symbol)
        parameters = {"instId": inst_id_of(symbol), "lever": str(leverage), "mgnMode": mode.value}
        each_side = mode is MarginMode.ISOLATED and await self._mode() is PositionMode.HEDGE
        sides: list[Parameters] = [{"posSide": side.value} for side in Side] if each_side else [{}]
        in_force = [
            await self._requests.ask(
                "POST",
                "/api/v5/account/set-leverage",
                parameters | side,
                answers.leverage,
                signal_id=signal_id,
            )
            for side in sides
        ]
        return max(in_force)

    async def max_leverage(self, symbol: str) -> int:
        """That of the smallest positions."""
        return (await self._market.contract(symbol)).max_leverage

    async def leverage_brackets(self, symbol: str) -> Sequence[LeverageBracket]:
        """OKX's position tiers: the whole position takes the last tier's terms."""
        contract = await self._market.contract(symbol)
        return await self._market.position_tiers(contract, await self.get_margin_mode(symbol))

    async def get_margin_mode(self, symbol: str) -> MarginMode:
        """How the symbol's next order goes."""
        return await self._margin_mode(symbol, None)

    async def set_margin_mode(self, symbol: str, mode: MarginMode, *, signal_id: str) -> None:
        """Chooses it for the orders to come; OKX itself is not told before the first of them."""
        await self.get_positions(symbol)
        if any(held is not mode for held in self._held_modes[symbol].values()):
            raise errors.SettingLocked("An open position forbids the change: close it first.")
        self._chosen_modes[symbol] = mode

    async def get_position_mode(self) -> PositionMode:
        """Net or long/short mode; the account's, for all markets."""
        return await self._requests.ask("GET", "/api/v5/account/config", {}, answers.position_mode)

    async def create_market_order(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        *,
        position: Side,
        reduce_only: bool,
        send: Send,
        exits: AttachedExits | None = None,
    ) -> Order:
        """A market order; as an entry it may bring its exits along (see `AttachedExits`)."""
        kind = {"ordType": "market"}
        return await self._place_order(
            symbol, side, quantity, kind, position, reduce_only=reduce_only, send=send, exits=exits
        )

    async def create_limit_order(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        price: Decimal,
        *,
        position: Side,
        send: Send,
        post_only: bool = False,
        exits: AttachedExits | None = None,
    ) -> Order:
        """A limit order, told as it stands after its receipt: one that crosses has filled at once.

        A post-only one that would take is accepted and cancelled at once. It may bring its exits along (see
        `AttachedExits`).
        """
        kind = {"ordType": "post_only" if post_only else "limit", "px": decimal_text(price)}
        receipt = await self._place_order(
            symbol, side, quantity, kind, position, reduce_only=False, send=send, exits=exits
        )
        try:
            return await self.find_order(OrderRef(symbol, send.client_order_id, False)) or receipt
        except errors.ExchangeError:
            return receipt

    async def create_stop_loss(
        self,
        symbol: str,
        side: OrderSide,
        trigger_price: Decimal,
        *,
        position: Side,
        quantity: Decimal | None,
        send: Send,
    ) -> Order:
        """A conditional order on the last price, as charts and backtests see it."""
        terms = trigger_terms("sl", trigger_price)
        return await self._place_algo(
            symbol, side, quantity, OrderKind.STOP_LOSS, terms, position, send, trigger_price
        )

    async def create_take_profit(
        self,
        symbol: str,
        side: OrderSide,
        trigger_price: Decimal,
        *,
        position: Side,
        quantity: Decimal | None,
        send: Send,
    ) -> Order:
        """A conditional order on the last price, over a size: only the stop can follow the position."""
        terms = trigger_terms("tp", trigger_price) | {"cxlOnClosePos": "true"}
        if quantity is None:
            quantity = await self._held(symbol, position)
        return await self._place_algo(
            symbol, side, quantity, OrderKind.TAKE_PROFIT, terms, position, send, trigger_price
        )

    async def create_trailing_stop(
        self, symbol: str, side: OrderSide, percent: Decimal, *, position: Side, quantity: Decimal, send: Send
    ) -> Order:
        """A move_order_stop that is armed at once; OKX counts in shares of one."""
        terms = {"ordType": "move_order_stop", "callbackRatio": decimal_text(percent.scaleb(-2))}
        return await self._place_algo(
            symbol, side, quantity, OrderKind.TRAILING_STOP, terms, position, send, None
        )

    async def close_position(self, position: Position, *, send: Send) -> Order:
        """A reduce-only market order over the whole position.

        OKX's own close-position is refused while other closing orders rest, and its order can be asked for
        like any other's only if it came to be.
        """
        return await self.create_market_order(
            position.symbol,
            OrderSide.closing(position.side),
            position.quantity,
            position=position.side,
            reduce_only=True,
            send=send,
        )

    async def cancel_order(self, ref: OrderRef, *, signal_id: str) -> None:
        """Asks for the cancel by our client order id; it is done when the order says so."""
        inst_id = inst_id_of(ref.symbol)
        if ref.conditional:
            path = "/api/v5/trade/cancel-algos"
            parameters = {"0.instId": inst_id, "0.algoClOrdId": ref.client_order_id}
        else:
            path = "/api/v5/trade/cancel-order"
            parameters = {"instId": inst_id, "clOrdId": ref.client_order_id}
        await self._requests.ask("POST", path, parameters, lambda rows: None, signal_id=signal_id)

    async def find_order(self, ref: OrderRef) -> Order | None:
        """Asks by our client order id."""
        contract = await self._market.contract(ref.symbol)
        try:
            if ref.conditional:
                order = await self._requests.ask(
                    "GET",
                    "/api/v5/trade/order-algo",
                    {"algoClOrdId": ref.client_order_id},
                    lambda rows: answers.algo_order(rows[0], contract),
                )
            else:
                order = await self._requests.ask(
                    "GET",
                    "/api/v5/trade/order",
                    {"instId": contract.inst_id, "clOrdId": ref.client_order_id},
                    lambda rows: answers.order(rows[0], contract),
                )
        except errors.OrderUnknown:
            return None
        if (order.symbol, order.client_order_id) != (ref.symbol, ref.client_order_id):
            raise errors.Unreachable("The exchange answered with somebody else's order.")
        return order

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """Plain and conditional orders; OKX keeps them apart, and conditional ones by their kinds."""
        parameters = {"instType": SWAP} | _one_market(symbol)
        plain = await self._pages("/api/v5/trade/orders-pending", parameters, "ordId", answers.order)
        algos = [
            order
            for kind in _ALGO_KINDS
            for order in await self._pages(
                "/api/v5/trade/orders-algo-pending",
                parameters | {"ordType": kind},
                "algoId",
                answers.algo_order,
            )
        ]
        return plain + algos

    def user_stream(self, url: str) -> OKXStream:
        """The account channels of the private and the business socket."""
        return OKXStream(self._requests, self._host, self._market, url)

    async def _pages(
        self,
        path: str,
        parameters: Parameters,
        id_name: str,
        order: Callable[[dict[str, Any], Contract], Order],
    ) -> list[Order]:
        """All orders of a list, newest first."""
        rows: answers.Rows = []
        parameters = parameters | {"limit": str(ORDERS_PER_PAGE)}
        older: Parameters = {}
        while True:
            page = await self._requests.ask("GET", path, parameters | older, answers.listed)
            rows += page
            if len(page) < ORDERS_PER_PAGE:
                break
            older = {"after": str(page[-1][id_name])}
        contracts = await self._contracts_of(rows)
        return [answers.read_row(order, row, contracts) for row in rows if row["instId"] in contracts]

    async def _contracts_of(self, rows: answers.Rows) -> Mapping[str, Contract]:
        """What the contracts in these rows are; of markets that we do not trade nothing is told."""
        inst_ids = {str(row.get("instId")) for row in rows}
        contracts = await self._market.contracts(inst_ids)
        for inst_id in sorted(inst_ids - contracts.keys()):
            log.warning("okx.market_unknown", extra={"inst_id": printable(inst_id)})
        return contracts

    async def _held(self, symbol: str, side: Side) -> Decimal:
        positions = await self.get_positions(symbol)
        quantity = next((held.quantity for held in positions if held.side is side), None)
        if quantity is None:
            raise errors.NothingToReduce("There is no position to close.")
        return quantity

    async def _mode(self) -> PositionMode:
        if self._position_mode is None:
            self._position_mode = await self.get_position_mode()
        return self._position_mode

    async def _margin_mode(self, symbol: str, side: Side | None) -> MarginMode:
        """That of the position on `side`, else of the other one, else what was chosen, else cross."""
        if symbol not in self._held_modes:
            await self.get_positions(symbol)
        held = self._held_modes[symbol]
        if side in held:
            return held[side]
        return next(iter(held.values()), self._chosen_modes.get(symbol, MarginMode.CROSS))

    def _remember_modes(self, symbol: str | None, held: Sequence[tuple[Position, MarginMode]]) -> None:
        """Of two positions on one side the first is closed first, in its own mode."""
        for told in [symbol] if symbol else list(self._held_modes):
            self._held_modes[told] = {}
        for position, mode in held:
            self._held_modes.setdefault(position.symbol, {}).setdefault(position.side, mode)

    async def _head(self, symbol: str, side: OrderSide, position: Side, *, reduces: bool) -> Parameters:
        """Long/short mode names the position (51000 without), and looks at no reduceOnly; net mode does."""
        head = {
            "instId": inst_id_of(symbol),
            "tdMode": (await self._margin_mode(symbol, position)).value,
            "side": side.value,
        }
        if reduces:
            head["reduceOnly"] = "true"
        if await self._mode() is PositionMode.HEDGE:
            head["posSide"] = position.value
        return head

    async def _place_order(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        kind: Parameters,
        position: Side,
        *,
        reduce_only: bool,
        send: Send,
        exits: AttachedExits | None,
    ) -> Order:
        if exits is not None and reduce_only:
            raise ValueError("only an entry brings exits along")
        contract = await self._market.contract(symbol)
        parameters = await self._head(symbol, side, position, reduces=reduce_only)
        parameters |= kind | {
            "sz": decimal_text(contract.contracts(quantity)),
            "clOrdId": send.client_order_id,
            "timestamp": str(milliseconds(send.timestamp)),
            "expTime": str(milliseconds(end_of(send))),
        }
        if exits is not None:
            parameters |= exits.terms()
        row = await self._create("/api/v5/trade/order", parameters, send)
        return accepted(
            symbol,
            side,
            quantity,
            OrderKind.LIMIT if "px" in kind else OrderKind.MARKET,
            send,
            exchange_order_id=id_of(row, "clOrdId", "ordId", send),
            limit_price=Decimal(kind["px"]) if "px" in kind else None,
            trigger_price=None,
            reduce_only=reduce_only,
        )

    async def _place_algo(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal | None,
        kind: OrderKind,
        terms: Parameters,
        position: Side,
        send: Send,
        trigger_price: Decimal | None,
    ) -> Order:
        contract = await self._market.contract(symbol)
        parameters = await self._head(symbol, side, position, reduces=True)
        parameters |= terms | {
            "algoClOrdId": send.client_order_id,
            "timestamp": str(milliseconds(end_of(send) - TIMESTAMP_WINDOW)),
        }
        if quantity is None:
            parameters["closeFraction"] = "1"
        else:
            parameters["sz"] = decimal_text(contract.contracts(quantity))
        row = await self._create("/api/v5/trade/order-algo", parameters, send)
        return accepted(
            symbol,
            side,
            quantity,
            kind,
            send,
            exchange_order_id=id_of(row, "algoClOrdId", "algoId", send),
            limit_price=None,
            trigger_price=trigger_price,
            reduce_only=True,
        )

    async def _create(self, path: str, parameters: Parameters, send: Send) -> Any:
        try:
            rows = await self._requests.place(
                path, parameters, valid_ms=send.valid_ms, signal_id=send.signal_id
            )
        except errors.ModeChanged:
            # The user has switched between net and long/short mode: it is read anew with the next order.
            self._position_mode = None
            raise
        except errors.Maintenance as error:
            # OKX does not say that nothing was done.
            raise errors.OutcomeUnknown(error.message, exchange_code=error.exchange_code) from error
        return read(lambda rows: rows[0], rows)


def _one_market(symbol: str | None) -> Parameters:
    return {"instId": inst_id_of(symbol)} if symbol else {}

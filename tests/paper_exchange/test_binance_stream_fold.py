"""Who only listens knows as much as who asks: the events of any history add up to the books."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from paper_exchange.binance_stream_events import UserEvents
from paper_exchange.events import Event
from paper_exchange.matching import PartialFill
from paper_exchange.orders import ConditionalType, Side
from paper_exchange.refusals import Refused
from tests.paper_exchange.conftest import BTC, Floor, make_floor

PRICES = st.integers(560, 640).map(lambda hundreds: str(hundreds * 100))
QUANTITIES = st.sampled_from(["0.010", "0.025", "0.100", "2"])
SIDES = st.sampled_from(list(Side))
ACTIONS = st.one_of(
    st.tuples(st.just("market"), SIDES, QUANTITIES),
    st.tuples(st.just("limit"), SIDES, QUANTITIES, PRICES),
    st.tuples(st.just("thin"), SIDES, QUANTITIES),
    st.tuples(st.just("reduce"), SIDES, QUANTITIES),
    st.tuples(st.just("stop"), SIDES, PRICES),
    st.tuples(st.just("take_profit"), SIDES, PRICES, QUANTITIES),
    st.tuples(st.just("price"), PRICES),
    st.just(("fund",)),
    st.just(("cancel",)),
    st.tuples(st.just("leverage"), st.integers(5, 100)),
)


class Follower:
    """Keeps what the events tell, and nothing else."""

    def __init__(self, floor: Floor) -> None:
        self.wallet = floor.account.wallet_balance
        self.positions: dict[tuple[str, str], Decimal] = {}
        self.orders: dict[int, dict[str, Any]] = {}
        self.algos: dict[int, str] = {}
        self.trades: list[int] = []
        self.leverage: dict[str, int] = {}
        self._floor = floor
        self._events = UserEvents(floor.exchange, floor.account)
        floor.exchange.books.feed.subscribe(self._happened, account_id=floor.account.account_id)

    def _happened(self, batch: Sequence[Event]) -> None:
        for message in self._events.of(batch, self._floor.now_ms):
            assert message["E"] >= message["T"]
            getattr(self, f"_{message['e'].lower()}", lambda told: None)(message)

    def _order_trade_update(self, message: Any) -> None:
        order = message["o"]
        self.orders[order["i"]] = order
        if order["t"]:
            self.trades.append(order["t"])

    def _account_update(self, message: Any) -> None:
        self.wallet = Decimal(message["a"]["B"][0]["wb"])
        for position in message["a"]["P"]:
            self.positions[position["s"], position["ps"]] = Decimal(position["pa"])

    def _algo_update(self, message: Any) -> None:
        self.algos[message["o"]["aid"]] = message["o"]["X"]

    def _account_config_update(self, message: Any) -> None:
        self.leverage[message["ac"]["s"]] = message["ac"]["l"]


def act(floor: Floor, action: tuple[Any, ...]) -> None:
    match action:
        case ("market", side, quantity):
            floor.order(side, quantity)
        case ("limit", side, quantity, price):
            floor.order(side, quantity, price)
        case ("thin", side, quantity):
            floor.thin.append(PartialFill(Decimal("0.4")))
            floor.order(side, quantity)
        case ("reduce", side, quantity):
            floor.order(side, quantity, reduce_only=True)
        case ("stop", side, price):
            floor.conditional(ConditionalType.STOP_MARKET, side, price, close_position=True)
        case ("take_profit", side, price, quantity):
            floor.conditional(ConditionalType.TAKE_PROFIT_MARKET, side, price, quantity, reduce_only=True)
        case ("price", price):
            floor.price(price)
        case ("fund",):
            floor.exchange.clearing.pay_funding(BTC, floor.now_ms)
        case ("cancel",):
            floor.exchange.cancel_all(floor.account, BTC, floor.now_ms)
        case ("leverage", leverage):
            floor.exchange.settings.set_leverage(floor.account, BTC, leverage, floor.now_ms)


@settings(max_examples=150, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=25), together=st.booleans())
def test_events_add_up_to_the_books(actions: list[tuple[Any, ...]], together: bool) -> None:
    """Wallets, positions, orders and fills folded from events, committed one by one or all together."""
    floor = make_floor(balance="20000")
    floor.exchange.books.committed()
    follower = Follower(floor)

    for action in actions:
        floor.now_ms += 1
        try:
            act(floor, action)
        except Refused:
            floor.thin.clear()
        if not together:
            floor.exchange.books.committed()
    floor.exchange.books.committed()

    book = floor.exchange.books.of(floor.account)
    assert follower.wallet == floor.account.wallet_balance
    held = {(p.symbol, str(p.side)): p.quantity for p in floor.account.positions.values() if p.quantity}
    assert {key: amount for key, amount in follower.positions.items() if amount} == held
    assert {i: (str(o["X"]), Decimal(o["z"]), Decimal(o["q"])) for i, o in follower.orders.items()} == {
        order.order_id: (str(order.status), order.executed, order.quantity) for order in book.orders.values()
    }
    assert follower.trades == [fill.trade_id for fill in book.fills]
    assert follower.algos == {order.algo_id: str(order.status) for order in book.conditional.values()}
    assert follower.leverage.get(BTC, 20) == floor.account.setting(BTC).leverage

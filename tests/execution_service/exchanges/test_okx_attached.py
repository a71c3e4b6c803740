"""Entries on OKX that bring their exits along. The price is 50,000."""

import uuid
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from execution_service.exchanges import errors
from execution_service.exchanges.okx import OKXClient
from execution_service.exchanges.okx_orders import AttachedExits
from execution_service.exchanges.types import Order, OrderKind, OrderRef, OrderStatus
from execution_service.signals import OrderSide
from tests.execution_service.exchanges.conftest import SIGNAL, SYMBOL, Subject, ref_of
from tests.system import until
from tradekit.market.sizing import Side
from vault_service.errors import ParameterInvalid

pytestmark = pytest.mark.anyio

QUANTITY = Decimal("0.02")


@pytest.fixture
async def okx(subject_of: Callable[..., Awaitable[Subject]]) -> Subject:
    return await subject_of("okx")


def client_of(okx: Subject) -> OKXClient:
    assert isinstance(okx.exchange, OKXClient)
    return okx.exchange


def exits(stop: str | None = "49000", target: str | None = "52000") -> AttachedExits:
    return AttachedExits(
        client_order_id=f"tb{uuid.uuid4().hex[:30]}",
        stop_loss=Decimal(stop) if stop else None,
        take_profit=Decimal(target) if target else None,
    )


async def market(okx: Subject, attached: AttachedExits, *, side: Side = Side.LONG) -> Order:
    return await client_of(okx).create_market_order(
        SYMBOL,
        OrderSide.opening(side),
        QUANTITY,
        position=side,
        reduce_only=False,
        send=okx.send(),
        exits=attached,
    )


async def limit(okx: Subject, attached: AttachedExits, price: str = "49500") -> Order:
    return await client_of(okx).create_limit_order(
        SYMBOL,
        OrderSide.BUY,
        QUANTITY,
        Decimal(price),
        position=Side.LONG,
        send=okx.send(),
        exits=attached,
    )


async def found(okx: Subject, attached: AttachedExits) -> Order | None:
    return await okx.exchange.find_order(OrderRef(SYMBOL, attached.client_order_id, conditional=True))


async def started(okx: Subject, attached: AttachedExits) -> Order:
    """The exits as the conditional order that they are once their entry has filled."""
    order = await until(lambda: found(okx, attached))
    assert order is not None
    return order


async def is_flat(okx: Subject) -> bool:
    return await okx.holds() == []


async def test_a_market_entry_brings_stop_and_target_over_its_fill(okx: Subject) -> None:
    attached = exits()

    entry = await okx.filled(await market(okx, attached))

    order = await started(okx, attached)
    assert (order.status, order.kind, order.side) == (OrderStatus.OPEN, OrderKind.STOP_LOSS, OrderSide.SELL)
    assert order.quantity == entry.filled_quantity == QUANTITY
    assert (order.trigger_price, order.reduce_only) == (Decimal(49_000), True)
    assert await okx.exchange.get_open_orders(SYMBOL) == [order]
    (held,) = await okx.paper.orders("algo")
    assert held["client_order_id"] == attached.client_order_id
    assert (Decimal(held["trigger_price"]), Decimal(held["take_profit_price"])) == (
        Decimal(49_000),
        Decimal(52_000),
    )
    assert (held["type"], held["working_type"]) == ("STOP_MARKET", "CONTRACT_PRICE")


@pytest.mark.parametrize(
    ("side", "stop", "target", "price"),
    [
        (Side.LONG, "49000", "52000", "48900"),
        (Side.LONG, "49000", "52000", "52100"),
        (Side.SHORT, "51000", "48000", "51100"),
        (Side.SHORT, "51000", "48000", "47900"),
    ],
)
async def test_one_leg_closes_the_position_and_ends_the_other(
    okx: Subject, side: Side, stop: str, target: str, price: str
) -> None:
    attached = exits(stop, target)
    await okx.filled(await market(okx, attached, side=side))
    await started(okx, attached)

    await okx.paper.price(price)

    await until(lambda: is_flat(okx))
    ended = await okx.filled(await started(okx, attached))
    assert (ended.status, ended.filled_quantity) == (OrderStatus.FILLED, QUANTITY)
    assert await okx.exchange.get_open_orders() == []
    # Back through the other leg's price: nothing is left that it could trigger.
    await okx.paper.price(target if price > "50000" else stop)
    assert await is_flat(okx)


@pytest.mark.parametrize(
    ("attached", "kind", "trigger"),
    [
        (exits(target=None), OrderKind.STOP_LOSS, Decimal(49_000)),
        (exits(stop=None), OrderKind.TAKE_PROFIT, Decimal(52_000)),
    ],
)
async def test_one_of_them_may_be_left_out(
    okx: Subject, attached: AttachedExits, kind: OrderKind, trigger: Decimal
) -> None:
    await okx.filled(await market(okx, attached))

    order = await started(okx, attached)

    assert (order.kind, order.trigger_price, order.quantity) == (kind, trigger, QUANTITY)


async def test_exits_wait_with_their_limit_entry(okx: Subject) -> None:
    attached = exits()

    entry = await limit(okx, attached)

    assert entry.status is OrderStatus.OPEN
    assert await found(okx, attached) is None
    assert await okx.exchange.get_open_orders(SYMBOL) == [entry]

    await okx.paper.price("49400")

    assert (await okx.filled(entry)).status is OrderStatus.FILLED
    order = await started(okx, attached)
    assert (order.status, order.quantity) == (OrderStatus.OPEN, QUANTITY)


async def test_exits_have_the_size_of_what_a_cancelled_entry_had_filled(okx: Subject) -> None:
    await okx.paper.fault("partial_fill", ratio="0.4")
    attached = exits()
    entry = await limit(okx, attached, "50100")
    assert (entry.status, entry.filled_quantity) == (OrderStatus.OPEN, Decimal("0.008"))
    assert await found(okx, attached) is None

    await okx.exchange.cancel_order(ref_of(entry), signal_id=SIGNAL)

    assert (await started(okx, attached)).quantity == Decimal("0.008")


async def test_exits_end_with_an_entry_that_never_filled(okx: Subject) -> None:
    attached = exits()
    entry = await limit(okx, attached)

    await okx.exchange.cancel_order(ref_of(entry), signal_id=SIGNAL)

    assert (await okx.filled(entry)).status is OrderStatus.CANCELED
    assert await found(okx, attached) is None
    assert await okx.exchange.get_open_orders() == []


async def test_exits_are_cancelled_by_their_own_id(okx: Subject) -> None:
    attached = exits()
    await okx.filled(await market(okx, attached))
    order = await started(okx, attached)

    await okx.exchange.cancel_order(ref_of(order), signal_id=SIGNAL)

    assert (await okx.filled(order)).status is OrderStatus.CANCELED
    assert await okx.holds() == [("long", QUANTITY)]


async def test_long_short_mode_closes_its_own_side(okx: Subject) -> None:
    await okx.hand.hedge()
    await okx.buy("0.01", side=Side.SHORT)
    attached = exits()
    await okx.filled(await market(okx, attached))
    await started(okx, attached)

    await okx.paper.price("48900")

    async def only_short() -> bool:
        return await okx.holds() == [("short", Decimal("0.01"))]

    await until(only_short)


@pytest.mark.parametrize(
    ("side", "stop", "target"),
    [
        (Side.LONG, "50100", "52000"),
        (Side.LONG, "49000", "49900"),
        (Side.SHORT, "49900", "48000"),
        (Side.SHORT, "51000", "50100"),
    ],
)
async def test_an_exit_on_the_wrong_side_refuses_the_entry(
    okx: Subject, side: Side, stop: str, target: str
) -> None:
    with pytest.raises(errors.WouldTrigger) as refused:
        await market(okx, exits(stop, target), side=side)

    assert refused.value.exchange_code in {"51046", "51047", "51048", "51049"}
    assert await okx.paper.orders() == []
    assert await is_flat(okx)


async def test_a_limit_entry_measures_its_exits_by_its_own_price(okx: Subject) -> None:
    with pytest.raises(errors.WouldTrigger):
        await limit(okx, exits(stop="49600"))

    assert await okx.paper.orders() == []


async def test_an_id_of_exits_serves_once(okx: Subject) -> None:
    attached = exits()
    await limit(okx, attached)

    with pytest.raises(errors.OrderExists):
        await market(okx, attached)

    assert await is_flat(okx)


@pytest.mark.parametrize("malformed", ["", "short", "TB" + "a" * 30, "tb" + "a" * 31, "tb-" + "a" * 29])
async def test_the_vault_signs_no_entry_with_a_malformed_id_of_exits(okx: Subject, malformed: str) -> None:
    with pytest.raises(ParameterInvalid) as refused:
        await market(okx, AttachedExits(malformed, stop_loss=Decimal(49_000)))

    assert refused.value.metadata["parameter"] == "attachAlgoOrds.0.attachAlgoClOrdId"
    assert await okx.paper.orders() == []


async def test_exits_without_a_price_are_an_error() -> None:
    with pytest.raises(ValueError, match="neither"):
        exits(None, None)


async def test_what_reduces_brings_no_exits(okx: Subject) -> None:
    with pytest.raises(ValueError, match="entry"):
        await client_of(okx).create_market_order(
            SYMBOL,
            OrderSide.SELL,
            QUANTITY,
            position=Side.LONG,
            reduce_only=True,
            send=okx.send(),
            exits=exits(),
        )

    assert [item for item in okx.signed if item.method == "POST"] == []

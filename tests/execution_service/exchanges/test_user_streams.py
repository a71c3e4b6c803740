"""Each exchange's user stream at the paper exchange: what it tells, and how it ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TypeVar

import pytest

from execution_service.exchanges import binance_stream, errors
from execution_service.exchanges.events import (
    BalanceUpdate,
    Event,
    OrderUpdate,
    PositionUpdate,
    Receive,
    StreamEnded,
)
from execution_service.exchanges.types import OrderStatus
from execution_service.signals import OrderSide
from tests.execution_service.exchanges.conftest import SYMBOL, Subject, ref_of
from tests.system import until
from tradekit.market.sizing import Side

pytestmark = pytest.mark.anyio

T = TypeVar("T", bound=Event)


@pytest.fixture
async def subject(exchange_name: str, subject_of: Callable[..., Awaitable[Subject]]) -> Subject:
    return await subject_of(exchange_name)


@asynccontextmanager
async def stream(subject: Subject) -> AsyncIterator[Receive]:
    async with subject.exchange.user_stream(subject.paper.url.replace("http:", "ws:")).open() as receive:
        yield receive


async def told(receive: Receive, kind: type[T], wanted: Callable[[T], bool] = lambda event: True) -> T:
    """The next event of a kind that is as wanted."""

    async def look() -> T | None:
        return next((e for e in await receive() if isinstance(e, kind) and wanted(e)), None)

    event = await until(look, seconds=5)
    assert event is not None
    return event


async def ended(receive: Receive) -> str:
    """Why the stream ends."""
    try:
        while True:
            await receive()
    except StreamEnded as end:
        return end.cause


async def test_a_fill_is_told_with_its_position_and_its_money(subject: Subject) -> None:
    async with stream(subject) as receive:
        order = await subject.buy("0.02")
        told_of = await _all_of(receive, [OrderUpdate, PositionUpdate, BalanceUpdate])

    filled = next(event for event in told_of if isinstance(event, OrderUpdate))
    assert filled.order.client_order_id == order.client_order_id
    position = next(event for event in told_of if isinstance(event, PositionUpdate))
    assert position == PositionUpdate(SYMBOL, Side.LONG, Decimal("0.02"))
    balance = next(event for event in told_of if isinstance(event, BalanceUpdate))
    assert balance == BalanceUpdate("USDT", Decimal("9999.5"))  # the fee of 0.05 %


async def _all_of(receive: Receive, kinds: list[type[Event]]) -> list[Event]:
    events: list[Event] = []

    async def look() -> bool:
        events.extend(await receive())
        return all(any(isinstance(event, kind) for event in events) for kind in kinds)

    await until(look, seconds=5)
    return events


async def test_a_conditional_order_is_told_from_its_placing_to_its_end(subject: Subject) -> None:
    await subject.buy("0.02")
    async with stream(subject) as receive:
        stop = await subject.exchange.create_stop_loss(
            SYMBOL, OrderSide.SELL, Decimal(49000), position=Side.LONG, quantity=None, send=subject.send()
        )
        placed = await told(receive, OrderUpdate)
        await subject.exchange.cancel_order(ref_of(stop), signal_id="")
        cancelled = await told(receive, OrderUpdate)

    assert [event.conditional for event in (placed, cancelled)] == [True, True]
    assert {event.order.client_order_id for event in (placed, cancelled)} == {stop.client_order_id}
    assert [event.order.status for event in (placed, cancelled)] == [OrderStatus.OPEN, OrderStatus.CANCELED]


async def test_a_stop_that_triggers_is_told_with_the_end_of_the_position(subject: Subject) -> None:
    await subject.buy("0.02")
    stop = await subject.exchange.create_stop_loss(
        SYMBOL, OrderSide.SELL, Decimal(49000), position=Side.LONG, quantity=None, send=subject.send()
    )
    async with stream(subject) as receive:
        await subject.paper.price("48900")
        events = await _all_of(receive, [OrderUpdate, PositionUpdate])

    triggered = [event.order for event in events if isinstance(event, OrderUpdate) and event.conditional]
    assert {order.client_order_id for order in triggered} <= {stop.client_order_id}
    position = next(event for event in events if isinstance(event, PositionUpdate))
    assert position == PositionUpdate(SYMBOL, None, Decimal(0))


async def test_what_its_owner_does_by_hand_is_told(subject: Subject) -> None:
    async with stream(subject) as receive:
        await subject.hand.market("sell", "0.03")
        position = await told(receive, PositionUpdate)

    assert position == PositionUpdate(SYMBOL, Side.SHORT, Decimal("0.03"))


async def test_F42_a_stream_that_is_cut_says_so(subject: Subject) -> None:
    async with stream(subject) as receive:
        await subject.paper.control("POST", "/paper/streams", {"drop": True})

        assert await ended(receive) == "connection_lost"


async def test_a_wrong_key_opens_no_stream(
    exchange_name: str, subject_of: Callable[..., Awaitable[Subject]]
) -> None:
    wrong = await subject_of(exchange_name, api_key="0" * 64)

    with pytest.raises((errors.KeyRejected, StreamEnded)):
        async with stream(wrong):
            pass


async def test_an_exchange_without_streams_is_unreachable(subject: Subject) -> None:
    with pytest.raises(errors.Unreachable):
        async with subject.exchange.user_stream("ws://127.0.0.1:1").open():
            pass


async def test_T12_the_listen_key_is_in_no_log(
    subject_of: Callable[..., Awaitable[Subject]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    subject = await subject_of("binance")
    async with stream(subject) as receive:
        await subject.buy("0.02")
        await told(receive, OrderUpdate)
        (account,) = (await subject.paper.control("GET", "/paper/state"))["accounts"]
        # The same key as long as it lives.
        headers = {"X-MBX-APIKEY": account["api_key"]}
        key = (await subject.paper.ask("POST", "/fapi/v1/listenKey", headers, ""))["listenKey"]
        await subject.paper.control("POST", "/paper/streams", {"drop": True})
        await ended(receive)

    assert len(key) > 20
    assert key not in caplog.text


async def test_binance_s_listen_key_is_extended(
    subject_of: Callable[..., Awaitable[Subject]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binance_stream, "EXTEND_EVERY_S", 0.05)
    subject = await subject_of("binance")

    async def extended() -> bool:
        asked = [
            (request["method"], request["path"], request["status"])
            for request in await subject.paper.requests()
        ]
        return asked.count(("PUT", "/fapi/v1/listenKey", 200)) >= 2

    async with stream(subject):
        await until(extended, seconds=5)


async def test_a_listen_key_that_is_gone_ends_the_stream(
    subject_of: Callable[..., Awaitable[Subject]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """-1125: there is no key to extend, so that nothing will be told any more."""
    monkeypatch.setattr(binance_stream, "EXTEND_EVERY_S", 0.1)
    subject = await subject_of("binance")
    async with stream(subject) as receive:
        await subject.paper.fault("error_code", code=-1125, method="PUT", path="/fapi/v1/listenKey")

        assert await ended(receive) == "connection_lost"

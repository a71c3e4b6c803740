"""Limits are kept before the exchange has to say so; the paper exchange is the judge."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

import paper_exchange.server
from execution_service.exchanges import errors, requests
from execution_service.exchanges.types import Order
from execution_service.signals import OrderSide
from paper_exchange.binance_limits import Limits
from tests.execution_service.exchanges.conftest import SYMBOL, Subject, ref_of
from tests.system import Paper
from tradekit.market.sizing import Side

pytestmark = pytest.mark.anyio

Make = Callable[..., Awaitable[Subject]]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A paper exchange that allows little, and says so in exchangeInfo; questions are given up soon."""
    monkeypatch.setattr(
        paper_exchange.server, "Limits", lambda: Limits(weight_per_minute=200, orders_per_10s=10)
    )
    monkeypatch.setattr(requests, "QUERY_TIMEOUT_S", 0.5)


@pytest.fixture
async def binance(narrow: None, subject_of: Make) -> Subject:
    subject = await subject_of("binance")
    await subject.market.instruments()
    return subject


async def stop(subject: Subject) -> Order:
    return await subject.exchange.create_stop_loss(
        SYMBOL, OrderSide.SELL, Decimal(49000), position=Side.LONG, quantity=None, send=subject.send()
    )


async def rest(subject: Subject) -> Order:
    return await subject.exchange.create_limit_order(
        SYMBOL, OrderSide.BUY, Decimal("0.01"), Decimal(45000), position=Side.LONG, send=subject.send()
    )


async def enough_of_the_minute() -> None:
    """The exchange counts by the minute: what it is to count together does not begin at a minute's end."""
    left = 60 - time.time() % 60
    if left < 5:
        await asyncio.sleep(left)


async def refused_for_limits(paper: Paper) -> list[object]:
    return [
        request
        for request in await paper.requests()
        if request["status"] in (429, 418) or request["code"] == -1015
    ]


async def test_F28_a_burst_of_questions_is_paced_and_a_stop_passes_it(binance: Subject) -> None:
    """500 of weight where 200 are allowed: what is too much is not sent, and protection does not wait."""
    await binance.buy("0.02")
    burst = asyncio.gather(*(binance.exchange.get_positions() for _ in range(100)), return_exceptions=True)
    await asyncio.sleep(0.1)

    placed = await asyncio.wait_for(stop(binance), 0.4)
    await asyncio.wait_for(binance.exchange.cancel_order(ref_of(placed), signal_id=""), 0.4)

    outcomes = await burst
    assert any(isinstance(outcome, list) for outcome in outcomes)
    assert any(isinstance(outcome, errors.RateLimited) for outcome in outcomes)
    assert await refused_for_limits(binance.paper) == []


async def test_F27_entries_beyond_the_limit_of_orders_leave_room_for_the_stop(binance: Subject) -> None:
    await binance.buy("0.02")

    outcomes = await asyncio.gather(*(rest(binance) for _ in range(20)), return_exceptions=True)

    too_many = [outcome for outcome in outcomes if isinstance(outcome, errors.RateLimited)]
    assert 0 < len(too_many) < 20
    assert all(error.retry_after.total_seconds() > 5 for error in too_many)
    await stop(binance)
    assert await refused_for_limits(binance.paper) == []


async def test_another_account_s_orders_have_their_own_limit(binance: Subject, subject_of: Make) -> None:
    await rest(binance)
    await asyncio.gather(*(rest(binance) for _ in range(20)), return_exceptions=True)
    other = await subject_of("binance")

    await rest(other)

    assert await refused_for_limits(other.paper) == []


async def test_what_another_program_uses_at_our_address_is_seen(binance: Subject) -> None:
    await enough_of_the_minute()
    for _ in range(4):
        await binance.paper.ask("GET", "/fapi/v1/ticker/24hr", {}, "")  # weight 40

    await binance.market.last_prices()

    with pytest.raises(errors.RateLimited):
        await binance.exchange.get_positions()
    assert await refused_for_limits(binance.paper) == []


async def test_F28_a_ban_is_waited_out_without_a_further_request(binance: Subject) -> None:
    await binance.buy("0.02")
    await binance.paper.fault(
        "http_status", status=418, retry_after=120, body={"code": -1003, "msg": "banned"}
    )
    with pytest.raises(errors.RateLimited):
        await binance.exchange.get_account_balance()
    sent = len(await binance.paper.requests())

    waits = []
    for send in (lambda: stop(binance), binance.exchange.get_account_balance, lambda: rest(binance)):
        with pytest.raises(errors.RateLimited) as refused:
            await send()
        waits.append(refused.value.retry_after.total_seconds())

    assert len(await binance.paper.requests()) == sent
    assert all(110 < wait < 125 for wait in waits)
    assert waits[0] == min(waits)


async def test_F27_okx_is_asked_no_more_often_than_an_endpoint_allows(subject_of: Make) -> None:
    """10 in 2 s, of which questions may take 7."""
    subject = await subject_of("okx")

    await asyncio.gather(*(subject.exchange.get_account_balance() for _ in range(12)))

    assert await refused_for_limits(subject.paper) == []

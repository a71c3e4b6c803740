"""A signal's story on the paper exchange, judged by the exchange's own record."""

import asyncio

import pytest

from tests.execution_service.conftest import Trader
from tradingbot.execution.v1 import execution_pb2 as pb

pytestmark = pytest.mark.anyio


async def test_a_long_is_filled_and_protected(trader: Trader) -> None:
    """10 % of 10,000 USDT at 50,000 is 0.02 BTC, with a stop and a target for the whole position."""
    response = await trader.send("long", leverage=10, stop_loss="2%", take_profit="4%")

    assert response.signal.state == pb.SIGNAL_STATE_DONE, response
    assert response.signal.message == "LONG order executed on binance"
    (position,) = await trader.paper.positions()
    assert position["quantity"] == "0.02"
    stop, target = await trader.paper.orders("algo", status="NEW")
    assert {stop["type"], target["type"]} == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}

"""The rig: processes and their processor time, the lean client, the exchange that answers at once."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest

from bench.rig.http import Connection, connect, request_bytes
from bench.rig.instant_exchange import InstantExchange
from bench.rig.load import Exchange, LoadFailed, Target, one_at_a_time, saturated
from bench.rig.processes import cpu_seconds, family, running

pytestmark = pytest.mark.anyio

KEY = "k"
ORDER = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.020&newClientOrderId="


@pytest.fixture
async def exchange() -> AsyncIterator[tuple[int, int]]:
    async with running("bench.rig.instant_exchange") as started:
        yield started


@pytest.fixture
async def connection(exchange: tuple[int, int]) -> AsyncIterator[Connection]:
    opened = await connect(exchange[1])
    yield opened
    opened.close()


async def test_order_is_noted_when_it_has_come(connection: Connection) -> None:
    before = time.monotonic_ns()
    answer = await connection.send(request_bytes("POST", f"/fapi/v1/order?{ORDER}a"))
    after = time.monotonic_ns()

    arrived, requests = await Exchange(connection).told()

    assert answer.status == 200
    assert len(arrived) == 1
    assert before < arrived[0] < after
    assert requests == 1


async def test_notes_are_told_once(connection: Connection) -> None:
    await connection.send(request_bytes("POST", f"/fapi/v1/order?{ORDER}a"))
    await Exchange(connection).told()
    assert (await Exchange(connection).told())[0] == []


async def test_answers_in_pieces_and_together_are_put_together(exchange: tuple[int, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange[1])
    request = request_bytes("GET", "/fapi/v1/time", b"{}")
    writer.write(request[:20])
    await writer.drain()
    writer.write(request[20:] + request)
    for _ in range(2):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert b"serverTime" in await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()


def test_buy_is_a_position_until_it_is_sold() -> None:
    exchange = InstantExchange()
    target = f"/fapi/v1/order?{ORDER}"
    exchange.answer("POST", target + "a", KEY)
    assert exchange.answer("GET", "/fapi/v3/positionRisk", KEY)[1] != []
    assert exchange.answer("GET", "/fapi/v3/positionRisk", "another")[1] == []
    exchange.answer("POST", target.replace("BUY", "SELL") + "b", KEY)
    assert exchange.answer("GET", "/fapi/v3/positionRisk", KEY)[1] == []


def test_stop_can_be_cancelled_once() -> None:
    exchange = InstantExchange()
    query = "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=49000&closePosition=true&clientAlgoId=s"
    target = f"/fapi/v1/algoOrder?{query}"
    assert exchange.answer("POST", target, KEY)[0] == 200
    assert exchange.answer("DELETE", target, KEY)[0] == 200
    assert exchange.answer("DELETE", target, KEY) == (400, {"code": -2013, "msg": "Order does not exist."})


def test_request_that_it_does_not_know_is_refused() -> None:
    assert InstantExchange().answer("POST", "/sapi/v1/withdraw", KEY)[0] == 404


def test_the_instant_exchange_opens_no_user_stream_and_knows_that_it_is_asked() -> None:
    exchange = InstantExchange()

    assert exchange.answer("POST", "/fapi/v1/listenKey", KEY)[0] == 400
    notes = exchange.answer("GET", "/bench/orders", KEY)[1]
    assert isinstance(notes, dict)
    assert notes["unknown"] == []


async def test_processor_time_of_a_process_that_works(exchange: tuple[int, int]) -> None:
    before = cpu_seconds([os.getpid()])
    deadline = time.process_time() + 0.1
    while time.process_time() < deadline:
        pass
    assert cpu_seconds([os.getpid()]) - before >= 0.05
    assert exchange[0] in family(os.getpid())


async def test_floor_turns_an_alert_into_an_order(exchange: tuple[int, int], connection: Connection) -> None:
    url = f"http://127.0.0.1:{exchange[1]}"
    async with running("bench.rig.floor", "--exchange", url) as (pid, port):
        target = _target(port, pid, secret="floor-webhook-secret")
        latencies = await one_at_a_time(target, Exchange(connection))
        throughput = await saturated(target, Exchange(connection), connections=2, turns=2)
    assert 0 < latencies.order_p50_ms < latencies.answer_p50_ms
    assert throughput.orders_per_s > 0
    assert throughput.requests_per_order == 1


async def test_orders_that_come_late_are_waited_for(
    exchange: tuple[int, int], connection: Connection
) -> None:
    late = await connect(exchange[1])
    notes = asyncio.create_task(Exchange(connection).orders(2, of="ours"))
    for name in ("a", "b"):
        await late.send(request_bytes("POST", f"/fapi/v1/order?{ORDER}{name}"))
    arrived, requests = await notes
    late.close()
    assert (len(arrived), requests) == (2, 2)


async def test_more_orders_than_alerts_are_no_speed(connection: Connection) -> None:
    for name in ("a", "b"):
        await connection.send(request_bytes("POST", f"/fapi/v1/order?{ORDER}{name}"))
    with pytest.raises(LoadFailed, match="2 orders for 1 alerts"):
        await Exchange(connection).orders(1, of="ours")


async def test_target_that_refuses_has_no_speed(exchange: tuple[int, int], connection: Connection) -> None:
    url = f"http://127.0.0.1:{exchange[1]}"
    async with running("bench.rig.floor", "--exchange", url) as (pid, port):
        with pytest.raises(LoadFailed, match="401"):
            await one_at_a_time(_target(port, pid, secret="wrong"), Exchange(connection))


def _target(port: int, process_id: int, *, secret: str) -> Target:
    def alert(action: str) -> dict[str, str]:
        return {"account_id": "a", "secret": secret, "action": action, "symbol": "BTCUSDT"}

    return Target("floor", port, "/", [alert, alert], lambda: {"bot": cpu_seconds([process_id])})

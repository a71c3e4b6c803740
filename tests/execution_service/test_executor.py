"""A signal's story on the paper exchange, judged by the exchange's own record. The price is 50,000."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.system import PRICE, System, Trader, until
from tradekit.service.channel import call
from tradekit.service.errors import ServiceError
from tradingbot.execution.v1 import execution_pb2 as pb
from tradingbot.vault.v1 import vault_pb2

pytestmark = pytest.mark.anyio

LEVELS: dict[str, Any] = {"stop_loss": "2%", "take_profit": "4%"}


@pytest.fixture(autouse=True)
def patient_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that a busy machine makes late is left to the execution; these tests are about the checks."""
    monkeypatch.setattr("execution_service.planning.PATIENCE_S", 20.0)


async def refusal(trader: Trader, **alert: object) -> str:
    """The reason why an alert is not taken; nothing may come of it on the exchange or in the journal."""
    with pytest.raises(ServiceError) as refused:
        await trader.send(**alert)  # type: ignore[arg-type]  # fields of an alert
    assert await trader.paper.orders() == []
    assert await trader.signals() == []
    return refused.value.reason


async def test_a_long_is_filled_and_protected(trader: Trader) -> None:
    """10 % of 10,000 USDT at 50,000 is 0.02 BTC, with a stop and a target for the whole position."""
    response = await trader.send("long", leverage=10, stop_loss="2%", take_profit="4%")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert response.signal.message == f"LONG order executed on {trader.venue.name}"
    (position,) = await trader.paper.positions()
    assert (position["quantity"], position["leverage"]) == ("0.02", 10)
    stop, target = await trader.paper.orders("algo", status="NEW")
    assert (stop["type"], stop["trigger_price"], stop["close_position"]) == ("STOP_MARKET", "49000", True)
    assert (target["type"], target["trigger_price"]) == ("TAKE_PROFIT_MARKET", "52000")


@pytest.mark.parametrize("symbol", ["BTCUSDT", "btcusdt.p", "BTC-USDT-SWAP", "{exchange}:BTCUSDT.P"])
async def test_every_name_of_a_market_is_the_market(trader: Trader, symbol: str) -> None:
    response = await trader.send("long", symbol=symbol.format(exchange=trader.venue.name.upper()), **LEVELS)

    assert response.signal.symbol == "BTCUSDT"
    (position,) = await trader.paper.positions()
    assert (position["symbol"], position["quantity"]) == ("BTCUSDT", "0.02")


async def test_a_short_is_the_mirror_image(trader: Trader) -> None:
    await trader.send("short", stop_loss="2%", take_profit="4%")

    (position,) = await trader.paper.positions()
    assert position["quantity"] == "-0.02"
    stop, target = await trader.paper.orders("algo", status="NEW")
    assert (stop["side"], stop["trigger_price"], target["trigger_price"]) == ("BUY", "51000", "48000")


async def test_without_levels_stop_and_target_are_measured_in_atr(trader: Trader) -> None:
    """1.5 ATR below and 3 ATR above the entry: the target is twice as far as the stop."""
    await trader.send("long")

    stop, target = await trader.paper.orders("algo", status="NEW")
    down = Decimal(PRICE) - Decimal(stop["trigger_price"])
    up = Decimal(target["trigger_price"]) - Decimal(PRICE)
    assert down > 0
    assert abs(up - 2 * down) <= Decimal("0.2")  # each is rounded to the tick, away from the entry


async def test_the_answer_tells_every_leg(trader: Trader) -> None:
    response = await trader.send("long", leverage=5, stop_loss="2%", take_profit="4%")

    legs = {leg.kind: leg for leg in response.signal.legs}
    assert legs[pb.LEG_KIND_LEVERAGE].leverage == 5
    entry = legs[pb.LEG_KIND_ENTRY]
    assert (entry.state, entry.filled_quantity, entry.average_price) == (pb.LEG_STATE_FILLED, "0.02", "50000")
    assert legs[pb.LEG_KIND_STOP_LOSS].state == pb.LEG_STATE_OPEN
    assert legs[pb.LEG_KIND_TAKE_PROFIT].state == pb.LEG_STATE_OPEN
    signal = await trader.signal(response.signal.signal_id)
    kinds = [step.kind for step in signal.steps]
    assert kinds[0] == "signal.received"
    assert kinds[-1] == "signal.done"
    assert kinds.index("entry.intended") < kinds.index("entry.filled") < kinds.index("stop_loss.intended")


async def test_warm_caches_need_no_question_before_the_entry(trader: Trader) -> None:
    """Balance, price, ATR, rules and leverage are at hand: the order is the first request of the signal."""
    await trader.send("long", **LEVELS)
    # What was known before its stream began is asked for again.
    await until(lambda: trader.is_followed())
    await trader.send("long", leverage=20, **LEVELS)

    # What is kept warm or watched may be asked for in any moment: two alerts are tried.
    firsts = [await _first_request(trader) for _ in range(2)]

    assert trader.venue.order in firsts


async def _first_request(trader: Trader) -> dict[str, str]:
    """What the exchange is asked first for an alert that finds everything warm."""
    await trader.send("close_all")
    await until(lambda: trader.is_warm())
    before = len(await trader.paper.requests())
    await trader.send("long", leverage=20, **LEVELS)
    sent = (await trader.paper.requests())[before:]
    first = next(request for request in sent if request["path"] not in trader.venue.background)
    return {"method": first["method"], "path": first["path"]}


@pytest.mark.parametrize(
    ("size", "quantity"),
    [
        ({"size": 5}, "0.01"),
        ({"size": 1000, "size_type": "quote"}, "0.02"),
        ({"size": "0.037", "size_type": "base"}, "0.037"),
        # 1 % of 10,000 is 100 USDT; the stop is 1,000 USDT away.
        ({"size": 1, "size_type": "risk_percent"}, "0.1"),
    ],
)
async def test_sizes(trader: Trader, size: dict[str, Any], quantity: str) -> None:
    await trader.send("long", stop_loss="2%", **size)

    (position,) = await trader.paper.positions()
    assert position["quantity"] == quantity


async def test_a_quantity_between_two_steps_is_rounded_down(trader: Trader) -> None:
    for asked, ordered in trader.venue.lots.items():
        response = await trader.send("long", size=asked, size_type="base", stop_loss="2%")

        (entry,) = (leg for leg in response.signal.legs if leg.kind == pb.LEG_KIND_ENTRY)
        assert entry.filled_quantity == ordered


async def test_several_targets_share_the_position(trader: Trader) -> None:
    targets = [{"percent": 2, "share": 0.5}, {"percent": 4, "share": 0.5}]
    await trader.send("long", stop_loss="2%", take_profit=targets)

    first, second = await trader.paper.orders("algo", type="TAKE_PROFIT_MARKET")
    assert [order["quantity"] for order in (first, second)] == ["0.01", "0.01"]
    assert {order["trigger_price"] for order in (first, second)} == {"51000", "52000"}


async def test_a_trailing_stop_stands_beside_the_fixed_one(trader: Trader) -> None:
    await trader.send("long", stop_loss="2%", trailing="1%")

    (trailing,) = await trader.paper.orders("algo", type="TRAILING_STOP_MARKET")
    assert trailing["quantity"] == "0.02"
    assert await trader.paper.orders("algo", type="STOP_MARKET", status="NEW")


async def test_a_close_ends_flat_and_leaves_nothing_behind(trader: Trader) -> None:
    await trader.send("long")

    response = await trader.send("close_long")

    assert response.signal.message == f"LONG position closed on {trader.venue.name}"
    assert await trader.paper.positions() == []
    assert await trader.paper.orders("algo", status="NEW") == []


@pytest.mark.parametrize("action", ["close_long", "close_short", "close_all"])
async def test_a_close_without_a_position_is_done_and_opens_none(trader: Trader, action: str) -> None:
    response = await trader.send(action)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert response.signal.message.startswith("No ")
    assert await trader.paper.orders() == []


async def test_closing_the_other_side_leaves_the_position_alone(trader: Trader) -> None:
    await trader.send("long")

    await trader.send("close_short")

    assert len(await trader.paper.positions()) == 1
    assert len(await trader.paper.orders("algo", status="NEW")) == 2


async def test_a_short_while_long_turns_the_position_around(trader: Trader) -> None:
    await trader.send("long", stop_loss="2%", take_profit="4%")

    response = await trader.send("short", stop_loss="2%", take_profit="4%")

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    (position,) = await trader.paper.positions()
    assert Decimal(position["quantity"]) < 0
    open_orders = await trader.paper.orders("algo", status="NEW")
    assert {order["side"] for order in open_orders} == {"BUY"}
    assert len(open_orders) == 2


async def test_a_reversal_that_is_forbidden_changes_nothing(trader: Trader) -> None:
    await trader.send("long")
    before = await trader.paper.orders()

    with pytest.raises(ServiceError) as refused:
        await trader.send("short", reverse=False)

    assert refused.value.reason == "POSITION_OPPOSITE"
    assert await trader.paper.orders() == before


async def test_adding_to_a_position_moves_its_stop(trader: Trader) -> None:
    """The newest alert's stop and target are in force, for the whole position."""
    await trader.send("long", stop_loss="2%", take_profit="4%")

    await trader.send("long", stop_loss="3%", take_profit="5%")

    (position,) = await trader.paper.positions()
    assert Decimal(position["quantity"]) > Decimal("0.03")
    stop, target = await trader.paper.orders("algo", status="NEW")
    assert (stop["trigger_price"], target["trigger_price"]) == ("48500", "52500")


async def test_a_limit_order_rests_and_is_protected_when_it_fills(trader: Trader) -> None:
    response = await trader.send("long", order_type="limit", price=49000, stop_loss="2%", take_profit="4%")

    assert response.signal.message == f"LONG limit order placed on {trader.venue.name}"
    (entry,) = await trader.paper.orders("order")
    assert (entry["type"], entry["price"], entry["status"]) == ("LIMIT", "49000", "NEW")

    await trader.paper.price("49000")

    stop, target = await until(lambda: trader.paper.orders("algo", status="NEW"), count=2)
    assert (stop["trigger_price"], target["trigger_price"]) == ("48020", "50960")


async def test_a_close_withdraws_a_resting_entry(trader: Trader) -> None:
    await trader.send("long", order_type="limit", price=49000)

    await trader.send("close_all")

    (entry,) = await trader.paper.orders("order")
    assert entry["status"] == "CANCELED"


async def test_F43_when_the_stop_has_triggered_the_target_goes_too(trader: Trader) -> None:
    response = await trader.send(
        "long", stop_loss="2%", take_profit=[{"percent": 4, "share": 1}, {"percent": 5, "share": 0}][:1]
    )

    await trader.paper.price("48000")

    await until(lambda: _nothing_rests(trader))
    signal = await until(lambda: _closed(trader, response.signal.signal_id))
    assert signal is not None
    closed = next(step for step in signal.steps if step.kind == "position.closed")
    assert closed.attributes["by"] == "stop_loss"


async def _nothing_rests(trader: Trader) -> bool:
    return await trader.paper.orders("algo", status="NEW") == []


async def _closed(trader: Trader, signal_id: str) -> pb.Signal | None:
    signal = await trader.signal(signal_id)
    return signal if any(step.kind == "position.closed" for step in signal.steps) else None


async def test_F47_one_alert_three_times_at_once_is_one_order(trader: Trader) -> None:
    responses = await asyncio.gather(*(trader.send("long", key="id:bar-1") for _ in range(3)))

    assert len({response.signal.signal_id for response in responses}) == 1
    assert sorted(response.duplicate for response in responses) == [False, True, True]
    assert len(await trader.paper.orders("order")) == 1


async def test_B26_a_repeat_gets_the_first_result(trader: Trader) -> None:
    first = await trader.send("long", key="id:bar-1")

    again = await trader.send("long", key="id:bar-1")

    assert again.duplicate
    assert again.signal == first.signal


async def test_a_repeat_is_a_duplicate_even_when_it_would_be_refused_now(trader: Trader) -> None:
    first = await trader.send("long", key="id:bar-1")
    await trader.toggle()

    again = await trader.send("long", key="id:bar-1")

    assert (again.duplicate, again.signal.signal_id) == (True, first.signal.signal_id)


async def test_B27_one_id_for_two_wishes_is_refused(trader: Trader) -> None:
    await trader.send("long", key="id:bar-1")

    with pytest.raises(ServiceError) as refused:
        await trader.send("close_long", key="id:bar-1")

    assert refused.value.reason == "ALERT_ID_REUSED"
    assert len(await trader.paper.positions()) == 1


async def test_two_alerts_without_ids_whose_answers_arrived_are_two(trader: Trader) -> None:
    await trader.send("long")

    second = await trader.send("long")

    assert not second.duplicate
    assert len(await trader.paper.orders("order")) == 2


async def test_an_alert_without_id_that_was_never_answered_is_not_executed_again(trader: Trader) -> None:
    first = await trader.send("long")
    await trader.delivered(first, False)

    second = await trader.send("long")

    assert (second.duplicate, second.signal.signal_id) == (True, first.signal.signal_id)
    assert len(await trader.paper.orders("order")) == 1


async def test_F49_an_entry_and_its_close_keep_their_order(trader: Trader) -> None:
    opened = asyncio.create_task(trader.send("long"))
    await asyncio.sleep(0.005)
    closed = await trader.send("close_long")
    await opened

    assert closed.signal.message == f"LONG position closed on {trader.venue.name}"
    assert await trader.paper.positions() == []


@pytest.mark.parametrize(
    ("alert", "reason"),
    [
        ({"symbol": "DOGEBTCX"}, "UNKNOWN_SYMBOL"),
        ({"symbol": "NOSUCHUSDT"}, "UNKNOWN_SYMBOL"),
        ({"symbol": "KRAKEN:BTCUSDT"}, "EXCHANGE_MISMATCH"),
        ({"exchange": "kraken"}, "EXCHANGE_MISMATCH"),
        ({"size": 1, "size_type": "quote"}, "BELOW_MIN_SIZE"),
        ({"size": 10**9, "size_type": "base"}, "ABOVE_MAX_SIZE"),
        ({"stop_loss": 51000}, "STOP_ON_WRONG_SIDE"),
        ({"take_profit": 49000}, "STOP_ON_WRONG_SIDE"),
        ({"time": "2020-01-01T00:00:00Z"}, "ALERT_TOO_OLD"),
        ({"time": "2099-01-01T00:00:00Z"}, "ALERT_FROM_FUTURE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_done_is_refused_and_recorded_nowhere(
    trader: Trader, alert: dict[str, object], reason: str
) -> None:
    assert await refusal(trader, **alert) == reason


async def test_B09_an_inactive_account_takes_closes_only(trader: Trader) -> None:
    """Just after the change the vault refuses to sign; a second later the alert is not even taken."""
    await trader.send("long")
    await trader.toggle()

    at_once = await _reason(trader)
    later = await _reason(trader)
    response = await trader.send("close_long")

    assert (at_once, later) == ("ACCOUNT_INACTIVE", "ACCOUNT_INACTIVE")
    assert len(await trader.paper.orders("order", side="BUY")) == 1
    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert await trader.paper.positions() == []


async def _reason(trader: Trader) -> str:
    """Why an alert is not taken, or was rejected: the second within a second of a change."""
    try:
        return (await trader.send("long")).signal.reason
    except ServiceError as error:
        return error.reason


async def test_B17_the_smallest_order_is_named(trader: Trader) -> None:
    with pytest.raises(ServiceError, match=r"minimum of 0\.00\d"):
        await trader.send("long", size=1, size_type="quote")


async def test_an_empty_account_is_told_so(system: System) -> None:
    trader = await system.trader(balance="0")

    with pytest.raises(ServiceError, match="Insufficient balance"):
        await trader.send("long")


async def test_another_users_account_is_not_there(system: System, trader: Trader) -> None:
    stranger = await system.trader()
    stranger.account_id = trader.account_id

    assert await refusal(stranger) == "ACCOUNT_NOT_FOUND"
    with pytest.raises(ServiceError) as unseen:
        await stranger.signal((await trader.send("long")).signal.signal_id)
    assert unseen.value.reason == "SIGNAL_NOT_FOUND"


async def test_accounts_do_not_wait_for_each_other(system: System) -> None:
    slow, quick = await system.trader(), await system.trader()
    await slow.paper.fault("delay", delay_s=5, account=slow.api_key, **slow.venue.order)

    waiting = asyncio.create_task(slow.send("long"))
    response = await quick.send("long", timeout=4)

    assert response.signal.state == pb.SIGNAL_STATE_DONE
    assert not waiting.done()
    await waiting


async def test_an_account_with_a_position_is_not_retired(trader: Trader) -> None:
    await trader.send("long")
    request = pb.RetireAccountRequest(user_id=trader.user_id, account_id=trader.account_id)

    with pytest.raises(ServiceError) as refused:
        await call(trader.execution.RetireAccount(request, timeout=5))
    await trader.send("close_all")
    await call(trader.execution.RetireAccount(request, timeout=5))

    assert refused.value.reason == "ACCOUNT_IN_USE"
    with pytest.raises(ServiceError, match="no such account"):
        await trader.send("long")


async def test_the_account_is_shown_as_the_exchange_sees_it(trader: Trader) -> None:
    await trader.send("long", leverage=10, stop_loss="2%", take_profit="4%")
    key = {"user_id": trader.user_id, "account_id": trader.account_id}

    balance = await call(trader.execution.GetBalance(pb.GetBalanceRequest(**key), timeout=5))
    positions = await call(trader.execution.ListPositions(pb.ListPositionsRequest(**key), timeout=5))
    orders = await call(trader.execution.ListOpenOrders(pb.ListOpenOrdersRequest(**key), timeout=5))

    assert Decimal(balance.total) == Decimal(10_000) - Decimal("0.02") * 50_000 * Decimal("0.0005")
    (position,) = positions.positions
    assert (position.symbol, position.side, position.quantity, position.leverage) == (
        "BTCUSDT",
        "long",
        "0.02",
        10,
    )
    assert {order.type for order in orders.orders} == {"stop_loss", "take_profit"}


async def test_events_are_sent_in_order_and_once(trader: Trader) -> None:
    await trader.send("long")
    stream = trader.execution.WatchEvents(pb.WatchEventsRequest(), timeout=10)
    kinds, cursor = [], ""
    async for response in stream:
        kinds.append(response.event.step.kind)
        cursor = response.event.cursor
        if kinds[-1] == "signal.done":
            break
    assert kinds[0] == "signal.received"
    assert kinds.count("entry.filled") == 1

    await trader.send("close_all")
    async for response in trader.execution.WatchEvents(
        pb.WatchEventsRequest(after_cursor=cursor), timeout=10
    ):
        assert response.event.step.kind == "signal.received"
        break


async def test_signals_come_in_pages_newest_first(trader: Trader) -> None:
    sent = [(await trader.send("close_all")).signal.signal_id for _ in range(3)]

    request = pb.ListSignalsRequest(user_id=trader.user_id, page_size=2)
    first = await call(trader.execution.ListSignals(request, timeout=5))
    request.page_token = first.next_page_token
    second = await call(trader.execution.ListSignals(request, timeout=5))

    listed = [signal.signal_id for signal in [*first.signals, *second.signals]]
    assert listed == sent[::-1]
    assert second.next_page_token == ""


async def test_a_deleted_account_is_gone_at_once(trader: Trader) -> None:
    await trader.send("close_all")
    request = vault_pb2.DeleteAccountRequest(user_id=trader.user_id, account_id=trader.account_id)
    await call(trader.vault.DeleteAccount(request, timeout=5))

    response = await trader.send("long")

    assert response.signal.state == pb.SIGNAL_STATE_REJECTED
    assert response.signal.reason == "ACCOUNT_NOT_FOUND"

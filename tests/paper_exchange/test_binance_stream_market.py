"""Market streams: which there are, what they say, and when they speak."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paper_exchange.binance_stream_market import MarketStream, MarketStreams
from paper_exchange.candles import FilePath
from paper_exchange.depth import Depth
from paper_exchange.instruments import LISTED
from paper_exchange.market import Market
from paper_exchange.orders import Side
from paper_exchange.price_path import Bar
from tests.paper_exchange.conftest import BTC, START_MS, Floor, Paper
from tests.paper_exchange.streams import reading

MINUTE_MS = 60_000


def opened(floor: Floor, name: str, category: str = "market") -> MarketStream:
    stream = MarketStreams(floor.exchange.market).open(name, category, floor.now_ms)
    assert stream is not None
    return stream


@pytest.fixture
def moving() -> Market:
    return Market(LISTED, seed=3, anchor_ms=START_MS, speed=1)


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ("public", "btcusdt@kline_1m"),
        ("market", "btcusdt@depth"),
        ("market", "btcusdt@bookTicker"),
        ("market", "!bookTicker"),
        ("market", "nothing@aggTrade"),
        ("market", "BTCUSDT@aggTrade"),
        ("market", "btcusdt@kline_2s"),
        ("market", "btcusdt@nothing"),
        ("public", "btcusdt@depth7"),
        ("market", "btcusdt_quarter@continuousKline_1m"),
        ("market", "!nothing@arr"),
        ("market", "@"),
        ("market", ""),
    ],
)
def test_there_is_no_such_stream(floor: Floor, category: str, name: str) -> None:
    assert MarketStreams(floor.exchange.market).open(name, category, floor.now_ms) is None


def test_a_candle_is_told_as_it_changes_and_once_closed(floor: Floor) -> None:
    floor.now_ms = (floor.now_ms // MINUTE_MS + 1) * MINUTE_MS + 1000
    stream = opened(floor, "btcusdt@kline_1m")
    (first,) = stream.due(floor.now_ms)
    floor.price("60100")
    (risen,) = stream.due(floor.now_ms)
    assert stream.due(floor.now_ms) == []
    floor.now_ms += MINUTE_MS

    closed, running = stream.due(floor.now_ms)

    assert (first["e"], first["s"], first["k"]["i"], first["k"]["x"]) == ("kline", BTC, "1m", False)
    assert (risen["k"]["c"], risen["k"]["h"]) == ("60100.00", "60100.00")
    assert (closed["k"]["t"], closed["k"]["x"], closed["k"]["c"]) == (first["k"]["t"], True, "60100.00")
    assert (running["k"]["t"], running["k"]["x"]) == (first["k"]["t"] + MINUTE_MS, False)


def test_a_closed_candle_is_the_one_that_rest_tells(moving: Market) -> None:
    now_ms = START_MS // MINUTE_MS * MINUTE_MS + 59_000
    stream = MarketStreams(moving).open("ethusdt@kline_1m", "market", now_ms)
    assert stream is not None
    stream.due(now_ms)

    (closed, _) = stream.due(now_ms + 2000)

    (candle,) = moving.candles(
        "ETHUSDT", "1m", now_ms=now_ms + 2000, start_ms=closed["k"]["t"], end_ms=closed["k"]["t"], limit=1
    )
    assert [Decimal(closed["k"][name]) for name in "ohlcv"] == [
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
    ]


def test_continuous_candles_name_their_contract_type(floor: Floor) -> None:
    (told,) = opened(floor, "btcusdt_perpetual@continuousKline_1h").due(floor.now_ms)

    assert (told["e"], told["ps"], told["ct"]) == ("continuous_kline", BTC, "PERPETUAL")


@pytest.mark.parametrize(
    ("name", "period_ms"),
    [
        ("btcusdt@markPrice", 3000),
        ("btcusdt@markPrice@1s", 1000),
        ("!markPrice@arr", 3000),
        ("!markPrice@arr@1s", 1000),
        ("btcusdt@ticker", 2000),
        ("btcusdt@miniTicker", 2000),
        ("!ticker@arr", 1000),
        ("!miniTicker@arr", 1000),
    ],
)
def test_some_streams_speak_once_a_period(floor: Floor, name: str, period_ms: int) -> None:
    start_ms = floor.now_ms // 6000 * 6000
    stream = opened(floor, name)

    told_at = [at for at in range(start_ms, start_ms + 6000, 250) if stream.due(at)]

    assert told_at == list(range(start_ms, start_ms + 6000, period_ms))


def test_mark_prices_of_all_are_one_list(floor: Floor) -> None:
    (rows,) = opened(floor, "!markPrice@arr").due(floor.now_ms)

    assert {row["s"] for row in rows} == set(LISTED)
    row = next(row for row in rows if row["s"] == BTC)
    assert (row["e"], row["p"], row["i"]) == ("markPriceUpdate", "60000.00000000", "60000.00000000")
    assert row["T"] == floor.exchange.market.next_funding_ms(floor.now_ms)


def test_best_prices_come_when_they_change(floor: Floor) -> None:
    stream = opened(floor, "btcusdt@bookTicker", "public")
    (first,) = stream.due(floor.now_ms)
    assert stream.due(floor.now_ms + 5000) == []
    floor.now_ms += 5000
    floor.price("60010")

    (moved,) = stream.due(floor.now_ms)

    assert (first["b"], first["a"]) == ("59999.90", "60000.10")
    assert (moved["b"], moved["a"]) == ("60009.90", "60010.10")
    assert moved["u"] > first["u"]


def test_best_prices_of_all_come_one_by_one(floor: Floor) -> None:
    stream = opened(floor, "!bookTicker", "public")
    assert {told["s"] for told in stream.due(floor.now_ms)} == set(LISTED)
    floor.price("60010")

    assert [told["s"] for told in stream.due(floor.now_ms)] == [BTC]


def test_a_trade_comes_every_second_with_the_number_rest_gives_it(floor: Floor) -> None:
    stream = opened(floor, "btcusdt@aggTrade")
    stream.due(floor.now_ms)

    told = stream.due(floor.now_ms + 2000)

    assert [trade["a"] for trade in told] == [floor.now_ms // 1000 + 1, floor.now_ms // 1000 + 2]
    assert {(trade["e"], trade["p"]) for trade in told} == {("aggTrade", "60000.00")}
    assert opened(floor, "btcusdt@trade", "public").due(floor.now_ms)[0]["t"] == floor.now_ms // 1000


def test_the_best_levels_come_as_they_are(floor: Floor) -> None:
    (told,) = opened(floor, "btcusdt@depth5@100ms", "public").due(floor.now_ms)

    assert [level[0] for level in told["b"]] == ["59999.90", "59999.80", "59999.70", "59999.60", "59999.50"]
    assert len(told["a"]) == 5


def book(floor: Floor) -> dict[str, dict[Decimal, Decimal]]:
    """The thousand levels that a snapshot has."""
    instrument, depth = floor.exchange.instrument(BTC), Depth(floor.exchange.market)
    return {
        name: {level.price: level.size for level in depth.levels(instrument, side, floor.now_ms, 1000)}
        for name, side in (("b", Side.BUY), ("a", Side.SELL))
    }


def apply(local: dict[str, dict[Decimal, Decimal]], told: Any) -> None:
    for side in ("b", "a"):
        for price, size in told[side]:
            if Decimal(size):
                local[side][Decimal(price)] = Decimal(size)
            else:
                local[side].pop(Decimal(price), None)


def test_a_book_kept_by_differences_is_the_book_of_a_snapshot(floor: Floor) -> None:
    stream = opened(floor, "btcusdt@depth@100ms", "public")
    local, last_id = book(floor), None
    for price in ("60000", "60003.5", "59990", "61000", "60999.9", "60999.9"):
        floor.price(price)
        for told in stream.due(floor.now_ms):
            assert last_id in (None, told["pu"])
            assert told["U"] == told["pu"] + 1 <= told["u"]
            last_id = told["u"]
            apply(local, told)

        assert local == book(floor)


def test_differences_come_at_least_every_second(floor: Floor) -> None:
    stream = opened(floor, "btcusdt@depth", "public")

    told = [stream.due(floor.now_ms + at) for at in (0, 250, 1000, 2000)]

    assert [len(payloads) for payloads in told] == [1, 0, 1, 1]


@pytest.mark.anyio
async def test_a_posted_price_is_told_at_once(paper: Paper) -> None:
    names = ("btcusdt@kline_1m", "btcusdt@aggTrade")
    async with reading(paper, f"/market/stream?streams={'/'.join(names)}") as reader:
        await paper.control.price("61234.5")
        told = await reader.until(lambda m: m["stream"] == names[0] and m["data"]["k"]["c"] == "61234.50")

    assert told["data"]["k"]["x"] is False


@pytest.mark.anyio
async def test_streams_can_be_subscribed_to_and_left(paper: Paper) -> None:
    async with reading(paper, "/public/ws") as reader:
        await reader.ask("SUBSCRIBE", ["btcusdt@bookTicker"])
        assert (await reader.next())["b"] == "59999.90"
        await reader.ask("UNSUBSCRIBE", ["btcusdt@bookTicker"], 2)
        await paper.control.price("61000")
        await reader.ask("SUBSCRIBE", ["ethusdt@bookTicker"], 3)

        assert (await reader.next())["s"] == "ETHUSDT"


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["btcusdt@forceOrder", "!forceOrder@arr"])
async def test_anybodys_liquidation_is_told_to_all(paper: Paper, name: str) -> None:
    await paper.trader.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=50)
    await paper.trader.market("BUY", "5")
    async with reading(paper, f"/market/ws/{name}") as reader:
        await paper.control.price("57000")
        told = await reader.next()

    assert (told["e"], told["o"]["s"], told["o"]["S"], told["o"]["X"]) == (
        "forceOrder",
        BTC,
        "SELL",
        "FILLED",
    )
    assert (told["o"]["q"], told["o"]["z"]) == ("5", "5")


@pytest.mark.anyio
async def test_a_changed_contract_is_told(paper: Paper) -> None:
    async with reading(paper, "/market/ws/!contractInfo") as reader:
        await paper.control.call("POST", "/paper/instruments", {"symbol": BTC, "status": "CLOSE"})
        told = await reader.next()

    assert (told["e"], told["s"], told["cs"]) == ("contractInfo", BTC, "CLOSE")


NAMES = st.one_of(
    st.builds(
        "{}@{}{}{}".format,
        st.sampled_from(["btcusdt", "ethusdt", "btcusdt_perpetual", "nope"]),
        st.sampled_from(
            ["aggTrade", "trade", "kline", "continuousKline", "markPrice", "ticker", "miniTicker", "depth"]
        ),
        st.sampled_from(["", "5", "20", "_1m", "_1w", "_1M", "_x"]),
        st.sampled_from(["", "@1s", "@100ms", "@x"]),
    ),
    st.builds(
        "!{}{}".format, st.sampled_from(["ticker", "bookTicker", "markPrice"]), st.sampled_from(["", "@arr"])
    ),
    st.text(max_size=20),
)


@example(name="ethusdt@kline_1w", category="market", steps=[1000], replays=True)
@example(name="ethusdt@ticker", category="market", steps=[1000], replays=True)
@settings(max_examples=60, deadline=None)
@given(
    name=NAMES,
    category=st.sampled_from(["public", "market"]),
    steps=st.lists(st.integers(0, 90_000), min_size=1, max_size=6),
    replays=st.booleans(),
)
def test_any_stream_of_any_market_speaks_or_is_silent(
    name: str, category: str, steps: list[int], replays: bool
) -> None:
    """Whatever is subscribed to, nothing raises: not even where the history is shorter than a candle."""
    bars = [Bar(100, 110, 90, 105, 1, 10, 20, 60) for _ in range(30)]
    file = FilePath([1_700_000_040_000 + 60_000 * number for number in range(30)], bars, 60_000)
    market = Market(LISTED, seed=1, anchor_ms=START_MS, speed=1, files={"ETHUSDT": file} if replays else None)
    now_ms = START_MS
    stream = MarketStreams(market).open(name, category, now_ms)
    for step in steps if stream is not None else ():
        now_ms += step
        for payload in stream.due(now_ms) if stream is not None else ():
            assert json.dumps(payload)

"""The webhook's parser: what it takes, and with which words it refuses the rest."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.tradekit.market.alert_bodies import SECRET, body, parsed, rejection
from tradekit.market.alert import Action, Alert, OrderType, content_hash, parse_alert
from tradekit.market.sizing import DEFAULT_SIZE, Level, LevelKind, Size, SizeType, Target
from tradekit.market.timeframe import Timeframe

INSTANT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def test_the_smallest_alert_asks_for_the_defaults() -> None:
    message = parsed()
    assert message.account_id == "0192f3a8-7c1e-7000-8000-000000000001"
    assert message.secret == SECRET
    assert message.alert == Alert(action=Action.LONG, symbol="BTCUSDT")
    assert message.alert.size == DEFAULT_SIZE
    assert message.warnings == ()


def test_every_field_is_read() -> None:
    message = parsed(
        action="SHORT",
        symbol="binance:btcusdt.p",
        exchange="Binance",
        leverage=20,
        order_type="Limit",
        price=65_000.5,
        size=250,
        size_type="quote",
        stop_loss="2%",
        take_profit={"atr": 1.5},
        trailing="0.8%",
        reverse=False,
        alert_id="bar-1",
        time="2026-11-24T09:30:00Z",
        interval="60",
        strategy="ema",
        comment="비트코인",
    )
    assert message.warnings == ()
    assert message.alert == Alert(
        action=Action.SHORT,
        symbol="BINANCE:BTCUSDT.P",
        exchange="binance",
        leverage=20,
        order_type=OrderType.LIMIT,
        limit_price=Decimal("65000.5"),
        size=Size(SizeType.QUOTE, Decimal(250)),
        stop_loss=Level(LevelKind.PERCENT, Decimal(2)),
        take_profits=(Target(Level(LevelKind.ATR, Decimal("1.5")), Decimal(1)),),
        trailing_percent=Decimal("0.8"),
        reverse=False,
        alert_id="bar-1",
        time=INSTANT,
        interval=Timeframe(1, "h"),
        strategy="ema",
        comment="비트코인",
    )


@pytest.mark.parametrize(
    "content", [b"", b'{"account_id": "a", ', b"BUY BTCUSDT", b"\xff\xfe\xfd", b"{'a': 1}"]
)
def test_B01_B02_B03_what_is_no_json_is_malformed(content: bytes) -> None:
    rejected = rejection(content)
    assert (rejected.code, rejected.field) == ("malformed_json", "")
    assert "JSON object" in rejected.message


@pytest.mark.parametrize("content", [b"[]", b'"long"', b"7", b"null", b"true", b"[{}]"])
def test_B04_json_that_is_no_object(content: bytes) -> None:
    assert rejection(content).code == "validation_error"


@pytest.mark.parametrize("secret", [None, 7, ["s"], {"s": 1}, True])
def test_B07_a_secret_that_is_missing_or_no_text(secret: object) -> None:
    rejected = rejection(body(secret=secret))
    assert (rejected.code, rejected.field) == ("validation_error", "secret")


@pytest.mark.parametrize("secret", ["", "wrong", "x" * 10_000, "\ud800", "\x00"])
def test_B07_a_secret_that_is_text_is_for_the_secret_check(secret: str) -> None:
    assert parsed(secret=secret).secret == secret


@pytest.mark.parametrize("action", ["hold", "", None, 1, "long;short", "   ", ["long"], "b uy"])
def test_B11_unknown_action(action: object) -> None:
    rejected = rejection(body(action=action))
    assert (rejected.code, rejected.field) == ("validation_error", "action")


@pytest.mark.parametrize("position", [None, "", "up", 1, ["long"]])
def test_B12_buy_without_a_market_position(position: object) -> None:
    rejected = rejection(body(action="buy", market_position=position))
    assert (rejected.code, rejected.field) == ("validation_error", "market_position")


@pytest.mark.parametrize(
    ("word", "position", "action"),
    [
        ("buy", "long", Action.LONG),
        ("SELL", "Short", Action.SHORT),
        ("sell", "flat", Action.CLOSE_LONG),
        ("buy", "flat", Action.CLOSE_SHORT),
    ],
)
def test_an_alert_of_a_tradingview_strategy(word: str, position: str, action: Action) -> None:
    assert parsed(action=word, market_position=position).alert.action is action


@pytest.mark.parametrize(("word", "position"), [("sell", "long"), ("buy", "short")])
def test_a_partial_exit_of_a_strategy_is_not_taken_for_a_close(word: str, position: str) -> None:
    assert rejection(body(action=word, market_position=position)).field == "market_position"


@pytest.mark.parametrize(
    "symbol", ["", "BTC USDT", "B" * 300, None, 5, "BTCUſDT", "BTC\nUSDT", "../etc", "비트코인"]
)
def test_B13_what_cannot_be_a_symbol(symbol: object) -> None:
    rejected = rejection(body(symbol=symbol))
    assert (rejected.code, rejected.field) == ("validation_error", "symbol")


def test_B13_a_symbol_that_may_exist_is_for_the_exchange_to_know() -> None:
    assert parsed(symbol="dogebtcx").alert.symbol == "DOGEBTCX"


@pytest.mark.parametrize("leverage", [0, -5, 126, "0", "126"])
def test_B15_leverage_out_of_range(leverage: object) -> None:
    rejected = rejection(body(leverage=leverage))
    assert (rejected.code, rejected.field) == ("leverage_out_of_range", "leverage")


@pytest.mark.parametrize("leverage", [1.5, True, "ten", "", [5], "5x", "１０", "1e1", "0x10", "1_0"])
def test_B15_leverage_that_is_no_whole_number(leverage: object) -> None:
    rejected = rejection(body(leverage=leverage))
    assert (rejected.code, rejected.field) == ("validation_error", "leverage")


@pytest.mark.parametrize(
    "fields",
    [
        {"size": 0},
        {"size": -1},
        {"size": "abc"},
        {"size": True},
        {"size": 101, "size_type": "percent_balance"},
        {"size": 101},
        {"size": "100.000000000000000001", "size_type": "risk_percent"},
        {"size_type": "quote"},
        {"size_type": "risk_percent"},
    ],
)
def test_B16_wrong_size(fields: dict[str, object]) -> None:
    rejected = rejection(body(**fields))
    assert (rejected.code, rejected.field) == ("validation_error", "size")


def test_B16_unknown_size_type_names_the_known_ones() -> None:
    rejected = rejection(body(size=1, size_type="lots"))
    assert rejected.field == "size_type"
    assert "percent_balance" in rejected.message


@pytest.mark.parametrize("price", [None, 0, -1, "NaN", "", True])
def test_B18_limit_without_a_usable_price(price: object) -> None:
    rejected = rejection(body(order_type="limit", price=price))
    assert (rejected.code, rejected.field) == ("validation_error", "price")


def test_B18_a_wrong_price_is_wrong_for_a_market_order_too() -> None:
    assert rejection(body(price=-1)).field == "price"


def test_the_price_of_a_market_order_makes_it_no_limit_order() -> None:
    alert = parsed(price="65000").alert
    assert (alert.order_type, alert.limit_price) == (OrderType.MARKET, None)


@pytest.mark.parametrize(
    "field", ["stop_loss", "take_profit", "trailing", "size", "leverage", "price", "time"]
)
@pytest.mark.parametrize("value", ["NaN", "na", "Infinity", "-Infinity", "nan", ""])
def test_B20_what_pine_writes_for_na_is_never_a_number(field: str, value: str) -> None:
    if (field, value) == ("time", ""):
        return  # an empty time is no time, as in an alert without one
    rejected = rejection(body(**{field: value}))
    assert (rejected.code, rejected.field) == ("validation_error", field)


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_B20_a_bare_nan_is_no_json(constant: bytes) -> None:
    content = body(stop_loss=111).replace(b"111", constant)
    assert rejection(content).code == "malformed_json"


@pytest.mark.parametrize("field", ["stop_loss", "take_profit"])
@pytest.mark.parametrize(
    "level",
    [
        "0%",
        "-2%",
        "150%",
        "100%",
        "%",
        "2 %%",
        0,
        -100,
        True,
        {"atr": 0},
        {"atr": -1},
        {"atr": 101},
        {"atr": "x"},
        {"atr": [1]},
        {"percent": 0},
        {"percent": 100},
        {"price": 0},
        {"ticks": 5},
        {"atr": 1, "percent": 2},
        {"atr": 1, "why": "not"},
        {},
    ],
)
def test_B21_wrong_level(field: str, level: object) -> None:
    rejected = rejection(body(**{field: level}))
    assert (rejected.code, rejected.field) == ("validation_error", field)


@pytest.mark.parametrize(
    "targets",
    [
        [],
        [1] * 11,
        [{"price": 1, "share": 0.6}, {"price": 2, "share": 0.5}],
        [{"price": 1, "share": -0.5}, {"price": 2, "share": 0.5}],
        [{"price": 1, "share": 0}],
        [{"price": 1, "share": 1.1}],
        [{"price": 1, "share": "120%"}],
        [{"price": 1, "share": "half"}],
        [{"price": 1, "share": None}],
        [{"price": 1, "share": 0.5}, {"price": 2}],
        [{"price": 1, "share": 0.5}, 70_000],
        [{"share": 0.5}],
        [[1]],
        [None],
    ],
)
def test_B22_wrong_list_of_targets(targets: list[object]) -> None:
    rejected = rejection(body(take_profit=targets))
    assert (rejected.code, rejected.field) == ("validation_error", "take_profit")


def test_targets_with_shares() -> None:
    alert = parsed(take_profit=[{"price": 70_000, "share": "25%"}, {"percent": "4%", "share": 0.5}]).alert
    assert alert.take_profits == (
        Target(Level(LevelKind.PRICE, Decimal(70_000)), Decimal("0.25")),
        Target(Level(LevelKind.PERCENT, Decimal(4)), Decimal("0.5")),
    )


def test_three_targets_without_shares_close_everything_in_equal_parts() -> None:
    shares = [target.share for target in parsed(take_profit=["1%", "2%", {"atr": 3}]).alert.take_profits]
    third = Decimal("0.333333333333333333")
    assert shares == [third, third, Decimal("0.333333333333333334")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", "{{timenow}}"),
        ("symbol", "{{ticker}}"),
        ("comment", "close {{close}} now"),
        ("account_id", "{{account}}"),
        ("unknown", "{{plot_0}}"),
    ],
)
def test_B25_a_placeholder_that_was_not_filled_is_named(field: str, value: str) -> None:
    rejected = rejection(body(**{field: value}))
    assert (rejected.code, rejected.field) == ("validation_error", field)
    assert value[value.index("{{") : value.index("}}") + 2] in rejected.message


@pytest.mark.parametrize(
    "level", [{"atr": "{{plot_1}}"}, ["{{plot_1}}"], [{"price": "{{plot_1}}", "share": 1}]]
)
def test_B25_a_placeholder_deep_inside_is_named(level: object) -> None:
    rejected = rejection(body(take_profit=level))
    assert rejected.field == "take_profit"
    assert "{{plot_1}}" in rejected.message


def test_B25_a_placeholder_in_the_secret_is_not_repeated() -> None:
    rejected = rejection(body(secret="{{my secret}}"))
    assert rejected.field == "secret"
    assert "my secret" not in rejected.message


@pytest.mark.parametrize(
    ("as_text", "as_number"),
    [
        ({"leverage": "10", "size": "5"}, {"leverage": 10, "size": 5}),
        ({"leverage": " 10.0 "}, {"leverage": 10}),
        ({"size": "+5."}, {"size": 5}),
        ({"size": ".5"}, {"size": 0.5}),
        ({"stop_loss": "65000.50"}, {"stop_loss": 65000.5}),
        ({"trailing": "1.0%"}, {"trailing": 1}),
        ({"time": "1763976600000"}, {"time": 1763976600000}),
        ({"take_profit": [{"atr": "2", "share": "0.5"}]}, {"take_profit": [{"atr": 2, "share": 0.5}]}),
        ({"interval": "15"}, {"interval": 15}),
        ({"reverse": "False"}, {"reverse": False}),
        ({"alert_id": "7"}, {"alert_id": 7}),
    ],
)
def test_B30_numbers_as_text_are_the_same_alert(
    as_text: dict[str, object], as_number: dict[str, object]
) -> None:
    assert parsed(**as_text).alert == parsed(**as_number).alert
    assert content_hash(parsed(**as_text).alert) == content_hash(parsed(**as_number).alert)


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-24T09:30:00Z",
        "2026-11-24T18:30:00+09:00",
        "2026-11-24 09:30:00",
        1_795_512_600_000,
        1_795_512_600,
        "1795512600000",
    ],
)
def test_time_in_every_spelling(time: object) -> None:
    assert parsed(time=time).alert.time == INSTANT


@pytest.mark.parametrize(
    "time", ["yesterday", True, 10**19, "0001-01-01T00:00:00+14:00", "-5", [1], "²", -(10**18)]
)
def test_a_time_that_is_none(time: object) -> None:
    rejected = rejection(body(time=time))
    assert (rejected.code, rejected.field) == ("validation_error", "time")


@pytest.mark.parametrize("trailing", [0.05, 20.5, {"atr": 1}, {"price": 5}, "abc", True, [1]])
def test_a_trailing_distance_that_no_exchange_takes(trailing: object) -> None:
    assert rejection(body(trailing=trailing)).field == "trailing"


@pytest.mark.parametrize("value", ["yes", 1, 0, "", [True]])
def test_reverse_is_a_yes_or_no(value: object) -> None:
    assert rejection(body(reverse=value)).field == "reverse"


@pytest.mark.parametrize("interval", ["15x", "0", True, 1.5, "1D 1W", "99999999D", [15]])
def test_an_interval_that_is_none(interval: object) -> None:
    assert rejection(body(interval=interval)).field == "interval"


@pytest.mark.parametrize("field", ["alert_id", "strategy", "comment"])
def test_text_that_cannot_be_stored(field: str) -> None:
    rejected = rejection(body(**{field: "a\x00b"}))
    assert (rejected.code, rejected.field) == ("validation_error", field)


def test_a_comment_that_was_cut_inside_an_emoji_stops_no_alert() -> None:
    alert = parsed(comment="to the moon \ud83d").alert
    assert alert.comment == "to the moon \ud83d"
    assert len(content_hash(alert)) == 64


@pytest.mark.parametrize("field", ["alert_id", "strategy", "comment", "account_id", "exchange", "symbol"])
def test_text_that_is_too_long(field: str) -> None:
    assert rejection(body(**{field: "a" * 1_001})).field == field


@pytest.mark.parametrize("field", ["alert_id", "strategy", "comment", "account_id", "exchange", "order_type"])
@pytest.mark.parametrize("value", [True, ["a"], {"a": 1}])
def test_text_that_is_no_text(field: str, value: object) -> None:
    assert rejection(body(**{field: value})).field == field


@pytest.mark.parametrize("exchange", ["바이낸스", "bin\x00", "bin\ud800", "bin\x1b[2J"])
def test_a_name_that_no_exchange_has(exchange: str) -> None:
    assert rejection(body(exchange=exchange)).field == "exchange"


def test_a_field_that_stands_there_twice_is_refused() -> None:
    rejected = rejection(body()[:-1] + b', "action": "close_all"}')
    assert (rejected.code, rejected.field) == ("validation_error", "action")


@pytest.mark.parametrize(
    "number", ["1e9999999", "1e99999999999999999999", "1e-99999999999999999999", "9" * 4_500]
)
def test_numbers_beyond_all_measure_are_refused(number: str) -> None:
    content = body(leverage=111).replace(b"111", number.encode())
    assert rejection(content).code == "validation_error"


def test_T16_a_long_message_with_a_repeated_field_is_refused_at_once() -> None:
    """Before the secret is checked nothing may take more time than the body is long."""
    names = ", ".join(f'"{number:x}": 1' for number in range(50_000))
    rejected = rejection(f'{{{names}, "last": 1, "last": 2}}'.encode())
    assert rejected.field == "last"


def nested(depth: int) -> bytes:
    """A message with an unknown field that holds `depth` lists, each in the one before."""
    return body()[:-1] + b', "note": ' + b"[" * depth + b"]" * depth + b"}"


def test_deep_nesting_in_an_unknown_field_is_ignored() -> None:
    assert len(parse_alert(nested(500)).warnings) == 1


def test_T16_nesting_beyond_what_the_parser_follows_is_refused() -> None:
    assert rejection(nested(30_000)).code == "malformed_json"


def test_unknown_fields_are_listed() -> None:
    assert parsed(sl=5, note="x").warnings == (
        "Unknown field 'sl' was ignored.",
        "Unknown field 'note' was ignored.",
    )


def test_many_unknown_fields_are_not_all_listed() -> None:
    warnings = parsed(**{"n" * 200 + str(number): 1 for number in range(500)}).warnings
    assert len(warnings) == 20
    assert all(len(warning) < 120 for warning in warnings)


def test_a_message_with_a_byte_order_mark_is_read() -> None:
    assert parse_alert(b"\xef\xbb\xbf" + body()).alert.action is Action.LONG


def test_the_content_hash_says_what_is_asked_for_and_not_when() -> None:
    first = parsed(time="2026-11-24T09:30:00Z", size="5.0").alert
    assert content_hash(first) == content_hash(parsed(time="2026-11-24T09:31:00Z", size=5).alert)
    assert content_hash(first) != content_hash(parsed(size=5, action="close_long").alert)


def test_the_secret_is_not_shown() -> None:
    message = parsed()
    assert SECRET not in repr(message)
    assert SECRET not in f"{message}"
    assert SECRET in json.loads(body())["secret"]

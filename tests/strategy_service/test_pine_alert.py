"""The message of an exported script is the one that the webhook takes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_service.compile_pine import PineScriptExporter
from strategy_service.language import Strategy, close, open_price
from strategy_service.parameters import resolve
from strategy_service.pine_alert import AlertTarget, checked_account_id, example_message, pine_text
from strategy_service.strategies.ema_crossover import EMA_CROSSOVER
from tests.strategy_service.pine_reader import Value, alert_messages, unquoted
from tradekit.market.alert import Action, Alert, WebhookMessage, content_hash, parse_alert
from tradekit.market.sizing import Level, LevelKind, Target
from tradekit.market.timeframe import Timeframe
from tradekit.service.errors import InvalidArgument

BAR_MS = 1_764_000_000_000
NOW_MS = 1_764_000_901_234
CHART: dict[str, Value] = {
    "account_id": "0192f3a8-7c1e",
    "webhook_secret": "s3cret",
    "leverage": 0,
    "stop_atr": 1.5,
    "target_atr": 3.0,
    "syminfo.ticker": "ETHUSDT.P",
    "timeframe.period": "15",
    "time": BAR_MS,
    "timenow": NOW_MS,
}
WITH_EXITS = replace(EMA_CROSSOVER, exit_long=close < open_price, exit_short=close > open_price)
# Text that an input field of TradingView can hold: one line.
LINES = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40)


def script_of(strategy: Strategy = EMA_CROSSOVER, target: AlertTarget = AlertTarget()) -> str:  # noqa: B008  a value
    exporter = PineScriptExporter()
    script = exporter.export_strategy(strategy, resolve(strategy, {}))
    return str(exporter.add_webhook_alerts(script, strategy, target))


def sent(script: str, **chart: Value) -> dict[str, WebhookMessage]:
    """What the webhook reads in each alert of the script."""
    messages = alert_messages(script, CHART | chart)
    return {expression: parse_alert(message.encode()) for expression, message in messages.items()}


def test_an_entry_is_what_the_webhook_takes() -> None:
    message = sent(script_of())['entry_alert("long")']
    assert (message.account_id, message.secret, message.warnings) == ("0192f3a8-7c1e", "s3cret", ())
    assert message.alert == Alert(
        action=Action.LONG,
        symbol="ETHUSDT.P",
        stop_loss=Level(LevelKind.ATR, Decimal("1.5")),
        take_profits=(Target(Level(LevelKind.ATR, Decimal(3)), Decimal(1)),),
        alert_id=f"ema_crossover:ETHUSDT.P:15:{BAR_MS}:long",
        time=datetime.fromtimestamp(NOW_MS / 1000, UTC),
        interval=Timeframe(15, "m"),
        strategy="ema_crossover",
    )


def test_every_decision_has_its_action() -> None:
    actions = [message.alert.action for message in sent(script_of(WITH_EXITS)).values()]
    assert actions == [Action.LONG, Action.SHORT, Action.CLOSE_LONG, Action.CLOSE_SHORT]


def test_a_close_asks_for_no_stop() -> None:
    alert = sent(script_of(WITH_EXITS))['close_alert("close_long")'].alert
    assert alert.stop_loss is None
    assert alert.take_profits == ()


def test_leverage_is_sent_when_it_is_set() -> None:
    assert sent(script_of(), leverage=20)['entry_alert("short")'].alert.leverage == 20
    assert sent(script_of(), leverage=0)['entry_alert("short")'].alert.leverage is None


def test_an_exchange_is_sent_when_it_is_given() -> None:
    assert sent(script_of(target=AlertTarget(exchange="okx")))['entry_alert("long")'].alert.exchange == "okx"


def test_a_repeat_has_the_same_id_and_content_and_the_next_bar_another_id() -> None:
    script = script_of()
    first = sent(script)['entry_alert("long")'].alert
    again = sent(script, timenow=NOW_MS + 5_000)['entry_alert("long")'].alert
    later = sent(script, time=BAR_MS + 900_000)['entry_alert("long")'].alert
    assert (again.alert_id, content_hash(again)) == (first.alert_id, content_hash(first))
    assert later.alert_id != first.alert_id


def test_all_alerts_of_a_bar_have_different_ids() -> None:
    ids = [message.alert.alert_id for message in sent(script_of(WITH_EXITS)).values()]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("period", ["1", "15", "60", "240", "D", "1D", "1W", "1M", "30S"])
def test_every_interval_of_tradingview_is_read(period: str) -> None:
    alert = sent(script_of(), **{"timeframe.period": period})['entry_alert("long")'].alert
    assert alert.interval is not None


@given(secret=LINES)
def test_any_secret_survives_the_message(secret: str) -> None:
    message = sent(script_of(), webhook_secret=secret)['entry_alert("long")']
    assert message.secret == secret


def test_the_example_is_the_message_of_the_script() -> None:
    """Filled with the example's values, the script sends the example, field by field and in its order."""
    target = AlertTarget(account_id="acc-1", exchange="binance", symbol="ETHUSDT.P", interval="60")
    values = resolve(EMA_CROSSOVER, {"stop_atr": "2"})
    example = json.loads(example_message(EMA_CROSSOVER, values, target))
    bar_ms = int(example["alert_id"].split(":")[3])
    chart: dict[str, Value] = {
        "account_id": "acc-1",
        "webhook_secret": example["secret"],
        "stop_atr": 2.0,
        "timeframe.period": "60",
        "time": bar_ms,
        "timenow": example["time"],
    }
    message = alert_messages(script_of(target=target), CHART | chart)['entry_alert("long")']
    assert list(json.loads(message).items()) == list(example.items())


def test_the_example_is_read_by_the_webhook() -> None:
    example = example_message(EMA_CROSSOVER, resolve(EMA_CROSSOVER, {}), AlertTarget())
    message = parse_alert(example.encode())
    assert (message.account_id, message.secret) == ("YOUR_ACCOUNT_ID", "YOUR_WEBHOOK_SECRET")
    assert message.warnings == ()


@pytest.mark.parametrize(
    "text", ['a"b', "a\nb", "a\\", "a//b", "a\u2028b", "a b", "ａ", "a" * 65, "{{time}}"]
)
def test_T25_no_account_id_breaks_out_of_its_string(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        checked_account_id(text)
    assert refusal.value.reason == "FIELD_INVALID"


@given(st.text(max_size=40))
def test_T25_a_string_literal_holds_what_it_was_given_on_one_line(text: str) -> None:
    try:
        literal = pine_text(text)
    except ValueError:
        assert not text.isprintable()
        return
    assert unquoted(literal) == text
    assert len(literal.splitlines()) == 1
    assert not literal[1:-1].replace("\\\\", "").replace('\\"', "").count('"')

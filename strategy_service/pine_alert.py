"""The alert message that an exported script sends: the webhook's fields, in the one place that writes them.

Each field is stated once, as the Pine expression of its JSON value together with an example of that value,
so that the script's message and the example that a user is shown cannot differ in shape.
`tradekit.market.alert` parses it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from strategy_service.language import Strategy
from strategy_service.parameters import Values
from tradekit.market.alert import MAX_LEVERAGE, Action
from tradekit.service.wire import field_invalid

ACCOUNT_PLACEHOLDER = "YOUR_ACCOUNT_ID"
SECRET_PLACEHOLDER = "YOUR_WEBHOOK_SECRET"  # noqa: S105  a placeholder is no secret
_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]{0,64}", re.ASCII)
# An example needs some bar: 2026-01-01 00:00 UTC, and the alert a quarter of an hour later.
_EXAMPLE_BAR_MS = 1_767_225_600_000
_EXAMPLE_NOW_MS = 1_767_226_500_000

# Quotes a text for JSON. Nothing else needs escaping: an input field holds one line.
_JSON_TEXT = r"""json_text(string value) =>
    '"' + str.replace_all(str.replace_all(value, "\\", "\\\\"), '"', '\\"') + '"'
"""


@dataclass(frozen=True)
class AlertTarget:
    """Whose alert it is and for which chart.

    Attributes:
        account_id: Default of the script's input; empty: the user fills it in.
        exchange: "binance" or "okx" to have the webhook check it; None: the message names none.
        symbol: Only for the example; the script sends the symbol of the chart that it is on.
        interval: Only for the example, TradingView's spelling.
    """

    account_id: str = ""
    exchange: str | None = None
    symbol: str = "BTCUSDT.P"
    interval: str = "15"


@dataclass(frozen=True)
class _Field:
    name: str
    pine: str
    example: object


def alert_inputs(target: AlertTarget) -> list[str]:
    """The script's inputs for its alerts, one line each."""
    group = ', group="Alerts"'
    return [
        f'account_id = input.string({pine_text(target.account_id)}, "Account id"{group})',
        f'webhook_secret = input.string("", "Webhook secret"{group})',
        f'leverage = input.int(0, "Leverage (0: as it is)", minval=0, maxval={MAX_LEVERAGE}{group})',
    ]


def alert_functions(strategy: Strategy, target: AlertTarget) -> str:
    """The script's functions that build the messages: `entry_alert(action)`, also `close_alert` if needed."""
    entry = _members(_entry_fields(strategy, {}))
    parts = [
        _JSON_TEXT,
        _function("alert_fields", _members(_common_fields(strategy, target, Action.LONG), first=True)),
        'leverage_field = leverage > 0 ? \',"leverage":\' + str.tostring(leverage) : ""\n',
        _function("entry_alert", ["'{' + alert_fields(action)", *entry, "leverage_field + '}'"]),
    ]
    if strategy.exit_long is not None or strategy.exit_short is not None:
        parts.append(_function("close_alert", ["'{' + alert_fields(action) + '}'"]))
    return "\n".join(parts)


def _function(name: str, terms: Sequence[str]) -> str:
    # A wrapped line must not be indented by a multiple of 4, and goes on after an operator.
    return f"{name}(string action) =>\n    " + " +\n         ".join(terms) + "\n"


def _members(fields: Sequence["_Field"], *, first: bool = False) -> list[str]:
    """A Pine expression a field, of its name and value as JSON, with the comma before it."""
    commas = ["" if first and index == 0 else "," for index in range(len(fields))]
    return [
        # Two literals beside each other read better as one.
        f"'{comma}\"{field.name}\":' + {field.pine}".replace("' + '", "")
        for comma, field in zip(commas, fields, strict=True)
    ]


def example_message(strategy: Strategy, values: Values, target: AlertTarget) -> str:
    """The JSON that a long entry sends, with placeholders for what the user has not given."""
    fields = [*_common_fields(strategy, target, Action.LONG), *_entry_fields(strategy, values)]
    return json.dumps({field.name: field.example for field in fields}, indent=2)


def checked_account_id(text: str) -> str:
    """An account id that may stand in a script; empty for none.

    Raises:
        InvalidArgument: FIELD_INVALID: other characters than an id has.
    """
    if not _ACCOUNT_ID.fullmatch(text):
        raise field_invalid("account_id", "must be at most 64 letters, digits, - and _")
    return text


def pine_text(value: str) -> str:
    """A Pine string literal of printable text.

    Raises:
        ValueError: A control character or a line separator, which no literal can hold.
    """
    if not value.isprintable():
        raise ValueError("a Pine string holds printable characters only")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _common_fields(strategy: Strategy, target: AlertTarget, action: Action) -> Sequence[_Field]:
    # Every delivery of one decision has one id, so that a repeated alert is harmless; the bar makes it new.
    parts = ("syminfo.ticker", "timeframe.period", "str.tostring(time)", "action")
    alert_id = " + ".join([f"'{strategy.key}'", *(f"':' + {part}" for part in parts)])
    example_id = ":".join([strategy.key, target.symbol, target.interval, str(_EXAMPLE_BAR_MS), action])
    exchange = (
        []
        if target.exchange is None
        else [_Field("exchange", f"json_text({pine_text(target.exchange)})", target.exchange)]
    )
    return [
        _Field("account_id", "json_text(account_id)", target.account_id or ACCOUNT_PLACEHOLDER),
        _Field("secret", "json_text(webhook_secret)", SECRET_PLACEHOLDER),
        _Field("action", "json_text(action)", str(action)),
        _Field("symbol", "json_text(syminfo.ticker)", target.symbol),
        *exchange,
        _Field("alert_id", f"json_text({alert_id})", example_id),
        _Field("time", "str.tostring(timenow)", _EXAMPLE_NOW_MS),
        _Field("interval", "json_text(timeframe.period)", target.interval),
        _Field("strategy", f"json_text({pine_text(strategy.key)})", strategy.key),
    ]


def _entry_fields(strategy: Strategy, values: Values) -> Sequence[_Field]:
    protection = (("stop_loss", strategy.stop_atr), ("take_profit", strategy.target_atr))
    return [
        _Field(
            name,
            f"'{{\"atr\":' + str.tostring({parameter.name}) + '}}'",
            {"atr": float(values.get(parameter.name, parameter.default))},
        )
        for name, parameter in protection
    ]

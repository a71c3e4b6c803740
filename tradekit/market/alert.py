"""The webhook message: parsed by the gateway, written by the Pine export.

The format is the contract's `POST /api/v1/webhook/tradingview`. TradingView fills placeholders into text that
people write by hand, so the parser takes numbers as text and names in any case; whatever is ambiguous or
missing is refused with the field's name, never guessed.
"""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from tradekit.market.sizing import DEFAULT_SIZE, Level, LevelKind, Side, Size, SizeType, Target
from tradekit.market.symbol import SymbolMalformed, check_symbol_text
from tradekit.market.timeframe import Timeframe, TimeframeMalformed, parse_timeframe

MAX_LEVERAGE = 125
MAX_ATR_MULTIPLE = 100
# Binance's range of callbackRate, percent.
TRAILING_RANGE = (Decimal("0.1"), Decimal(20))

E = TypeVar("E", bound=StrEnum)

_NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,18})?|\.\d{1,18})", re.ASCII)
# Enough digits for 20 before and 18 behind the point; what is on the finest step fits on the wire.
_EXACT = Context(prec=60)
_FINEST = Decimal("1e-18")
_LARGEST = Decimal(10) ** 20
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")
_MAX_TEXT = {"alert_id": 200, "strategy": 100, "comment": 1_000}


class Action(StrEnum):
    """What to do with the position."""

    LONG = "long"
    SHORT = "short"
    CLOSE_LONG = "close_long"
    CLOSE_SHORT = "close_short"
    CLOSE_ALL = "close_all"

    @property
    def entry_side(self) -> Side | None:
        """Which position it opens; None for a close."""
        return {Action.LONG: Side.LONG, Action.SHORT: Side.SHORT}.get(self)


class OrderType(StrEnum):
    """How the entry is placed."""

    MARKET = "market"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Alert:
    """What an alert asks for, in words that no exchange owns.

    Attributes:
        symbol: As the sender wrote it; `parse_market` reads it.
        exchange: "binance" or "okx" when the sender named one.
        leverage: 1-125; None keeps the account's.
        limit_price: Set exactly for a limit order.
        stop_loss: None: by the ATR.
        take_profits: Empty: one target by the ATR. Shares add up to at most 1.
        trailing_percent: Distance of a trailing stop behind the best price, percent; None: no trailing stop.
        reverse: Whether an opposite position may be closed first.
        alert_id: The sender's own id of the alert.
        time: When it fired, or when its bar opened.
        interval: Bar length of the chart.
    """

    action: Action
    symbol: str
    exchange: str | None = None
    leverage: int | None = None
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    size: Size = DEFAULT_SIZE
    stop_loss: Level | None = None
    take_profits: tuple[Target, ...] = ()
    trailing_percent: Decimal | None = None
    reverse: bool = True
    alert_id: str | None = None
    time: datetime | None = None
    interval: Timeframe | None = None
    strategy: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """A parsed webhook body.

    Attributes:
        account_id: Which account it is for.
        secret: What the sender showed; hidden in `repr` by `__repr__` below.
        alert: What it asks for.
        warnings: Sentences on what was ignored.
    """

    account_id: str
    secret: str
    alert: Alert
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        return f"WebhookMessage(account_id={self.account_id!r}, alert={self.alert!r})"


class AlertRejected(ValueError):
    """The body is no usable alert.

    Attributes:
        code: Stable: malformed_json, validation_error, leverage_out_of_range.
        field: Which field; empty for the body as a whole.
        message: A sentence for the sender; never holds the secret.
    """

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.message = message


def parse_alert(body: bytes) -> WebhookMessage:
    """Reads a webhook body.

    Raises:
        AlertRejected: It is not JSON, or a field is wrong.
    """
    fields = _load(body)
    for name, value in fields.items():
        _refuse_placeholders(name, value)
    account_id = _required_text(fields, "account_id", 100)
    secret = fields.get("secret")
    if not isinstance(secret, str):
        _refuse("secret", "secret is missing." if secret is None else "secret must be text.")
    alert = _read_alert(fields)
    unknown = [name for name in fields if name not in ALERT_FIELDS]
    warnings = tuple(f"Unknown field {name[:60]!r} was ignored." for name in unknown[:20])
    return WebhookMessage(account_id, secret, alert, warnings)


def content_hash(alert: Alert) -> str:
    """SHA-256 (hex) of what the alert asks for: the same for every spelling of the same wish.

    The time is left out: an alert that fires again with its own id is the same alert.
    """
    return hashlib.sha256(repr(replace(alert, time=None)).encode()).hexdigest()


def _load(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(
            body,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        if isinstance(error, AlertRejected):
            raise
        raise AlertRejected(
            "malformed_json", "", "The alert's message must be a JSON object, and this is not JSON."
        ) from None
    if not isinstance(value, dict):
        _refuse("", "The alert's message must be a JSON object.")
    return value


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        _refuse("", "A number in the message is too large or too small.")


def _integer(text: str) -> int:
    if len(text) > 40:
        _refuse("", "A number in the message is too long.")
    return int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        _refuse(name[:60], f"{name[:60]} stands in the message more than once.")
    return fields


def _refuse(field: str, message: str, code: str = "validation_error") -> NoReturn:
    raise AlertRejected(code, field, message)


def _refuse_placeholders(name: str, value: object) -> None:
    # A list of what is still to be looked at, not a recursion: the message may be nested as deep as it likes.
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text if found := _PLACEHOLDER.search(text):
                what = "a placeholder" if name == "secret" else f"the placeholder {found[0][:60]}"
                _refuse(name[:60], f"{name[:60]} holds {what}, which TradingView did not fill in.")
            case dict() as inner:
                waiting.extend(inner.values())
            case list() as inner:
                waiting.extend(inner)


def _read_alert(fields: dict[str, Any]) -> Alert:
    order_type = _choice(fields, "order_type", OrderType, OrderType.MARKET)
    price = _positive(fields, "price")
    if order_type is OrderType.LIMIT and price is None:
        _refuse("price", "A limit order needs a price.")
    return Alert(
        action=_read_action(fields),
        symbol=_read_symbol(fields),
        exchange=_read_exchange(fields),
        leverage=_read_leverage(fields),
        order_type=order_type,
        limit_price=price if order_type is OrderType.LIMIT else None,
        size=_read_size(fields),
        stop_loss=_read_level(fields["stop_loss"], "stop_loss") if _given(fields, "stop_loss") else None,
        take_profits=_read_targets(fields["take_profit"]) if _given(fields, "take_profit") else (),
        trailing_percent=_read_trailing(fields),
        reverse=_read_flag(fields, "reverse", default=True),
        alert_id=_optional_text(fields, "alert_id"),
        time=_read_time(fields),
        interval=_read_interval(fields),
        strategy=_optional_text(fields, "strategy") or "",
        comment=_optional_text(fields, "comment") or "",
    )


def _given(fields: dict[str, Any], name: str) -> bool:
    return fields.get(name) is not None


def _required_text(fields: dict[str, Any], name: str, longest: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        _refuse(name, f"{name} is missing." if value in (None, "") else f"{name} must be text.")
    if len(value) > longest:
        _refuse(name, f"{name} must be at most {longest} characters long.")
    return value.strip()


def _optional_text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        _refuse(name, f"{name} must be text.")
    text = str(value)
    if len(text) > _MAX_TEXT[name]:
        _refuse(name, f"{name} must be at most {_MAX_TEXT[name]} characters long.")
    if "\x00" in text:  # PostgreSQL stores none
        _refuse(name, f"{name} holds a character that is no text.")
    return text


def _read_exchange(fields: dict[str, Any]) -> str | None:
    if not _given(fields, "exchange"):
        return None
    name = _required_text(fields, "exchange", 20).lower()
    if not name.isascii() or not name.isprintable():
        _refuse("exchange", "exchange must be a name such as binance or okx.")
    return name


def _choice(fields: dict[str, Any], name: str, choices: type[E], default: E) -> E:
    if not _given(fields, name):
        return default
    try:
        return choices(_required_text(fields, name, 40).lower())
    except ValueError as error:
        if isinstance(error, AlertRejected):
            raise
        _refuse(name, f"{name} must be one of {', '.join(choices)}.")


def _read_action(fields: dict[str, Any]) -> Action:
    word = _required_text(fields, "action", 40).lower()
    if word in ("buy", "sell"):
        return _strategy_action(word, fields)
    try:
        return Action(word)
    except ValueError:
        _refuse("action", f"action must be one of {', '.join(Action)}, or buy or sell with market_position.")


def _strategy_action(word: str, fields: dict[str, Any]) -> Action:
    # {{strategy.order.action}} with {{strategy.market_position}}: the position after the order has filled.
    position = str(fields.get("market_position") or "").lower()
    actions = {
        ("buy", "long"): Action.LONG,
        ("sell", "short"): Action.SHORT,
        ("buy", "flat"): Action.CLOSE_SHORT,
        ("sell", "flat"): Action.CLOSE_LONG,
    }
    if (word, position) in actions:
        return actions[word, position]
    if position in ("long", "short"):
        _refuse("market_position", f"{word} with a {position} position closes a part of it: not offered.")
    _refuse("market_position", f"action {word} needs market_position: long, short or flat.")


def _read_symbol(fields: dict[str, Any]) -> str:
    text = _required_text(fields, "symbol", 60)
    try:
        check_symbol_text(text)
    except SymbolMalformed:
        _refuse("symbol", "symbol must be a name such as BTCUSDT, BINANCE:BTCUSDT.P or BTC-USDT-SWAP.")
    return text.upper()


def _read_leverage(fields: dict[str, Any]) -> int | None:
    if not _given(fields, "leverage"):
        return None
    value = _number(fields["leverage"], "leverage")
    if value != value.to_integral_value():
        _refuse("leverage", "leverage must be a whole number.")
    if not 1 <= value <= MAX_LEVERAGE:
        _refuse("leverage", f"leverage must be from 1 to {MAX_LEVERAGE}.", "leverage_out_of_range")
    return int(value)


def _read_size(fields: dict[str, Any]) -> Size:
    kind = _choice(fields, "size_type", SizeType, SizeType.PERCENT_BALANCE)
    value = _positive(fields, "size")
    if value is None:
        if _given(fields, "size_type") and kind is not SizeType.PERCENT_BALANCE:
            _refuse("size", f"size_type {kind} needs a size.")
        return DEFAULT_SIZE
    if kind in (SizeType.PERCENT_BALANCE, SizeType.RISK_PERCENT) and value > 100:
        _refuse("size", "size must be at most 100 percent.")
    return Size(kind, value)


def _read_level(value: object, field: str) -> Level:
    if isinstance(value, dict):
        return _read_level_object(value, field)
    if isinstance(value, str) and value.strip().endswith("%"):
        return _percent_level(value.strip()[:-1], field)
    number = _number(value, field)
    if number <= 0:
        _refuse(field, f"{field} must be above 0.")
    return Level(LevelKind.PRICE, number)


def _read_level_object(value: dict[str, Any], field: str) -> Level:
    kinds = [kind for kind in LevelKind if kind in value]
    if len(kinds) != 1 or len(value) != 1:
        _refuse(field, f"{field} must hold one of {', '.join(LevelKind)}.")
    kind, given = kinds[0], value[kinds[0]]
    if kind is LevelKind.PERCENT:
        return _percent_level(given.strip().removesuffix("%") if isinstance(given, str) else given, field)
    number = _number(given, field)
    if number <= 0:
        _refuse(field, f"{field} must be above 0.")
    if kind is LevelKind.ATR and number > MAX_ATR_MULTIPLE:
        _refuse(field, f"{field} must be at most {MAX_ATR_MULTIPLE} ATR.")
    return Level(kind, number)


def _percent_level(value: object, field: str) -> Level:
    number = _number(value, field)
    if not 0 < number < 100:
        _refuse(field, f"{field} must be above 0 % and below 100 %.")
    return Level(LevelKind.PERCENT, number)


def _read_targets(value: object) -> tuple[Target, ...]:
    if not isinstance(value, list):
        return (Target(_read_level(value, "take_profit"), Decimal(1)),)
    if not 1 <= len(value) <= 10:
        _refuse("take_profit", "take_profit must hold 1 to 10 targets.")
    return _with_shares(value)


def _with_shares(items: list[Any]) -> tuple[Target, ...]:
    shared = [item for item in items if isinstance(item, dict) and "share" in item]
    if not shared:
        levels = [_read_level(item, "take_profit") for item in items]
        equal = [_on_finest_step(Decimal(1) / len(items))] * (len(items) - 1)
        return tuple(map(Target, levels, [*equal, 1 - sum(equal, Decimal(0))]))
    if len(shared) != len(items):
        _refuse("take_profit", "Either every target of take_profit has a share, or none.")
    targets = []
    for item in shared:
        level = {name: part for name, part in item.items() if name != "share"}
        share = _share(item["share"])
        targets.append(Target(_read_level_object(level, "take_profit"), share))
    if sum(target.share for target in targets) > 1:
        _refuse("take_profit", "The shares of take_profit add up to more than 1.")
    return tuple(targets)


def _share(value: object) -> Decimal:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text.endswith("%"):
        share = _on_finest_step(_number(text[:-1], "take_profit") / 100)
    else:
        share = _number(text, "take_profit")
    if not 0 < share <= 1:
        _refuse("take_profit", "A share of take_profit must be above 0 and at most 1.")
    return share


def _read_trailing(fields: dict[str, Any]) -> Decimal | None:
    if not _given(fields, "trailing"):
        return None
    level = fields["trailing"]
    if isinstance(level, str | int | Decimal) and not isinstance(level, bool):
        level = {"percent": level}
    percent = _read_level(level, "trailing")
    low, high = TRAILING_RANGE
    if percent.kind is not LevelKind.PERCENT or not low <= percent.value <= high:
        _refuse("trailing", f"trailing must be a distance from {low} % to {high} %.")
    return percent.value


def _read_flag(fields: dict[str, Any], name: str, *, default: bool) -> bool:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    _refuse(name, f"{name} must be true or false.")


def _read_interval(fields: dict[str, Any]) -> Timeframe | None:
    value = fields.get("interval")
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        _refuse("interval", "interval must be a bar length such as 15, 60 or 1D.")
    try:
        return parse_timeframe(str(value).strip())
    except TimeframeMalformed:
        _refuse("interval", "interval must be a bar length such as 15, 60 or 1D.")


def _read_time(fields: dict[str, Any]) -> datetime | None:
    value = fields.get("time")
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and not value.strip().isdigit():
            instant = datetime.fromisoformat(value.strip())
        else:
            number = int(_number(value, "time"))
            # TradingView's `time` in a script is Unix milliseconds; people send seconds too.
            instant = datetime.fromtimestamp(number / 1000 if number >= 10**11 else number, UTC)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        if isinstance(error, AlertRejected):
            raise
        _refuse("time", "time must be an instant such as 2026-11-24T09:30:00Z or Unix milliseconds.")


def _positive(fields: dict[str, Any], name: str) -> Decimal | None:
    if not _given(fields, name):
        return None
    number = _number(fields[name], name)
    if number <= 0:
        _refuse(name, f"{name} must be above 0.")
    return number


def _number(value: object, field: str) -> Decimal:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return _canonical(Decimal(value.strip()))
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = Decimal(value)
        if -_LARGEST < number < _LARGEST and number == number.quantize(_FINEST, context=_EXACT):
            return _canonical(number)
    _refuse(field, f"{field} must be a number.")


def _on_finest_step(share: Decimal) -> Decimal:
    # Down: shares that add up to 1 still do not add up to more.
    return share.quantize(_FINEST, ROUND_DOWN)


def _canonical(number: Decimal) -> Decimal:
    # One number, one form: 5, 5.0 and "5" are the same wish.
    normal = number.normalize(_EXACT)
    return normal if normal % 1 else normal.quantize(Decimal(1), context=_EXACT)


# Every field that the webhook knows; the rest is ignored with a warning.
ALERT_FIELDS = frozenset(
    {
        "account_id",
        "action",
        "alert_id",
        "comment",
        "exchange",
        "interval",
        "leverage",
        "market_position",
        "order_type",
        "price",
        "reverse",
        "secret",
        "size",
        "size_type",
        "stop_loss",
        "strategy",
        "symbol",
        "take_profit",
        "time",
        "trailing",
    }
)

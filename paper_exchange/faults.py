"""Faults on demand: what the next matching requests suffer.

A rule is a JSON object:

    {"kind": "drop_after_accept", "count": 1, "method": "POST", "path": "/fapi/v1/order",
     "account": "<API key>", "symbol": "BTCUSDT"}

`count` (default 1) requests are hit. `method`, `path` (shell pattern), `account` (API key) and `symbol`
narrow the rule; without them every request matches. `skip` (default 0) matching requests pass first. The
first matching rule counts; kinds are the classes below.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from paper_exchange.instruments import market_symbol
from paper_exchange.matching import PartialFill
from paper_exchange.orders import Order

_MAX_DELAY_S = 600
_MAX_BODY_BYTES = 256 * 1024 * 1024


class RuleInvalid(ValueError):
    """A fault rule cannot be understood; the message says which part."""


@dataclass(frozen=True, slots=True)
class Delay:
    """`{"kind": "delay", "delay_s": 20, "when": "after"}`: waits before or after the request is executed."""

    delay_s: float
    after: bool


@dataclass(frozen=True, slots=True)
class Drop:
    """`{"kind": "drop_before_accept"}` or `drop_after_accept`: closes the connection without an answer."""

    executed: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """`{"kind": "http_status", "status": 503, "body": "<html>…"}`: answers this instead.

    `body` is text, or JSON when it is not a string; `headers` and `retry_after` are added; `executed`
    (default false) tells whether the request takes effect all the same; `size` pads the body to that many
    bytes.
    """

    status: int
    body: Any
    headers: Mapping[str, str]
    executed: bool
    size: int


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """`{"kind": "error_code", "code": -1007}`: the protocol's own error, with its usual text and status.

    `msg` and `status` replace those; `headers`, `retry_after` and `executed` as in `Answer`.
    """

    code: int
    msg: str | None
    status: int | None
    headers: Mapping[str, str]
    executed: bool


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """`{"kind": "clock_offset", "offset_s": -30}`: sets the exchange's clock wrong until it is set again."""

    offset_ms: int


Fault = Delay | Drop | Answer | ErrorCode


@dataclass(slots=True)
class Rule:
    """A fault and the requests it is for."""

    fault: Fault | PartialFill
    source: Mapping[str, Any]
    count: int
    skip: int
    method: str | None
    path: str | None
    account: str | None
    symbol: str | None

    def matches(self, *, method: str, path: str, account: str | None, symbol: str | None) -> bool:
        return (
            self.method in (None, method)
            and (self.path is None or fnmatchcase(path, self.path))
            and self.account in (None, account)
            and self.symbol in (None, symbol)
        )

    def use(self) -> bool:
        """Counts one matching request; true when it is to be hit."""
        if self.skip:
            self.skip -= 1
            return False
        self.count -= 1
        return True


class Faults:
    """The rules that wait for their requests."""

    def __init__(self, api_key_of: Callable[[int], str] = lambda account_id: "") -> None:
        self._rules: list[Rule] = []
        self.api_key_of = api_key_of

    def add(self, rule: Rule) -> None:
        self._rules.append(rule)

    def clear(self) -> None:
        self._rules.clear()

    def pending(self) -> list[dict[str, Any]]:
        """The rules that have not been used up, as they were given, with what is left of their counts."""
        return [{**rule.source, "count": rule.count, "skip": rule.skip} for rule in self._rules]

    def take(self, *, method: str, path: str, account: str | None, symbol: str | None) -> Fault | None:
        """The fault that this request suffers; counts it."""
        for rule in self._rules:
            if isinstance(rule.fault, PartialFill):
                continue
            if rule.matches(method=method, path=path, account=account, symbol=symbol):
                return rule.fault if self._use(rule) else None
        return None

    def take_partial_fill(self, order: Order) -> PartialFill | None:
        """How thin the market is for this order; counts it."""
        account = self.api_key_of(order.account_id)
        for rule in self._rules:
            if not isinstance(rule.fault, PartialFill):
                continue
            if rule.account in (None, account) and rule.symbol in (None, order.symbol):
                return rule.fault if self._use(rule) else None
        return None

    def _use(self, rule: Rule) -> bool:
        hit = rule.use()
        if rule.count <= 0:
            self._rules.remove(rule)
        return hit


def parse_rules(document: Any) -> list[Rule | ClockOffset]:
    """Reads one rule or a list of rules.

    Raises:
        RuleInvalid: anything in it is unknown or out of range.
    """
    rules = document if isinstance(document, list) else [document]
    return [_parse(rule) for rule in rules]


def _parse(source: Any) -> Rule | ClockOffset:
    if not isinstance(source, dict):
        raise RuleInvalid("a fault is a JSON object")
    fields = _Fields(source)
    kind = fields.text("kind")
    if kind == "clock_offset":
        offset = ClockOffset(int(fields.number("offset_s", low=-86_400, high=86_400) * 1000))
        fields.finish()
        return offset
    if kind not in _KINDS:
        raise RuleInvalid(f"kind must be one of {', '.join((*_KINDS, 'clock_offset'))}")
    rule = Rule(
        fault=_KINDS[kind](fields),
        source=source,
        count=int(fields.number("count", default=1, low=1, high=1_000_000)),
        skip=int(fields.number("skip", default=0, low=0, high=1_000_000)),
        method=fields.optional_text("method"),
        path=fields.optional_text("path"),
        account=fields.optional_text("account"),
        symbol=market_symbol(fields.optional_text("symbol") or "") or None,
    )
    fields.finish()
    return rule


class _Fields:
    """Reads a JSON object field by field and knows what was not read."""

    def __init__(self, source: dict[str, Any]) -> None:
        self._source = source
        self._unread = set(source)

    def raw(self, name: str, default: Any = None) -> Any:
        self._unread.discard(name)
        return self._source.get(name, default)

    def text(self, name: str) -> str:
        value = self.raw(name)
        if not isinstance(value, str):
            raise RuleInvalid(f"{name} must be a string")
        return value

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if self.raw(name) is not None else None

    def flag(self, name: str) -> bool:
        value = self.raw(name, False)
        if not isinstance(value, bool):
            raise RuleInvalid(f"{name} must be true or false")
        return value

    def number(self, name: str, *, default: float | None = None, low: float, high: float) -> float:
        value = self.raw(name, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float | Decimal)
            or not low <= value <= high
        ):
            raise RuleInvalid(f"{name} must be a number from {low} to {high}")
        return float(value)

    def headers(self) -> dict[str, str]:
        headers = self.raw("headers", {})
        if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
            raise RuleInvalid("headers must be an object of strings")
        headers = dict(headers)
        if self.raw("retry_after") is not None:
            headers["Retry-After"] = str(int(self.number("retry_after", low=0, high=86_400)))
        return headers

    def finish(self) -> None:
        if self._unread:
            raise RuleInvalid(f"unknown field {sorted(self._unread)[0]}")


def _delay(fields: _Fields) -> Delay:
    when = fields.raw("when", "after")
    if when not in ("before", "after"):
        raise RuleInvalid("when must be before or after")
    return Delay(fields.number("delay_s", low=0, high=_MAX_DELAY_S), after=when == "after")


def _answer(fields: _Fields) -> Answer:
    return Answer(
        status=int(fields.number("status", low=200, high=599)),
        body=fields.raw("body", ""),
        headers=fields.headers(),
        executed=fields.flag("executed"),
        size=int(fields.number("size", default=0, low=0, high=_MAX_BODY_BYTES)),
    )


def _error_code(fields: _Fields) -> ErrorCode:
    status = fields.raw("status")
    return ErrorCode(
        code=int(fields.number("code", low=-100_000, high=100_000)),
        msg=fields.optional_text("msg"),
        status=None if status is None else int(fields.number("status", low=200, high=599)),
        headers=fields.headers(),
        executed=fields.flag("executed"),
    )


def _partial_fill(fields: _Fields) -> PartialFill:
    """`{"kind": "partial_fill", "ratio": "0.3", "rest": "fill"}`; `rest` is `fill` (default) or `expire`."""
    rest = fields.raw("rest", "fill")
    try:
        ratio = Decimal(str(fields.raw("ratio")))
    except InvalidOperation:
        ratio = Decimal(0)
    if not 0 < ratio < 1 or rest not in ("fill", "expire"):
        raise RuleInvalid("ratio must be between 0 and 1, rest must be fill or expire")
    return PartialFill(ratio, expires=rest == "expire")


_KINDS: dict[str, Callable[[_Fields], Fault | PartialFill]] = {
    "delay": _delay,
    "drop_before_accept": lambda fields: Drop(executed=False),
    "drop_after_accept": lambda fields: Drop(executed=True),
    "http_status": _answer,
    "error_code": _error_code,
    "partial_fill": _partial_fill,
}

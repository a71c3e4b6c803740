"""What this service measures of itself."""

from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram

from execution_service.signals import Signal

_ORDER_SECONDS = Histogram(
    "order_execution_seconds",
    "From the arrival of an alert to the exchange's answer to its entry or close.",
    ["exchange", "action"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_LIMIT_USED = Gauge(
    "exchange_limit_used_ratio",
    "What is used of a limit of our address at an exchange; 1 is all of it.",
    ["exchange", "limit"],
)
_REFUSED_TURNS = Counter(
    "exchange_turns_refused_total",
    "Requests that were not sent, for the exchange's limits, by their importance.",
    ["exchange", "priority"],
)
_STREAMS = Gauge("user_streams", "User streams by state: live, or down.", ["exchange", "state"])
_RECONNECTS = Counter("user_stream_ends_total", "User streams that ended, by cause.", ["exchange", "cause"])


def observe_execution(signal: Signal, now: datetime) -> None:
    """Notes that the exchange has answered the signal's entry or close."""
    elapsed = (now - signal.receive_time).total_seconds()
    _ORDER_SECONDS.labels(signal.exchange, signal.alert.action.value).observe(max(elapsed, 0))


def set_limit_used(exchange: str, limit: str, ratio: float) -> None:
    """Notes how much of a limit is used."""
    _LIMIT_USED.labels(exchange, limit).set(ratio)


def count_refused_turn(exchange: str, priority: str) -> None:
    """Notes that a request was not sent."""
    _REFUSED_TURNS.labels(exchange, priority).inc()


def add_streams(exchange: str, state: str, number: int) -> None:
    """Notes that so many more user streams are in a state."""
    _STREAMS.labels(exchange, state).inc(number)


def count_stream_end(exchange: str, cause: str) -> None:
    """Notes that a user stream has ended."""
    _RECONNECTS.labels(exchange, cause).inc()

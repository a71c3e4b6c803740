"""What this service measures of itself."""

from datetime import datetime

from prometheus_client import Histogram

from execution_service.signals import Signal

_ORDER_SECONDS = Histogram(
    "order_execution_seconds",
    "From the arrival of an alert to the exchange's answer to its entry or close.",
    ["exchange", "action"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def observe_execution(signal: Signal, now: datetime) -> None:
    """Notes that the exchange has answered the signal's entry or close."""
    elapsed = (now - signal.receive_time).total_seconds()
    _ORDER_SECONDS.labels(signal.exchange, signal.alert.action.value).observe(max(elapsed, 0))

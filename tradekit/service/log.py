"""JSON lines on standard error; one id from alert to fill; nothing secret by type.

log.info("order.placed", extra={"signal_id": signal.id, "client_order_id": order.client_order_id})
"""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

MAX_VALUE_LENGTH = 2_000

# Travels with the call from the gateway through every service.
request_id: ContextVar[str] = ContextVar("request_id", default="")


class _Formatter(JsonFormatter):
    """One JSON object a record: time, level, service, event, request_id, then the record's own fields."""

    def __init__(self, service: str) -> None:
        super().__init__("%(message)s", json_ensure_ascii=False, json_default=_as_text)
        self._service = service

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data["event"] = log_data.pop("message", "")
        head = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
        }
        if request_id.get():
            head["request_id"] = request_id.get()
        fields = {name: _bounded(value) for name, value in log_data.items() if name not in head}
        log_data.clear()
        log_data.update(head | fields)


def _as_text(value: object) -> str:
    # A protobuf message prints every field, secrets too: it has no business in a log.
    if type(value).__module__.endswith("_pb2"):
        return f"<{type(value).__name__}>"
    return str(value)


def _bounded(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_VALUE_LENGTH:
        return f"{value[:MAX_VALUE_LENGTH]}… ({len(value)} characters)"
    return value


def configure(service: str, level: str = "INFO") -> None:
    """Sends every log record of this process to standard error as a JSON line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())

"""What a client asks a stream connection for: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS and properties."""

import json
from typing import Any, Protocol

from paper_exchange.binance_stream_connection import Connection
from paper_exchange.binance_wire import Json

MAX_STREAMS = 200
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class Subscriptions(Protocol):
    """What a connection is subscribed to.

    Attributes:
        wraps: Whether payloads are wrapped as `{"stream": …, "data": …}`.
    """

    wraps: bool

    def names(self) -> list[str]: ...

    def add(self, name: str) -> None: ...

    def remove(self, name: str) -> None: ...


class RequestInvalid(Exception):
    """A message is not a request; `code` 0 to 3 as Binance numbers them."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code


class StreamRequests:
    """Answers the requests of one connection."""

    def __init__(self, connection: Connection, subscriptions: Subscriptions) -> None:
        self._connection = connection
        self._subscriptions = subscriptions

    def answer(self, text: str) -> None:
        """Answers one message."""
        request_id: Any = None
        try:
            request = _parsed(text)
            request_id = _id_of(request)
            result = self._perform(request)
        except RequestInvalid as invalid:
            self._connection.send({"error": {"code": invalid.code, "msg": str(invalid)}, "id": request_id})
            return
        self._connection.send({"result": result, "id": request_id})
        # After the answer, so that no payload comes before it.
        for name in request.get("params", []) if request["method"] == "SUBSCRIBE" else ():
            self._subscriptions.add(name)

    def _perform(self, request: Json) -> Any:
        method, parameters = request["method"], request.get("params", [])
        match method:
            case "SUBSCRIBE":
                names = _names(parameters)
                if len({*self._subscriptions.names(), *names}) > MAX_STREAMS:
                    raise RequestInvalid(2, "Invalid request: too many parameters")
                return None
            case "UNSUBSCRIBE":
                for name in _names(parameters):
                    self._subscriptions.remove(name)
                return None
            case "LIST_SUBSCRIPTIONS":
                return self._subscriptions.names()
            case "SET_PROPERTY":
                return self._set_property(parameters)
            case _:
                if parameters != ["combined"]:
                    raise RequestInvalid(0, "Unknown property")
                return self._subscriptions.wraps

    def _set_property(self, parameters: Any) -> None:
        match parameters:
            case ["combined", bool() as combined]:
                self._subscriptions.wraps = combined
            case ["combined", _]:
                raise RequestInvalid(1, "Invalid value type: expected Boolean")
            case _:
                raise RequestInvalid(0, "Unknown property")


def _parsed(text: str) -> Json:
    try:
        request = json.loads(text)
    except ValueError as error:
        raise RequestInvalid(3, "Invalid JSON: expected value at line 1 column 1") from error
    if not isinstance(request, dict):
        raise RequestInvalid(2, "Invalid request: request must be an object")
    return request


def _id_of(request: Json) -> Any:
    """The id; Binance's SDK sends text, others a number."""
    method, request_id = request.get("method"), request.get("id")
    if method is None:
        raise RequestInvalid(2, "Invalid request: missing field `method`")
    if method not in _METHODS:
        expected = ", ".join(f"`{name}`" for name in _METHODS)
        raise RequestInvalid(2, f"Invalid request: unknown variant `{method}`, expected one of {expected}")
    if isinstance(request_id, bool) or not isinstance(request_id, int | str | None):
        raise RequestInvalid(2, "Invalid request: request ID must be an unsigned integer or a string")
    return request_id


def _names(parameters: Any) -> list[str]:
    if not isinstance(parameters, list) or not all(isinstance(name, str) for name in parameters):
        raise RequestInvalid(2, "Invalid request: params must be a list of stream names")
    return parameters

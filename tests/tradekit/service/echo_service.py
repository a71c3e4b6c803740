"""A gRPC service with one method of each kind, whose behaviour a test writes, behind the real server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue

from tradekit.service.channel import TlsFiles, call, call_metadata, dial
from tradekit.service.server import Refusal, grpc_server

SERVICE = "tradingbot.test.Echo"
CALLERS = {SERVICE: frozenset({"gateway"})}
Behaviour = Callable[[str], Awaitable[str]]


async def echo(text: str) -> str:
    """Gives back what came."""
    return text


def _register(behaviour: Behaviour) -> Callable[[grpc.aio.Server], None]:
    async def unary(request: StringValue, _context: Any) -> StringValue:
        return StringValue(value=await behaviour(request.value))

    async def stream(request: StringValue, _context: Any) -> AsyncIterator[StringValue]:
        for part in request.value.split():
            yield StringValue(value=await behaviour(part))

    async def upload(requests: AsyncIterator[StringValue], _context: Any) -> StringValue:
        return StringValue(value=" ".join([await behaviour(request.value) async for request in requests]))

    coders = (StringValue.FromString, StringValue.SerializeToString)
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary, *coders),
        "Stream": grpc.unary_stream_rpc_method_handler(stream, *coders),
        "Upload": grpc.stream_unary_rpc_method_handler(upload, *coders),
    }
    generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
    return lambda server: server.add_generic_rpc_handlers((generic,))


@asynccontextmanager
async def served(
    tls: TlsFiles,
    behaviour: Behaviour = echo,
    *,
    address: str = "127.0.0.1:0",
    on_refused: Refusal | None = None,
) -> AsyncIterator[str]:
    """Yields the address of the service, which calls itself "vault"."""
    async with grpc_server(
        _register(behaviour),
        domain="vault",
        address=address,
        tls=tls,
        callers=CALLERS,
        on_refused=on_refused,
    ) as bound:
        yield bound


class EchoClient:
    """Calls the service, with what every call of ours passes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def unary(self, text: str, *, timeout: float = 5, method: str = "Unary") -> str:
        rpc = self._channel.unary_unary(f"/{SERVICE}/{method}", **_CODERS)
        response = await call(rpc(StringValue(value=text), timeout=timeout, metadata=call_metadata()))
        return str(response.value)

    async def stream(self, text: str) -> list[str]:
        rpc = self._channel.unary_stream(f"/{SERVICE}/Stream", **_CODERS)
        responses = rpc(StringValue(value=text), timeout=5, metadata=call_metadata())
        return [response.value async for response in responses]

    async def upload(self, *texts: str) -> str:
        rpc = self._channel.stream_unary(f"/{SERVICE}/Upload", **_CODERS)
        requests = (StringValue(value=text) for text in texts)
        response = await call(rpc(requests, timeout=5, metadata=call_metadata()))
        return str(response.value)


_CODERS: dict[str, Any] = {
    "request_serializer": StringValue.SerializeToString,
    "response_deserializer": StringValue.FromString,
}


@asynccontextmanager
async def client(address: str, tls: TlsFiles, *, service: str = "vault") -> AsyncIterator[EchoClient]:
    """Yields a client that expects `service` at `address`."""
    async with dial(address, service=service, tls=tls) as channel:
        yield EchoClient(channel)

"""A gRPC server: mTLS, callers by certificate, errors of ours, health, an orderly end."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from tradekit.service.channel import MAX_MESSAGE_BYTES, REQUEST_ID_HEADER, TlsFiles
from tradekit.service.errors import Internal, PermissionDenied, ServiceError, to_status
from tradekit.service.log import request_id

log = logging.getLogger(__name__)

DRAIN_SECONDS = 8.0
IDENTITY_PREFIX = "spiffe://tradingbot/"

# gRPC service name -> names of the services that may call it. A service that is not listed answers nobody.
CallerRules = Mapping[str, frozenset[str]]
Refusal = Callable[[str, str], Awaitable[None]]
Context = grpc.aio.ServicerContext[Any, Any]


class ServerCalls(grpc.aio.ServerInterceptor):
    """Refuses callers that are not allowed, carries the request's id, and sends our errors."""

    def __init__(self, domain: str, callers: CallerRules, on_refused: Refusal | None = None) -> None:
        self._domain = f"{domain}.tradingbot"
        self._callers = callers
        self._on_refused = on_refused

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        """Wraps the handler of one call."""
        handler = await continuation(details)
        if handler is None:
            return None
        service = details.method.split("/")[1]
        if handler.response_streaming:
            return self._wrap_stream(handler, service, details)
        return self._wrap_unary(handler, service, details)

    def _wrap_unary(self, handler: Any, service: str, details: Any) -> Any:
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary

        async def wrapped(request: Any, context: Context) -> Any:
            _adopt_request_id(details)
            try:
                await self._authorize(service, details.method, context)
                return await inner(request, context)
            except Exception as error:
                await self._abort(context, details.method, error)

        coders = (handler.request_deserializer, handler.response_serializer)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(wrapped, *coders)
        return grpc.unary_unary_rpc_method_handler(wrapped, *coders)

    def _wrap_stream(self, handler: Any, service: str, details: Any) -> Any:
        inner = handler.unary_stream

        async def wrapped(request: Any, context: Context) -> Any:
            _adopt_request_id(details)
            try:
                await self._authorize(service, details.method, context)
                async for response in inner(request, context):
                    yield response
            except Exception as error:
                await self._abort(context, details.method, error)

        coders = (handler.request_deserializer, handler.response_serializer)
        return grpc.unary_stream_rpc_method_handler(wrapped, *coders)

    async def _authorize(self, service: str, method: str, context: Context) -> None:
        caller = caller_name(context)
        if service.startswith("grpc.health.") or caller in self._callers.get(service, frozenset()):
            return
        log.warning("caller.refused", extra={"caller": caller, "method": method})
        if self._on_refused is not None:
            await self._on_refused(caller, method)
        raise PermissionDenied(
            "CALLER_NOT_ALLOWED",
            f"{caller or 'This caller'} may not call {method}.",
            {"caller": caller, "method": method},
        )

    async def _abort(self, context: Context, method: str, error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if not isinstance(error, ServiceError):
            # The edge of the process: what nobody foresaw is logged here and told to nobody.
            log.error("call.failed", extra={"method": method}, exc_info=error)
            error = Internal("INTERNAL", "Something went wrong on our side.")
        status = to_status(error, domain=self._domain)
        trailer = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(error.code, status.message, trailer)


def caller_name(context: Context) -> str:
    """Who calls, by the URI in its certificate; empty for nobody we know."""
    names = context.auth_context().get("x509_subject_alternative_name", ())
    for name in names:
        text = name.decode("ascii", "replace")
        if text.startswith(IDENTITY_PREFIX):
            return text.removeprefix(IDENTITY_PREFIX)
    return ""


def _adopt_request_id(details: grpc.HandlerCallDetails) -> None:
    for name, value in details.invocation_metadata or ():
        if name == REQUEST_ID_HEADER and isinstance(value, str):
            request_id.set(value[:64])


@asynccontextmanager
async def grpc_server(
    register: Callable[[grpc.aio.Server], None],
    *,
    domain: str,
    address: str,
    tls: TlsFiles,
    callers: CallerRules,
    on_refused: Refusal | None = None,
) -> AsyncIterator[str]:
    """Serves gRPC with mTLS; yields the address that it really has; on exit finishes what is open.

    Args:
        register: Adds the servicers.
        domain: Name of this service, for example "vault"; errors carry it.
        address: "host:port"; port 0 takes a free one.
        tls: This service's certificate, key and authority.
        callers: Who may call which gRPC service.
        on_refused: Told (caller, method) of each call that was refused.
    """
    server = grpc.aio.server(
        interceptors=(ServerCalls(domain, callers, on_refused),),
        options=(
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", 16 * MAX_MESSAGE_BYTES),
            # Two processes on one port would share its calls without knowing of each other.
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ),
    )
    register(server)
    probe = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(probe, server)
    credentials = grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=tls.authority.read_bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port(address, credentials)
    await server.start()
    await probe.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        yield f"{address.rpartition(':')[0]}:{port}"
    finally:
        await probe.enter_graceful_shutdown()
        await server.stop(DRAIN_SECONDS)


async def until_stopped() -> None:
    """Returns when the process is asked to end (SIGTERM or SIGINT)."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()

"""`POST /api/v1/webhook/tradingview`: raw ASGI in front of FastAPI, without a database on its way.

Checks in this order: size, address, media type, JSON, shape, secret, then everything that depends on stored
data, which is execution's part. 2xx only after the signal is durable; 503 only while it is not.
"""

import asyncio
import logging
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.types import Receive, Scope, Send

from gateway.addresses import client_address, is_in
from gateway.alert_identity import execute_request
from gateway.alerts import NOT_RECORDED, Alerts
from gateway.dependencies import Resources
from gateway.errors import Problem, invalid, problem_from, unavailable
from gateway.responses import header, read_body, send_json, send_problem
from gateway.signal_json import is_final, order_details
from tradekit.market.alert import AlertRejected, WebhookMessage, parse_alert
from tradekit.service.errors import NotFound, ServiceError
from tradingbot.execution.v1 import execution_pb2 as pb

log = logging.getLogger(__name__)

PATH = "/api/v1/webhook/tradingview"
# TradingView sends text/plain when the message is no valid JSON to it, and some senders say nothing.
MEDIA_TYPES = ("application/json", "text/plain", "")

REQUESTS = Counter("webhook_requests_total", "Alerts by what became of them.", ["outcome"])
ANSWER_SECONDS = Histogram(
    "webhook_answer_seconds",
    "From the first byte of an alert to its answer.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 2.8, 3.0),
)


class Webhook:
    """The ASGI application of this one path."""

    def __init__(self, resources: Resources, alerts: Alerts) -> None:
        self._resources = resources
        self._alerts = alerts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, then tells execution whether the answer arrived."""
        started = asyncio.get_running_loop().time()
        try:
            message, user_id = await self._admit(scope, receive)
            request = execute_request(message, user_id, self._resources.clock.now())
            # From here on, the client can only hang up.
            gone = asyncio.ensure_future(receive())
        except Problem as problem:
            await _refuse(send, problem, started)
            return
        try:
            signal = await self._answer(send, request, message, started)
            if signal is not None and not request.key_from_alert:
                await self._record_delivery(signal, delivered=not gone.done())
        finally:
            gone.cancel()

    async def _admit(self, scope: Scope, receive: Receive) -> tuple[WebhookMessage, str]:
        """The alert and the id of the user whose account it opens."""
        if scope["method"] != "POST":
            text = "An alert is sent with POST."
            raise Problem(405, "method_not_allowed", text, headers={"Allow": "POST"})
        body = await read_body(scope, receive)
        self._check_address(scope)
        _check_media_type(header(scope, b"content-type"))
        message = _parse(body)
        if not self._resources.secrets.loaded:
            raise unavailable("not_ready", f"The gateway is not ready. {NOT_RECORDED}")
        user_id = self._resources.secrets.owner(message.account_id, message.secret)
        if user_id is None:
            raise _invalid_secret()
        return message, user_id

    def _check_address(self, scope: Scope) -> None:
        settings = self._resources.settings
        if not settings.webhook_allowlist:
            return
        peer = scope["client"][0] if scope.get("client") else None
        forwarded = [v.decode("latin-1") for name, v in scope["headers"] if name == b"x-forwarded-for"]
        address = client_address(peer, forwarded, settings.trusted_proxies)
        if address is None or not is_in(address, settings.webhook_allowlist):
            raise Problem(403, "address_not_allowed", "Alerts are not taken from this address.")

    async def _answer(
        self, send: Send, request: pb.ExecuteSignalRequest, message: WebhookMessage, started: float
    ) -> pb.Signal | None:
        """Sends the answer; the signal when there is one."""
        try:
            response = await self._alerts.execute(request, started)
        except NotFound:
            # The account is deleted and its secret not yet: for the sender there is no such account.
            await _refuse(send, _invalid_secret(), started)
        except ServiceError as error:
            await _refuse(send, problem_from(error), started)
        except Problem as problem:
            await _refuse(send, problem, started)
        else:
            await _tell(send, response, message, started)
            return response.signal
        return None

    async def _record_delivery(self, signal: pb.Signal, *, delivered: bool) -> None:
        try:
            await self._alerts.record_delivery(signal, delivered=delivered)
        except ServiceError as error:
            # Execution then takes a repeat within 20 s for the same alert.
            log.warning("webhook.delivery_not_recorded", extra={"reason": error.reason})


def _parse(body: bytes) -> WebhookMessage:
    try:
        return parse_alert(body)
    except AlertRejected as rejected:
        if rejected.code == "malformed_json":
            raise Problem(400, "malformed_json", rejected.message) from None
        if rejected.code == "validation_error":
            raise invalid([(rejected.field, rejected.message)]) from None
        members = {"errors": [{"field": rejected.field, "message": rejected.message}]}
        raise Problem(422, rejected.code, rejected.message, members=members) from None


def _check_media_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() not in MEDIA_TYPES:
        text = "Send the alert as JSON, with the Content-Type application/json or text/plain."
        raise Problem(415, "unsupported_media_type", text)


def _invalid_secret() -> Problem:
    return Problem(401, "invalid_webhook_secret", "Invalid webhook secret")


async def _tell(
    send: Send, response: pb.ExecuteSignalResponse, message: WebhookMessage, started: float
) -> None:
    signal = response.signal
    if signal.state == pb.SIGNAL_STATE_DONE:
        await send_json(send, 200, _done(response, message))
    elif is_final(signal):
        await send_problem(send, _rejected(response))
    else:
        await send_json(send, 202, _executing(response, message))
    outcome = pb.SignalState.Name(signal.state).removeprefix("SIGNAL_STATE_").lower()
    _note("duplicate" if response.duplicate else outcome, started, signal)


def _done(response: pb.ExecuteSignalResponse, message: WebhookMessage) -> dict[str, Any]:
    answer = {
        "success": True,
        "signal_id": response.signal.signal_id,
        "duplicate": response.duplicate,
        "message": response.signal.message,
        "order_details": order_details(response.signal),
    }
    return answer | _warnings(message)


def _executing(response: pb.ExecuteSignalResponse, message: WebhookMessage) -> dict[str, Any]:
    answer = {
        "success": True,
        "signal_id": response.signal.signal_id,
        "duplicate": response.duplicate,
        "status": "executing",
    }
    return answer | _warnings(message)


def _rejected(response: pb.ExecuteSignalResponse) -> Problem:
    signal = response.signal
    state = pb.SignalState.Name(signal.state).removeprefix("SIGNAL_STATE_").lower()
    members = {"signal_id": signal.signal_id, "duplicate": response.duplicate}
    detail = signal.message or f"The alert was {state}."
    return Problem(422, (signal.reason or state).lower(), detail, members=members)


def _warnings(message: WebhookMessage) -> dict[str, Any]:
    return {"warnings": list(message.warnings)} if message.warnings else {}


async def _refuse(send: Send, problem: Problem, started: float) -> None:
    await send_problem(send, problem)
    _note(problem.code, started)


def _note(outcome: str, started: float, signal: pb.Signal | None = None) -> None:
    REQUESTS.labels(outcome).inc()
    seconds = asyncio.get_running_loop().time() - started
    ANSWER_SECONDS.observe(seconds)
    fields = {"outcome": outcome, "seconds": round(seconds, 4)}
    if signal is not None:
        fields |= {"signal_id": signal.signal_id, "account_id": signal.account_id}
    log.info("webhook.answered", extra=fields)

"""A small execution service that keeps the contract of its proto with a dictionary, and fails on demand.

It exists for failures that the real service does not produce at will: a call that breaks before or after the
alert was recorded, one that never answers, answers of every kind.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from tradekit.service.clock import UtcClock
from tradekit.service.errors import AlreadyExists, NotFound
from tradekit.service.wire import timestamp_from
from tradingbot.execution.v1 import execution_pb2 as pb
from tradingbot.execution.v1.execution_pb2_grpc import ExecutionServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]
Outcome = Callable[[pb.Signal], None]


class Broken(Exception):
    """Makes the call end as if the connection had broken."""


@dataclass
class Script:
    """What happens to one ExecuteSignal call.

    Attributes:
        before: Awaited before anything is recorded.
        after: Awaited when the alert is recorded.
    """

    before: Callable[[Context], Any] | None = None
    after: Callable[[Context], Any] | None = None


async def break_call(context: Context) -> None:
    """Ends the call as a lost connection does."""
    await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")


async def hang(_context: Context) -> None:
    """Never answers; ends with the call."""
    await asyncio.Event().wait()


def done(signal: pb.Signal) -> None:
    """The order was executed, with a stop and a target."""
    signal.state = pb.SIGNAL_STATE_DONE
    signal.message = f"{pb.Action.Name(signal.action).removeprefix('ACTION_')} order executed on binance"
    signal.legs.extend(
        [
            pb.Leg(kind=pb.LEG_KIND_LEVERAGE, state=pb.LEG_STATE_FILLED, leverage=5),
            pb.Leg(
                kind=pb.LEG_KIND_ENTRY,
                state=pb.LEG_STATE_FILLED,
                client_order_id="tb" + "a" * 26 + "en",
                exchange_order_id="77",
                side="buy",
                quantity="0.016",
                filled_quantity="0.016",
                average_price="62000.1",
            ),
            pb.Leg(kind=pb.LEG_KIND_STOP_LOSS, state=pb.LEG_STATE_OPEN, side="sell", trigger_price="61400"),
            pb.Leg(kind=pb.LEG_KIND_TAKE_PROFIT, state=pb.LEG_STATE_OPEN, side="sell", trigger_price="63200"),
        ]
    )


def refused(reason: str, message: str, state: pb.SignalState.ValueType = pb.SIGNAL_STATE_REJECTED) -> Outcome:
    """The signal ended without an order."""

    def end(signal: pb.Signal) -> None:
        signal.state = state
        signal.reason = reason
        signal.message = message

    return end


def executing(signal: pb.Signal) -> None:
    """The exchange has not answered yet."""
    signal.state = pb.SIGNAL_STATE_EXECUTING


@dataclass
class ScriptedExecution(ExecutionServiceServicer):
    """The service.

    Attributes:
        outcome: What becomes of a new signal.
        scripts: What happens to the next calls, in their order.
        calls: Every ExecuteSignal request that came.
        deliveries: signal id -> delivered, of every RecordDelivery.
        retired: Accounts that were retired.
        checked: Accounts whose keys were asked about.
        key: What the exchange says of each key, or how asking fails.
    """

    outcome: Outcome = done
    scripts: deque[Script] = field(default_factory=deque)
    calls: list[pb.ExecuteSignalRequest] = field(default_factory=list)
    deliveries: dict[str, bool] = field(default_factory=dict)
    delivered: asyncio.Condition = field(default_factory=asyncio.Condition)
    retired: list[str] = field(default_factory=list)
    retire_error: Exception | None = None
    checked: list[str] = field(default_factory=list)
    key: pb.CheckKeyResponse | Exception = field(default_factory=pb.CheckKeyResponse)
    known_accounts: set[tuple[str, str]] = field(default_factory=set)
    events: list[pb.Event] = field(default_factory=list)
    event_added: asyncio.Condition = field(default_factory=asyncio.Condition)
    watchers: int = 0
    _signals: dict[tuple[str, str], tuple[str, pb.Signal]] = field(default_factory=dict)

    async def ExecuteSignal(
        self, request: pb.ExecuteSignalRequest, context: Context
    ) -> pb.ExecuteSignalResponse:
        self.calls.append(request)
        script = self.scripts.popleft() if self.scripts else Script()
        if script.before:
            await script.before(context)
        signal, duplicate = self._claim(request)
        if script.after:
            await script.after(context)
        return pb.ExecuteSignalResponse(signal=signal, duplicate=duplicate)

    def _claim(self, request: pb.ExecuteSignalRequest) -> tuple[pb.Signal, bool]:
        key = (request.account_id, request.alert_key)
        if not request.key_from_alert:
            key = self._undelivered(request) or key
        if key in self._signals:
            content_hash, signal = self._signals[key]
            if content_hash != request.content_hash:
                raise AlreadyExists("ALERT_ID_REUSED", "This alert_id was used for another alert.")
            return signal, True
        signal = pb.Signal(
            signal_id=str(uuid.uuid4()),
            user_id=request.user_id,
            account_id=request.account_id,
            exchange="binance",
            action=request.alert.action,
            symbol=request.alert.symbol,
            state=pb.SIGNAL_STATE_RECEIVED,
            receive_time=request.receive_time,
            alert=request.alert,
        )
        self.outcome(signal)
        self._signals[key] = (request.content_hash, signal)
        return signal, False

    def _undelivered(self, request: pb.ExecuteSignalRequest) -> tuple[str, str] | None:
        for (account_id, alert_key), (content_hash, signal) in self._signals.items():
            same = account_id == request.account_id and content_hash == request.content_hash
            if same and not self.deliveries.get(signal.signal_id, False):
                return account_id, alert_key
        return None

    async def RecordDelivery(
        self, request: pb.RecordDeliveryRequest, context: Context
    ) -> pb.RecordDeliveryResponse:
        async with self.delivered:
            self.deliveries[request.signal_id] = request.delivered
            self.delivered.notify_all()
        return pb.RecordDeliveryResponse()

    async def GetSignal(self, request: pb.GetSignalRequest, context: Context) -> pb.GetSignalResponse:
        for _, signal in self._signals.values():
            if signal.signal_id == request.signal_id and signal.user_id == request.user_id:
                answer = pb.Signal()
                answer.CopyFrom(signal)
                step = pb.Step(create_time=timestamp_from(UtcClock().now()), kind="entry.filled")
                step.attributes["quantity"] = "0.016"
                answer.steps.append(step)
                return pb.GetSignalResponse(signal=answer)
        raise NotFound("SIGNAL_NOT_FOUND", f"Signal {request.signal_id} does not exist.")

    async def ListSignals(self, request: pb.ListSignalsRequest, context: Context) -> pb.ListSignalsResponse:
        own = [signal for _, signal in self._signals.values() if signal.user_id == request.user_id]
        if request.HasField("account_id"):
            own = [signal for signal in own if signal.account_id == request.account_id]
        return pb.ListSignalsResponse(signals=own[: request.page_size], next_page_token="")

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: Context
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        position = int(request.after_cursor or 0)
        async with self.event_added:
            self.watchers += 1
            self.event_added.notify_all()
        while True:
            async with self.event_added:
                while len(self.events) <= position:
                    await self.event_added.wait()
            yield pb.WatchEventsResponse(event=self.events[position])
            position += 1

    async def add_event(self, kind: str, user_id: str) -> None:
        """Something happened."""
        async with self.event_added:
            event = pb.Event(
                cursor=str(len(self.events) + 1),
                event_id=str(uuid.uuid4()),
                user_id=user_id,
                step=pb.Step(kind=kind, create_time=timestamp_from(UtcClock().now())),
            )
            self.events.append(event)
            self.event_added.notify_all()

    async def GetBalance(self, request: pb.GetBalanceRequest, context: Context) -> pb.GetBalanceResponse:
        self._check_owner(request.user_id, request.account_id)
        return pb.GetBalanceResponse(
            currency="USDT", total="10000", available="9900.5", unrealized_profit="-1.25"
        )

    async def ListPositions(
        self, request: pb.ListPositionsRequest, context: Context
    ) -> pb.ListPositionsResponse:
        self._check_owner(request.user_id, request.account_id)
        position = pb.Position(
            symbol="BTCUSDT", side="long", quantity="0.016", entry_price="62000.1", mark_price="62010"
        )
        return pb.ListPositionsResponse(positions=[position])

    async def ListOpenOrders(
        self, request: pb.ListOpenOrdersRequest, context: Context
    ) -> pb.ListOpenOrdersResponse:
        self._check_owner(request.user_id, request.account_id)
        order = pb.OpenOrder(
            symbol="BTCUSDT", side="sell", type="stop_loss", trigger_price="61400", reduce_only=True
        )
        return pb.ListOpenOrdersResponse(orders=[order])

    async def CheckKey(self, request: pb.CheckKeyRequest, context: Context) -> pb.CheckKeyResponse:
        self.checked.append(request.account_id)
        if isinstance(self.key, Exception):
            raise self.key
        return self.key

    async def RetireAccount(
        self, request: pb.RetireAccountRequest, context: Context
    ) -> pb.RetireAccountResponse:
        if self.retire_error:
            raise self.retire_error
        self.retired.append(request.account_id)
        return pb.RetireAccountResponse()

    def _check_owner(self, user_id: str, account_id: str) -> None:
        if (user_id, account_id) not in self.known_accounts:
            raise NotFound("ACCOUNT_NOT_FOUND", f"Account {account_id} does not exist.")

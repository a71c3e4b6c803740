"""ExecutionService on the wire: proto <-> domain, one short method per RPC."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import grpc

from execution_service.accounts import Account, Accounts
from execution_service.errors import account_in_use, exchange_unavailable, signal_not_found
from execution_service.exchanges import errors
from execution_service.exchanges.types import Order, Position
from execution_service.executor import AlertRequest, OrderExecutor
from execution_service.journal import Event, Journal
from execution_service.key_check import KeyCheck
from execution_service.translation import alert_to_json, signal_to_proto
from tradekit.service.alert_wire import alert_from_proto
from tradekit.service.errors import FailedPrecondition
from tradekit.service.wire import decimal_text, field_invalid, instant_from, timestamp_from, uuid_from
from tradingbot.execution.v1 import execution_pb2 as pb
from tradingbot.execution.v1 import execution_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]

# What a call needs to bring its answer home.
ANSWER_MARGIN_S = 0.15
DEFAULT_WAIT_S = 30.0
EVENT_PAGE = 500
EVENT_PAUSE_S = 0.5
MAX_KEY_LENGTH = 100


class ExecutionServicer(execution_pb2_grpc.ExecutionServiceServicer):
    """Answers the gateway."""

    def __init__(
        self, executor: OrderExecutor, accounts: Accounts, journal: Journal, key_check: KeyCheck
    ) -> None:
        self._executor = executor
        self._accounts = accounts
        self._journal = journal
        self._key_check = key_check
        self._stopping = False

    def stop(self) -> None:
        """Ends the streams that would go on for ever."""
        self._stopping = True

    async def ExecuteSignal(
        self, request: pb.ExecuteSignalRequest, context: Context
    ) -> pb.ExecuteSignalResponse:
        """Executes an alert once."""
        remaining = context.time_remaining()
        wait_s = DEFAULT_WAIT_S if remaining is None else max(remaining - ANSWER_MARGIN_S, 0.0)
        signal, duplicate = await self._executor.execute_signal(_alert_request(request), wait_s=wait_s)
        return pb.ExecuteSignalResponse(signal=signal_to_proto(signal), duplicate=duplicate)

    async def RecordDelivery(
        self, request: pb.RecordDeliveryRequest, context: Context
    ) -> pb.RecordDeliveryResponse:
        """Notes whether the answer to an alert reached its sender."""
        await self._journal.record_delivery(
            uuid_from(request.user_id, field="user_id"),
            uuid_from(request.signal_id, field="signal_id"),
            delivered=request.delivered,
        )
        return pb.RecordDeliveryResponse()

    async def GetSignal(self, request: pb.GetSignalRequest, context: Context) -> pb.GetSignalResponse:
        """Reads one signal with its legs and steps."""
        signal_id = uuid_from(request.signal_id, field="signal_id")
        try:
            signal = await self._journal.get(signal_id, uuid_from(request.user_id, field="user_id"))
        except KeyError:
            raise signal_not_found() from None
        message = signal_to_proto(signal)
        for time, step in await self._journal.steps(signal_id):
            message.steps.add(create_time=timestamp_from(time), kind=step.kind, attributes=step.attributes)
        return pb.GetSignalResponse(signal=message)

    async def ListSignals(self, request: pb.ListSignalsRequest, context: Context) -> pb.ListSignalsResponse:
        """Lists a user's signals, newest first."""
        if not 0 <= request.page_size <= 200:
            raise field_invalid("page_size", "must be from 1 to 200")
        size = request.page_size or 50
        before = int(request.page_token) if request.page_token.isdecimal() else None
        if request.page_token and (before is None or before > 2**62):
            raise field_invalid("page_token", "is none of ours")
        account_id = (
            uuid_from(request.account_id, field="account_id") if request.HasField("account_id") else None
        )
        user_id = uuid_from(request.user_id, field="user_id")
        signals = await self._journal.page(user_id, account_id, before=before, size=size + 1)
        shown = signals[:size]
        return pb.ListSignalsResponse(
            signals=map(signal_to_proto, shown),
            next_page_token=str(shown[-1].sequence) if len(signals) > size else "",
        )

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: Context
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        """Sends events in order, then new ones as they happen."""
        cursor = request.after_cursor
        while not self._stopping:
            try:
                events = await self._journal.events_after(cursor, EVENT_PAGE)
            except ValueError:
                raise field_invalid("after_cursor", "is none of ours") from None
            for event in events:
                cursor = event.cursor
                yield pb.WatchEventsResponse(event=_event_to_proto(event))
            if not events:
                await self._journal.wait_for_change(EVENT_PAUSE_S)

    async def GetBalance(self, request: pb.GetBalanceRequest, context: Context) -> pb.GetBalanceResponse:
        """Asks the exchange for the account's balance."""
        account = await self._account(request.user_id, request.account_id)
        with _exchange_errors():
            balance = await account.exchange.get_account_balance()
        return pb.GetBalanceResponse(
            currency=balance.currency,
            total=decimal_text(balance.total),
            available=decimal_text(balance.available),
            unrealized_profit=decimal_text(balance.unrealized_profit),
        )

    async def ListPositions(
        self, request: pb.ListPositionsRequest, context: Context
    ) -> pb.ListPositionsResponse:
        """Asks the exchange for the account's open positions."""
        account = await self._account(request.user_id, request.account_id)
        with _exchange_errors():
            positions = await account.exchange.get_positions()
            leverages = await asyncio.gather(*(account.leverage(position.symbol) for position in positions))
        return pb.ListPositionsResponse(positions=map(_position_to_proto, positions, leverages))

    async def ListOpenOrders(
        self, request: pb.ListOpenOrdersRequest, context: Context
    ) -> pb.ListOpenOrdersResponse:
        """Asks the exchange for the account's open orders."""
        account = await self._account(request.user_id, request.account_id)
        with _exchange_errors():
            orders = await account.exchange.get_open_orders()
        return pb.ListOpenOrdersResponse(orders=map(_order_to_proto, orders))

    async def CheckKey(self, request: pb.CheckKeyRequest, context: Context) -> pb.CheckKeyResponse:
        """Asks the exchange what the account's key may do."""
        uuid_from(request.user_id, field="user_id")
        uuid_from(request.account_id, field="account_id")
        with _exchange_errors():
            permissions = await self._key_check.permissions(request.user_id, request.account_id)
        return pb.CheckKeyResponse(
            may_trade=permissions.may_trade,
            may_withdraw=permissions.may_withdraw,
            bound_to_addresses=permissions.bound_to_addresses,
        )

    async def RetireAccount(
        self, request: pb.RetireAccountRequest, context: Context
    ) -> pb.RetireAccountResponse:
        """Makes sure that nothing of the account is open, and takes no more signals for it."""
        account_id = uuid_from(request.account_id, field="account_id")
        account = await self._account(request.user_id, request.account_id)
        async with self._executor.retiring(account_id):
            if await self._journal.unresolved(account_id):
                raise account_in_use("an open position or an unresolved order")
            await _check_flat(account)
        self._accounts.forget(request.user_id, request.account_id)
        return pb.RetireAccountResponse()

    async def _account(self, user_id: str, account_id: str) -> Account:
        uuid_from(user_id, field="user_id")
        uuid_from(account_id, field="account_id")
        return await self._accounts.get(user_id, account_id)


async def _check_flat(account: Account) -> None:
    """Raises ABORTED ACCOUNT_IN_USE for an open position or order; a refused key cannot be asked."""
    try:
        if await account.exchange.get_positions():
            raise account_in_use("an open position")
        if await account.exchange.get_open_orders():
            raise account_in_use("an open order")
    except errors.KeyRejected:
        return
    except errors.ExchangeError as error:
        raise exchange_unavailable(error.message) from error


class _exchange_errors:
    """Tells the gateway what an exchange's answer to a question means."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, errors.Refused):
            raise FailedPrecondition(error.reason, error.message) from error
        if isinstance(error, errors.ExchangeError):
            raise exchange_unavailable(error.message) from error


def _alert_request(request: pb.ExecuteSignalRequest) -> AlertRequest:
    key = request.alert_key
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii():
        raise field_invalid("alert_key", f"must be 1 to {MAX_KEY_LENGTH} ASCII characters")
    if not request.HasField("receive_time"):
        raise field_invalid("receive_time", "is missing")
    if len(request.content_hash) != 64:
        raise field_invalid("content_hash", "must be a SHA-256 in hex")
    return AlertRequest(
        user_id=uuid_from(request.user_id, field="user_id"),
        account_id=uuid_from(request.account_id, field="account_id"),
        alert=alert_from_proto(request.alert),
        alert_json=alert_to_json(request.alert),
        alert_key=key,
        content_hash=request.content_hash,
        key_from_alert=request.key_from_alert,
        receive_time=instant_from(request.receive_time),
    )


def _event_to_proto(event: Event) -> pb.Event:
    return pb.Event(
        cursor=event.cursor,
        event_id=str(event.id),
        user_id=str(event.user_id),
        account_id=str(event.account_id),
        signal_id=str(event.signal_id) if event.signal_id else "",
        step=pb.Step(
            create_time=timestamp_from(event.time), kind=event.step.kind, attributes=event.step.attributes
        ),
    )


def _position_to_proto(position: Position, leverage: int) -> pb.Position:
    return pb.Position(
        symbol=position.symbol,
        side=position.side.value,
        quantity=decimal_text(position.quantity),
        entry_price=decimal_text(position.entry_price),
        mark_price=decimal_text(position.mark_price),
        unrealized_profit=decimal_text(position.unrealized_profit),
        liquidation_price=_optional(position.liquidation_price),
        leverage=leverage,
    )


def _order_to_proto(order: Order) -> pb.OpenOrder:
    return pb.OpenOrder(
        symbol=order.symbol,
        side=order.side.value,
        type=order.kind.value,
        client_order_id=order.client_order_id,
        exchange_order_id=order.exchange_order_id,
        quantity=_optional(order.quantity),
        filled_quantity=decimal_text(order.filled_quantity),
        limit_price=_optional(order.limit_price),
        trigger_price=_optional(order.trigger_price),
        reduce_only=order.reduce_only,
    )


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)

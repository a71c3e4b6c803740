"""One alert, handed to execution within the time that its sender waits."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.dependencies import ask
from gateway.errors import unavailable
from tradekit.service.errors import ServiceError
from tradingbot.execution.v1 import execution_pb2 as pb

if TYPE_CHECKING:
    from tradingbot.execution.v1.execution_pb2_grpc import ExecutionServiceAsyncStub

# TradingView hangs up after 3 s, and every answer is to be there 0.2 s before.
EXECUTE_TIMEOUT_S = 2.5
ANSWER_TIMEOUT_S = 2.7
FIRST_PAUSE_S = 0.05
LAST_PAUSE_S = 0.4
DELIVERY_TIMEOUT_S = 5.0

MAX_ALERTS = 2_000
# One account's burst leaves room for the others' alerts.
MAX_ALERTS_OF_ACCOUNT = 1_000

_BROKEN_CALL = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED"})

NOT_KNOWN = "It is not known yet whether this alert was recorded. Send it again: it is executed once."
NOT_RECORDED = "Nothing was recorded. Send the alert again."


class Alerts:
    """Hands alerts to execution, not more at once than can be answered in time."""

    def __init__(self, execution: "ExecutionServiceAsyncStub") -> None:
        self._execution = execution
        self._under_way: dict[str, int] = {}
        self._count = 0

    async def execute(self, request: pb.ExecuteSignalRequest, started: float) -> pb.ExecuteSignalResponse:
        """Executes an alert once, whatever happens to the call.

        When the answer of a call is lost, nobody knows whether the alert was recorded: the call is repeated
        with the same key, which places nothing a second time, as long as there is time.

        Args:
            request: With the key that makes it idempotent.
            started: When the alert arrived, by the event loop's clock.

        Raises:
            Problem: 503, not recorded, or nobody knows in time; the sender's repeat is then a duplicate.
            ServiceError: Execution refused it.
        """
        with self._slot(request.account_id):
            deadline = started + EXECUTE_TIMEOUT_S
            for pause in _pauses():
                try:
                    return await ask(self._execution.ExecuteSignal, request, timeout=_left(deadline))
                except ServiceError as error:
                    if not _may_be_recorded(error):
                        raise
                # The last call gets the margin that the first one left for its answer.
                deadline = started + ANSWER_TIMEOUT_S
                if _left(deadline) <= 2 * pause:
                    break
                await asyncio.sleep(pause)
            raise unavailable("execution_unavailable", NOT_KNOWN)

    async def record_delivery(self, signal: pb.Signal, *, delivered: bool) -> None:
        """Tells execution whether the answer reached its sender.

        Raises:
            ServiceError: It could not be told.
        """
        await ask(
            self._execution.RecordDelivery,
            pb.RecordDeliveryRequest(user_id=signal.user_id, signal_id=signal.signal_id, delivered=delivered),
            timeout=DELIVERY_TIMEOUT_S,
        )

    @contextmanager
    def _slot(self, account_id: str) -> Iterator[None]:
        of_account = self._under_way.get(account_id, 0)
        if self._count >= MAX_ALERTS or of_account >= MAX_ALERTS_OF_ACCOUNT:
            raise unavailable("overloaded", f"Too many alerts at once. {NOT_RECORDED}")
        self._count += 1
        self._under_way[account_id] = of_account + 1
        try:
            yield
        finally:
            self._count -= 1
            self._under_way[account_id] -= 1
            if not self._under_way[account_id]:
                del self._under_way[account_id]


def _left(deadline: float) -> float:
    return max(deadline - asyncio.get_running_loop().time(), 0.001)


def _pauses() -> Iterator[float]:
    # Short: a restarted service is back within the time of one alert, and its sender does not wait.
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, LAST_PAUSE_S)


def _may_be_recorded(error: ServiceError) -> bool:
    # A reason of its own means that execution itself answered; the name of a status, that the call broke.
    return error.reason in _BROKEN_CALL

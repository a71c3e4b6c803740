"""`/signals`: what came in, what was done for it, step by step."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from typing_extensions import TypedDict

from gateway.dependencies import CurrentUser, ResourcesOf, ask
from gateway.errors import not_found
from gateway.signal_json import (
    SignalJson,
    SignalWithStepsJson,
    signal_json,
    signal_json_with_steps,
)
from tradingbot.execution.v1 import execution_pb2 as pb

router = APIRouter(prefix="/signals", tags=["Signals"])

MAX_LIMIT = 200


class SignalsAnswer(TypedDict):
    """A page of signals, newest first."""

    signals: list[SignalJson]
    next_cursor: str | None


@router.get("", summary="List the signals")
async def list_signals(
    user: CurrentUser,
    resources: ResourcesOf,
    account_id: Annotated[UUID | None, Query(description="Only this account's.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
    cursor: Annotated[str, Query(max_length=200, description="`next_cursor` of the page before.")] = "",
) -> SignalsAnswer:
    """Newest first, without steps; `next_cursor` is null on the last page.

    `state` is one of received, executing, protecting (not final), done, rejected, expired, failed (final).
    """
    request = pb.ListSignalsRequest(
        user_id=str(user.id),
        account_id=None if account_id is None else str(account_id),
        page_size=limit,
        page_token=cursor,
    )
    answer = await ask(resources.execution.ListSignals, request)
    return {
        "signals": [signal_json(signal) for signal in answer.signals],
        "next_cursor": answer.next_page_token or None,
    }


@router.get("/{signal_id}", summary="One signal, step by step")
async def get_signal(signal_id: str, user: CurrentUser, resources: ResourcesOf) -> SignalWithStepsJson:
    """The signal with its `legs` (one a request to the exchange) and `steps` (what happened, in order)."""
    try:
        wanted = str(UUID(signal_id))
    except ValueError:
        raise not_found("There is no such signal.") from None
    answer = await ask(
        resources.execution.GetSignal, pb.GetSignalRequest(user_id=str(user.id), signal_id=wanted)
    )
    return signal_json_with_steps(answer.signal)

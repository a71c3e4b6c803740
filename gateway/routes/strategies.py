"""`/simple`: the strategies, and one of them as Pine Script whose alerts the webhook takes."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response
from typing_extensions import TypedDict

from gateway import accounts
from gateway.accounts import EXCHANGES, account_uuid
from gateway.dependencies import CurrentUser, ResourcesOf, ask
from gateway.errors import invalid
from gateway.routes.webhook import PATH as WEBHOOK_PATH
from tradingbot.strategy.v1 import strategy_pb2 as pb

router = APIRouter(prefix="/simple", tags=["Strategies"])

OWN_PARAMETERS = frozenset({"strategy", "symbol", "timeframe", "account_id", "version", "format"})
MAX_PARAMETERS = 50
MAX_NAME = 50
MAX_VALUE = 64
_EXCHANGE_WORDS = {number: word for word, number in EXCHANGES.items()}


class ParameterJson(TypedDict):
    """A parameter of a strategy; numbers are text."""

    name: str
    description: str
    type: Literal["integer", "decimal"]
    default: str
    minimum: str
    maximum: str


class StrategyJson(TypedDict):
    """A strategy; `available` says whether it can be exported and tested yet."""

    key: str
    name: str
    description: str
    available: bool
    parameters: list[ParameterJson]


class StrategiesAnswer(TypedDict):
    strategies: list[StrategyJson]


class ExportAnswer(TypedDict):
    """A strategy as Pine Script, and how to set it up in TradingView."""

    strategy: str
    version: int
    script: str
    alert_message: str
    webhook_url: str
    setup_guide: str
    setup_guide_ko: str


@router.get("/strategies", summary="List the strategies")
async def list_strategies(_user: CurrentUser, resources: ResourcesOf) -> StrategiesAnswer:
    """With their parameters, ranges and defaults."""
    answer = await ask(resources.strategy.ListStrategies, pb.ListStrategiesRequest())
    return {"strategies": [_strategy_json(strategy) for strategy in answer.strategies]}


@router.get("/export-pine", summary="A strategy as Pine Script", response_model=ExportAnswer)
async def export_pine(
    request: Request,
    user: CurrentUser,
    resources: ResourcesOf,
    strategy: Annotated[str, Query(max_length=64, examples=["ema_crossover"])],
    symbol: Annotated[str, Query(max_length=64)] = "BTCUSDT",
    timeframe: Annotated[str, Query(max_length=16)] = "15m",
    account_id: Annotated[str | None, Query(description="Written into the alert message.")] = None,
    version: Annotated[int, Query(ge=5, le=6)] = 6,
    format: Annotated[Literal["json", "pine"], Query(description="`pine`: the script alone.")] = "json",
) -> Response | ExportAnswer:
    """Every other query parameter is a parameter of the strategy, for example `&fast=9&slow=21`.

    The script holds a placeholder where the webhook secret goes: the secret itself is stored nowhere.
    """
    account = None
    if account_id is not None:
        account = await accounts.get_account(resources, user, account_uuid(account_id))
    answer = await ask(
        resources.strategy.ExportPine,
        pb.ExportPineRequest(
            strategy=strategy,
            parameters=_parameters(request),
            symbol=symbol,
            timeframe=timeframe,
            pine_version=version,
            account_id=account.account_id if account else None,
            exchange=_EXCHANGE_WORDS[account.exchange] if account else None,
        ),
    )
    if format == "pine":
        return PlainTextResponse(answer.script)
    return {
        "strategy": answer.strategy,
        "version": answer.pine_version,
        "script": answer.script,
        "alert_message": answer.alert_message,
        "webhook_url": resources.settings.public_url + WEBHOOK_PATH,
        "setup_guide": answer.setup_guide,
        "setup_guide_ko": answer.setup_guide_ko,
    }


def _parameters(request: Request) -> dict[str, str]:
    given = [
        (name, value) for name, value in request.query_params.multi_items() if name not in OWN_PARAMETERS
    ]
    if len(given) > MAX_PARAMETERS:
        raise invalid([("", f"A strategy has fewer than {MAX_PARAMETERS} parameters.")])
    parameters: dict[str, str] = {}
    for name, value in given:
        if len(name) > MAX_NAME or len(value) > MAX_VALUE or name in parameters:
            raise invalid([(name[:MAX_NAME], "is given twice or is too long.")])
        parameters[name] = value
    return parameters


def _strategy_json(strategy: pb.Strategy) -> StrategyJson:
    return {
        "key": strategy.key,
        "name": strategy.name,
        "description": strategy.description,
        "available": strategy.available,
        "parameters": [
            {
                "name": parameter.name,
                "description": parameter.description,
                "type": "integer" if parameter.type == pb.PARAMETER_TYPE_INTEGER else "decimal",
                "default": parameter.default_value,
                "minimum": parameter.minimum,
                "maximum": parameter.maximum,
            }
            for parameter in strategy.parameters
        ],
    }

"""The terms that plain and conditional orders of Binance share, read from the parameters."""

from enum import StrEnum

from paper_exchange.accounts import Account
from paper_exchange.binance_errors import error_of, mandatory, not_required
from paper_exchange.binance_parameters import Parameters
from paper_exchange.orders import PositionSide, Side, TimeInForce
from paper_exchange.refusals import Reason, Refused

_LATEST_GOOD_TILL_MS = 253_402_300_799_000


class ResponseType(StrEnum):
    ACK = "ACK"
    RESULT = "RESULT"


class SelfTradePrevention(StrEnum):
    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    EXPIRE_MAKER = "EXPIRE_MAKER"


def good_till_of(parameters: Parameters, time_in_force: TimeInForce) -> int:
    good_till_ms = parameters.integer("goodTillDate")
    if time_in_force is TimeInForce.GTD and good_till_ms is None:
        raise mandatory("goodTillDate")
    if good_till_ms is not None and good_till_ms >= _LATEST_GOOD_TILL_MS:
        raise error_of(Refused(Reason.GOOD_TILL_DATE))
    # Only whole seconds count.
    return good_till_ms // 1000 * 1000 if good_till_ms and time_in_force is TimeInForce.GTD else 0


def side_of(parameters: Parameters) -> Side:
    side = parameters.choice("side", Side, -1117, "Invalid side.")
    if side is None:
        raise mandatory("side")
    return side


def position_side_of(parameters: Parameters) -> PositionSide:
    side = parameters.choice("positionSide", PositionSide, -4060, "Invalid position side.")
    return side or PositionSide.BOTH


def reduce_only_of(parameters: Parameters, account: Account) -> bool:
    """reduceOnly; in hedge mode the position side says it, and the parameter must not be sent at all."""
    if account.hedge_mode and parameters.has("reduceOnly"):
        raise not_required("reduceonly")
    return parameters.flag("reduceOnly") or False


def time_in_force_of(parameters: Parameters) -> TimeInForce | None:
    return parameters.choice("timeInForce", TimeInForce, -1115, "Invalid timeInForce.")


def self_trade_prevention_of(parameters: Parameters) -> str:
    mode = parameters.choice(
        "selfTradePreventionMode", SelfTradePrevention, -5039, "Invalid self trade prevention mode"
    )
    return mode or SelfTradePrevention.EXPIRE_MAKER


def response_type_of(parameters: Parameters) -> ResponseType:
    response = parameters.choice("newOrderRespType", ResponseType, -1136, "Invalid newOrderRespType.")
    return response or ResponseType.ACK

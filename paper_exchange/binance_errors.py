"""Binance's error codes, texts and HTTP statuses.

Texts are those the exchange sends where they are known (error-code page of the USD-M futures documentation,
ccxt's tables); codes are stable, texts are not.
"""

from paper_exchange.refusals import Reason, Refused

CODES_OF_REASONS: dict[Reason, tuple[int, str]] = {
    Reason.SYMBOL_UNKNOWN: (-1121, "Invalid symbol."),
    Reason.SYMBOL_NOT_TRADING: (-4141, "Symbol is closed."),
    Reason.PRECISION: (-1111, "Precision is over the maximum defined for this asset."),
    Reason.PRICE_NOT_POSITIVE: (-4001, "Price less than 0."),
    Reason.PRICE_TOO_LOW: (-4013, "Price less than min price."),
    Reason.PRICE_TOO_HIGH: (-4002, "Price greater than max price."),
    Reason.PRICE_OFF_TICK: (-4014, "Price not increased by tick size."),
    Reason.PRICE_ABOVE_CAP: (-4016, "Limit price can't be higher than {limit}."),
    Reason.PRICE_BELOW_FLOOR: (-4024, "Limit price can't be lower than {limit}."),
    Reason.QUANTITY_NOT_POSITIVE: (-4003, "Quantity less than or equal to zero."),
    Reason.QUANTITY_TOO_SMALL: (-4004, "Quantity less than min quantity."),
    Reason.QUANTITY_TOO_LARGE: (-4005, "Quantity greater than max quantity."),
    Reason.QUANTITY_OFF_STEP: (-4023, "Qty not increased by step size."),
    Reason.NOTIONAL_TOO_SMALL: (
        -4164,
        "Order's notional must be no smaller than {limit} (unless you choose reduce only).",
    ),
    Reason.MARGIN_INSUFFICIENT: (-2019, "Margin is insufficient."),
    Reason.POSITION_LIMIT: (-2027, "Exceeded the maximum allowable position at current leverage."),
    Reason.REDUCE_ONLY: (-2022, "ReduceOnly Order is rejected."),
    Reason.REDUCE_ONLY_IN_HEDGE_MODE: (-1106, "Parameter 'reduceonly' sent when not required."),
    Reason.WOULD_TRIGGER: (-2021, "Order would immediately trigger."),
    Reason.CALLBACK_RATE: (-2007, "Invalid callBack rate"),
    Reason.POST_ONLY_WOULD_TAKE: (
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    ),
    Reason.FILL_OR_KILL: (
        -5021,
        "Due to the order could not be filled immediately, the FOK order has been rejected.",
    ),
    Reason.GOOD_TILL_DATE: (
        -5040,
        "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than "
        "253402300799000",
    ),
    Reason.DUPLICATE_CLIENT_ID: (-4116, "ClientOrderId is duplicated."),
    Reason.DUPLICATE_CLOSE_POSITION: (
        -4130,
        "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    ),
    Reason.CLOSE_POSITION_SIDE: (-4061, "Order's position side does not match user's setting."),
    Reason.ORDER_UNKNOWN: (-2013, "Order does not exist."),
    Reason.CANCEL_UNKNOWN: (-2011, "Unknown order sent."),
    Reason.AMEND_NOT_LIMIT: (-5025, "Only limit order is supported."),
    Reason.AMEND_NOTHING: (-5027, "No need to modify the order."),
    Reason.TOO_MANY_ORDERS: (-2025, "Reach max open order limit."),
    Reason.TOO_MANY_CONDITIONAL_ORDERS: (-4045, "Reach max stop order limit."),
    Reason.POSITION_SIDE_MISMATCH: (-4061, "Order's position side does not match user's setting."),
    Reason.LEVERAGE_INVALID: (-4028, "Leverage {limit} is not valid"),
    Reason.LEVERAGE_TOO_LOW_FOR_MARGIN: (
        -2028,
        "Leverage is smaller than permitted: insufficient margin balance.",
    ),
    Reason.LEVERAGE_REDUCTION_ISOLATED: (
        -4161,
        "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
    ),
    Reason.MARGIN_TYPE_UNCHANGED: (-4046, "No need to change margin type."),
    Reason.MARGIN_TYPE_HAS_ORDERS: (-4047, "Margin type cannot be changed if there exists open orders."),
    Reason.MARGIN_TYPE_HAS_POSITION: (-4048, "Margin type cannot be changed if there exists position."),
    Reason.MARGIN_TYPE_MULTI_ASSETS: (
        -4168,
        "Unable to adjust to isolated-margin mode under the Multi-Assets mode.",
    ),
    Reason.POSITION_MODE_UNCHANGED: (-4059, "No need to change position side."),
    Reason.POSITION_MODE_HAS_ORDERS: (-4067, "Position side cannot be changed if there exists open orders."),
    Reason.POSITION_MODE_HAS_POSITION: (-4068, "Position side cannot be changed if there exists position."),
    Reason.MULTI_ASSETS_UNCHANGED: (
        -4171,
        "Adjusted asset mode is currently set and does not need to be adjusted repeatedly.",
    ),
    Reason.MULTI_ASSETS_HAS_ISOLATED: (
        -4167,
        "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under isolated-margin mode.",
    ),
    Reason.ISOLATED_MARGIN_ON_CROSS: (-4049, "Add margin only support for isolated position."),
    Reason.ISOLATED_MARGIN_NO_POSITION: (-4054, "Cannot add position margin: position is 0."),
    Reason.ISOLATED_MARGIN_TOO_LARGE: (-4051, "Isolated balance insufficient."),
    Reason.CROSS_BALANCE_TOO_SMALL: (-4050, "Cross balance insufficient."),
    Reason.AMOUNT_NOT_POSITIVE: (-4055, "Amount must be positive."),
}

# Texts of errors that only faults produce, and the statuses that are not 400.
_FAULT_TEXTS: dict[int, str] = {
    -1000: "An unknown error occured while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1002: "You are not authorized to execute this request.",
    -1003: "Too many requests; current limit is 2400 requests per minute. "
    "Please use the websocket for live updates to avoid polling the API.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. "
    "Please try again.",
    -1015: "Too many new orders; current limit is 300 orders per TEN_SECONDS.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -2010: "NEW_ORDER_REJECTED",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2018: "Balance is insufficient.",
    -2020: "Unable to fill.",
    -2023: "User in liquidation mode now.",
    -4117: "stop order is triggering",
    -4118: "ReduceOnly Order Failed. Please check your existing position and open orders",
    -4120: "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    -4142: "REJECT: take profit or stop order will be triggered immediately.",
    -4192: "Trade forbidden due to Cooling-off Period.",
    -4400: "Futures Trading Quantitative Rules violated, only reduceOnly order is allowed, "
    "please try again later.",
    -5028: "Timestamp for this request is outside of the ME recvWindow.",
}
_TEXTS = {code: text for code, text in CODES_OF_REASONS.values()} | _FAULT_TEXTS
_STATUSES: dict[int, int] = {
    -1000: 500,
    -1001: 500,
    -1002: 401,
    -1003: 429,
    -1006: 500,
    -1007: 408,
    -1008: 503,
    -1015: 429,
    -2014: 401,
    -2015: 401,
    -5000: 404,
}


class BinanceError(Exception):
    """An answer `{"code": …, "msg": …}`.

    Attributes:
        code: Negative.
        msg: The text.
        status: HTTP status.
        headers: More headers, for example Retry-After.
    """

    def __init__(
        self,
        code: int,
        msg: str | None = None,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.code = code
        self.msg = msg if msg is not None else _TEXTS.get(code, "An unknown error occured.")
        self.status = status if status is not None else _STATUSES.get(code, 400)
        self.headers = headers or {}
        super().__init__(f"{self.code}: {self.msg}")

    @property
    def body(self) -> dict[str, object]:
        return {"code": self.code, "msg": self.msg}


def error_of(refused: Refused) -> BinanceError:
    """How Binance says it."""
    code, text = CODES_OF_REASONS[refused.reason]
    return BinanceError(code, text.format(limit=refused.limit))


def mandatory(name: str) -> BinanceError:
    return BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def either(first: str, second: str) -> BinanceError:
    return BinanceError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def not_required(name: str) -> BinanceError:
    return BinanceError(-1106, f"Parameter '{name}' sent when not required.")


def illegal_characters(name: str, legal: str) -> BinanceError:
    return BinanceError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")

"""OKX's error codes, texts and HTTP statuses.

Texts follow the error-code page of OKX's API documentation; codes are stable, texts are not. A refused
request is answered `{"code", "msg", "data": []}`; a refused order inside an accepted request stands in its
own row as `sCode` and `sMsg`, with HTTP 200 and an overall code 1 (all failed) or 2 (some failed).
"""

from paper_exchange.refusals import Reason, Refused

CODES_OF_REASONS: dict[Reason, int] = {
    Reason.SYMBOL_UNKNOWN: 51001,
    Reason.SYMBOL_NOT_TRADING: 51022,
    Reason.PRECISION: 51121,
    Reason.PRICE_NOT_POSITIVE: 51000,
    Reason.PRICE_TOO_LOW: 51122,
    Reason.PRICE_TOO_HIGH: 51116,
    Reason.PRICE_OFF_TICK: 51000,
    Reason.PRICE_ABOVE_CAP: 51006,
    Reason.PRICE_BELOW_FLOOR: 51006,
    Reason.QUANTITY_NOT_POSITIVE: 51000,
    Reason.QUANTITY_TOO_SMALL: 51020,
    Reason.QUANTITY_TOO_LARGE: 51005,
    Reason.QUANTITY_OFF_STEP: 51121,
    Reason.NOTIONAL_TOO_SMALL: 51020,
    Reason.MARGIN_INSUFFICIENT: 51008,
    Reason.POSITION_LIMIT: 51004,
    Reason.REDUCE_ONLY: 51169,
    Reason.WOULD_TRIGGER: 51280,
    Reason.CALLBACK_RATE: 51000,
    Reason.DUPLICATE_CLIENT_ID: 51016,
    Reason.DUPLICATE_CLOSE_POSITION: 51088,
    Reason.ORDER_UNKNOWN: 51603,
    Reason.CANCEL_UNKNOWN: 51400,
    Reason.AMEND_NOT_LIMIT: 51503,
    Reason.TOO_MANY_ORDERS: 51025,
    Reason.TOO_MANY_CONDITIONAL_ORDERS: 51025,
    Reason.POSITION_SIDE_MISMATCH: 51000,
    Reason.REDUCE_ONLY_IN_HEDGE_MODE: 51000,
    Reason.CLOSE_POSITION_SIDE: 51000,
    Reason.LEVERAGE_INVALID: 59102,
    Reason.LEVERAGE_TOO_LOW_FOR_MARGIN: 59103,
    Reason.LEVERAGE_REDUCTION_ISOLATED: 59103,
    Reason.POSITION_MODE_HAS_ORDERS: 59000,
    Reason.POSITION_MODE_HAS_POSITION: 59000,
    Reason.ISOLATED_MARGIN_ON_CROSS: 59300,
    Reason.ISOLATED_MARGIN_NO_POSITION: 59300,
    Reason.ISOLATED_MARGIN_TOO_LARGE: 59301,
    Reason.CROSS_BALANCE_TOO_SMALL: 59303,
    Reason.AMOUNT_NOT_POSITIVE: 51000,
}

# What a general code does not tell: which parameter is wrong.
_WRONG_PARAMETERS: dict[Reason, str] = {
    Reason.PRICE_NOT_POSITIVE: "px",
    Reason.PRICE_OFF_TICK: "px",
    Reason.QUANTITY_NOT_POSITIVE: "sz",
    Reason.CALLBACK_RATE: "callbackRatio",
    Reason.POSITION_SIDE_MISMATCH: "posSide",
    Reason.REDUCE_ONLY_IN_HEDGE_MODE: "reduceOnly",
    Reason.CLOSE_POSITION_SIDE: "posSide",
    Reason.AMOUNT_NOT_POSITIVE: "amt",
}

_TEXTS: dict[int, str] = {
    1: "Operation failed.",
    2: "Bulk operation partially succeeded.",
    404: "Not found",
    50000: "Body for POST request cannot be empty.",
    50001: "Service temporarily unavailable. Please try again later.",
    50002: "JSON syntax error",
    50004: "API endpoint request timeout. (does not mean that the request was successful or failed, "
    "please check the request result).",
    50005: "API endpoint is inactive or unavailable.",
    50006: 'Invalid Content-Type. Please use "application/JSON".',
    50007: "User blocked.",
    50009: "Account is frozen due to stop-out.",
    50011: "Too Many Requests",
    50012: "Account status invalid. Check account status",
    50013: "Systems are busy. Please try again later.",
    50014: "Parameter {param} can not be empty.",
    50015: "Either parameter {param} is required",
    50022: "Account frozen and related operations restricted due to forced liquidation. "
    "Please try again later.",
    50026: "System error. Try again later",
    50027: "This account is restricted from trading. Please contact customer support for assistance.",
    50030: "You don't have permission to use this API endpoint",
    50036: "The expTime can't be earlier than the current system time. "
    "Please adjust the expTime and try again.",
    50061: "You've reached the maximum order rate limit for this account.",
    50071: "{param} already exists",
    50100: "API frozen, please contact customer service.",
    50101: "APIKey does not match current environment.",
    50102: "Timestamp request expired.",
    50103: 'Request header "OK-ACCESS-KEY" cannot be empty.',
    50104: 'Request header "OK-ACCESS-PASSPHRASE" cannot be empty.',
    50105: 'Request header "OK-ACCESS-PASSPHRASE" incorrect.',
    50106: 'Request header "OK-ACCESS-SIGN" cannot be empty.',
    50107: 'Request header "OK-ACCESS-TIMESTAMP" cannot be empty.',
    50110: "Your IP is not included in your API key's IP whitelist.",
    50111: "Invalid OK-ACCESS-KEY.",
    50112: "Invalid OK-ACCESS-TIMESTAMP.",
    50113: "Invalid signature.",
    50114: "Invalid authorization.",
    50115: "Invalid request method.",
    50119: "API key doesn't exist.",
    50120: "This API key doesn't have permission to use this function.",
    51000: "Parameter {param} error",
    51001: "Instrument ID, Instrument ID code, or Spread ID doesn't exist.",
    51004: "Order failed. The order, position and pending orders together exceed the maximum position amount "
    "under current leverage. Please lower the leverage.",
    51005: "Your order amount exceeds the max order amount.",
    51006: "Order price is not within the price limit{param}",
    51008: "Order failed. Insufficient USDT margin in account",
    51009: "Order blocked. Please contact customer support for more details.",
    51010: "You can't complete this request under your current account mode.",
    51015: "Instrument ID does not match instrument type.",
    51016: "Client order ID already exists.",
    51020: "Your order should meet or exceed the minimum order amount.",
    51022: "Contract suspended.",
    51023: "Position doesn't exist.",
    51025: "Order count exceeds the limit.",
    51046: "The take profit trigger price should be higher than the order price.",
    51047: "The stop loss trigger price should be lower than the order price.",
    51048: "The take profit trigger price should be lower than the order price.",
    51049: "The stop loss trigger price should be higher than the order price.",
    51054: "Request timed out. Please try again.",
    51065: "algoClOrdId already exists.",
    51068: "{param} already exists within algoClOrdId and attachAlgoClOrdId.",
    51088: "You can only place 1 TP/SL order to close an entire position.",
    51112: "Close order size exceeds available size for this position.",
    51115: "Cancel all pending close-orders before liquidation.",
    51116: "Order price or trigger price exceeds {param}.",
    51119: "Order failed. Insufficient balance.",
    51121: "Order quantity must be a multiple of the lot size.",
    51122: "Order price must be higher than the min price.",
    51149: "Order timed out. Please try again.",
    51169: "Order failed because you don't have any positions in this direction for this contract to reduce "
    "or close.",
    51170: "Failed to place order. A reduce-only order can't be the same trading direction as your existing "
    "positions.",
    51277: "TP trigger price can't be higher than the last price.",
    51278: "SL trigger price can't be lower than the last price.",
    51279: "TP trigger price can't be lower than the last price.",
    51280: "SL trigger price can't be higher than the last price.",
    51400: "Cancellation failed as the order has been filled, canceled or does not exist.",
    51410: "Cancellation failed as the order is already in canceling status or pending settlement.",
    51503: "Order modification failed as the order has been filled, canceled or does not exist.",
    51509: "Modification failed because the order has been completed.",
    51510: "Modification failed because the order has been completed.",
    51603: "Order does not exist.",
    59000: "Settings failed. Close any open positions or orders before modifying settings.",
    59102: "Leverage exceeds the maximum limit. Please lower the leverage.",
    59103: "Leverage is too low and there isn't sufficient margin in your account. "
    "Please increase the leverage.",
    59300: "Margin call failed. Position does not exist.",
    59301: "Margin adjustment failed for exceeding the max limit.",
    59303: "Insufficient available margin, add margin or reduce the borrowing amount",
}

_STATUSES: dict[int, int] = {
    404: 404,
    50000: 400,
    50001: 503,
    50002: 400,
    50004: 400,
    50005: 410,
    50006: 400,
    50011: 429,
    50013: 429,
    50014: 400,
    50015: 400,
    50026: 500,
    50115: 405,
    51000: 400,
    51054: 500,
    51149: 500,
    **dict.fromkeys(range(50100, 50115), 401),
}

FIRST_ORDER_CODE = 51000
ALL_FAILED = 1
SOME_FAILED = 2
_BATCH_TEXTS = {ALL_FAILED: "All operations failed", SOME_FAILED: "Bulk operation partially succeeded."}


class OkxError(Exception):
    """A refusal.

    Attributes:
        code: Positive; OKX writes it as a string.
        msg: The text.
        status: HTTP status when it is the answer to a whole request.
        headers: More headers.
    """

    def __init__(
        self,
        code: int,
        msg: str | None = None,
        *,
        param: str = "",
        status: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.code = code
        self.msg = msg if msg is not None else _TEXTS.get(code, "Operation failed.").format(param=param)
        self.status = status if status is not None else _STATUSES.get(code, 200)
        self.headers = headers or {}
        super().__init__(f"{self.code}: {self.msg}")

    @property
    def body(self) -> dict[str, object]:
        return {"code": str(self.code), "data": [], "msg": self.msg}


def error_of(refused: Refused) -> OkxError:
    """How OKX says it."""
    code = CODES_OF_REASONS.get(refused.reason, ALL_FAILED)
    param = _WRONG_PARAMETERS.get(refused.reason, "")
    if code == 51006 and refused.limit:
        param = f" ({refused.limit})"
    return OkxError(code, param=param)


def wrong(name: str) -> OkxError:
    """A parameter has a value that it cannot have."""
    return OkxError(51000, param=name)


def missing(name: str) -> OkxError:
    return OkxError(50014, param=name)


def batch_body(rows: list[dict[str, str]], times: dict[str, str]) -> dict[str, object]:
    """The answer to one or several orders, with the overall code of their `sCode`s."""
    failed = sum(row["sCode"] != "0" for row in rows)
    code = 0 if not failed else ALL_FAILED if failed == len(rows) else SOME_FAILED
    return {"code": str(code), "data": rows, "msg": _BATCH_TEXTS.get(code, ""), **times}

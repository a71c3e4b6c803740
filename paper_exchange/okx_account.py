"""OKX's account endpoints that only read: balance, positions, configuration, sizes, fees."""

from decimal import Decimal

from paper_exchange.accounts import Account
from paper_exchange.clearing import MAKER_FEE, TAKER_FEE
from paper_exchange.exchange import Exchange
from paper_exchange.okx_account_wire import CURRENCY, AccountWire, money, position_id
from paper_exchange.okx_contracts import INST_TYPE, Contract, Json, Listing, number
from paper_exchange.okx_errors import wrong
from paper_exchange.okx_public import OkxPublic, chosen, instruments
from paper_exchange.okx_request import OkxRequest, Routes, private

FUTURES_MODE = "2"
_COINS = ("USDT", "BTC", "ETH")


class OkxAccount:
    """Answers what an account has."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing
        self._wire = AccountWire(exchange, listing)
        self._public = OkxPublic(exchange, listing)

    def routes(self) -> Routes:
        account, asset = "/api/v5/account", "/api/v5/asset"
        return {
            **private("GET", f"{account}/balance", self._balance, 10),
            **private("GET", f"{account}/positions", self._positions, 10),
            **private("GET", f"{account}/account-position-risk", self._risk, 10),
            **private("GET", f"{account}/config", self._config, 5),
            **private("GET", f"{account}/instruments", self._instruments, 20),
            **private("GET", f"{account}/position-tiers", self._public.position_tiers, 10),
            **private("GET", f"{account}/max-size", self._max_size, 20),
            **private("GET", f"{account}/max-avail-size", self._max_available, 20),
            **private("GET", f"{account}/max-withdrawal", self._max_withdrawal, 20),
            **private("GET", f"{account}/trade-fee", self._fees, 5),
            **private("GET", f"{asset}/balances", lambda request: [], 6),
            **private("GET", f"{asset}/currencies", self._currencies, 6),
        }

    def _balance(self, request: OkxRequest) -> list[Json]:
        row = self._wire.balance(request.account, request.now_ms)
        wanted = request.fields.names("ccy")
        if wanted is not None and CURRENCY not in wanted:
            row["details"] = []
        return [row]

    def _positions(self, request: OkxRequest) -> list[Json]:
        """Open ones, the latest first; a named instrument that was held is told with size 0."""
        if request.fields.optional("instType") not in (None, INST_TYPE):
            return []
        names, ids = request.fields.names("instId"), request.fields.names("posId")
        symbols = None if names is None else {self._listing.get(name).market.symbol for name in names}
        rows = [
            position
            for position in request.account.positions.values()
            if (position.quantity or (symbols is not None and position.opening_trade_id))
            and (symbols is None or position.symbol in symbols)
            and (ids is None or position_id(position) in ids)
        ]
        rows.sort(key=lambda position: position.open_ms, reverse=True)
        return [self._wire.position(request.account, position, request.now_ms) for position in rows]

    def _risk(self, request: OkxRequest) -> list[Json]:
        account, now_ms = request.account, request.now_ms
        balance = self._wire.balance(account, now_ms)
        held = [self._wire.position(account, position, now_ms) for position in account.open_positions()]
        return [{"adjEq": "", "balData": balance["details"], "posData": held, "ts": str(now_ms)}]

    def _config(self, request: OkxRequest) -> list[Json]:
        return [config_json(request.account)]

    def _instruments(self, request: OkxRequest) -> list[Json]:
        return instruments(self._exchange, self._listing, request)

    def _max_size(self, request: OkxRequest) -> list[Json]:
        """What the free margin can open at the account's leverage, in contracts."""
        rows: list[Json] = []
        for contract in self._named(request):
            size = number(self._openable(request, contract))
            rows.append({"ccy": "", "instId": contract.inst_id, "maxBuy": size, "maxSell": size})
        return rows

    def _openable(self, request: OkxRequest, contract: Contract) -> Decimal:
        free = self._exchange.risk.margin(request.account, request.now_ms).available
        price = request.fields.positive("px") or self._exchange.market.last(
            contract.market.symbol, request.now_ms
        )
        leverage = request.account.setting(contract.market.symbol).leverage
        coins = free * leverage / (price * (1 + TAKER_FEE * leverage))
        return contract.contracts(coins // contract.market.step * contract.market.step)

    def _max_available(self, request: OkxRequest) -> list[Json]:
        """The margin that an order may use; with reduceOnly, the contracts that it may close."""
        free = money(self._exchange.risk.margin(request.account, request.now_ms).available)
        rows: list[Json] = []
        for contract in self._named(request):
            buy = sell = free
            if request.fields.flag("reduceOnly"):
                held = sum(
                    (p.quantity for p in request.account.positions_of(contract.market.symbol)), Decimal(0)
                )
                buy, sell = (number(contract.contracts(max(side * held, Decimal(0)))) for side in (-1, 1))
            rows.append({"instId": contract.inst_id, "availBuy": buy, "availSell": sell})
        return rows

    def _named(self, request: OkxRequest) -> list[Contract]:
        request.fields.text("instId")
        if request.fields.choice("tdMode", ("cross", "isolated")) is None:
            raise wrong("tdMode")
        return [self._listing.get(name) for name in request.fields.names("instId") or []]

    def _max_withdrawal(self, request: OkxRequest) -> list[Json]:
        free = money(self._exchange.risk.margin(request.account, request.now_ms).available)
        return [
            {"ccy": CURRENCY, "maxWd": free, "maxWdEx": "", "spotOffsetMaxWd": "", "spotOffsetMaxWdEx": ""}
        ]

    def _fees(self, request: OkxRequest) -> list[Json]:
        """Negative: what is paid."""
        chosen(self._listing, request)
        maker, taker = number(-MAKER_FEE), number(-TAKER_FEE)
        return [
            {
                "category": "1",
                "delivery": "",
                "exercise": "",
                "feeGroup": [{"groupId": "2", "maker": maker, "taker": taker}],
                "fiat": [],
                "instType": request.fields.text("instType"),
                "isSpecialToken": False,
                "level": "Lv1",
                "maker": maker,
                "makerU": maker,
                "makerUSDC": maker,
                "ruleType": "normal",
                "taker": taker,
                "takerU": taker,
                "takerUSDC": taker,
                "ts": str(request.now_ms),
            }
        ]

    def _currencies(self, request: OkxRequest) -> list[Json]:
        wanted = request.fields.names("ccy")
        return [_currency_json(coin) for coin in _COINS if wanted is None or coin in wanted]


def config_json(account: Account) -> Json:
    """A row of `GET /api/v5/account/config`."""
    permissions = account.permissions
    allowed = [
        name
        for name, given in (
            ("read_only", permissions.reading),
            ("withdraw", permissions.withdrawals),
            ("trade", permissions.futures),
        )
        if given
    ]
    uid = str(440_000_000_000 + account.account_id)
    return {
        "acctLv": FUTURES_MODE,
        "acctStpMode": "cancel_maker",
        "autoLoan": False,
        "ctIsoMode": "automatic",
        "enableSpotBorrow": False,
        "feeType": "0",
        "greeksType": "PA",
        "ip": "127.0.0.1" if permissions.ip_restrict else "",
        "kycLv": "2",
        "label": "paper",
        "level": "Lv1",
        "levelTmp": "",
        "liquidationGear": "-1",
        "mainUid": uid,
        "mgnIsoMode": "automatic",
        "opAuth": "0",
        "perm": ",".join(allowed),
        "posMode": position_mode(account),
        "roleType": "0",
        "settleCcy": "",
        "settleCcyList": [],
        "spotBorrowAutoRepay": False,
        "spotOffsetType": "",
        "spotRoleType": "0",
        "spotTraderInsts": [],
        "stgyType": "0",
        "traderInsts": [],
        "type": "0",
        "uid": uid,
    }


def position_mode(account: Account) -> str:
    return "long_short_mode" if account.hedge_mode else "net_mode"


def _currency_json(coin: str) -> Json:
    return {
        "ccy": coin,
        "name": coin,
        "chain": f"{coin}-Paper",
        "canDep": False,
        "canWd": False,
        "canInternal": False,
        "ctAddr": "",
        "depQuotaFixed": "",
        "fee": "0",
        "logoLink": "",
        "mainNet": True,
        "maxFee": "0",
        "maxWd": "0",
        "minDep": "0",
        "minFee": "0",
        "minWd": "0",
        "needTag": False,
        "usedWdQuota": "0",
        "wdQuota": "0",
        "wdTickSz": "8",
    }

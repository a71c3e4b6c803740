"""OKX's settings endpoints: leverage, position mode, isolated margin.

Leverage belongs to instrument and margin mode; in long/short mode both sides of an isolated position share it
here. Both margin modes of an instrument are kept, one of them is in use (see `okx_order_terms`).
"""

from paper_exchange.accounts import MarginType
from paper_exchange.exchange import Exchange
from paper_exchange.okx_account import position_mode
from paper_exchange.okx_contracts import Contract, Json, Listing
from paper_exchange.okx_errors import OkxError, missing, wrong
from paper_exchange.okx_fields import Fields
from paper_exchange.okx_request import OkxRequest, Routes, private
from paper_exchange.orders import PositionSide

MARGIN_MODES = {"cross": MarginType.CROSS, "isolated": MarginType.ISOLATED}
POSITION_SIDES = {"net": PositionSide.BOTH, "long": PositionSide.LONG, "short": PositionSide.SHORT}


class OkxSettings:
    """Changes what an account is set to."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing

    def routes(self) -> Routes:
        account = "/api/v5/account"
        return {
            **private("POST", f"{account}/set-leverage", self._set_leverage, 40, trades=True),
            **private("GET", f"{account}/leverage-info", self._leverage_info, 20),
            **private("POST", f"{account}/set-position-mode", self._set_position_mode, 5, trades=True),
            **private("POST", f"{account}/position/margin-balance", self._change_margin, 20, trades=True),
            **private("POST", f"{account}/set-isolated-mode", self._set_isolated_mode, 5, trades=True),
        }

    def _set_leverage(self, request: OkxRequest) -> list[Json]:
        contract = self._contract(request.fields)
        mode = margin_mode_of(request.fields, "mgnMode")
        leverage = _leverage(request.fields)
        side = request.fields.choice("posSide", POSITION_SIDES)
        account, symbol = request.account, contract.market.symbol
        if mode is MarginType.ISOLATED and account.hedge_mode and side in (None, "net"):
            raise wrong("posSide")
        setting = account.setting(symbol)
        if leverage > contract.market.max_leverage:
            raise OkxError(59102)
        if setting.margin_type is mode:
            self._exchange.settings.set_leverage(account, symbol, leverage, request.now_ms)
        else:
            self._exchange.settings.set_idle_leverage(account, symbol, leverage, request.now_ms)
        shown = side if mode is MarginType.ISOLATED and side else ""
        return [
            {"instId": contract.inst_id, "lever": str(leverage), "mgnMode": mode, "posSide": shown or "net"}
        ]

    def _leverage_info(self, request: OkxRequest) -> list[Json]:
        mode = margin_mode_of(request.fields, "mgnMode")
        rows: list[Json] = []
        for name in request.fields.text("instId").split(","):
            contract = self._listing.get(name)
            setting = request.account.setting(contract.market.symbol)
            lever = setting.leverage if setting.margin_type is mode else setting.idle_leverage
            sides = ["net"]
            if request.account.hedge_mode:
                sides = ["long", "short"]
            for side in sides:
                row = {"instId": contract.inst_id, "lever": str(lever), "mgnMode": mode, "posSide": side}
                rows.append({**row, "ccy": ""})
        return rows

    def _set_position_mode(self, request: OkxRequest) -> list[Json]:
        mode = request.fields.text("posMode")
        if mode not in ("net_mode", "long_short_mode"):
            raise wrong("posMode")
        # The mode that is set already is set again, without a word.
        if mode != position_mode(request.account):
            self._exchange.settings.set_hedge_mode(request.account, mode == "long_short_mode", request.now_ms)
        return [{"posMode": mode}]

    def _change_margin(self, request: OkxRequest) -> list[Json]:
        """`type` add or reduce, `amt`: margin of an isolated position."""
        fields = request.fields
        contract = self._contract(fields)
        side = POSITION_SIDES[fields.choice("posSide", POSITION_SIDES) or "net"]
        kind, amount = fields.choice("type", ("add", "reduce")), fields.positive("amt")
        if kind is None or amount is None:
            raise missing("type" if kind is None else "amt")
        self._exchange.settings.change_isolated_margin(
            request.account,
            contract.market.symbol,
            side,
            amount if kind == "add" else -amount,
            request.now_ms,
        )
        setting = request.account.setting(contract.market.symbol)
        return [
            {
                "amt": fields.text("amt"),
                "ccy": contract.market.quote,
                "instId": contract.inst_id,
                "leverage": str(setting.leverage),
                "posSide": fields.optional("posSide") or "net",
                "type": kind,
            }
        ]

    def _set_isolated_mode(self, request: OkxRequest) -> list[Json]:
        """Only automatic transfers are offered, as on the real exchange for contracts today."""
        mode = request.fields.text("isoMode")
        if mode != "automatic":
            raise wrong("isoMode")
        return [{"isoMode": mode}]

    def _contract(self, fields: Fields) -> Contract:
        return self._listing.get(fields.text("instId"))


def margin_mode_of(fields: Fields, name: str) -> MarginType:
    mode = MARGIN_MODES.get(fields.text(name))
    if mode is None:
        raise wrong(name)
    return mode


def _leverage(fields: Fields) -> int:
    """Whole numbers only: the simulated margin knows no others."""
    leverage = fields.decimal("lever")
    if leverage is None:
        raise missing("lever")
    if leverage < 1 or leverage != int(leverage):
        raise wrong("lever")
    return int(leverage)

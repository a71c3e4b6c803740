"""The swaps: contracts of a market, OKX's lots, and the rounding between contracts and coins."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_exchange.instruments import LISTED
from paper_exchange.okx_contracts import Listing, contract_of, number, symbol_of
from paper_exchange.okx_errors import OkxError
from tests.paper_exchange.conftest import OkxPaper
from tests.paper_exchange.okx import SWAP

pytestmark = pytest.mark.anyio
LISTING = Listing(LISTED)


async def test_bitcoin_is_listed_as_on_okx(okx: OkxPaper) -> None:
    row = await okx.trader.row("public/instruments", instType="SWAP", instId=SWAP)
    expected = {
        "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "ctType": "linear", "settleCcy": "USDT",
        "lotSz": "0.01", "minSz": "0.01", "tickSz": "0.1", "instFamily": "BTC-USDT", "uly": "BTC-USDT",
        "state": "live", "instType": "SWAP", "lever": "125",
    }  # fmt: skip
    assert expected.items() <= row.items()


@pytest.mark.parametrize("contract", LISTING.all(), ids=lambda contract: contract.inst_id)
def test_every_lot_is_a_round_number_of_contracts(contract: object) -> None:
    assert number(contract.lot) in ("1", "0.1", "0.01")  # type: ignore[attr-defined] # a Contract


@given(lots=st.integers(min_value=1, max_value=10**7))
def test_whole_lots_stay_whole_in_coins_and_back(lots: int) -> None:
    for contract in LISTING.all():
        size = contract.lot * lots
        coins = contract.coins(size)
        assert coins % contract.market.step == 0
        assert contract.contracts(coins) == size


def test_names_lead_to_markets() -> None:
    assert symbol_of(SWAP) == "BTCUSDT"
    assert LISTING.get("DOGE-USDT-SWAP").value == 1000
    for name in ("BTC-USDT", "BTCUSDT", "BTC-USDT-241227", "BTC-USD-SWAP", "", "-USDT-SWAP"):
        with pytest.raises(OkxError) as refused:
            LISTING.get(name)
        assert refused.value.code == 51001


def test_a_changed_step_changes_the_lot() -> None:
    coarse = contract_of(replace(LISTED["BTCUSDT"], step=Decimal("0.01"), min_quantity=Decimal("0.01")))
    assert coarse.lot == Decimal("0.1")


async def test_other_kinds_of_instrument_are_empty_lists(okx: OkxPaper) -> None:
    for kind in ("SPOT", "FUTURES", "OPTION"):
        assert await okx.trader.rows("public/instruments", instType=kind) == []
    assert (await okx.trader.get("public/instruments", instType="STOCK")).code == 51000
    assert (await okx.trader.get("public/instruments")).code == 50014


async def test_a_suspended_market_is_told_and_refuses_orders(okx: OkxPaper) -> None:
    await okx.control.call("POST", "/paper/instruments", {"symbol": SWAP, "status": "CLOSE"})
    row = await okx.trader.row("public/instruments", instType="SWAP", instId=SWAP)
    assert row["state"] == "suspend"
    assert (await okx.trader.place("buy", "1")).code == 51022

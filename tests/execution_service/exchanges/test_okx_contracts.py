"""Contracts and base currency: there and back without losing anything."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_service.exchanges.errors import RulesChanged
from execution_service.exchanges.okx_contracts import Contract, contract, inst_id_of, instrument, symbol_of

# OKX's own rows (fields that are read), and one contract in coins.
BTC = {
    "instId": "BTC-USDT-SWAP",
    "ctVal": "0.01",
    "ctMult": "1",
    "ctType": "linear",
    "lotSz": "0.01",
    "minSz": "0.01",
    "tickSz": "0.1",
    "maxMktSz": "12000",
    "maxLmtSz": "100000000",
    "lever": "100",
    "state": "live",
}
steps = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), st.integers(1, 999), st.integers(0, 8)
)


@given(value=steps, lot=steps, lots=st.integers(0, 10**9))
def test_a_size_survives_the_way_there_and_back(value: Decimal, lot: Decimal, lots: int) -> None:
    swap = Contract("BTC-USDT-SWAP", value, lot, 100)
    size = lot * lots

    quantity = swap.quantity(size)

    assert quantity == size * value
    assert swap.contracts(quantity) == size


@given(value=steps, lot=steps, lots=st.integers(0, 10**6), part=st.integers(1, 99))
def test_what_is_no_whole_number_of_lots_is_refused_and_never_rounded(
    value: Decimal, lot: Decimal, lots: int, part: int
) -> None:
    swap = Contract("BTC-USDT-SWAP", value, lot, 100)
    quantity = value * lot * (lots + Decimal(part) / 100)

    with pytest.raises(RulesChanged):
        swap.contracts(quantity)


@pytest.mark.parametrize(
    ("quantity", "contracts"), [("0.0001", "0.01"), ("0.02", "2"), ("1", "100"), ("0.0379", "3.79")]
)
def test_contracts_of_bitcoin(quantity: str, contracts: str) -> None:
    assert contract(BTC).contracts(Decimal(quantity)) == Decimal(contracts)


def test_rules_in_the_base_currency() -> None:
    """0.01 contracts of 0.01 BTC are 0.0001 BTC; 12,000 contracts are 120 BTC."""
    rules = instrument(BTC, contract(BTC))

    assert (rules.symbol, rules.lot_size) == ("BTCUSDT", Decimal("0.0001"))
    assert rules.min_quantity == Decimal("0.0001")
    assert (rules.max_quantity, rules.tick_size) == (Decimal(120), Decimal("0.1"))
    assert rules.min_notional == 0
    assert rules.trading


def test_a_multiplier_counts() -> None:
    assert contract(BTC | {"ctMult": "10"}).quantity(Decimal(1)) == Decimal("0.1")


@pytest.mark.parametrize("state", ["suspend", "preopen", "expired"])
def test_a_market_that_is_not_live_is_not_traded(state: str) -> None:
    assert not instrument(BTC | {"state": state}, contract(BTC)).trading


@pytest.mark.parametrize("field", ["ctVal", "lotSz"])
def test_a_contract_of_nothing_is_none(field: str) -> None:
    with pytest.raises(ValueError, match="nothing"):
        contract(BTC | {field: "0"})


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDC", "1INCHUSDT"])
def test_names(symbol: str) -> None:
    inst_id = inst_id_of(symbol)

    assert inst_id.endswith("-SWAP")
    assert symbol_of(inst_id) == symbol


@pytest.mark.parametrize(
    "inst_id", ["BTC-USD-SWAP", "BTC-USDT", "BTC-USDT-261225", "", "SWAP", "ß-USDT-SWAP"]
)
def test_what_we_do_not_trade_has_no_name(inst_id: str) -> None:
    assert symbol_of(inst_id) is None

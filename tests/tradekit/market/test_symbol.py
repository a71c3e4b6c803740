"""Every spelling of a market is read as the same market, and nothing else is read as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.market.symbol import Market, SymbolMalformed, SymbolUnknown, check_symbol_text, parse_market


@pytest.mark.parametrize(
    "text", ["BTCUSDT", "btcusdt", "BTCUSDT.P", "BTC-USDT-SWAP", "btc-usdt-swap", "BTCUSDTPERP"]
)
def test_spellings_without_an_exchange(text: str) -> None:
    assert parse_market(text) == Market("BTC", "USDT")
    assert parse_market(text).symbol == "BTCUSDT"


@pytest.mark.parametrize(
    ("text", "exchange"),
    [("BINANCE:BTCUSDT.P", "binance"), ("okx:btcusdt.p", "okx"), ("KRAKEN:BTCUSDT", "kraken")],
)
def test_spellings_with_an_exchange(text: str, exchange: str) -> None:
    assert parse_market(text) == Market("BTC", "USDT", exchange)


@pytest.mark.parametrize(
    ("text", "base", "quote"),
    [
        ("1000PEPEUSDT.P", "1000PEPE", "USDT"),
        ("ETHUSDC", "ETH", "USDC"),
        ("USDCUSDT", "USDC", "USDT"),
        ("1INCH-USDC-SWAP", "1INCH", "USDC"),
    ],
)
def test_bases_and_quotes(text: str, base: str, quote: str) -> None:
    assert parse_market(text) == Market(base, quote)


@pytest.mark.parametrize(
    "text", ["DOGEBTCX", "USDT", "BTCUSD", "BTC-USD-SWAP", "BTC-USDT", "BTCUSDT.P.P", "BTC.USDT", "SPX500"]
)
def test_what_may_be_a_symbol_but_not_of_a_perpetual(text: str) -> None:
    check_symbol_text(text)
    with pytest.raises(SymbolUnknown):
        parse_market(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "B", "BTC USDT", " BTCUSDT", "BTCUSDT\n", "BTC/USDT", "BINANCE:", ":BTCUSDT", "A:B:BTCUSDT"),
        *("-BTCUSDT", "B" * 41, "BTCUSDT\x00", "http://x", "비트코인USDT"),
        # Letters that become ASCII when they are turned into capitals.
        *("BTCUſDT", "BıNANCE:BTCUSDT", "ﬁLUSDT"),
    ],
)
def test_what_is_no_symbol(text: str) -> None:
    with pytest.raises(SymbolMalformed):
        parse_market(text)
    with pytest.raises(SymbolMalformed):
        check_symbol_text(text)


@given(st.text(max_size=30))
def test_any_text_is_a_market_or_one_of_two_errors(text: str) -> None:
    try:
        market = parse_market(text)
    except (SymbolMalformed, SymbolUnknown):
        return
    assert parse_market(market.symbol).symbol == market.symbol


@given(
    base=st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True),
    quote=st.sampled_from(["USDT", "USDC"]),
    exchange=st.sampled_from(["binance", "okx"]),
)
def test_all_spellings_agree(base: str, quote: str, exchange: str) -> None:
    market = Market(base, quote, exchange)
    prefix = f"{exchange.upper()}:"
    assert parse_market(f"{prefix}{base}{quote}") == market
    assert parse_market(f"{prefix}{base}{quote}.P") == market
    assert parse_market(f"{prefix}{base}-{quote}-SWAP") == market

"""Parameters: decoded once, strictly; nothing that is sent makes the reader fail in another way."""

import contextlib
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_exchange.binance_errors import BinanceError
from paper_exchange.binance_parameters import Parameters

NAMES = st.text(min_size=1, max_size=10)


@given(st.dictionaries(NAMES, st.text(min_size=1, max_size=20), max_size=6))
def test_what_was_encoded_is_read_back(values: dict[str, str]) -> None:
    parameters = Parameters.parse(urlencode(values, errors="surrogatepass"), "") if values else Parameters({})
    for name, value in values.items():
        if not any("\ud800" <= character <= "\udfff" for character in name + value):
            assert parameters.optional(name) == value


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_read_or_refused(query: str, body: str) -> None:
    with contextlib.suppress(BinanceError):
        parameters = Parameters.parse(query, body)
        for read in (parameters.decimal, parameters.integer, parameters.client_id, parameters.flag):
            read("a")
        parameters.finish()


def test_the_query_wins_over_the_body() -> None:
    assert Parameters.parse("a=1", "a=2&b=3").text("a") == "1"


@pytest.mark.parametrize("text", ["1\n", "１", "1_000", "+1", " 1", "0x1", "1."])
def test_numbers_are_plain(text: str) -> None:
    with pytest.raises(BinanceError) as refused:
        Parameters({"n": text}).decimal("n")
    assert refused.value.code == -1100


def test_unread_parameters_are_counted() -> None:
    parameters = Parameters({"symbol": "BTCUSDT", "colour": "red", "timestamp": "1"})
    parameters.symbol()
    with pytest.raises(BinanceError) as refused:
        parameters.finish()
    assert refused.value.msg == "Not all sent parameters were read; read '2' parameter(s) but was sent '3'."

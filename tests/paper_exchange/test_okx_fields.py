"""Reading OKX requests: numbers as text or number, blanks as nothing, everything else refused."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_exchange.okx_errors import OkxError
from paper_exchange.okx_fields import Fields, body_fields, query_fields

DECIMALS = st.decimals(
    min_value=Decimal("-1e12"), max_value=Decimal("1e12"), places=8, allow_nan=False, allow_infinity=False
)


@given(DECIMALS)
def test_a_number_means_the_same_as_text_and_as_json_number(value: Decimal) -> None:
    (fields,) = body_fields(f'{{"text": "{value:f}", "number": {value:f}}}', many=False)
    assert fields.decimal("text") == fields.decimal("number") == value


@given(st.text())
def test_any_text_is_a_decimal_or_refused(text: str) -> None:
    value, code = None, 0
    try:
        value = Fields({"sz": text}).decimal("sz")
    except OkxError as error:
        code = error.code
    assert (value is not None) + (code == 51000) + (text == "") == 1


@pytest.mark.parametrize("value", ["1e5", "NaN", "Infinity", " 1", "1_000", "٣", "0x10", ".5", "+1", [1], {}])
def test_what_is_not_a_plain_number_is_refused(value: object) -> None:
    with pytest.raises(OkxError, match="Parameter sz error"):
        Fields({"sz": value}).decimal("sz")


def test_a_number_too_long_to_write_out_is_refused() -> None:
    (fields,) = body_fields('{"sz": 1e999999999}', many=False)
    with pytest.raises(OkxError, match="Parameter sz error"):
        fields.decimal("sz")


@pytest.mark.parametrize("value", ["", None])
def test_blank_is_left_out(value: object) -> None:
    fields = Fields({"px": value})
    assert fields.optional("px") is None
    with pytest.raises(OkxError) as refused:
        fields.text("px")
    assert refused.value.code == 50014


@pytest.mark.parametrize(
    ("value", "flag"), [(True, True), ("true", True), ("True", True), (False, False), ("", False)]
)
def test_flags_are_texts_or_booleans(value: object, flag: bool) -> None:
    assert Fields({"reduceOnly": value}).flag("reduceOnly") is flag


@given(st.text(max_size=40))
def test_a_client_id_is_one_to_32_letters_and_digits(text: str) -> None:
    is_valid = 1 <= len(text) <= 32 and text.isascii() and text.isalnum()
    fields = Fields({"clOrdId": text})
    if is_valid or not text:
        assert fields.client_id("clOrdId") == (text or None)
    else:
        with pytest.raises(OkxError):
            fields.client_id("clOrdId")


@given(st.binary(max_size=60))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    items, code = [], 0
    try:
        items = body_fields(body.decode("utf-8", errors="surrogateescape"), many=True)
    except OkxError as error:
        code = error.code
    assert bool(items) != (code in (50000, 50002))


@pytest.mark.parametrize("body", ["[]", "1", '"text"', "[1]", "{", "[" * 100_000])
def test_a_body_of_another_shape_is_a_syntax_error(body: str) -> None:
    with pytest.raises(OkxError) as refused:
        body_fields(body, many=True)
    assert refused.value.code == 50002


def test_an_array_is_only_for_endpoints_that_take_many() -> None:
    body = json.dumps([{"instId": "A"}, {"instId": "B"}])
    assert [fields.text("instId") for fields in body_fields(body, many=True)] == ["A", "B"]
    with pytest.raises(OkxError):
        body_fields(body, many=False)


def test_a_query_is_decoded() -> None:
    fields = query_fields("instId=BTC-USDT-SWAP&ccy=BTC%2CUSDT&empty=")
    assert fields.names("ccy") == ["BTC", "USDT"]
    assert fields.optional("empty") is None

"""The closed list of Binance requests: what it takes, what it refuses, what it signs."""

import hmac
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tradekit.service.secret import Secret
from vault_service.cipher import ApiCredentials
from vault_service.errors import ParameterInvalid, ParameterNotAllowed, PathNotAllowed
from vault_service.models import Environment
from vault_service.rules.binance import RULES, permit, sign, signature_of
from vault_service.rules.schema import Permit

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
TIMESTAMP = ("timestamp", "1795521600000")
CREDENTIALS = ApiCredentials(Secret("key"), Secret("secret"))

ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.001",
    "price": "63000.10",
    "newClientOrderId": "tb00000000000000000000000000en",
    "timestamp": "1795521600000",
}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "triggerPrice": "60000",
    "closePosition": "true",
    "workingType": "MARK_PRICE",
    "clientAlgoId": "tb00000000000000000000000000sl",
    "timestamp": "1795521600000",
}


def permitted(method: str, path: str, parameters: dict[str, str]) -> Permit:
    """The permit for a request of now."""
    return permit(method, path, list(parameters.items()), exchange_now=NOW)


@pytest.mark.parametrize(
    ("secret", "text", "signature"),
    [
        (  # Binance's documentation, spot, "SIGNED endpoint examples"
            "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
            "&timestamp=1499827319559",
            "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
        ),
        (  # Binance's documentation, USD-M futures, "SIGNED endpoint examples"
            "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
            "&timestamp=1591702613943",
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
        ),
    ],
)
def test_signature_is_the_one_that_binance_publishes(secret: str, text: str, signature: str) -> None:
    assert signature_of(text, Secret(secret)) == signature


def test_a_keys_permissions_may_be_asked_for_and_nothing_else_of_the_spot_host() -> None:
    path = "/sapi/v1/account/apiRestrictions"
    assert permitted("GET", path, dict([TIMESTAMP])).reduces_only
    assert [rule for rule in RULES if not rule[1].startswith("/fapi/")] == [("GET", path)]


def test_query_is_percent_encoded_before_it_is_signed() -> None:
    """A foreign client id may hold `:` and `/`; what is signed is what is sent."""
    found = permitted(
        "GET",
        "/fapi/v1/order",
        {"symbol": "BTCUSDT", "origClientOrderId": "web:a/b.c", "timestamp": TIMESTAMP[1]},
    )

    signed = sign(found, CREDENTIALS, environment=Environment.LIVE)

    query = "symbol=BTCUSDT&origClientOrderId=web%3Aa%2Fb.c&timestamp=1795521600000"
    assert (
        signed.target
        == f"/fapi/v1/order?{query}&signature={hmac.digest(b'secret', query.encode(), 'sha256').hex()}"
    )


@pytest.mark.parametrize(("path", "parameters"), [("/fapi/v1/order", ORDER), ("/fapi/v1/algoOrder", STOP)])
def test_orders_that_execution_sends_are_permitted(path: str, parameters: dict[str, str]) -> None:
    found = permitted("POST", path, parameters)

    assert found.creates is not None
    assert found.creates.client_order_id in parameters.values()
    assert found.creates.valid_until == datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)


def test_window_of_the_request_sets_until_when_it_is_valid() -> None:
    found = permitted("POST", "/fapi/v1/order", ORDER | {"recvWindow": "2000"})

    assert found.creates is not None
    assert found.creates.valid_until == datetime(2026, 11, 24, 12, 0, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "type_", ["STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP", "TAKE_PROFIT", "TRAILING_STOP_MARKET"]
)
def test_conditional_types_belong_to_algo_orders_only(type_: str) -> None:
    """Binance refuses them on /order (-4120); the vault does not sign them there either."""
    assert permitted("POST", "/fapi/v1/algoOrder", STOP | {"type": type_})
    with pytest.raises(ParameterInvalid):
        permitted("POST", "/fapi/v1/order", ORDER | {"type": type_})


@pytest.mark.parametrize("name", ["newClientOrderId", "symbol", "side", "type", "quantity", "timestamp"])
def test_order_without_a_required_parameter_is_refused(name: str) -> None:
    with pytest.raises(ParameterInvalid):
        permitted("POST", "/fapi/v1/order", {key: value for key, value in ORDER.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quantity", "0"),
        ("quantity", "0.000"),
        ("quantity", "-1"),
        ("quantity", "+1"),
        ("quantity", "1e3"),
        ("quantity", "NaN"),
        ("quantity", "1,000"),
        ("quantity", "01"),
        ("quantity", ".5"),
        ("quantity", "1."),
        ("quantity", "1\n"),
        ("quantity", "١"),
        ("price", "Infinity"),
        ("symbol", "btcusdt"),
        ("symbol", "BTCUSDT&side=SELL"),
        ("symbol", "BTCUSDT "),
        ("side", "buy"),
        ("type", "STOP_MARKET"),
        ("reduceOnly", "TRUE"),
        ("newClientOrderId", "short"),
        ("newClientOrderId", "TB00000000000000000000000000EN"),
        ("newClientOrderId", "tb00000000000000000000000000en-1"),
        ("timestamp", "1795521600"),
        ("timestamp", "1795521600000.0"),
    ],
)
def test_value_of_another_form_is_refused(name: str, value: str) -> None:
    with pytest.raises(ParameterInvalid):
        permitted("POST", "/fapi/v1/order", ORDER | {name: value})


@pytest.mark.parametrize(
    ("leverage", "allowed"), [("1", True), ("125", True), ("0", False), ("126", False), ("1.5", False)]
)
def test_leverage_is_a_whole_number_up_to_125(leverage: str, allowed: bool) -> None:
    parameters = {"symbol": "BTCUSDT", "leverage": leverage, "timestamp": TIMESTAMP[1]}
    if allowed:
        assert permitted("POST", "/fapi/v1/leverage", parameters)
    else:
        with pytest.raises(ParameterInvalid):
            permitted("POST", "/fapi/v1/leverage", parameters)


@pytest.mark.parametrize(
    ("parameters", "reduces_only"),
    [
        (ORDER, False),
        (ORDER | {"reduceOnly": "false"}, False),
        (ORDER | {"reduceOnly": "true"}, True),
        (ORDER | {"positionSide": "LONG", "side": "SELL"}, True),
        (ORDER | {"positionSide": "SHORT", "side": "BUY"}, True),
        (ORDER | {"positionSide": "LONG", "side": "BUY"}, False),
        (ORDER | {"positionSide": "BOTH", "side": "SELL"}, False),
    ],
)
def test_which_orders_only_reduce(parameters: dict[str, str], reduces_only: bool) -> None:
    assert permitted("POST", "/fapi/v1/order", parameters).reduces_only is reduces_only


def test_only_orders_and_settings_can_enlarge_a_position() -> None:
    changing = {request for request, rule in RULES.items() if rule.changes_risk}

    assert changing == {
        ("POST", "/fapi/v1/order"),
        ("POST", "/fapi/v1/algoOrder"),
        ("POST", "/fapi/v1/leverage"),
        ("POST", "/fapi/v1/marginType"),
    }


def test_every_rule_creates_no_order_but_the_two_that_do() -> None:
    creating = {request: rule.client_order_id for request, rule in RULES.items() if rule.client_order_id}

    assert creating == {
        ("POST", "/fapi/v1/order"): "newClientOrderId",
        ("POST", "/fapi/v1/algoOrder"): "clientAlgoId",
    }


def test_every_signed_rule_needs_the_time_and_has_a_pattern_for_each_name() -> None:
    for rule in RULES.values():
        assert ("timestamp" in rule.required) is rule.is_signed
        assert rule.required | rule.optional <= rule.patterns.keys() or not rule.is_signed


# Property tests

text = st.text(max_size=40)
paths = st.one_of(
    text,
    st.sampled_from(sorted({path for _, path in RULES})).flatmap(
        lambda path: st.sampled_from(
            [path + "/", path + "?", path.upper(), "/" + path, path + "\n", path[1:]]
        )
    ),
    st.from_regex(r"\A/(s?api|fapi|dapi|papi)/v[0-9]/[a-zA-Z/-]{1,30}\Z"),
)
methods = st.one_of(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "get", "POST "]), text)


@given(method=methods, path=paths, parameters=st.lists(st.tuples(text, text), max_size=5))
def test_T04_no_request_outside_the_list_is_permitted(
    method: str, path: str, parameters: list[tuple[str, str]]
) -> None:
    assume((method, path) not in RULES)

    with pytest.raises(PathNotAllowed):
        permit(method, path, parameters, exchange_now=NOW)


@given(
    request=st.sampled_from(sorted(RULES)),
    name=st.one_of(
        text, st.sampled_from(["coin", "address", "amount", "asset", "toEmail", "network", "apiKey"])
    ),
    value=text,
    position=st.integers(0, 8),
)
def test_T05_no_unknown_parameter_is_ever_permitted(
    request: tuple[str, str], name: str, value: str, position: int
) -> None:
    rule = RULES[request]
    assume(name not in rule.required | rule.optional)
    parameters = list((ORDER if request == ("POST", "/fapi/v1/order") else {}).items())
    parameters.insert(position, (name, value))

    with pytest.raises((ParameterNotAllowed, ParameterInvalid)):
        permit(*request, parameters, exchange_now=NOW)


@given(request=st.sampled_from(sorted(RULES)), values=st.data())
def test_whatever_is_permitted_is_sent_as_it_was_asked(
    request: tuple[str, str], values: st.DataObject
) -> None:
    """Values of the rule's own patterns: the query decodes to exactly what was asked, in its order."""
    rule = RULES[request]
    names = values.draw(st.permutations(sorted(rule.required | rule.optional)))
    parameters = [
        (
            name,
            values.draw(
                st.from_regex(rule.patterns[name], fullmatch=True, alphabet=st.characters(codec="ascii"))
            ),
        )
        for name in names
        if name in rule.required or values.draw(st.booleans())
    ]

    # Of what the patterns take, only the time can still be refused.
    found = permit(*request, parameters, exchange_now=datetime(9999, 1, 1, tzinfo=UTC))

    assert parse_qsl(found.query, strict_parsing=bool(parameters)) == parameters
    assert found.query == urlencode(parameters, quote_via=quote, safe="")
    assert not re.search(r"[^A-Za-z0-9&=%._~-]", found.query)


@given(value=text, name=st.sampled_from(sorted(ORDER)))
def test_no_value_can_add_a_parameter(value: str, name: str) -> None:
    """Whatever stands in a value: if it is signed at all, it is still one parameter."""
    try:
        found = permitted("POST", "/fapi/v1/order", ORDER | {name: value})
    except ParameterInvalid:
        return

    assert dict(parse_qsl(found.query)) == ORDER | {name: value}


@given(
    query=st.text(alphabet=st.characters(codec="ascii"), max_size=200),
    secret=st.text("abcXYZ019", min_size=1),
)
def test_signature_is_hmac_sha256(query: str, secret: str) -> None:
    assert (
        signature_of(query, Secret(secret)) == hmac.new(secret.encode(), query.encode(), "sha256").hexdigest()
    )

"""The closed list of OKX requests: what it takes, what it refuses, what it signs."""

import base64
import hmac
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tradekit.service.secret import Secret
from vault_service.cipher import ApiCredentials
from vault_service.errors import ParameterInvalid, ParameterNotAllowed, PathNotAllowed
from vault_service.models import Environment
from vault_service.rules.okx import LOGIN, RULES, permit, sign
from vault_service.rules.okx_body import json_body
from vault_service.rules.schema import Permit

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
TIME = {"timestamp": "1795521600000"}
CREDENTIALS = ApiCredentials(Secret("key"), Secret("secret"), Secret("passphrase"))

ORDER = {
    "instId": "BTC-USDT-SWAP",
    "tdMode": "cross",
    "side": "buy",
    "ordType": "limit",
    "sz": "1.5",
    "px": "63000.1",
    "clOrdId": "tb00000000000000000000000000en",
} | TIME
STOP = {
    "instId": "BTC-USDT-SWAP",
    "tdMode": "cross",
    "side": "sell",
    "ordType": "conditional",
    "closeFraction": "1",
    "reduceOnly": "true",
    "cxlOnClosePos": "true",
    "slTriggerPx": "60000",
    "slOrdPx": "-1",
    "slTriggerPxType": "mark",
    "algoClOrdId": "tb00000000000000000000000000sl",
} | TIME
ATTACHED = {
    "attachAlgoOrds.0.attachAlgoClOrdId": "tb00000000000000000000000000sl",
    "attachAlgoOrds.0.slTriggerPx": "60000",
    "attachAlgoOrds.0.slOrdPx": "-1",
    "attachAlgoOrds.1.attachAlgoClOrdId": "tb0000000000000000000000000tp1",
    "attachAlgoOrds.1.tpTriggerPx": "66000",
    "attachAlgoOrds.1.tpOrdPx": "-1",
}
ORDER_PATH, ALGO_PATH = "/api/v5/trade/order", "/api/v5/trade/order-algo"


def permitted(method: str, path: str, parameters: dict[str, str]) -> Permit:
    """The permit for a request of now."""
    return permit(method, path, list(parameters.items()), exchange_now=NOW)


def signature_of(text: str) -> str:
    return base64.b64encode(hmac.digest(b"secret", text.encode(), "sha256")).decode()


# --- What is sent -------------------------------------------------------------------------------------------


def test_signature_covers_time_method_target_and_body() -> None:
    found = permitted("POST", ORDER_PATH, ORDER | {"reduceOnly": "true"})

    signed = sign(found, CREDENTIALS, environment=Environment.LIVE)

    body = (
        '{"instId":"BTC-USDT-SWAP","tdMode":"cross","side":"buy","ordType":"limit","sz":"1.5",'
        '"px":"63000.1","clOrdId":"tb00000000000000000000000000en","reduceOnly":true}'
    )
    assert (signed.target, signed.body) == (ORDER_PATH, body)
    assert signed.headers == {
        "OK-ACCESS-KEY": "key",
        "OK-ACCESS-SIGN": signature_of(f"2026-11-24T12:00:00.000ZPOST{ORDER_PATH}{body}"),
        "OK-ACCESS-TIMESTAMP": "2026-11-24T12:00:00.000Z",
        "OK-ACCESS-PASSPHRASE": "passphrase",
        "Content-Type": "application/json",
    }


def test_query_is_signed_as_it_is_sent() -> None:
    found = permitted(
        "GET", "/api/v5/trade/orders-algo-pending", {"ordType": "conditional,oco", "instType": "SWAP"} | TIME
    )

    signed = sign(found, CREDENTIALS, environment=Environment.LIVE)

    target = "/api/v5/trade/orders-algo-pending?ordType=conditional%2Coco&instType=SWAP"
    assert (signed.target, signed.body) == (target, "")
    assert signed.headers["OK-ACCESS-SIGN"] == signature_of(f"2026-11-24T12:00:00.000ZGET{target}")
    assert "Content-Type" not in signed.headers


@pytest.mark.parametrize(
    ("environment", "header"),
    [(Environment.LIVE, None), (Environment.TESTNET, "1"), (Environment.PAPER, "1")],
)
def test_requests_of_worlds_without_real_money_say_so(environment: Environment, header: str | None) -> None:
    signed = sign(permitted("POST", ORDER_PATH, ORDER), CREDENTIALS, environment=environment)

    assert signed.headers.get("x-simulated-trading") == header


def test_objects_of_a_list_are_built_from_their_names() -> None:
    found = permitted("POST", ORDER_PATH, ORDER | ATTACHED)

    assert json.loads(found.body)["attachAlgoOrds"] == [
        {"attachAlgoClOrdId": "tb00000000000000000000000000sl", "slTriggerPx": "60000", "slOrdPx": "-1"},
        {"attachAlgoClOrdId": "tb0000000000000000000000000tp1", "tpTriggerPx": "66000", "tpOrdPx": "-1"},
    ]


def test_body_that_is_a_list_is_built_from_its_names() -> None:
    parameters = {"0.instId": "BTC-USDT-SWAP", "0.algoId": "7", "1.instId": "ETH-USDT-SWAP", "1.algoId": "8"}

    found = permitted("POST", "/api/v5/trade/cancel-algos", parameters | TIME)

    assert found.body == ('[{"instId":"BTC-USDT-SWAP","algoId":"7"},{"instId":"ETH-USDT-SWAP","algoId":"8"}]')


def test_login_is_the_message_to_send() -> None:
    """Seconds, not milliseconds; nothing of it is good for a request."""
    found = permit(*LOGIN, [("timestamp", "1795521600999")], exchange_now=NOW)

    signed = sign(found, CREDENTIALS, environment=Environment.TESTNET)

    login = {
        "apiKey": "key",
        "passphrase": "passphrase",
        "timestamp": "1795521600",
        "sign": signature_of("1795521600GET/users/self/verify"),
    }
    assert json.loads(signed.body) == {"op": "login", "args": [login]}
    assert signed.headers == {}


def test_T10_signed_request_shows_no_passphrase() -> None:
    for request, parameters in ((LOGIN, TIME), (("POST", ORDER_PATH), ORDER)):
        signed = sign(permitted(*request, parameters), CREDENTIALS, environment=Environment.LIVE)
        assert "passphrase" not in repr(signed)


# --- When it ends -------------------------------------------------------------------------------------------


def test_order_is_valid_as_long_as_okx_takes_its_timestamp() -> None:
    found = permitted("POST", ALGO_PATH, STOP)

    assert found.creates is not None
    assert found.creates.client_order_id == STOP["algoClOrdId"]
    assert found.creates.valid_until == datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)


def test_order_is_valid_until_it_is_to_be_discarded() -> None:
    found = permitted("POST", ORDER_PATH, ORDER | {"expTime": "1795521605000"})

    signed = sign(found, CREDENTIALS, environment=Environment.LIVE)

    assert found.creates is not None
    assert found.creates.valid_until == datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)
    assert signed.headers["expTime"] == "1795521605000"
    assert "expTime" not in signed.body


def test_older_timestamp_makes_a_shorter_life() -> None:
    """OKX signs the timestamp, not expTime: this is how a stop is made to end soon for certain."""
    found = permitted("POST", ALGO_PATH, STOP | {"timestamp": "1795521575000"})

    assert found.creates is not None
    assert found.creates.valid_until == datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)


def test_expiry_that_could_not_come_true_is_refused() -> None:
    permitted("POST", ORDER_PATH, ORDER | {"expTime": "1795521630000"})
    with pytest.raises(ParameterInvalid):
        permitted("POST", ORDER_PATH, ORDER | {"expTime": "1795521630001"})


@pytest.mark.parametrize("request_", sorted(RULES))
def test_expiry_is_taken_only_where_okx_heeds_it(request_: tuple[str, str]) -> None:
    heeded = {("POST", ORDER_PATH), ("POST", "/api/v5/trade/amend-order")}

    assert ("expTime" in RULES[request_].optional) is (request_ in heeded)


@pytest.mark.parametrize("request_", sorted(RULES))
def test_B65_timestamp_ahead_of_the_exchange_is_refused(request_: tuple[str, str]) -> None:
    rule = RULES[request_]
    examples = (
        ORDER
        | STOP
        | {
            "instType": "SWAP",
            "mgnMode": "cross",
            "lever": "3",
            "posMode": "net_mode",
            "0.instId": "BTC-USDT-SWAP",
        }
    )
    parameters = {name: examples[name] for name in rule.required}
    if request_[1] == ORDER_PATH:
        parameters |= {name: ORDER[name] for name in rule.required}

    assert permitted(*request_, parameters | {"timestamp": "1795521601000"})
    with pytest.raises(ParameterInvalid, match="ahead"):
        permitted(*request_, parameters | {"timestamp": "1795521601001"})


# --- What is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/api/v5/asset/withdrawal",
        "/api/v5/asset/withdrawal-lightning",
        "/api/v5/asset/transfer",
        "/api/v5/asset/convert-dust-assets",
        "/api/v5/users/subaccount/apikey",
        "/api/v5/users/subaccount/modify-apikey",
        "/api/v5/users/subaccount/create-subaccount",
        "/api/v5/asset/subaccount/transfer",
        "/api/v5/account/set-account-level",
        "/api/v5/account/position/margin-balance",
        "/api/v5/trade/batch-orders",
        "/api/v5/trade/easy-convert",
        "/api/v5/trade/order/",
        "/api/v5/trade//order",
        "/api/v5/trade/order?instId=BTC-USDT-SWAP",
        "/API/v5/trade/order",
        "/api/v5/trade/../trade/order",
        "https://www.okx.com/api/v5/trade/order",
        "/users/self/verify",
    ],
)
def test_B61_path_outside_the_list_is_refused(path: str) -> None:
    with pytest.raises(PathNotAllowed):
        permitted("POST", path, TIME)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("instId", "BTC-USDT"),
        ("instId", "BTC-USDT-261225"),
        ("instId", "BTC-USD-261225-60000-C"),
        ("instId", "btc-usdt-swap"),
        ("instId", 'BTC-USDT-SWAP","side":"sell'),
        ("tdMode", "cash"),
        ("side", "BUY"),
        ("posSide", "both"),
        ("ordType", "trigger"),
        ("sz", "0"),
        ("sz", "-1"),
        ("sz", "1e3"),
        ("sz", "1\n"),
        ("px", "-1"),
        ("reduceOnly", "True"),
        ("clOrdId", "short"),
        ("clOrdId", "tb00000000000000000000000000en-"),
        ("timestamp", "2026-11-24T12:00:00.000Z"),
        ("timestamp", "1795521600"),
        ("attachAlgoOrds.0.slOrdPx", "-2"),
        ("attachAlgoOrds.0.slTriggerPx", "-1"),
        ("attachAlgoOrds.0.attachAlgoClOrdId", "short"),
    ],
)
def test_value_of_another_form_is_refused(name: str, value: str) -> None:
    with pytest.raises(ParameterInvalid) as refusal:
        permitted("POST", ORDER_PATH, ORDER | ATTACHED | {name: value})

    assert refusal.value.metadata["parameter"] == name


@pytest.mark.parametrize(
    "name",
    [
        "tag",
        "ccy",
        "tgtCcy",
        "toAddr",
        "attachAlgoOrds",
        "attachAlgoOrds.0",
        "attachAlgoOrds.10.sz",
        "attachAlgoOrds.-1.sz",
        "attachAlgoOrds.00.sz",
        "attachAlgoOrds.0.newSlTriggerPx",
        "attachAlgoOrds.0.sz.0",
        "attachAlgoOrds..sz",
        "0.instId",
        "instId.",
    ],
)
def test_B63_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(ParameterNotAllowed):
        permitted("POST", ORDER_PATH, ORDER | {name: "1"})


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"attachAlgoOrds.1.attachAlgoClOrdId": "tb00000000000000000000000000sl"}, "is out of order"),
        (dict(reversed(ATTACHED.items())), "is out of order"),
        ({"attachAlgoOrds.0.slTriggerPx": "60000"}, "is missing"),
        ({**ATTACHED, "attachAlgoOrds.2.sz": "1"}, "is missing"),
    ],
)
def test_list_with_holes_is_refused(parameters: dict[str, str], problem: str) -> None:
    with pytest.raises(ParameterInvalid, match=problem):
        permitted("POST", ORDER_PATH, ORDER | parameters)


def test_more_cancels_than_okx_takes_are_refused() -> None:
    several = {f"{index}.instId": "BTC-USDT-SWAP" for index in range(11)}

    with pytest.raises(ParameterNotAllowed):
        permitted("POST", "/api/v5/trade/cancel-algos", several | TIME)
    with pytest.raises(ParameterInvalid):
        permitted("POST", "/api/v5/trade/cancel-algos", TIME)


@pytest.mark.parametrize("name", ["instId", "tdMode", "side", "ordType", "sz", "clOrdId", "timestamp"])
def test_order_without_a_required_parameter_is_refused(name: str) -> None:
    with pytest.raises(ParameterInvalid):
        permitted("POST", ORDER_PATH, {key: value for key, value in ORDER.items() if key != name})


# --- What an inactive account may do ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "parameters", "reduces_only"),
    [
        (ORDER_PATH, ORDER, False),
        (ORDER_PATH, ORDER | {"reduceOnly": "false"}, False),
        (ORDER_PATH, ORDER | {"reduceOnly": "true"}, True),
        (ORDER_PATH, ORDER | {"reduceOnly": "true", "posSide": "net"}, True),
        (ORDER_PATH, ORDER | {"posSide": "net"}, False),
        # Where there are sides, OKX does not look at reduceOnly.
        (ORDER_PATH, ORDER | {"reduceOnly": "true", "posSide": "long"}, False),
        (ORDER_PATH, ORDER | {"posSide": "short"}, True),
        (ORDER_PATH, ORDER | {"posSide": "long", "side": "sell"}, True),
        (ORDER_PATH, ORDER | {"posSide": "short", "side": "sell", "reduceOnly": "true"}, False),
        # What comes after its fill is for a position that it opened.
        (ORDER_PATH, ORDER | ATTACHED | {"reduceOnly": "true"}, False),
        (ALGO_PATH, STOP, True),
        (ALGO_PATH, STOP | {"reduceOnly": "false"}, False),
        (ALGO_PATH, STOP | {"posSide": "long"}, True),
        (ALGO_PATH, STOP | {"posSide": "short"}, False),
    ],
)
def test_which_orders_only_reduce(path: str, parameters: dict[str, str], reduces_only: bool) -> None:
    assert permitted("POST", path, parameters).reduces_only is reduces_only


def test_only_orders_settings_and_a_login_can_enlarge_a_position() -> None:
    changing = {request for request, rule in RULES.items() if rule.changes_risk}

    assert changing == {
        ("POST", ORDER_PATH),
        ("POST", ALGO_PATH),
        ("POST", "/api/v5/trade/amend-order"),
        ("POST", "/api/v5/account/set-leverage"),
        ("POST", "/api/v5/account/set-position-mode"),
        LOGIN,
    }


@pytest.mark.parametrize("posSide", ["long", "short"])
def test_leverage_of_one_side_is_still_a_setting(posSide: str) -> None:
    found = permitted(
        "POST",
        "/api/v5/account/set-leverage",
        {"instId": "BTC-USDT-SWAP", "lever": "3", "mgnMode": "isolated", "posSide": posSide} | TIME,
    )

    assert not found.reduces_only


def test_which_requests_create_an_order() -> None:
    creating = {request: rule.client_order_id for request, rule in RULES.items() if rule.client_order_id}

    assert creating == {
        ("POST", ORDER_PATH): "clOrdId",
        ("POST", ALGO_PATH): "algoClOrdId",
        ("POST", "/api/v5/trade/close-position"): "clOrdId",
    }


def test_close_without_an_id_has_nothing_to_lock() -> None:
    close = {"instId": "BTC-USDT-SWAP", "mgnMode": "cross"} | TIME

    assert permitted("POST", "/api/v5/trade/close-position", close).creates is None
    with_id = permitted("POST", "/api/v5/trade/close-position", close | {"clOrdId": ORDER["clOrdId"]})
    assert with_id.creates is not None
    assert with_id.reduces_only


# --- Properties ---------------------------------------------------------------------------------------------

text = st.text(max_size=40)
paths = st.one_of(
    text,
    st.sampled_from(sorted({path for _, path in RULES})).flatmap(
        lambda path: st.sampled_from([path + "/", path + "?", path.upper(), "/" + path, path + "\n"])
    ),
    st.from_regex(r"\A/api/v5/(asset|users|account|trade|copytrading)/[a-z/-]{1,30}\Z"),
)
methods = st.one_of(st.sampled_from(["GET", "POST", "PUT", "DELETE", "get", "POST "]), text)


@given(method=methods, path=paths, parameters=st.lists(st.tuples(text, text), max_size=5))
def test_T04_no_request_outside_the_list_is_permitted(
    method: str, path: str, parameters: list[tuple[str, str]]
) -> None:
    assume((method, path) not in RULES)

    with pytest.raises(PathNotAllowed):
        permit(method, path, parameters, exchange_now=NOW)


@given(request=st.sampled_from(sorted(RULES)), name=text, value=text, position=st.integers(0, 8))
def test_T05_no_unknown_parameter_is_ever_permitted(
    request: tuple[str, str], name: str, value: str, position: int
) -> None:
    rule = RULES[request]
    assume(name not in rule.required | rule.optional)
    parameters = list((ORDER if request == ("POST", ORDER_PATH) else TIME).items())
    parameters.insert(position, (name, value))

    with pytest.raises((ParameterNotAllowed, ParameterInvalid)):
        permit(*request, parameters, exchange_now=NOW)


@given(request=st.sampled_from(sorted(RULES)), values=st.data())
def test_whatever_is_permitted_is_sent_as_it_was_asked(
    request: tuple[str, str], values: st.DataObject
) -> None:
    """Values of the rule's own patterns: query or body say exactly what was asked, in its order."""
    rule = RULES[request]
    names = values.draw(st.permutations(sorted(n for n in rule.required | rule.optional if "." not in n)))
    names += [name for name in sorted(rule.required | rule.optional) if "." in name and ".0." in f".{name}"]
    parameters = {
        name: values.draw(
            st.from_regex(rule.patterns[name], fullmatch=True, alphabet=st.characters(codec="ascii"))
        )
        for name in names
        if name != "expTime"
    }

    # Of what the patterns take, only the time can still be refused.
    found = permit(*request, list(parameters.items()), exchange_now=datetime(9999, 1, 1, tzinfo=UTC))

    del parameters["timestamp"]
    if request[0] == "GET":
        assert found.body == ""
        assert dict(parse_qsl(found.query)) == parameters
        assert not re.search(r"[^A-Za-z0-9&=%._~-]", found.query)
    else:
        assert found.query == ""
        assert list(flat(json.loads(found.body)).items()) == list(parameters.items())


def flat(value: Any, place: str = "") -> dict[str, str]:
    """A body in the spelling of the parameters that it was made from."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {
            spelled: leaf
            for name, part in items
            for spelled, leaf in flat(part, f"{place}.{name}" if place else f"{name}").items()
        }
    return {place: json.dumps(value) if isinstance(value, bool) else value}


@given(value=text, name=st.sampled_from(sorted(ORDER | ATTACHED)))
def test_no_value_can_add_a_parameter(value: str, name: str) -> None:
    """Whatever stands in a value: if it is signed at all, it is still one parameter."""
    asked = ORDER | ATTACHED | {name: value}
    try:
        found = permitted("POST", ORDER_PATH, asked)
    except ParameterInvalid:
        return

    del asked["timestamp"]
    assert flat(json.loads(found.body)) == asked


@given(
    elements=st.lists(
        st.dictionaries(st.sampled_from(["instId", "algoId", "algoClOrdId"]), text, min_size=1), min_size=1
    )
)
def test_any_list_of_objects_comes_back_as_it_was_spelled(elements: list[dict[str, str]]) -> None:
    assert json.loads(json_body(flat(elements))) == elements

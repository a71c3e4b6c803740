"""What an exchange's codes mean: every code that an execution service must treat by name."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_service.exchanges import binance_answers, errors, okx_answers
from execution_service.exchanges.http import Answer
from execution_service.exchanges.reading import sentence

BINANCE: list[tuple[int, str, type[errors.ExchangeError]]] = [
    *[(code, "400", errors.OutcomeUnknown) for code in (-1000, -1001, -1006, -1007)],
    (-1003, "429", errors.RateLimited),
    (-1003, "418", errors.RateLimited),
    (-1015, "429", errors.RateLimited),
    (-1008, "503", errors.Maintenance),
    *[(code, "400", errors.ClockSkew) for code in (-1021, -5028)],
    *[(code, "401", errors.KeyRejected) for code in (-1022, -2014, -2015, -2017)],
    (-1002, "401", errors.PermissionMissing),
    *[
        (code, "400", errors.RulesChanged)
        for code in (-1013, -1111, -4003, -4004, -4005, -4013, -4014, -4016, -4023, -4024, -4164)
    ],
    *[(code, "400", errors.ModeChanged) for code in (-1106, -4060, -4061, -4062)],
    *[(code, "400", errors.Refused) for code in (-1121, -4140, -2010, -4015, -4120, -5021, -4131)],
    *[(code, "400", errors.OrderUnknown) for code in (-2011, -2013, -4117)],
    *[(code, "400", errors.BalanceInsufficient) for code in (-2018, -2019)],
    *[(code, "400", errors.PositionLimit) for code in (-2024, -2025, -2027, -4045)],
    *[(code, "400", errors.LeverageRefused) for code in (-4028, -2028)],
    (-5022, "400", errors.NotPostable),
    *[(code, "400", errors.WouldTrigger) for code in (-2021, -4142)],
    *[(code, "400", errors.NothingToReduce) for code in (-2022, -4118)],
    *[(code, "400", errors.AlreadySo) for code in (-4046, -4059, -4171)],
    *[(code, "400", errors.SettingLocked) for code in (-4047, -4048, -4067, -4068)],
    *[(code, "400", errors.AccountBlocked) for code in (-2023, -4192, -4400, -4403, -4202, -4206)],
    (-4116, "400", errors.OrderExists),
    (-4130, "400", errors.ProtectionExists),
]
OKX: list[tuple[int, str, type[errors.ExchangeError]]] = [
    (50004, "400", errors.OutcomeUnknown),
    *[(code, "500", errors.OutcomeUnknown) for code in (51149, 51054)],
    (50001, "503", errors.Maintenance),
    (50005, "410", errors.Maintenance),
    (50013, "429", errors.Maintenance),
    (50026, "500", errors.Maintenance),
    *[(code, "429", errors.RateLimited) for code in (50011, 50061)],
    (50011, "200", errors.RateLimited),
    *[(code, "401", errors.ClockSkew) for code in (50102, 50112)],
    (50036, "200", errors.ClockSkew),
    *[
        (code, "401", errors.KeyRejected)
        for code in (50100, 50101, *range(50103, 50110), 50111, 50113, 50114)
    ],
    (50119, "200", errors.KeyRejected),
    (50110, "401", errors.PermissionMissing),
    (50120, "200", errors.PermissionMissing),
    *[
        (code, "200", errors.AccountBlocked)
        for code in (50007, 50009, 50012, 50022, 50027, 51009, 51010, 51024)
    ],
    *[
        (code, "200", errors.Refused)
        for code in (51000, 50014, 51001, 51015, 51021, 51022, 51027, 54084, 54085)
    ],
    *[(code, "200", errors.BalanceInsufficient) for code in (51008, 51119, 51127, 51131)],
    (51004, "200", errors.PositionLimit),
    *[
        (code, "200", errors.RulesChanged)
        for code in (51005, 51006, 51007, 51020, 51116, 51120, 51121, 51135, 51138, 51202)
    ],
    *[(code, "200", errors.OrderExists) for code in (51016, 51065, 51068, 50071)],
    *[(code, "200", errors.NothingToReduce) for code in (51023, 51112, 51169, 51170, 51205)],
    *[
        (code, "200", errors.WouldTrigger)
        for code in (51046, 51047, 51048, 51049, 51051, 51277, 51278, 51279, 51280)
    ],
    (51088, "200", errors.ProtectionExists),
    *[
        (code, "200", errors.OrderUnknown)
        for code in (51400, 51401, 51402, 51410, 51503, 51509, 51510, 51603)
    ],
    (59000, "200", errors.SettingLocked),
    (59102, "200", errors.LeverageRefused),
]
# The decisions that callers take by class, and the reasons that people and tests know them by.
REASONS = {
    errors.KeyRejected: "KEY_REJECTED",
    errors.PermissionMissing: "PERMISSION_MISSING",
    errors.BalanceInsufficient: "INSUFFICIENT_BALANCE",
    errors.RulesChanged: "FILTER_REFUSED",
    errors.WouldTrigger: "WOULD_TRIGGER_IMMEDIATELY",
    errors.NothingToReduce: "REDUCE_ONLY_REFUSED",
    errors.RateLimited: "EXCHANGE_RATE_LIMITED",
    errors.ClockSkew: "CLOCK_SKEW",
    errors.OutcomeUnknown: "OUTCOME_UNKNOWN",
    errors.Maintenance: "EXCHANGE_MAINTENANCE",
    errors.OrderUnknown: "ORDER_NOT_FOUND",
    errors.OrderExists: "DUPLICATE_CLIENT_ORDER_ID",
}


class Held:
    """Of a host only what answers may touch."""

    def __init__(self) -> None:
        self.waits: list[timedelta] = []

    def hold_back(self, wait: timedelta) -> None:
        self.waits.append(wait)


def meaning(module: Any, status: int, body: object, *, retry_after: timedelta | None = None) -> Any:
    with pytest.raises(errors.ExchangeError) as raised:
        module.checked(Answer(status, body, retry_after), Held())
    return raised.value


@pytest.mark.parametrize(("code", "status", "kind"), BINANCE)
def test_binance(code: int, status: str, kind: type[errors.ExchangeError]) -> None:
    error = meaning(binance_answers, int(status), {"code": code, "msg": "the exchange's words"})

    assert type(error) is kind
    assert error.exchange_code == str(code)
    assert error.message.endswith(".")


@pytest.mark.parametrize("in_row", [True, False])
@pytest.mark.parametrize(("code", "status", "kind"), OKX)
def test_okx(code: int, status: str, kind: type[errors.ExchangeError], in_row: bool) -> None:
    """Codes from 51000 on come in the row of the order, or for the whole request."""
    row = {"sCode": str(code), "sMsg": "the exchange's words", "ordId": ""}
    body = (
        {"code": "1", "msg": "All operations failed", "data": [row]}
        if in_row
        else {"code": str(code), "msg": "the exchange's words", "data": []}
    )

    error = meaning(okx_answers, int(status), body)

    assert type(error) is kind
    assert error.exchange_code == str(code)
    assert error.message.endswith(".")


@pytest.mark.parametrize(("kind", "reason"), REASONS.items())
def test_reasons_are_stable(kind: type[errors.ExchangeError], reason: str) -> None:
    assert kind.reason == reason


def test_a_sentence_for_the_user() -> None:
    row = {"sCode": "51008", "sMsg": "Order failed. Insufficient USDT margin in account"}

    error = meaning(okx_answers, 200, {"code": "1", "data": [row], "msg": ""})

    assert error.message == "Insufficient balance: Order failed. Insufficient USDT margin in account."


def test_a_sentence_has_one_full_stop() -> None:
    assert sentence("Refused: {text}", "It is so.") == "Refused: It is so."
    assert sentence("Refused: {text}", "") == "Refused."


@pytest.mark.parametrize("text", ["Parameter posSide error", "Parameter reduceOnly error"])
def test_okx_tells_the_wrong_position_mode_by_a_parameter(text: str) -> None:
    assert type(meaning(okx_answers, 400, {"code": "51000", "msg": text, "data": []})) is errors.ModeChanged


def test_okx_may_tell_a_taken_id_by_a_parameter() -> None:
    row = {"sCode": "51000", "sMsg": "Parameter clOrdId error"}

    assert type(meaning(okx_answers, 200, {"code": "1", "data": [row], "msg": ""})) is errors.OrderExists


@pytest.mark.parametrize("module", [binance_answers, okx_answers])
@pytest.mark.parametrize("status", [408, 500, 502, 504])
@pytest.mark.parametrize("body", [None, {}, [], "html"])
def test_T28_an_error_without_a_code_is_unknown(module: Any, status: int, body: object) -> None:
    assert type(meaning(module, status, body)) is errors.OutcomeUnknown


@pytest.mark.parametrize("module", [binance_answers, okx_answers])
def test_a_firewall_lets_nothing_through(module: Any) -> None:
    assert type(meaning(module, 403, None)) is errors.Unreachable


@pytest.mark.parametrize("module", [binance_answers, okx_answers])
def test_F27_the_exchange_says_how_long_to_wait(module: Any) -> None:
    error = meaning(module, 429, None, retry_after=timedelta(seconds=7))

    assert type(error) is errors.RateLimited
    assert error.retry_after == timedelta(seconds=7)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
bodies = json_values | st.fixed_dictionaries(
    {}, optional={"code": json_values, "msg": json_values, "data": json_values}
)


@pytest.mark.parametrize("module", [binance_answers, okx_answers])
@given(status=st.integers(100, 599), body=bodies)
def test_T28_no_answer_of_any_shape_is_a_crash(module: Any, status: int, body: object) -> None:
    """Only 2xx with a body of the documented shape is good; whatever else comes is one of our errors."""
    try:
        good = module.checked(Answer(status, body, None), Held())
    except errors.ExchangeError:
        return
    assert 200 <= status < 300
    assert isinstance(good, dict | list)

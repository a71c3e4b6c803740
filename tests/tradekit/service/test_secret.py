"""A secret shows itself to `reveal` and to nothing else."""

import copy
import json
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradekit.service.secret import Secret

CANARY = "canary-8d1f"


def test_no_way_of_writing_it_shows_it() -> None:
    secret = Secret(CANARY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{secret:s}", "%s" % secret]  # noqa: UP031
    assert CANARY not in "".join([*shown, str([secret]), str({"key": secret})])
    assert secret.reveal() == CANARY


def test_R5_an_error_about_it_does_not_show_it() -> None:
    secret = Secret(CANARY)
    try:
        int(secret)  # type: ignore[call-overload]  # the error is the point
    except TypeError:
        assert CANARY not in traceback.format_exc()


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars])
def test_it_does_not_leave_its_process(leave: object) -> None:
    with pytest.raises(TypeError):
        leave(Secret(CANARY))  # type: ignore[operator]


@given(st.text(), st.text())
def test_it_matches_itself_and_nothing_else(value: str, other: str) -> None:
    assert Secret(value).matches(value)
    assert Secret(value).matches(other) == (value == other)
    assert (Secret(value) == Secret(other)) == (value == other)


def test_half_a_surrogate_pair_matches_nothing() -> None:
    assert not Secret(CANARY).matches("\ud800")


def test_it_equals_no_text() -> None:
    assert Secret(CANARY) != CANARY
    assert {Secret(CANARY)} == {Secret(CANARY)}


def test_an_empty_one_is_false() -> None:
    assert not Secret("")
    assert Secret("x")

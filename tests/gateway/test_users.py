"""Experience and e-mail addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.users import DEMO_EMAIL, level_of, normal_email


@pytest.mark.parametrize(
    ("total_xp", "level"), [(0, 1), (99, 1), (100, 2), (399, 2), (400, 3), (899, 3), (900, 4), (10_000, 11)]
)
def test_levels(total_xp: int, level: int) -> None:
    assert level_of(total_xp) == level


@given(st.integers(0, 10**9))
def test_a_level_starts_at_its_square(total_xp: int) -> None:
    level = level_of(total_xp)

    assert 100 * (level - 1) ** 2 <= total_xp < 100 * level**2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("me@home.local", "me@home.local"),
        ("a+b@example.com", "a+b@example.com"),
        ("A\u030aNGSTROM@example.com", "\u00e5ngstrom@example.com"),
    ],
)
def test_one_form_of_an_address(text: str, expected: str) -> None:
    assert normal_email(text) == expected


@given(st.text(max_size=80))
def test_normal_form_is_its_own_normal_form(text: str) -> None:
    try:
        once = normal_email(text)
    except ValueError:
        return
    assert normal_email(once) == once


def test_demo_address_is_an_address() -> None:
    assert normal_email(DEMO_EMAIL) == DEMO_EMAIL

"""Every reason has a Binance code, and texts that need a number get it."""

import pytest

from paper_exchange.binance_errors import BinanceError, error_of
from paper_exchange.refusals import Reason, Refused


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_said(reason: Reason) -> None:
    error = error_of(Refused(reason, "42"))
    assert -6000 < error.code < -1000
    assert error.status == 400
    assert "{" not in error.msg


@pytest.mark.parametrize(
    ("code", "status"), [(-1003, 429), (-1007, 408), (-1008, 503), (-2015, 401), (-2019, 400), (-1001, 500)]
)
def test_statuses(code: int, status: int) -> None:
    error = BinanceError(code)
    assert error.status == status
    assert error.body == {"code": code, "msg": error.msg}

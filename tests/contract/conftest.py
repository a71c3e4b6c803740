"""Each exchange, under the same contract."""

from collections.abc import AsyncIterator, Callable

import pytest

from tests.conftest import TestDatabase
from tests.contract.venue import EXCHANGES, Venue, open_venue
from tradekit.service.channel import TlsFiles


@pytest.fixture(params=sorted(EXCHANGES))
async def venue(
    request: pytest.FixtureRequest, database: TestDatabase, tls: Callable[[str], TlsFiles]
) -> AsyncIterator[Venue]:
    async with open_venue(request.param, database, tls) as opened:
        yield opened

"""What the sender gets when the call to execution fails: one execution, an answer in time."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from gateway import alerts
from tests.gateway.conftest import GatewayUnderTest, Start
from tests.gateway.scripted_execution import Context, Script, break_call, hang
from tradekit.service.errors import Unavailable

pytestmark = pytest.mark.anyio

Account = dict[str, Any]


@pytest.fixture
async def account(gateway: GatewayUnderTest) -> Account:
    return await (await gateway.sign_up()).register()


async def test_F16_journal_unavailable(gateway: GatewayUnderTest, account: Account) -> None:
    async def refuse(_context: Context) -> None:
        raise Unavailable("JOURNAL_UNAVAILABLE", "Nothing was recorded.")

    gateway.execution.scripts.append(Script(before=refuse))

    refused = await gateway.alert(account, alert_id="bar-1")

    assert (refused.status_code, refused.json()["code"]) == (503, "journal_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert len(gateway.execution.calls) == 1
    repeated = await gateway.alert(account, alert_id="bar-1")
    assert (repeated.status_code, repeated.json()["duplicate"]) == (200, False)


async def test_connection_lost_before_it_was_recorded(gateway: GatewayUnderTest, account: Account) -> None:
    gateway.execution.scripts.append(Script(before=break_call))

    answer = await gateway.alert(account)

    assert (answer.status_code, answer.json()["duplicate"]) == (200, False)
    assert len({call.alert_key for call in gateway.execution.calls}) == 1


async def test_connection_lost_after_it_was_recorded(gateway: GatewayUnderTest, account: Account) -> None:
    """Never 5xx, and never a second signal."""
    gateway.execution.scripts.append(Script(after=break_call))

    answer = await gateway.alert(account)

    assert (answer.status_code, answer.json()["duplicate"]) == (200, True)
    assert len(gateway.execution.calls) == 2


async def test_G04_execution_that_hangs_after_recording(gateway: GatewayUnderTest, account: Account) -> None:
    gateway.execution.scripts.append(Script(after=hang))

    answer, seconds = await _timed(gateway, account)

    # The second call, with the same key, finds the signal.
    assert answer.status_code == 200
    assert seconds < 2.8


async def test_G04_execution_that_never_answers(gateway: GatewayUnderTest, account: Account) -> None:
    gateway.execution.scripts.extend([Script(before=hang)] * 50)

    answer, seconds = await _timed(gateway, account)

    assert (answer.status_code, answer.json()["code"]) == (503, "execution_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert seconds < 2.8


async def test_F03_execution_is_not_there(start: Start, account: Account) -> None:
    async with start(execution_address="127.0.0.1:1") as gateway:
        answer, seconds = await _timed(gateway, account)
        assert (answer.status_code, answer.json()["code"]) == (503, "execution_unavailable")
        assert seconds < 2.8


async def test_F19_more_alerts_than_can_be_answered(
    gateway: GatewayUnderTest, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "MAX_ALERTS", 3)
    monkeypatch.setattr(alerts, "MAX_ALERTS_OF_ACCOUNT", 2)
    other = await (await gateway.sign_up()).register()
    under_way, released = asyncio.Event(), asyncio.Event()

    async def wait(_context: Context) -> None:
        if len(gateway.execution.calls) == 2:
            under_way.set()
        await released.wait()

    gateway.execution.scripts.extend([Script(before=wait)] * 2)
    waiting = [asyncio.create_task(gateway.alert(account, alert_id=str(number))) for number in range(2)]
    await under_way.wait()

    third = await gateway.alert(account)
    of_other_account = await gateway.alert(other)

    assert (third.status_code, third.json()["code"]) == (503, "overloaded")
    assert of_other_account.status_code == 200
    released.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]
    assert (await gateway.alert(account)).status_code == 200


async def _timed(gateway: GatewayUnderTest, account: Account) -> tuple[httpx.Response, float]:
    started = time.perf_counter()
    answer = await gateway.alert(account)
    return answer, time.perf_counter() - started

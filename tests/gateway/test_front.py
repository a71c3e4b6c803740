"""Headers, hosts, origins, unknown routes, and what is left in the log."""

import asyncio
import logging
import time

import pytest

from tests.gateway.conftest import API, PASSWORD, GatewayUnderTest, Start
from tradekit.service.secret import Secret

pytestmark = pytest.mark.anyio


async def test_T24_security_headers_on_every_answer(gateway: GatewayUnderTest) -> None:
    for path in ("/health", f"{API}/auth/me", "/nowhere", f"{API}/webhook/tradingview", "/openapi.json"):
        headers = (await gateway.http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["strict-transport-security"].startswith("max-age=")
        assert "set-cookie" not in headers
        assert "server" not in headers


async def test_no_promise_of_tls_where_there_is_none(start: Start) -> None:
    async with start(public_url="http://127.0.0.1:8001") as gateway:
        assert "strict-transport-security" not in (await gateway.http.get("/health")).headers


async def test_T24_foreign_host_names(gateway: GatewayUnderTest) -> None:
    for host in ("evil.example", "evil.example:8001", "127.0.0.1.evil.example", "bot.example.com.evil", ""):
        for path in ("/health", f"{API}/webhook/tradingview", f"{API}/auth/login"):
            answer = await gateway.http.post(path, headers={"Host": host})
            assert answer.status_code in (400, 421), (host, path)


async def test_own_host_names(gateway: GatewayUnderTest) -> None:
    for host in ("bot.example.com", "BOT.example.com:443", "localhost:8001", "127.0.0.1", "[::1]:8001"):
        assert (await gateway.http.get("/health", headers={"Host": host})).status_code == 200


async def test_B54_foreign_origin_gets_no_grant(gateway: GatewayUnderTest) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}

    for answer in (
        await gateway.http.options(f"{API}/auth/login", headers=asked),
        await gateway.http.get("/health", headers=asked),
        await gateway.http.options(f"{API}/webhook/tradingview", headers=asked),
    ):
        assert "access-control-allow-origin" not in answer.headers


async def test_configured_origin_gets_a_grant(start: Start) -> None:
    async with start(cors_origins=("https://app.example.com",)) as gateway:
        asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
        granted = await gateway.http.options(f"{API}/auth/login", headers=asked)
        assert granted.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "access-control-allow-credentials" not in granted.headers
        asked["Origin"] = "https://evil.example"
        refused = await gateway.http.options(f"{API}/auth/login", headers=asked)
        assert "access-control-allow-origin" not in refused.headers


async def test_B52_unknown_routes(gateway: GatewayUnderTest) -> None:
    for path in (
        "/",
        "/nowhere",
        "/api/v1",
        "/health/",
        "//health",
        f"{API}/auth/me/",
        f"{API}//auth/me",
        "/%00",
    ):
        answer = await gateway.http.get(f"http://{gateway.running.address}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert answer.headers["content-type"] == "application/problem+json"


async def test_wrong_method(gateway: GatewayUnderTest) -> None:
    answer = await gateway.http.get(f"{API}/auth/login")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


async def test_request_ids_are_ours_and_in_the_body(gateway: GatewayUnderTest) -> None:
    first = await gateway.http.get("/nowhere", headers={"X-Request-ID": "canary"})
    second = await gateway.http.get("/nowhere")

    assert first.headers["x-request-id"] == first.json()["request_id"] != second.json()["request_id"]
    assert "canary" not in str(first.headers)


async def test_body_that_never_comes(gateway: GatewayUnderTest) -> None:
    host, _, port = gateway.running.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")

    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()

    assert b" 408 " in status


async def test_database_down_is_503(start: Start) -> None:
    async with start(database_url=Secret("postgresql://x:canary@127.0.0.1:1/none")) as broken:
        login = {"email": "ann@example.com", "password": PASSWORD}
        answer = await broken.http.post(f"{API}/auth/login", json=login)
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert "canary" not in answer.text


async def test_vault_down_is_503(start: Start) -> None:
    async with start(vault_address="127.0.0.1:1") as gateway:
        person = await gateway.sign_up()
        answer = await person.call("GET", "/accounts-secure/list")
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert "127.0.0.1" not in answer.text


async def test_docs_for_strangers(gateway: GatewayUnderTest) -> None:
    document = (await gateway.http.get("/openapi.json")).json()

    assert "/api/v1/webhook/tradingview" in document["paths"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert "application/problem+json" in str(operation["responses"]["default"]), path


async def test_R5_no_secret_in_logs(gateway: GatewayUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    person = await gateway.sign_up(password="canary-password")
    account = await person.register(api_key="canary-key", api_secret="canary-secret")
    secret = account["webhook"]["secret"]
    login = {"email": person.email, "password": "canary-wrong"}
    await gateway.http.post(f"{API}/auth/login", json=login)
    await gateway.http.post(f"{API}/auth/login", json=login | {"canary-field": "canary-value"})
    await gateway.alert(account)
    await gateway.alert(account, secret="canary-wrong-secret", action="hold")
    await gateway.alert(account, secret=["canary-wrong-secret"])
    await gateway.http.get(f"{API}/auth/me?token=canary-token", headers={"Authorization": "Bearer canary"})

    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    text = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in ours)
    assert "webhook.answered" in text
    for leaked in ("canary", secret, person.tokens["access_token"], person.tokens["refresh_token"]):
        assert leaked not in text


async def test_T26_one_record_whatever_is_in_a_field(
    gateway: GatewayUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    person = await gateway.sign_up()
    account = await person.register()
    caplog.set_level(logging.INFO)
    caplog.clear()

    await gateway.alert(account, comment='x\n{"level":"error"}\x1b[31m')

    answered = [record for record in caplog.records if record.name.startswith("gateway")]
    assert len(answered) == 1
    assert "\x1b" not in str(answered[0].__dict__)


async def test_R5_a_crash_shows_nothing(
    gateway: GatewayUnderTest, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await gateway.sign_up()

    def crash(*_arguments: object) -> None:
        raise RuntimeError("something unforeseen")

    monkeypatch.setattr("gateway.routes.auth._user_answer", crash)

    answer = await person.call("GET", "/auth/me")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "unforeseen" not in answer.text
    assert person.tokens["access_token"] not in caplog.text


async def test_an_answer_is_not_held_back(gateway: GatewayUnderTest) -> None:
    """Nagle's algorithm would hold each one back for 40 ms."""
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        await gateway.http.get("/health")
        seconds.append(time.perf_counter() - started)

    assert min(seconds) < 0.03

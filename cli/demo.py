"""The demo user with a paper account, made through the gateway's own REST as any user would."""

import json
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from cli.home import Home, write_private
from tradekit.service.secret import Secret

ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=15.0)
NOTE = "demo.json"
LABEL = "Demo"


class DemoFailed(Exception):
    """The gateway refused a step; the message holds its words."""


@dataclass(frozen=True)
class Demo:
    """A login and the paper account that the printed alert trades on."""

    email: str
    password: Secret
    account_id: str
    webhook_secret: Secret

    def curl(self, public_url: str) -> str:
        """A TradingView alert to paste into a shell: long BTCUSDT, stop and target by the ATR defaults."""
        alert = {
            "account_id": self.account_id,
            "secret": self.webhook_secret.reveal(),
            "action": "long",
            "symbol": "BTCUSDT",
        }
        return (
            # The answer ends without a newline; a shell's prompt is to stand on a line of its own.
            f"curl -sS -w '\\n' {shlex.quote(public_url + '/api/v1/webhook/tradingview')} "
            f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(alert))}"
        )


async def ensure_demo(session: aiohttp.ClientSession, api: str, *, email: str, home: Home) -> Demo:
    """The demo user and its paper account: those of the last start, or new ones.

    Every step can be repeated, also after a start that was cut off between two of them.

    Args:
        session: To talk with.
        api: The gateway's "http://host:port/api/v1".
        email: The demo user's address.
        home: Remembers the password, the account and its webhook secret.

    Raises:
        DemoFailed: The gateway refused a step.
    """
    password = home.secret("DEMO_PASSWORD", lambda: secrets.token_urlsafe(12))
    gateway = _Gateway(session, api)
    await gateway.sign_in(email, password)
    account_id, webhook_secret = await _account(gateway, _remembered(home))
    note = {"email": email, "account_id": account_id, "webhook_secret": webhook_secret}
    write_private(home.root / NOTE, json.dumps(note, indent=2) + "\n")
    return Demo(email, password, account_id, Secret(webhook_secret))


async def _account(gateway: "_Gateway", remembered: Mapping[str, str]) -> tuple[str, str]:
    """Id and webhook secret of the demo's paper account."""
    listed = (await gateway.call("GET", "/accounts-secure/list"))["accounts"]
    own = {
        account["id"] for account in listed if account["environment"] == "paper" and account["label"] == LABEL
    }
    if remembered.get("account_id") in own and remembered.get("webhook_secret"):
        return remembered["account_id"], remembered["webhook_secret"]
    if own:  # its secret was lost: it is shown at its making only
        account_id = min(own)
        answer = await gateway.call("POST", f"/accounts-secure/{account_id}/webhook-secret", {})
        return account_id, str(answer["webhook"]["secret"])
    wanted = {"exchange": "binance", "environment": "paper", "label": LABEL}
    account = await gateway.call("POST", "/accounts-secure/register", wanted)
    return str(account["id"]), str(account["webhook"]["secret"])


def _remembered(home: Home) -> Mapping[str, str]:
    try:
        note = json.loads((home.root / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in note.items()} if isinstance(note, dict) else {}


class _Gateway:
    """The few routes that the demo needs, as one signed-in user."""

    def __init__(self, session: aiohttp.ClientSession, api: str) -> None:
        self._session = session
        self._api = api
        self._headers: dict[str, str] = {}

    async def sign_in(self, email: str, password: Secret) -> None:
        """Logs in, after signing up when the user is new."""
        login = {"email": email, "password": password.reveal()}
        status, answer = await self._request("POST", "/auth/login", login)
        if status == 401:
            status, answer = await self._request("POST", "/auth/signup", {**login, "name": "Demo"})
        if status not in (200, 201):
            raise DemoFailed(_refusal("/auth/signup", status, answer))
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}

    async def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """The answer of a route that must succeed."""
        status, answer = await self._request(method, path, body)
        if status not in (200, 201):
            raise DemoFailed(_refusal(path, status, answer))
        return answer

    async def _request(self, method: str, path: str, body: Mapping[str, object] | None) -> tuple[int, Any]:
        request = self._session.request(
            method, self._api + path, json=body, headers=self._headers, timeout=ANSWER_TIMEOUT
        )
        try:
            async with request as response:
                return response.status, await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise DemoFailed(f"{path}: {error or type(error).__name__}") from error


def _refusal(path: str, status: int, answer: Any) -> str:
    detail = answer.get("detail") if isinstance(answer, dict) else None
    return f"{path} answered {status}: {detail or 'no reason given'}"

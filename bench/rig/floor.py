"""The least that a webhook bot can do: `python -m bench.rig.floor --exchange URL [--commit]`.

Floor i: aiohttp, parse the alert, compare its secret, sign one order, post it. Floor ii (`--commit`, with the
setting DATABASE_URL): before that, one row committed in PostgreSQL. No accounts, no sizing, no stop, no
second process, the exchange key in clear in memory.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import sys
import time
import uuid
from urllib.parse import urlencode

import aiohttp
import asyncpg
import uvloop
from aiohttp import web

from tradekit.service.config import Environment

SECRET = "floor-webhook-secret"  # noqa: S105  # opens nothing but this program
SECRET_HASH = hashlib.sha256(SECRET.encode()).digest()
API_KEY, API_SECRET = "k" * 64, b"s" * 64
BACKLOG = 4096
CONNECTIONS_TO_DATABASE = 8

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS floor_signals (
    alert_id text PRIMARY KEY, alert jsonb NOT NULL, received_at timestamptz NOT NULL DEFAULT now()
)
"""
INSERT = """
INSERT INTO floor_signals (alert_id, alert) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING alert_id
"""


class Floor:
    """Turns an alert into one order."""

    def __init__(self, session: aiohttp.ClientSession, exchange: str, pool: "asyncpg.Pool | None") -> None:
        self._session = session
        self._exchange = exchange
        self._pool = pool

    async def webhook(self, request: web.Request) -> web.Response:
        """POST /: answers when the exchange has."""
        body = await request.read()
        alert = json.loads(body)
        shown = hashlib.sha256(alert["secret"].encode()).digest()
        if not hmac.compare_digest(shown, SECRET_HASH):
            return web.json_response({"detail": "Invalid webhook secret"}, status=401)
        if self._pool is not None:
            await self._pool.fetchval(INSERT, alert["alert_id"], body.decode())
        order = await self._order(alert)
        return web.json_response({"success": True, "order": order})

    async def _order(self, alert: dict[str, str]) -> object:
        query = urlencode(
            {
                "symbol": alert["symbol"],
                "side": "BUY" if alert["action"] == "long" else "SELL",
                "type": "MARKET",
                "quantity": "0.020",
                "newClientOrderId": uuid.uuid4().hex,
                "recvWindow": "3000",
                "timestamp": str(time.time_ns() // 1_000_000),
            }
        )
        signature = hmac.digest(API_SECRET, query.encode(), "sha256").hex()
        url = f"{self._exchange}/fapi/v1/order?{query}&signature={signature}"
        async with self._session.post(url, headers={"X-MBX-APIKEY": API_KEY}) as response:
            return await response.json()


async def _serve(exchange: str, *, commits: bool) -> None:
    pool = None
    if commits:
        url = Environment().secret("DATABASE_URL").reveal()
        pool = await asyncpg.create_pool(
            url, min_size=CONNECTIONS_TO_DATABASE, max_size=CONNECTIONS_TO_DATABASE, reset=_keep
        )
        await pool.execute(CREATE_TABLE)
    connector = aiohttp.TCPConnector(limit=256)
    async with aiohttp.ClientSession(connector=connector) as session:
        app = web.Application()
        app.router.add_post("/", Floor(session, exchange, pool).webhook)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


async def _keep(_: "asyncpg.Connection") -> None:
    """Leaves a connection as it is: a reset would double the round trips."""


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--exchange", required=True)
    parser.add_argument("--commit", action="store_true")
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.exchange, commits=arguments.commit))


if __name__ == "__main__":
    _main()

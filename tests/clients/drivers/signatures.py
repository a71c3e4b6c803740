"""Has the clients sign fresh requests, without sending them.

Reads `{"binance": {"api_key", "secrets": {kind: secret}}, "okx", "parameters", "okx_parameters"}` from
standard input. Writes a list of `{"client", "key", "text", "signature"}`: what was signed, and the signature
as it stands in the request.
"""

# The clients are installed in an environment of their own, which mypy does not see.
# mypy: disable-error-code="import-not-found"

import json
import sys
from typing import Any
from urllib.parse import urlsplit

import ccxt
from binance.client import Client
from binance_common.configuration import ConfigurationRestAPI
from binance_common.signature import Signers
from binance_common.utils import encoded_string, get_signature
from okx.okxclient import OkxClient


def binance(given: dict[str, Any], parameters: dict[str, str]) -> list[dict[str, str]]:
    """An order, by each client and each kind of key."""
    signed = []
    for kind, secret in given["secrets"].items():
        ccxt_client = ccxt.binanceusdm({"apiKey": given["api_key"], "secret": secret})
        body = ccxt_client.sign("order", ["fapiPrivate"], "POST", dict(parameters))["body"]
        signed.append(row("ccxt", kind, *body.rsplit("&signature=", 1)))

        is_pem = kind != "hmac"
        configuration = ConfigurationRestAPI(
            api_key=given["api_key"],
            api_secret=None if is_pem else secret,
            private_key=secret if is_pem else None,
        )
        text = encoded_string({**parameters, "timestamp": "1795521600123"})
        signer = Signers.get_signer(secret) if is_pem else None
        signed.append(row("binance-common", kind, text, get_signature(configuration, text, signer)))

        keys = {"api_secret": None, "private_key": secret} if is_pem else {"api_secret": secret}
        client = Client(given["api_key"], ping=False, **keys)
        data = {**parameters, "timestamp": 1795521600123}
        text = "&".join(f"{name}={value}" for name, value in client._order_params(data))
        signed.append(row("python-binance", kind, text, client._generate_signature(data)))
    return signed


def okx(given: dict[str, str], parameters: dict[str, str]) -> list[dict[str, str]]:
    """An order and a query, by each client."""
    signed = []
    client = ccxt.okx(
        {"apiKey": given["api_key"], "secret": given["api_secret"], "password": given["passphrase"]}
    )
    for method, path in (("POST", "trade/order"), ("GET", "trade/order")):
        made = client.sign(path, ["private"], method, dict(parameters))
        url, headers = urlsplit(made["url"]), made["headers"]
        target = f"{url.path}?{url.query}" if url.query else url.path
        text = f"{headers['OK-ACCESS-TIMESTAMP']}{method}{target}{made['body'] or ''}"
        signed.append(row("ccxt", "hmac", text, headers["OK-ACCESS-SIGN"]))

        catching = Catching(given["api_key"], given["api_secret"], given["passphrase"], flag="0")
        catching._request_with_params(method, f"/api/v5/{path}", dict(parameters))
        signed.append(row("python-okx", "hmac", *catching.caught))
    return signed


class Catching(OkxClient):  # type: ignore[misc]  # of a package that mypy does not see
    """Keeps a request instead of sending it."""

    caught: tuple[str, str]

    def get(self, target: str, headers: dict[str, str]) -> Any:
        return self._keep("GET", target, "", headers)

    def post(self, target: str, data: str, headers: dict[str, str]) -> Any:
        return self._keep("POST", target, data, headers)

    def _keep(self, method: str, target: str, body: str, headers: dict[str, str]) -> Any:
        stamp, sign = headers["OK-ACCESS-TIMESTAMP"], headers["OK-ACCESS-SIGN"]
        self.caught = (f"{stamp}{method}{target}{body}", sign if isinstance(sign, str) else sign.decode())
        return self

    def json(self) -> None:
        """Nothing was answered."""


def row(client: str, key: str, text: str, signature: str) -> dict[str, str]:
    return {"client": client, "key": key, "text": text, "signature": signature}


def main() -> None:
    given = json.load(sys.stdin)
    rows = binance(given["binance"], given["parameters"]) + okx(given["okx"], given["okx_parameters"])
    sys.stdout.write(json.dumps(rows))


main()

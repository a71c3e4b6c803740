"""Our signatures equal those of the exchanges' clients for the same input (see `made` in golden/*.json)."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.vault_service.keys import ed25519_pem, rsa_pem
from tradekit.service.secret import Secret
from vault_service.cipher import ApiCredentials
from vault_service.models import Environment
from vault_service.rules import binance, okx

GOLDEN = Path(__file__).parent / "golden"
OKX: dict[str, Any] = json.loads((GOLDEN / "okx.json").read_text())
BINANCE: dict[str, Any] = json.loads((GOLDEN / "binance.json").read_text())

# The clients' clocks stood here.
NOW = datetime(2026, 11, 24, 12, 0, 0, 123_000, tzinfo=UTC)

OKX_CREDENTIALS = ApiCredentials(Secret(OKX["api_key"]), Secret(OKX["api_secret"]), Secret(OKX["passphrase"]))
BINANCE_SECRETS = {
    "hmac": Secret(BINANCE["hmac"]),
    "ed25519": ed25519_pem(bytes.fromhex(BINANCE["ed25519_seed"])),
    "rsa": rsa_pem(p=int(BINANCE["rsa_p"], 16), q=int(BINANCE["rsa_q"], 16)),
}


def named(vector: dict[str, Any]) -> str:
    return "-".join((vector["client"], vector.get("key", "hmac"), vector.get("case", "login")))


def flat(parameters: Any, place: str = "") -> list[tuple[str, str]]:
    """A client's parameters in the vault's spelling."""
    if isinstance(parameters, list | dict):
        items = parameters.items() if isinstance(parameters, dict) else enumerate(parameters)
        return [
            pair for name, value in items for pair in flat(value, f"{place}.{name}" if place else f"{name}")
        ]
    return [(place, str(parameters).lower() if isinstance(parameters, bool) else parameters)]


def requests(client: str) -> list[dict[str, Any]]:
    return [vector for vector in OKX["requests"] if vector["client"].startswith(client)]


@pytest.mark.parametrize("vector", requests("ccxt"), ids=named)
def test_okx_request_is_byte_for_byte_that_of_ccxt(vector: dict[str, Any]) -> None:
    """The same target, body and headers from the same parameters in the same order."""
    parameters = [*flat(vector["parameters"]), ("timestamp", str(OKX["timestamp_ms"]))]

    found = okx.permit(vector["method"], vector["path"], parameters, exchange_now=NOW)
    signed = okx.sign(found, OKX_CREDENTIALS, environment=Environment.LIVE)

    assert (signed.target, signed.body) == (vector["target"], vector["body"])
    # It says that there is JSON also where there is no body.
    assert signed.headers == {
        name: value for name, value in vector["headers"].items() if signed.body or name != "Content-Type"
    }


@pytest.mark.parametrize("vector", requests("python-okx"), ids=named)
def test_okx_signature_is_that_of_python_okx(vector: dict[str, Any]) -> None:
    """python-okx spaces its JSON and leaves commas raw: the same text gives the same signature."""
    headers = vector["headers"]
    text = headers["OK-ACCESS-TIMESTAMP"] + vector["method"] + vector["target"] + vector["body"]

    assert okx.signature_of(text, OKX_CREDENTIALS.api_secret) == headers["OK-ACCESS-SIGN"]


@pytest.mark.parametrize("vector", requests("python-okx"), ids=named)
def test_okx_request_says_what_that_of_python_okx_says(vector: dict[str, Any]) -> None:
    parameters = [*flat(vector["parameters"]), ("timestamp", str(OKX["timestamp_ms"]))]

    found = okx.permit(vector["method"], vector["path"], parameters, exchange_now=NOW)
    signed = okx.sign(found, OKX_CREDENTIALS, environment=Environment.TESTNET)

    assert signed.target.replace("%2C", ",") == vector["target"]
    assert json.loads(signed.body or "null") == json.loads(vector["body"] or "null")
    assert signed.headers["OK-ACCESS-TIMESTAMP"] == vector["headers"]["OK-ACCESS-TIMESTAMP"]
    assert signed.headers["x-simulated-trading"] == vector["headers"]["x-simulated-trading"]


@pytest.mark.parametrize("vector", OKX["logins"], ids=named)
def test_okx_login_is_that_of_the_clients(vector: dict[str, Any]) -> None:
    found = okx.permit(*okx.LOGIN, [("timestamp", str(OKX["timestamp_ms"]))], exchange_now=NOW)
    signed = okx.sign(found, OKX_CREDENTIALS, environment=Environment.TESTNET)

    (login,) = vector["message"]["args"]
    # python-okx sends a number, ccxt text; both are taken.
    assert json.loads(signed.body) == {
        "op": "login",
        "args": [login | {"timestamp": str(login["timestamp"])}],
    }


@pytest.mark.parametrize("vector", BINANCE["requests"], ids=named)
def test_binance_request_is_signed_as_the_clients_sign_it(vector: dict[str, Any]) -> None:
    """HMAC, Ed25519 and RSA keys; each client in its own order of parameters."""
    credentials = ApiCredentials(Secret(BINANCE["api_key"]), BINANCE_SECRETS[vector["key"]])

    found = binance.permit(vector["method"], vector["path"], parse_qsl(vector["text"]), exchange_now=NOW)
    signed = binance.sign(found, credentials, environment=Environment.LIVE)

    assert signed.target == f"{vector['path']}?{vector['text']}&signature={vector['signature']}"


def test_golden_data_covers_every_client_and_kind_of_key() -> None:
    assert {(vector["client"].split()[0], vector["key"]) for vector in BINANCE["requests"]} == {
        (client, key)
        for client in ("ccxt", "binance-common", "python-binance")
        for key in ("hmac", "ed25519", "rsa")
    }
    assert len(requests("ccxt")) == len(requests("python-okx")) == 12

"""What an OKX key may do: `GET /api/v5/account/config` names its permissions and addresses.

`perm` lists read_only, trade and withdraw, separated by commas; `ip` is empty for a key that is bound to none
(OKX API guide, "Get account configuration").
"""

from typing import Any

from execution_service.exchanges.requests import SignedRequests
from execution_service.exchanges.types import KeyPermissions


async def key_permissions(requests: SignedRequests) -> KeyPermissions:
    """Asks for the account's configuration, which only an accepted key gets.

    Raises:
        KeyRejected: The key, its passphrase or its environment is wrong.
        ExchangeError: OKX did not answer.
    """
    return await requests.ask("GET", "/api/v5/account/config", {}, _permissions)


def _permissions(rows: Any) -> KeyPermissions:
    (row,) = rows
    granted = set(row["perm"].split(","))
    return KeyPermissions(
        may_trade="trade" in granted,
        may_withdraw="withdraw" in granted,
        bound_to_addresses=bool(row["ip"].strip()),
    )

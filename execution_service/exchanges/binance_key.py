"""What a Binance key may do.

The futures host tells only whether it takes the key. Permissions and address list are told by the spot host,
`GET /sapi/v1/account/apiRestrictions` (Binance, Wallet, "API Key Permission"); demo and testnet have no such
thing.
"""

from typing import Any

from execution_service.exchanges import errors
from execution_service.exchanges.requests import SignedRequests
from execution_service.exchanges.types import KeyPermissions

UNTOLD = KeyPermissions(may_trade=None, may_withdraw=None, bound_to_addresses=None)


async def key_permissions(futures: SignedRequests, spot: SignedRequests | None) -> KeyPermissions:
    """Asks both hosts; `spot` is None where there is none.

    Raises:
        KeyRejected: The futures host does not take the key.
        ExchangeError: A host did not answer.
    """
    await futures.ask("GET", "/fapi/v3/balance", {}, lambda rows: len(rows))
    if spot is None:
        return UNTOLD
    try:
        return await spot.ask("GET", "/sapi/v1/account/apiRestrictions", {}, _permissions)
    except errors.Refused:
        # The futures host took it: it works, but what it may do besides is not told.
        return UNTOLD


def _permissions(body: Any) -> KeyPermissions:
    return KeyPermissions(
        may_trade=body["enableFutures"] is True,
        may_withdraw=body["enableWithdrawals"] is True,
        bound_to_addresses=body["ipRestrict"] is True,
    )

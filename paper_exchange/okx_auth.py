"""Who sends an OKX request, and whether it is his and fresh.

Signed text = timestamp + method + path with query + body, exactly as received; HMAC-SHA256, base64. The REST
timestamp is ISO-8601, that of a WebSocket login Unix seconds; both may be 30 s off.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

from paper_exchange.accounts import Account, Environment, Venue
from paper_exchange.books import Books
from paper_exchange.credentials import Credentialing
from paper_exchange.okx_errors import OkxError

KEY_HEADER = "OK-ACCESS-KEY"
SIGN_HEADER = "OK-ACCESS-SIGN"
TIME_HEADER = "OK-ACCESS-TIMESTAMP"
PASSPHRASE_HEADER = "OK-ACCESS-PASSPHRASE"  # noqa: S105 - the header's name
SIMULATED_HEADER = "x-simulated-trading"
_WINDOW_MS = 30_000
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_SECONDS = re.compile(r"\d{1,12}(\.\d{1,6})?")
_LOGIN_TARGET = "GET/users/self/verify"
_MISSING = {KEY_HEADER: 50103, PASSPHRASE_HEADER: 50104, SIGN_HEADER: 50106, TIME_HEADER: 50107}


class OkxAuthentication:
    """Checks keys, passphrases and signatures, those in constant time."""

    def __init__(self, books: Books, credentialing: Credentialing) -> None:
        self._books = books
        self._credentialing = credentialing

    def sender(self, headers: Mapping[str, str], *, signed_target: str, body: str, now_ms: int) -> Account:
        """The account that sent a request.

        Args:
            signed_target: Method and path with query, as received.

        Raises:
            OkxError: 501xx, in the order header, time, key, environment, passphrase, signature.
        """
        for name, code in _MISSING.items():
            if not headers.get(name):
                raise OkxError(code)
        timestamp = headers[TIME_HEADER]
        _check_fresh(_moment_ms(timestamp), now_ms, expired=50102)
        account = self._account(headers[KEY_HEADER])
        _check_environment(account, simulated=headers.get(SIMULATED_HEADER) == "1")
        if not self._has_passphrase(account, headers[PASSPHRASE_HEADER]):
            raise OkxError(50105)
        payload = f"{timestamp}{signed_target}{body}"
        if not self._is_signature(account, payload, headers[SIGN_HEADER]):
            raise OkxError(50113)
        return account

    def login(self, *, api_key: str, passphrase: str, timestamp: str, sign: str, now_ms: int) -> Account:
        """The account of a WebSocket login.

        Raises:
            OkxError: 60004 to 60007, 60024.
        """
        if not _SECONDS.fullmatch(timestamp):
            raise OkxError(60004, "Invalid timestamp")
        account = self._books.account_of_key(api_key)
        if account is None or account.venue is not Venue.OKX:
            raise OkxError(60005, "Invalid apiKey")
        if abs(int(float(timestamp) * 1000) - now_ms) > _WINDOW_MS:
            raise OkxError(60006, "Timestamp request expired")
        if not self._is_signature(account, f"{timestamp}{_LOGIN_TARGET}", sign):
            raise OkxError(60007, "Invalid sign")
        if not self._has_passphrase(account, passphrase):
            raise OkxError(60024, "Wrong passphrase")
        return account

    def _account(self, api_key: str) -> Account:
        account = self._books.account_of_key(api_key)
        if account is None or account.venue is not Venue.OKX:
            raise OkxError(50111)
        return account

    def _has_passphrase(self, account: Account, given: str) -> bool:
        expected = self._credentialing.passphrase_of(account.api_key)
        return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))

    def _is_signature(self, account: Account, payload: str, given: str) -> bool:
        expected = signature(self._credentialing.secret_of(account.api_key), payload)
        return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))


def signature(secret: str, payload: str) -> str:
    digest = hmac.new(secret.encode(), payload.encode(errors="surrogateescape"), sha256).digest()
    return base64.b64encode(digest).decode()


def _moment_ms(timestamp: str) -> int:
    if not _TIMESTAMP.fullmatch(timestamp):
        raise OkxError(50112)
    try:
        moment = datetime.fromisoformat(timestamp.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError as error:
        raise OkxError(50112) from error
    return int(moment.timestamp() * 1000)


def _check_fresh(moment_ms: int, now_ms: int, *, expired: int) -> None:
    if abs(moment_ms - now_ms) > _WINDOW_MS:
        raise OkxError(expired)


def _check_environment(account: Account, *, simulated: bool) -> None:
    """A demo key needs the header, a live key must not have it; a key of neither kind goes both ways."""
    if account.environment is not Environment.ANY and simulated != (account.environment is Environment.DEMO):
        raise OkxError(50101)

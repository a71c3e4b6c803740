"""Who sends a Binance request, and whether it is his and fresh.

Signed text = query string immediately followed by the body, both exactly as received, without the signature
itself, which must come last. HMAC-SHA256 in hex, in either case; or Ed25519 or RSA in base64, by the key.
"""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256

from paper_exchange.accounts import Account, Venue
from paper_exchange.binance_errors import BinanceError, mandatory
from paper_exchange.binance_parameters import Parameters
from paper_exchange.books import Books
from paper_exchange.credentials import Credentialing
from paper_exchange.public_keys import is_signed_by

KEY_HEADER = "X-MBX-APIKEY"
_KEY = re.compile(r"[A-Za-z0-9]{16,128}")
_AHEAD_MS = 1000
_DEFAULT_WINDOW_MS = 5000
_MAX_WINDOW_MS = 60_000


class BinanceAuthentication:
    """Checks keys and signatures."""

    def __init__(self, books: Books, credentialing: Credentialing) -> None:
        self._books = books
        self._credentialing = credentialing

    def account_of(self, api_key: str | None) -> Account:
        """The account of a key.

        Raises:
            BinanceError: -2014 when it does not look like a key, -2015 when nobody has it.
        """
        if api_key is None or not _KEY.fullmatch(api_key):
            raise BinanceError(-2014)
        account = self._books.account_of_key(api_key)
        if account is None or account.venue is not Venue.BINANCE:
            raise BinanceError(-2015)
        return account

    def check(self, account: Account, parameters: Parameters, signed: Iterable[str], now_ms: int) -> None:
        """Refuses a signed request that is stale (-1021) or not signed by this account's key (-1022).

        Args:
            signed: The texts one of which must have been signed.
        """
        _check_time(parameters, now_ms)
        given = parameters.text("signature")
        if not any(self._is_signed(account, payload, given) for payload in signed):
            raise BinanceError(-1022)

    def _is_signed(self, account: Account, payload: str, given: str) -> bool:
        """Whether this account's key made the signature of the payload."""
        if account.public_key:
            return is_signed_by(account.public_key, payload.encode(errors="surrogateescape"), given)
        return is_signature(self._credentialing.secret_of(account.api_key), payload, given)


def signed_text(query: str, body: str) -> str | None:
    """The text that must have been signed; None when a signature is not the last parameter of its part."""
    parts = [_unsigned(query), _unsigned(body)]
    return "".join(part for part in parts if part is not None) if None not in parts else None


def _unsigned(text: str) -> str | None:
    unsigned, found, rest = f"&{text}".partition("&signature=")
    if not found:
        return text
    return None if "&" in rest else unsigned[1:]


def is_signature(secret: str, payload: str, given: str) -> bool:
    """Whether this is the HMAC-SHA256 of the payload, compared in constant time."""
    expected = hmac.new(secret.encode(), payload.encode(errors="surrogateescape"), sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), given.lower().encode(errors="replace"))


def _check_time(parameters: Parameters, now_ms: int) -> None:
    timestamp = parameters.integer("timestamp")
    if timestamp is None:
        raise mandatory("timestamp")
    window = parameters.integer("recvWindow")
    if window is not None and window > _MAX_WINDOW_MS:
        raise BinanceError(-1131, "recvWindow must be less than 60000")
    if timestamp >= now_ms + _AHEAD_MS:
        raise BinanceError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - timestamp > (_DEFAULT_WINDOW_MS if window is None else window):
        raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")

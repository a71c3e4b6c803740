"""Webhook secrets: made, stored as hashes, rotated, and checked in equal time without a database.

Every process holds all accounts' hashes in memory. The database tells it (LISTEN) which row changed; after a
lost connection it reads all of them again.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.models import WebhookSecret
from tradekit.service.clock import Clock
from tradekit.service.database import Database
from tradekit.service.secret import Secret

log = logging.getLogger(__name__)

CHANNEL = "gateway_webhook_secrets"
FIRST_READING_S = 2.0
RECONNECT_S = 0.5
# How soon a connection that died silently is noticed.
PING_INTERVAL_S = 10.0
PING_TIMEOUT_S = 5.0

_COLUMNS = "account_id, user_id, secret_hash, previous_hash, previous_expires_at, allow_operator_secret"
_SELECT_ALL = f"SELECT {_COLUMNS} FROM gateway.webhook_secrets"  # noqa: S608 - no value in it
_SELECT_ONE = f"{_SELECT_ALL} WHERE account_id = $1"


@dataclass(frozen=True, slots=True)
class AccountSecret:
    """What the alerts of one account must show; hashes are SHA-256."""

    user_id: str
    current: bytes
    previous: bytes
    previous_expires_at: datetime | None
    allow_operator_secret: bool


def hash_secret(text: str) -> bytes:
    """SHA-256 of a secret that is random enough to need no salt."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


# Never the hash of anything that somebody can show.
_NO_HASH = bytes(32)
_NOBODY = AccountSecret("", _NO_HASH, _NO_HASH, None, False)


class WebhookSecrets:
    """All accounts' secrets in memory.

    Args:
        operator_secret: The operator-wide secret; opens the accounts that have opted in.
    """

    def __init__(self, clock: Clock, operator_secret: Secret | None) -> None:
        self._clock = clock
        self._operator = hash_secret(operator_secret.reveal()) if operator_secret else _NO_HASH
        self._accounts: dict[str, AccountSecret] = {}
        self._loaded = asyncio.Event()

    @property
    def loaded(self) -> bool:
        """Whether all accounts were read at least once."""
        return self._loaded.is_set()

    def owner(self, account_id: str, shown: str) -> str | None:
        """The id of the user whose account this is, if `shown` opens it.

        An unknown account takes the same work as a wrong secret.
        """
        account = self._accounts.get(account_id.lower(), _NOBODY)
        candidate = hash_secret(shown)
        in_grace = account.previous_expires_at is not None and self._clock.now() < account.previous_expires_at
        opens = hmac.compare_digest(candidate, account.current)
        opens |= hmac.compare_digest(candidate, account.previous) & in_grace
        opens |= hmac.compare_digest(candidate, self._operator) & account.allow_operator_secret
        return account.user_id if opens else None

    @asynccontextmanager
    async def kept_fresh(self, url: Secret) -> AsyncIterator[None]:
        """Follows the database while the block runs.

        Waits a little for the first reading; without a database the block begins all the same, and `loaded`
        says when it is done.
        """
        follower = asyncio.create_task(self._follow(url))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._loaded.wait(), FIRST_READING_S)
            yield
        finally:
            follower.cancel()
            with suppress(asyncio.CancelledError):
                await follower

    async def _follow(self, url: Secret) -> None:
        while True:
            try:
                await self._follow_connection(url)
            except Exception as error:
                # Nobody stands above this task; what is in memory stays good until all is read again.
                log.warning("webhook_secrets.connection_lost", extra={"error": type(error).__name__})
            await asyncio.sleep(RECONNECT_S)

    async def _follow_connection(self, url: Secret) -> None:
        connection = await asyncpg.connect(url.reveal(), timeout=PING_TIMEOUT_S)
        changed: asyncio.Queue[str | None] = asyncio.Queue()
        try:
            connection.add_termination_listener(lambda _: changed.put_nowait(None))
            # Listens first and reads then: a change between the two is told.
            await connection.add_listener(CHANNEL, lambda *notice: changed.put_nowait(notice[3]))
            rows = await connection.fetch(_SELECT_ALL)
            self._accounts = {str(row["account_id"]): _account_secret(row) for row in rows}
            self._loaded.set()
            while True:
                await self._apply_next(connection, changed)
        finally:
            await connection.close(timeout=1.0)

    async def _apply_next(self, connection: Any, changed: "asyncio.Queue[str | None]") -> None:
        try:
            account_id = await asyncio.wait_for(changed.get(), PING_INTERVAL_S)
        except TimeoutError:
            await connection.execute("SELECT 1", timeout=PING_TIMEOUT_S)
            return
        if account_id is None:
            raise ConnectionError("the connection has ended")
        row = await connection.fetchrow(_SELECT_ONE, UUID(account_id), timeout=PING_TIMEOUT_S)
        if row is None:
            self._accounts.pop(account_id, None)
        else:
            self._accounts[account_id] = _account_secret(row)

    def remember(self, row: WebhookSecret) -> None:
        """Takes up a row that this process has just committed, without waiting for the notice."""
        self._accounts[str(row.account_id)] = AccountSecret(
            user_id=str(row.user_id),
            current=row.secret_hash,
            previous=row.previous_hash or _NO_HASH,
            previous_expires_at=row.previous_expires_at,
            allow_operator_secret=row.allow_operator_secret,
        )

    def forget(self, account_id: UUID) -> None:
        """Drops an account that this process has just deleted."""
        self._accounts.pop(str(account_id), None)


def _account_secret(row: Any) -> AccountSecret:
    return AccountSecret(
        user_id=str(row["user_id"]),
        current=row["secret_hash"],
        previous=row["previous_hash"] or _NO_HASH,
        previous_expires_at=row["previous_expires_at"],
        allow_operator_secret=row["allow_operator_secret"],
    )


class WebhookSecretStore:
    """Makes, rotates and deletes secrets; the account is known to be the user's."""

    def __init__(self, database: Database, cache: WebhookSecrets, clock: Clock) -> None:
        self._database = database
        self._cache = cache
        self._clock = clock

    async def rotate(
        self, account_id: UUID, user_id: UUID, *, grace: timedelta, allow_operator_secret: bool | None
    ) -> Secret:
        """A new secret for the account, its first one too.

        Args:
            grace: How long the present one works on; zero: it ends at once.
            allow_operator_secret: Whether the operator-wide secret opens the account; None: as before, a new
                account's is not opened by it.
        """
        secret = secrets.token_urlsafe(32)
        async with self._database.begin() as session:
            row = await self._replace(session, account_id, user_id, hash_secret(secret), grace)
            if allow_operator_secret is not None:
                row.allow_operator_secret = allow_operator_secret
        self._cache.remember(row)
        return Secret(secret)

    async def _replace(
        self, session: AsyncSession, account_id: UUID, user_id: UUID, secret_hash: bytes, grace: timedelta
    ) -> WebhookSecret:
        new = insert(WebhookSecret).values(account_id=account_id, user_id=user_id, secret_hash=secret_hash)
        kept = grace > timedelta(0)
        rotated = new.on_conflict_do_update(
            index_elements=[WebhookSecret.account_id],
            set_={
                "secret_hash": new.excluded.secret_hash,
                "previous_hash": WebhookSecret.secret_hash if kept else None,
                "previous_expires_at": self._clock.now() + grace if kept else None,
            },
            where=WebhookSecret.user_id == user_id,
        )
        return (await session.execute(rotated.returning(WebhookSecret))).scalar_one()

    async def delete(self, account_id: UUID, user_id: UUID) -> None:
        """Deletes the account's secret; nothing when there is none."""
        async with self._database.begin() as session:
            deleted = await session.scalar(
                delete(WebhookSecret)
                .where(WebhookSecret.account_id == account_id, WebhookSecret.user_id == user_id)
                .returning(WebhookSecret.account_id)
            )
        # Another user's account, or none at all, is no business of the memory.
        if deleted is not None:
            self._cache.forget(account_id)

"""Users' exchange accounts: register, list, read, toggle, delete. Every query is scoped by the owner."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from tradekit.service.clock import Clock, new_id
from tradekit.service.database import Database
from vault_service.audit import AuditEvent, append_in_session, lock_in_session
from vault_service.cipher import ApiCredentials, decrypt_api_credentials, encrypt_api_credentials
from vault_service.errors import (
    AccountNotFound,
    CredentialUnreadable,
    DecryptionFailed,
    StoreUnavailable,
    audit_reason,
)
from vault_service.keyring import Keyring
from vault_service.models import AuditEntry, Environment, Exchange, ExchangeAccount

# Who may call this is a rule of the server; only the gateway does.
_CALLER = "gateway"


@dataclass(frozen=True, slots=True)
class AccountPage:
    """A part of a user's accounts, oldest first.

    Attributes:
        next_after: Where the next page starts; None on the last one.
        total_count: All accounts of the user.
    """

    accounts: list[ExchangeAccount]
    next_after: uuid.UUID | None
    total_count: int


class Vault:
    """Keeps accounts. Each change and its audit row are one transaction.

    Args:
        database: The vault's schema.
        keyring: Seals and opens the accounts' keys.
        clock: What time it is.
    """

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock

    async def register(
        self,
        user_id: uuid.UUID,
        *,
        exchange: Exchange,
        environment: Environment,
        credentials: ApiCredentials,
        label: str,
    ) -> ExchangeAccount:
        """Seals and stores the keys of a new account, active at once."""
        account = ExchangeAccount(
            id=new_id(self._clock),
            user_id=user_id,
            exchange=exchange.value,
            environment=environment.value,
            label=label,
            is_active=True,
            version=1,
            created_at=self._clock.now(),
        )
        account.seal(encrypt_api_credentials(credentials, account.context(), self._keyring))
        async with self._begin() as session:
            session.add(account)
            await self._record(session, "register_account", account, version=account.version)
        return account

    async def list(self, user_id: uuid.UUID, *, size: int, after: uuid.UUID | None = None) -> AccountPage:
        """Up to `size` accounts of a user, registered after the account `after`."""
        # Ids sort by the time they were made.
        query = select(ExchangeAccount).where(ExchangeAccount.user_id == user_id).order_by(ExchangeAccount.id)
        if after is not None:
            query = query.where(ExchangeAccount.id > after)
        count = select(func.count()).where(ExchangeAccount.user_id == user_id)
        async with self._begin() as session:
            accounts = list(await session.scalars(query.limit(size + 1)))
            total_count = (await session.execute(count)).scalar_one()
        page = accounts[:size]
        return AccountPage(page, page[-1].id if len(accounts) > size else None, total_count)

    async def get(self, user_id: uuid.UUID, account_id: uuid.UUID) -> ExchangeAccount:
        """One account.

        Raises:
            AccountNotFound: It is not there, or another user's.
        """
        async with self._begin() as session:
            return await _owned(session, user_id, account_id)

    async def toggle(self, user_id: uuid.UUID, account_id: uuid.UUID) -> ExchangeAccount:
        """Turns an active account inactive and back.

        The keys are sealed anew: whether the account is active is bound into them, so that nobody can switch
        it in the database.

        Raises:
            AccountNotFound: It is not there, or another user's.
            CredentialUnreadable: The keys do not open, or the record is an old one that was put back.
        """
        async with self._begin() as session:
            await lock_in_session(session)
            account = await _owned(session, user_id, account_id)
            is_newest = account.version == await _newest_version(session, account_id)
            credentials = self._open(account) if is_newest else None
            if credentials is not None:
                account.is_active = not account.is_active
                account.version += 1
                account.seal(encrypt_api_credentials(credentials, account.context(), self._keyring))
                await self._record(session, "toggle_account", account, version=account.version)
            else:
                await self._record(session, "toggle_account", account, error=CredentialUnreadable(account_id))
        if credentials is None:
            raise CredentialUnreadable(account_id)
        return account

    async def delete(self, user_id: uuid.UUID, account_id: uuid.UUID) -> None:
        """Deletes an account and its keys. The audit keeps a newer version than any copy of the row has.

        Raises:
            AccountNotFound: It is not there, or another user's.
        """
        async with self._begin() as session:
            await lock_in_session(session)
            account = await _owned(session, user_id, account_id)
            newest = max(account.version, await _newest_version(session, account_id))
            await session.delete(account)
            await self._record(session, "delete_account", account, version=newest + 1)

    def _open(self, account: ExchangeAccount) -> ApiCredentials | None:
        try:
            return decrypt_api_credentials(account.sealed(), account.context(), self._keyring)
        except DecryptionFailed:
            return None

    async def _record(
        self,
        session: AsyncSession,
        action: str,
        account: ExchangeAccount,
        *,
        version: int | None = None,
        error: CredentialUnreadable | None = None,
    ) -> None:
        event = AuditEvent(
            caller=_CALLER,
            action=action,
            subject=f"{account.exchange} {account.environment}",
            reason=audit_reason(error) if error else None,
            user_id=account.user_id,
            account_id=account.id,
            record_version=version,
        )
        await append_in_session(session, event, now=self._clock.now())

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._database.begin() as session:
                yield session
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailable from error


async def _owned(session: AsyncSession, user_id: uuid.UUID, account_id: uuid.UUID) -> ExchangeAccount:
    query = select(ExchangeAccount).where(
        ExchangeAccount.id == account_id, ExchangeAccount.user_id == user_id
    )
    account = (await session.scalars(query)).one_or_none()
    if account is None:
        raise AccountNotFound
    return account


async def _newest_version(session: AsyncSession, account_id: uuid.UUID) -> int:
    query = select(func.max(AuditEntry.record_version)).where(AuditEntry.account_id == account_id)
    return (await session.scalars(query)).one() or 0

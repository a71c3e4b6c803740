"""Signing, in this order: owner, rule, active state, second lock, audit, commit; only then the key is opened.

A whole batch shares one transaction. No audit row, no answer.
"""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prometheus_client import Counter

from tradekit.service.batching import Batcher, Overloaded
from tradekit.service.clock import Clock
from tradekit.service.errors import ServiceError
from vault_service.audit import AuditEvent, request_digest
from vault_service.cipher import decrypt_api_credentials
from vault_service.errors import (
    AccountInactive,
    AccountNotFound,
    CredentialUnreadable,
    DecryptionFailed,
    OrderAlreadySigned,
    SignerOverloaded,
    audit_reason,
)
from vault_service.keyring import Keyring
from vault_service.models import Environment
from vault_service.rules import venue_of
from vault_service.rules.schema import Parameters, Permit, SignedRequest
from vault_service.signing_journal import OrderLock, SigningJournal, SigningTransaction, StoredAccount

MAX_CALLS_IN_BATCH = 16
MAX_CALLS_WAITING = 512

_OUTCOMES = Counter("vault_sign_requests_total", "Requests for a signature, by outcome", ["outcome"])


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """A request to an exchange that somebody wants signed.

    Attributes:
        caller: Which service asks.
        user_id: Who the caller says the owner is.
        clock_offset_ms: The exchange's clock minus ours.
        signal_id: The signal that it is for.
    """

    caller: str
    user_id: uuid.UUID
    account_id: uuid.UUID
    method: str
    path: str
    parameters: Parameters = field(repr=False)
    clock_offset_ms: int = 0
    signal_id: str | None = None

    @property
    def subject(self) -> str:
        """What the audit calls it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class _Cleared:
    """A request that may be signed once the transaction is committed."""

    request: SigningRequest
    account: StoredAccount
    permit: Permit


# What a request came to so far, and in the end.
_Decision = _Cleared | ServiceError
SigningOutcome = SignedRequest | ServiceError


class Signer:
    """Signs requests, many in one transaction.

    Args:
        journal: The signer's connections.
        keyring: Opens the accounts' keys.
        clock: What time it is.
    """

    def __init__(self, journal: SigningJournal, keyring: Keyring, clock: Clock) -> None:
        self._journal = journal
        self._keyring = keyring
        self._clock = clock
        # One transaction at a time: what is asked for meanwhile goes into the next one.
        self._batcher = Batcher(self._sign_calls, largest=MAX_CALLS_IN_BATCH, waiting=MAX_CALLS_WAITING)

    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[SigningOutcome]:
        """Signs each request, or says why not; one that is refused does not fail the others.

        Raises:
            AuditUnavailable: Nothing was signed.
            SignerOverloaded: Nothing was recorded.
        """
        try:
            return await self._batcher.submit(requests)
        except Overloaded as error:
            raise SignerOverloaded from error

    async def _sign_calls(
        self, calls: Sequence[Sequence[SigningRequest]]
    ) -> Sequence[Sequence[SigningOutcome]]:
        outcomes = await self._sign_batch([request for call in calls for request in call])
        ends = list(itertools.accumulate(len(call) for call in calls))
        return [outcomes[end - len(call) : end] for call, end in zip(calls, ends, strict=True)]

    async def _sign_batch(self, requests: Sequence[SigningRequest]) -> Sequence[SigningOutcome]:
        async with self._journal.transaction() as transaction:
            # After the lock, so that the order of the rows is the order of their times.
            now = self._clock.now()
            accounts = await transaction.accounts({request.account_id for request in requests})
            decisions = [self._decide(request, accounts, now) for request in requests]
            decisions = await _lock_orders(transaction, decisions, now)
            events = [
                _event(request, decision) for request, decision in zip(requests, decisions, strict=True)
            ]
            await transaction.append(events, now=now)
        outcomes = [self._open_and_sign(decision) for decision in decisions]
        await self._audit_unreadable(requests, decisions, outcomes)
        for outcome in outcomes:
            _OUTCOMES.labels("signed" if isinstance(outcome, SignedRequest) else audit_reason(outcome)).inc()
        return outcomes

    def _decide(
        self, request: SigningRequest, accounts: dict[uuid.UUID, StoredAccount], now: datetime
    ) -> _Decision:
        try:
            account = accounts.get(request.account_id)
            if account is None or account.context.user_id != request.user_id:
                raise AccountNotFound
            exchange_now = now + timedelta(milliseconds=request.clock_offset_ms)
            permit = venue_of(account.exchange).permit(
                request.method, request.path, request.parameters, exchange_now=exchange_now
            )
            if not account.context.is_active and not permit.reduces_only:
                raise AccountInactive
            if not account.is_newest:
                raise CredentialUnreadable(request.account_id)
            # The account's own limits (symbols, notional, orders a minute) are checked here once they exist:
            # after the rule, which knows what only reduces, and before the lock.
        except ServiceError as refusal:
            return refusal
        return _Cleared(request, account, permit)

    def _open_and_sign(self, decision: _Decision) -> SigningOutcome:
        if isinstance(decision, ServiceError):
            return decision
        account = decision.account
        try:
            credentials = decrypt_api_credentials(account.sealed, account.context, self._keyring)
        except DecryptionFailed:
            return CredentialUnreadable(account.context.account_id)
        return venue_of(account.exchange).sign(
            decision.permit, credentials, environment=Environment(account.context.environment)
        )

    async def _audit_unreadable(
        self,
        requests: Sequence[SigningRequest],
        decisions: Sequence[_Decision],
        outcomes: Sequence[SigningOutcome],
    ) -> None:
        """Records keys that did not open; the row before it says that the request itself was allowed."""
        events = [
            _event(request, outcome)
            for request, decision, outcome in zip(requests, decisions, outcomes, strict=True)
            if isinstance(decision, _Cleared) and isinstance(outcome, ServiceError)
        ]
        if events:
            async with self._journal.transaction() as transaction:
                await transaction.append(events, now=self._clock.now())


async def _lock_orders(
    transaction: SigningTransaction, decisions: Sequence[_Decision], now: datetime
) -> list[_Decision]:
    """The decisions, with a refusal in place of each create-order whose client order id is held."""
    locks = [_order_lock(decision) for decision in decisions]
    firsts: dict[tuple[uuid.UUID, str], OrderLock] = {}
    for lock in locks:
        if lock is not None:
            firsts.setdefault(lock.key, lock)
    taken = await transaction.lock_orders(list(firsts.values()), now=now)
    return [
        decision if lock is None or (lock.key in taken and firsts[lock.key] is lock) else OrderAlreadySigned()
        for decision, lock in zip(decisions, locks, strict=True)
    ]


def _order_lock(decision: _Decision) -> OrderLock | None:
    if isinstance(decision, ServiceError) or decision.permit.creates is None:
        return None
    return OrderLock(
        account_id=decision.request.account_id,
        client_order_id=decision.permit.creates.client_order_id,
        request=decision.request.subject,
        valid_until=decision.permit.creates.valid_until,
        clock_offset_ms=decision.request.clock_offset_ms,
    )


def _event(request: SigningRequest, outcome: _Decision | SigningOutcome) -> AuditEvent:
    return AuditEvent(
        caller=request.caller,
        action="sign",
        subject=request.subject,
        reason=audit_reason(outcome) if isinstance(outcome, ServiceError) else None,
        user_id=request.user_id,
        account_id=request.account_id,
        signal_id=request.signal_id,
        request_digest=request_digest(request.method, request.path, request.parameters),
    )

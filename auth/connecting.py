"""What owners do about the servers behind: replace a secret that is refused, let the gate in at a provider.

Whoever calls has tried what is to be stored. Here it is written in one transaction, for the account that was
looked at before it was tried and for no other, whatever its name means by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auth.deed import AccountError, Actor, Fresh, Problem, Proof, disabled
from auth.identities import Identities, Known, check_login, check_secret
from auth.oauth_tokens import Authorisations, Given, OAuthTokens
from auth.proving import Prover, account_named
from auth.secret import Secret
from auth.store.rows import AccountRow
from auth.store.store import Store, Tx
from scopes.model import Identity, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecret:
    """A secret that was tried, and where it is for."""

    identities: Mapping[Service, Identity]
    """All of kind `stored`."""
    secret: Secret


class Connecting:
    """Deeds of owners. They raise AccountError and StoreUnavailable, and what `Prover.claim` raises."""

    def __init__(self, store: Store, prover: Prover, identities: Identities, tokens: OAuthTokens) -> None:
        self._store = store
        self._prover = prover
        self._identities = identities
        self._tokens = tokens

    async def replace_secret(
        self, account: AccountRow, new: NewSecret, actor: Actor, proof: Proof | Fresh
    ) -> Known:
        """Store a secret in place of the one there was, at one server behind or at several."""
        check_secret(new.secret)
        for identity in new.identities.values():
            check_login(identity.login)
        claim = await self._prover.claim(account.email, actor, proof)
        _must_be_the_same(account, claim.account)

        def deed(tx: Tx, now: AccountRow) -> Known:
            _must_be_enabled(now)
            return self._identities.put(tx, now, new.identities, new.secret, actor)

        return await self._prover.carry_out(claim, deed)

    async def authorise(
        self, account: AccountRow, provider: str, given: Given, actor: Actor
    ) -> Authorisations:
        """Store what a provider gave to an owner who began with a proof, and came back from there."""

        def deed(tx: Tx) -> Authorisations:
            now = account_named(tx, account.email)
            _must_be_the_same(account, now)
            _must_be_enabled(now)
            return self._tokens.put(tx, now, provider, given, actor)

        return await self._store.write(deed)


def _must_be_the_same(account: AccountRow, now: AccountRow) -> None:
    if now.id != account.id:
        raise AccountError(
            Problem.CHANGED_MEANWHILE, "the account was changed in the same moment", "sign in again"
        )


def _must_be_enabled(account: AccountRow) -> None:
    if account.disabled_at is not None:
        raise disabled(account.email)

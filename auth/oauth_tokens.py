"""What owners of accounts have authorised at OAuth 2 providers: the refresh tokens, sealed.

To authorise, and to take it back, are deeds: a transaction with its audit line and its number. That a
provider replaces a token, or refuses it, is none: `Vault` writes it down for whoever has read the newest row.
A token is bound to account and provider, and read for nothing but a refresh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from auth.deed import AccountError, Actor, Mark, Problem, audit_entry, to_type
from auth.proving import account_named
from auth.seal import Binding, KeyRing
from auth.secret import Secret
from auth.store import deeds, identities
from auth.store import oauth_tokens as rows
from auth.store.oauth_tokens import TokenRow
from auth.store.rows import AccountRow, ChangeKind
from auth.store.store import Store, Tx
from scopes.model import Identity, IdentityKind, Service

PROVIDER_CHARACTERS: Final = 200
"""As long as the name of a table in the config may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenToken:
    """A refresh token as a provider gave it."""

    secret: Secret
    expires_at: int | None = None
    """Seconds since 1970-01-01 UTC, where the provider says when it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is written down of one authorisation."""

    token: GivenToken
    logins: Mapping[Service, str] = field(default_factory=dict)
    """For the upstreams where the config alone would not sign the account in by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """The refresh token that counts now."""

    refresh: Secret
    refused_at: int | None
    """Seconds since 1970-01-01 UTC, when the provider last refused it."""
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisations:
    """An account and what its owner authorised."""

    account: AccountRow
    tokens: tuple[TokenRow, ...]


class Vault:
    """The refresh tokens of one provider. All raise StoreUnavailable."""

    def __init__(self, store: Store, keys: KeyRing, provider: str, now: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._provider = provider
        self._now = now

    async def read(self, account_id: str) -> StoredToken | None:
        """Give what is stored for the account. Raises UnknownKey and UnsealError too."""
        found = await self._store.read(lambda tx: rows.of_account(tx, account_id))
        row = next((each for each in found if each.provider == self._provider), None)
        if row is None:
            return None
        refresh = self._keys.unseal(row.sealed, _binding(account_id, self._provider))
        return StoredToken(refresh=refresh, refused_at=row.refused_at, version=row.version)

    async def replace(self, account_id: str, version: int, given: GivenToken) -> int | None:
        """Store what the provider gave for `version`, unmarked; gives the new version, None if stale."""
        row = _row(self._keys, account_id, self._provider, given, at=int(self._now()), version=version + 1)
        done = await self._store.write(lambda tx: rows.replace(tx, account_id, version, row))
        return row.version if done else None

    async def mark_refused(self, account_id: str, version: int) -> bool:
        """Remember that the provider refused it; False if `version` is stale."""
        at = int(self._now())
        return await self._store.write(
            lambda tx: rows.mark_refused(tx, account_id, self._provider, version, at)
        )


class OAuthTokens:
    """Authorises, and takes it back. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(self, store: Store, keys: KeyRing, now: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._now = now

    async def of(self, name: str) -> Authorisations:
        """Give what the account called `name` has; the tokens stay sealed."""
        return await self._store.read(lambda tx: _known(tx, name))

    def vault(self, provider: str) -> Vault:
        """Give the tokens of one provider."""
        return Vault(self._store, self._keys, provider, self._now)

    async def authorise(
        self, name: str, provider: str, given: GivenToken, logins: Mapping[Service, str], actor: Actor
    ) -> Authorisations:
        """Store a refresh token that the caller has tried.

        `logins` are for the upstreams where the config alone would not sign the account in by it.
        """
        return await self._store.write(
            lambda tx: self.put(
                tx, account_named(tx, name), provider, Given(token=given, logins=logins), actor
            )
        )

    def put(self, tx: Tx, account: AccountRow, provider: str, given: Given, actor: Actor) -> Authorisations:
        """Write what a provider gave, as the last step of the caller's deed."""
        if not 0 < len(provider) <= PROVIDER_CHARACTERS:
            raise ValueError("a provider has a name")
        at = int(self._now())
        before = rows.of_account(tx, account.id)
        last = max((each.version for each in before if each.provider == provider), default=0)
        version = max(at, last + 1)  # none comes again, not even after a removal
        rows.put(tx, account.id, _row(self._keys, account.id, provider, given.token, at=at, version=version))
        for service, login in given.logins.items():
            identity = Identity(kind=IdentityKind.OAUTH2, login=login, provider=provider)
            identities.put(tx, account.id, service, identity, None, at)
        said = ", ".join([provider, *(f"{service} as {login}" for service, login in given.logins.items())])
        return _conclude(tx, account, actor, at, Mark(deed=ChangeKind.AUTHORISED, detail=said))

    async def remove(self, name: str, provider: str, actor: Actor) -> Authorisations:
        """Forget a refresh token, and the logins that were set for it. The provider is not told."""
        at = int(self._now())

        def deed(tx: Tx) -> Authorisations:
            account = account_named(tx, name)
            if not rows.remove(tx, account.id, provider):
                raise AccountError(
                    Problem.NOT_AUTHORISED,
                    f"{account.email} is not authorised at {provider}",
                    f"what there is: {to_type('account', 'show', account.email)}",
                )
            for service, identity in identities.identities(tx, account.id).items():
                if identity.kind is IdentityKind.OAUTH2 and identity.provider == provider:
                    identities.remove(tx, account.id, service)
            return _conclude(tx, account, actor, at, Mark(deed=ChangeKind.TOKEN_REMOVED, detail=provider))

        return await self._store.write(deed)


def _conclude(tx: Tx, account: AccountRow, actor: Actor, at: int, mark: Mark) -> Authorisations:
    after = Authorisations(account=account, tokens=tuple(rows.of_account(tx, account.id)))
    deeds.conclude(tx, audit_entry(actor, account, at, mark))
    return after


def _known(tx: Tx, name: str) -> Authorisations:
    account = account_named(tx, name)
    return Authorisations(account=account, tokens=tuple(rows.of_account(tx, account.id)))


def _row(
    keys: KeyRing, account_id: str, provider: str, given: GivenToken, *, at: int, version: int
) -> TokenRow:
    return TokenRow(
        provider=provider,
        sealed=keys.seal(given.secret, _binding(account_id, provider)),
        expires_at=given.expires_at,
        refused_at=None,
        updated_at=at,
        version=version,
    )


def _binding(account_id: str, provider: str) -> Binding:
    """Say where a refresh token is kept, for sealing."""
    return Binding(table="oauth_token", row_id=provider, account_id=account_id, purpose="refresh token")

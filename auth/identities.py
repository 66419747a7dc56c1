"""Who accounts are at the upstreams, where the config file does not say it for all: logins and secrets.

Secrets lie sealed, bound to account and service, and are read for a sign-in alone. That a secret works is
tried by whoever sets it, before it is stored. A deed here is a transaction with its audit line and its
number, like those of `auth.accounts`, and raises the same errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from auth.deed import AccountError, Actor, Mark, Problem, audit_entry, to_type
from auth.proving import account_named
from auth.seal import Binding, KeyRing
from auth.secret import Secret
from auth.store import deeds
from auth.store import identities as rows
from auth.store.identities import Kept
from auth.store.rows import AccountRow, ChangeKind
from auth.store.store import Store, Tx
from scopes.model import Identity, IdentityKind, Service

LOGIN_CHARACTERS: Final = 256
"""As long as an address can be (RFC 5321 §4.5.3.1)."""
SECRET_OCTETS: Final = 1_024
"""Providers make them of 16 to 20 characters; a SASL line has room for far more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An account and who it is at the upstreams."""

    account: AccountRow
    identities: Mapping[Service, Identity]
    set_at: Mapping[Service, int] = field(default_factory=dict)
    """When each was last written; seconds since 1970-01-01 UTC."""


class Said(Enum):
    """What the store says of an account at a server behind, beside something else."""

    LESS = auto()
    """Nothing, or the login alone where the other one has a secret with it."""
    THE_SAME = auto()
    OTHERWISE = auto()


class Identities:
    """Sets and reads identities. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(self, store: Store, keys: KeyRing, now: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._now = now

    async def of(self, name: str) -> Known:
        """Give who the account called `name` is."""
        return await self._store.read(lambda tx: _known(tx, account_named(tx, name)))

    async def login(self, account_id: str, service: Service) -> str | None:
        """Give the account's own login at the upstream of a service; None where none was set."""
        found = await self._store.read(lambda tx: rows.identities(tx, account_id))
        identity = found.get(service)
        return None if identity is None else identity.login

    async def secret(self, account_id: str, service: Service) -> Secret | None:
        """Give the account's secret for the upstream of a service, None where there is none.

        Raises StoreUnavailable, UnknownKey and UnsealError.
        """
        sealed = await self._store.upstream_secret(account_id, service)
        return None if sealed is None else self._keys.unseal(sealed, _binding(account_id, service))

    async def set(
        self, name: str, service: Service, identity: Identity, secret: Secret | None, actor: Actor
    ) -> Known:
        """Let the account be `identity` at the upstream of a service; `secret` is for kind `stored` alone."""
        if (secret is not None) != (identity.kind is IdentityKind.STORED):
            raise ValueError("a secret goes with the kind stored, and no other")
        check_login(identity.login)
        check_secret(secret)
        return await self._store.write(
            lambda tx: self.put(tx, account_named(tx, name), {service: identity}, secret, actor)
        )

    def put(
        self,
        tx: Tx,
        account: AccountRow,
        wanted: Mapping[Service, Identity],
        secret: Secret | None,
        actor: Actor,
    ) -> Known:
        """Write identities, all with one secret, as the last step of a deed; one audit line tells of all."""
        at = int(self._now())
        rows.put_all(tx, [self.sealed(account.id, *each, secret) for each in wanted.items()], at)
        entry = audit_entry(actor, account, at, set_mark(wanted))
        after = _known(tx, account)
        deeds.conclude(tx, entry)
        return after

    def all_kept(self, tx: Tx) -> dict[tuple[str, Service], Kept]:
        """Give who every account is, by account id and service."""
        return {(each.account_id, each.service): each for each in rows.all_kept(tx)}

    def compare(self, kept: Kept | None, identity: Identity, secret: Secret | None) -> Said:
        """Compare what is kept with what might be. Raises UnknownKey and UnsealError."""
        if kept is None:
            return Said.LESS
        if kept.identity != identity:
            just_a_login = kept.identity == Identity(login=identity.login)
            stored = identity.kind is IdentityKind.STORED
            return Said.LESS if just_a_login and stored else Said.OTHERWISE
        there = None
        if kept.sealed is not None:
            there = self._keys.unseal(kept.sealed, _binding(kept.account_id, kept.service))
        return Said.THE_SAME if there == secret else Said.OTHERWISE

    def sealed(self, account_id: str, service: Service, identity: Identity, secret: Secret | None) -> Kept:
        """Seal what is to be kept."""
        box = None if secret is None else self._keys.seal(secret, _binding(account_id, service))
        return Kept(account_id=account_id, service=service, identity=identity, sealed=box)

    async def clear(self, name: str, service: Service, actor: Actor) -> Known:
        """Let the account be who the config says at the upstream of a service."""

        def deed(tx: Tx) -> Known:
            account = account_named(tx, name)
            if not rows.remove(tx, account.id, service):
                raise AccountError(
                    Problem.NO_SUCH_IDENTITY,
                    f"nothing is set for {account.email} at the {service} server behind",
                    f"what is set: {to_type('account', 'show', account.email)}",
                )
            mark = Mark(deed=ChangeKind.UPSTREAM_CLEARED, detail=str(service))
            after = _known(tx, account)
            deeds.conclude(tx, audit_entry(actor, account, int(self._now()), mark))
            return after

        return await self._store.write(deed)


def set_mark(wanted: Mapping[Service, Identity]) -> Mark:
    """Say what was set, for the audit trail."""
    detail = ", ".join(f"{service}: {each.kind} as {each.login}" for service, each in wanted.items())
    return Mark(deed=ChangeKind.UPSTREAM_SET, detail=detail)


def check_login(login: str) -> None:
    """Refuse what can be no login; raises AccountError."""
    if login and login.isprintable() and login == login.strip() and len(login) <= LOGIN_CHARACTERS:
        return
    what = f"a login at the server behind has 1 to {LOGIN_CHARACTERS} printable characters"
    raise AccountError(Problem.BAD_LOGIN, what, "write it as the server behind knows it")


def check_secret(secret: Secret | None) -> None:
    """Refuse what can be no password in SASL PLAIN (RFC 4616 §2); raises AccountError."""
    octets = b"-" if secret is None else secret.reveal_bytes()
    if octets and b"\0" not in octets and b"\n" not in octets and len(octets) <= SECRET_OCTETS:
        return
    what = f"a secret for the server behind is one line of 1 to {SECRET_OCTETS} octets"
    raise AccountError(Problem.BAD_UPSTREAM_SECRET, what, "paste the password that the server behind takes")


def _binding(account_id: str, service: Service) -> Binding:
    """Say where an upstream secret is kept, for sealing."""
    return Binding(
        table="upstream_login", row_id=service.value, account_id=account_id, purpose="upstream secret"
    )


def _known(tx: Tx, account: AccountRow) -> Known:
    return Known(
        account=account,
        identities=rows.identities(tx, account.id),
        set_at=rows.set_at(tx, account.id),
    )

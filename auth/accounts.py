"""Accounts and all that is done to them: each deed is one transaction with its audit line and its number.

This is the one door for the command line and the portal. Proofs are looked at in `auth.proving`, app
passwords made in `auth.minting` and renewed in `auth.renewing`, authenticators enrolled in `auth.enrolment`,
other names given in `auth.aliases`, addresses to send as listed in `auth.senders`, who accounts are upstream
set in `auth.identities`; the words are in `auth.deed`.

Nothing here revives a revoked app password, and nothing removed comes back: an email added again is a new
account with a new id.

Every method raises AccountError when it refuses and StoreUnavailable when the store cannot answer; those that
hash also raise `auth.hashing.Busy`, and those that look at a proof `auth.seal.UnknownKey` or `UnsealError`
when a key is missing or a sealed seed is damaged. Names may be emails or aliases, in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from auth import apppassword, ids, names
from auth.aliases import Aliases
from auth.apppassword import AppPassword
from auth.checks import check_kind, checked_alias, checked_email, must_be_free
from auth.connecting import Connecting
from auth.deed import (
    AccountError,
    Actor,
    Enrolment,
    Fresh,
    Mark,
    Minted,
    MintRequest,
    Problem,
    Proof,
    Revocation,
    audit_entry,
    elsewhere,
)
from auth.ending import end_all, end_one
from auth.enrolment import SecondFactor
from auth.hashing import Hasher
from auth.identities import Identities
from auth.ids import new_id
from auth.importing import Importing
from auth.invitations import Invitations
from auth.minting import MOST_ACTIVE, Mint, Terms
from auth.oauth_tokens import OAuthTokens
from auth.portal_sessions import PortalSessions
from auth.primaries import Elsewhere, Floor, Primaries
from auth.primary_changes import PrimaryChanges
from auth.proving import Prover, account_named
from auth.renewing import Renewal
from auth.seal import KeyRing
from auth.secret import Secret
from auth.senders import Senders
from auth.session_book import SessionBook
from auth.signing_in import SigningIn
from auth.store import deeds, proofs, queries
from auth.store.rows import AccountRow, AppPasswordRow, AuditEntry, ChangeKind
from auth.store.store import Store, Tx

__all__ = [
    "AccountError",
    "Accounts",
    "Actor",
    "Enrolment",
    "Fresh",
    "MintRequest",
    "Minted",
    "Problem",
    "Proof",
    "Revocation",
]


class Accounts:
    """Does what is done to accounts. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(
        self,
        store: Store,
        hasher: Hasher,
        keys: KeyRing,
        *,
        limit: int = MOST_ACTIVE,
        issuer: str = "Wicketgate",
        now: Callable[[], float] = time.time,
        generate: Callable[[], AppPassword] = apppassword.generate,
        primaries: Primaries | None = None,
        floor: Floor | None = None,
    ) -> None:
        """`limit` is the most active app passwords of one account, `issuer` what authenticators show.

        `primaries` is None where every primary password is kept here; `floor` is for tests.
        """
        self._store = store
        self._now = now
        asked = None if primaries is None else Elsewhere(primaries=primaries, floor=floor or Floor())
        self._prover = Prover(store, hasher, keys, now, asked)
        book = SessionBook(keys, now)
        terms = Terms(limit=limit, now=now, new_id=new_id, generate=generate)
        self._mint = Mint(self._prover, hasher, keys, terms)
        self._renewal = Renewal(self._prover, self._mint, now)
        self._second_factor = SecondFactor(store, self._prover, keys, issuer=issuer, now=now)
        self._changes = PrimaryChanges(store, self._prover, book, now)
        signing_in = SigningIn(store, self._prover, keys, book, now)
        self.portal = PortalSessions(store, self._prover, self._second_factor, book, signing_in)
        """Who is signed in at the portal."""
        self.invitations = Invitations(store, self._prover, keys, book, now)
        """By which people come in for the first time."""
        self.aliases = Aliases(store, now)
        """Under which other names accounts sign in."""
        self.senders = Senders(store, now)
        """What accounts may send as."""
        self.identities = Identities(store, keys, now)
        """Who accounts are at the upstreams."""
        self.importing = Importing(store, self.identities, now)
        """Many people at once."""
        self.oauth_tokens = OAuthTokens(store, keys, now)
        """What their owners have authorised at providers."""
        self.connecting = Connecting(store, self._prover, self.identities, self.oauth_tokens)
        """What owners do about both themselves."""

    # --- accounts -------------------------------------------------------------------------------------------

    async def add(
        self,
        email: str,
        *,
        primary: Secret | None,
        service: bool = False,
        aliases: Iterable[str] = (),
        actor: Actor,
    ) -> AccountRow:
        """Add an account: a person, or a service account, which has no primary password.

        A person without one is to be invited, or has it at a mail server.
        """
        address = checked_email(email)
        others = tuple(sorted({checked_alias(alias) for alias in aliases} - {address}))
        check_kind(primary, service=service)
        row = AccountRow.person(new_id(ids.ACCOUNT), address, int(self._now()))
        row = replace(row, aliases=others, is_service=service)
        if primary is not None:
            if self._prover.primaries.elsewhere(address):
                raise elsewhere(address)
            stored, key_id = await self._prover.primaries.hash(row.id, primary)
            row = replace(row, primary_hash=stored, primary_key_id=key_id)

        def deed(tx: Tx) -> None:
            must_be_free(tx, (address, *others))
            deeds.insert_account(tx, row)
            self._conclude(tx, row, actor, Mark(deed=ChangeKind.ACCOUNT_ADDED, detail=_described(row)))

        await self._store.write(deed)
        return row

    async def find(self, name: str) -> AccountRow:
        """Give the account that signs in by `name`."""
        return await self._store.read(lambda tx: account_named(tx, name))

    async def all(self) -> list[AccountRow]:
        """Give every account, by email."""
        return await self._store.read(queries.all_accounts)

    async def disable(self, name: str, actor: Actor) -> Revocation:
        """Disable an account and revoke all its app passwords; disabling twice changes nothing."""
        at = int(self._now())

        def deed(tx: Tx) -> Revocation:
            account = account_named(tx, name)
            if account.disabled_at is not None:
                return Revocation(change=None)
            deeds.set_disabled(tx, account.id, at)
            return end_all(tx, account, actor, at, Mark(deed=ChangeKind.ACCOUNT_DISABLED))

        return await self._store.write(deed)

    async def enable(self, name: str, actor: Actor) -> None:
        """Enable a disabled account. Its revoked app passwords stay dead."""

        def deed(tx: Tx) -> None:
            account = account_named(tx, name)
            if account.disabled_at is not None:
                deeds.set_disabled(tx, account.id, None)
                self._conclude(tx, account, actor, Mark(deed=ChangeKind.ACCOUNT_ENABLED))

        await self._store.write(deed)

    async def remove(self, name: str, actor: Actor) -> Revocation:
        """Remove an account for good. Its names are free again; history and audit trail stay readable."""
        at = int(self._now())

        def deed(tx: Tx) -> Revocation:
            account = account_named(tx, name)
            deeds.bury_account(tx, account.id, at)
            return end_all(tx, account, actor, at, Mark(deed=ChangeKind.ACCOUNT_REMOVED))

        return await self._store.write(deed)

    async def set_primary(
        self, name: str, new: Secret, actor: Actor, proof: Proof | Fresh | None = None
    ) -> Revocation:
        """Change the primary password and revoke all app passwords; without a proof, the operator's deed.

        The proof's code is looked at where a second factor is enrolled. Refused where a mail server keeps it.
        """
        return await self._changes.set(name, new, actor, proof)

    async def primary_changed(self, name: str, actor: Actor) -> Revocation:
        """Take note that it was changed at the mail server that keeps it, and revoke all app passwords."""
        return await self._changes.changed_elsewhere(name, actor)

    def primary_elsewhere(self, email: str) -> bool:
        """Whether a mail server keeps the primary password of an account."""
        return self._prover.primaries.elsewhere(email)

    # --- second factor --------------------------------------------------------------------------------------

    async def begin_enrolment(self, name: str) -> Enrolment:
        """Make a seed for a new authenticator. Nothing is stored and nothing changes."""
        return await self._second_factor.begin(name)

    async def confirm_enrolment(
        self,
        name: str,
        enrolment: Enrolment,
        code: Secret,
        actor: Actor,
        proof: Proof | Secret | None = None,
    ) -> tuple[Secret, ...]:
        """Enrol the authenticator that made `code`; gives the recovery codes, which are shown once.

        The first one an operator may enrol without proof, and an owner with the primary password. One in
        place is replaced by a `Proof`, or by one of its codes or a recovery code alone; an operator's word
        is not enough. App passwords stay.
        """
        return await self._second_factor.confirm(name, enrolment, code, actor, proof)

    async def renew_recovery_codes(
        self, name: str, actor: Actor, proof: Proof | Fresh | None
    ) -> tuple[Secret, ...]:
        """Make new recovery codes, which are shown once; all earlier ones are void. It takes a proof."""
        return await self._second_factor.renew_codes(name, actor, proof)

    async def recovery_codes_left(self, name: str) -> int:
        """Say how many recovery codes are unused."""
        return len(await self._store.read(lambda tx: proofs.recovery_codes(tx, account_named(tx, name).id)))

    async def reset_second_factor(self, name: str, actor: Actor) -> Revocation:
        """Take the second factor away and revoke all app passwords: the operator's way out."""
        return await self._second_factor.reset(name, actor)

    # --- app passwords --------------------------------------------------------------------------------------

    async def mint(
        self, name: str, request: MintRequest, actor: Actor, proof: Proof | Fresh | None = None
    ) -> Minted:
        """Make an app password. It is committed when this returns; call `mark_shown` once it was printed.

        An operator needs no proof, but the account needs its second factor all the same (a service account
        has none, and only an operator mints for it). Whether cancelled or killed, one row is left at most.
        """
        return await self._mint.mint(name, request, actor, proof)

    async def renew(
        self,
        name: str,
        which: str,
        expires_at: int | None,
        actor: Actor,
        proof: Proof | Fresh | None = None,
    ) -> Minted:
        """Make a successor of the app password that `which` names by id, label or selector.

        It has the same label, scopes and limits, and ends at `expires_at`. The old one lives until the new
        one is first used, at most a week past its own end. Proof and outcome are as for `mint`.
        """
        return await self._renewal.renew(name, which, expires_at, actor, proof)

    async def mark_shown(self, app_password_id: str) -> None:
        """Remember that the password was printed."""
        at = int(self._now())
        await self._store.write(lambda tx: deeds.mark_shown(tx, app_password_id, at))

    async def active(self, name: str) -> list[AppPasswordRow]:
        """Give the account's app passwords that are neither revoked nor expired, oldest first."""
        now = self._now()

        def look(tx: Tx) -> list[AppPasswordRow]:
            rows = queries.app_passwords(tx, [account_named(tx, name).id])
            return [row for row in rows if queries.is_active(row, now)]

        return await self._store.read(look)

    async def preview(self, name: str) -> int:
        """Say how many active app passwords a revocation of all would end."""
        return len(await self.active(name))

    async def history(self, name: str) -> list[AppPasswordRow]:
        """Give all app passwords there ever were under this name, those of removed accounts too."""
        return await self._store.read(lambda tx: queries.app_passwords(tx, _ever(tx, name)))

    async def revoke(self, name: str, which: str, actor: Actor) -> Revocation:
        """Revoke the app password that `which` names by id, label or selector; twice changes nothing."""
        at = int(self._now())
        return await self._store.write(
            lambda tx: end_one(tx, account_named(tx, name), actor, at, which.strip())
        )

    async def revoke_all(self, name: str, actor: Actor, proof: Proof | Fresh | None = None) -> Revocation:
        """Revoke every app password of the account; with none left nothing changes. An owner proves it."""
        claim = await self._prover.claim(name, actor, proof)

        def deed(tx: Tx, account: AccountRow) -> Revocation:
            if not queries.any_unrevoked(tx, account.id):
                return Revocation(change=None)
            mark = Mark(deed=ChangeKind.ALL_REVOKED, detail=claim.how if claim.proved else "")
            return end_all(tx, account, actor, int(self._now()), mark)

        return await self._prover.carry_out(claim, deed)

    # --- audit ----------------------------------------------------------------------------------------------

    async def audit(self, name: str | None = None, since: int | None = None) -> list[AuditEntry]:
        """Give the audit trail, oldest first: of one name, or of all; from `since` on."""

        def look(tx: Tx) -> list[AuditEntry]:
            return queries.audit_entries(tx, None if name is None else _ever(tx, name), since)

        return await self._store.read(look)

    def _conclude(self, tx: Tx, account: AccountRow, actor: Actor, mark: Mark) -> None:
        deeds.conclude(tx, audit_entry(actor, account, int(self._now()), mark))


def _described(account: AccountRow) -> str:
    """Say what was added, for the audit trail."""
    kind = "service account" if account.is_service else "person"
    return f"{kind}, aliases {' '.join(account.aliases)}" if account.aliases else kind


def _ever(tx: Tx, name: str) -> list[str]:
    """Give the accounts that have or had this name; raises AccountError when there never was one."""
    known = names.canonical(name)
    ids = [] if known is None else queries.accounts_ever(tx, known)
    if not ids:
        raise AccountError(
            Problem.NO_SUCH_ACCOUNT, "there never was an account of this name", "name it by its email"
        )
    return ids

"""Changes of the primary password that are done here, or told of here. Each ends all app passwords.

An owner who does it in the portal stays there, under a new token; every other session ends. Changes that are
seen when somebody signs in are in `auth.primaries`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from auth.checks import check_primary
from auth.deed import (
    AccountError,
    Actor,
    Fresh,
    Mark,
    Opened,
    Problem,
    Proof,
    Revocation,
    disabled,
    elsewhere,
    to_type,
)
from auth.ending import end_all
from auth.proving import Claim, Prover, account_named
from auth.secret import Secret
from auth.session_book import SessionBook, Step
from auth.store import deeds, invitations
from auth.store import portal_sessions as rows
from auth.store.rows import AccountRow, ChangeKind, Stage
from auth.store.store import Store, Tx
from auth.tokens import token_digest


class PrimaryChanges:
    """Carries them out. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(self, store: Store, prover: Prover, book: SessionBook, now: Callable[[], float]) -> None:
        self._store = store
        self._prover = prover
        self._book = book
        self._now = now

    async def set(self, name: str, new: Secret, actor: Actor, proof: Proof | Fresh | None) -> Revocation:
        """Change it; see `Accounts.set_primary`."""
        check_primary(new)
        claim = await self._prover.claim(name, actor, proof)
        email = claim.account.email
        if claim.account.is_service:
            raise AccountError(
                Problem.SERVICE_ACCOUNT,
                "a service account has no primary password",
                "it has app passwords only; to end them: " + to_type("password", "revoke-all", email),
            )
        if self._prover.primaries.elsewhere(email):
            raise elsewhere(email)
        stored, key_id = await self._prover.primaries.hash(claim.account.id, new)

        def deed(tx: Tx, account: AccountRow) -> Revocation:
            if claim.proved and account.disabled_at is not None:
                raise disabled(account.email)
            deeds.set_primary(tx, account.id, stored, key_id)
            self._prover.tries.forget(tx, account)
            invitations.end(tx, account.id)
            opened = self._turned(tx, claim)
            keep = None if opened is None else token_digest(opened.token)
            mark = Mark(deed=ChangeKind.PRIMARY_CHANGED, detail=claim.how)
            ended = end_all(tx, account, actor, int(self._now()), mark, keep=keep)
            return replace(ended, opened=opened)

        return await self._prover.carry_out(claim, deed)

    async def changed_elsewhere(self, name: str, actor: Actor) -> Revocation:
        """Forget the one that a mail server keeps; see `Accounts.primary_changed`."""

        def deed(tx: Tx) -> Revocation:
            account = account_named(tx, name)
            if account.is_service or not self._prover.primaries.elsewhere(account.email):
                raise AccountError(
                    Problem.PRIMARY_HERE,
                    f"no mail server keeps a primary password of {account.email}",
                    "change the one that is kept here: " + to_type("account", "set-password", account.email),
                )
            deeds.update_account(tx, account.id, primary_hash=None, primary_key_id=None)
            self._prover.tries.forget(tx, account)
            mark = Mark(deed=ChangeKind.PRIMARY_CHANGED, detail="at the mail server, as was told")
            return end_all(tx, account, actor, int(self._now()), mark)

        return await self._store.write(deed)

    def _turned(self, tx: Tx, claim: Claim) -> Opened | None:
        """Give the session in which it is done a new token: there both halves were proved lately."""
        row = None if claim.session is None else rows.find(tx, claim.session.digest)
        if row is None:
            return None
        step = Step(stage=Stage.IN, proved_at=row.proved_at, held=self._book.held(row))
        return self._book.turn(tx, row, step)

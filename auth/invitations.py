"""Invitations: one-time links by which people come in for the first time.

Whoever opens one sets the primary password, or proves the one that a mail server keeps, and then enrols a
second factor. To look at a link uses nothing up, for mail scanners open links before people do. It is used up
in the transaction that lets the person in, so of two at once one comes in. Late, used, ended and unknown ones
are answered alike. A new one ends the one before; so does everything that makes it needless or unwanted: a
second factor, another primary password, the end of the account.

Methods raise AccountError, StoreUnavailable, `auth.hashing.Busy` and `auth.primaries.PrimaryOutage`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from auth import ids, notices
from auth.checks import check_primary
from auth.deed import AccountError, Actor, Mark, Opened, Problem, Revocation, audit_entry, disabled, to_type
from auth.proving import Prover, Seen, account_named
from auth.seal import KeyRing
from auth.secret import Secret
from auth.session_book import SessionBook, Step
from auth.store import deeds, portal_sessions, queries
from auth.store import invitations as rows
from auth.store import notices as outbox
from auth.store.invitations import InvitationRow
from auth.store.notices import Notice, NoticeKind
from auth.store.rows import AccountRow, ChangeKind, RevokedWhy, Stage
from auth.store.store import Store, Tx
from auth.tokens import new_token, token_digest

GOOD_S: Final = 72 * 3_600
"""Long enough for a weekend, short enough for a mail that lies about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A new invitation. The token is in its link, and in the store sealed for the mail at most."""

    account: AccountRow
    token: Secret
    expires_at: int
    """Seconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation that is good now."""

    account: AccountRow
    expires_at: int
    elsewhere: bool
    """Whether the primary password is to be proved, which a mail server keeps; else it is to be set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToInvite:
    """Who has no second factor yet, by email; who may not come in is not among them."""

    without: tuple[str, ...]
    """Those without a good invitation."""
    invited: tuple[str, ...]
    """Those with one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proved:
    """What comes with an acceptance."""

    stored: str
    key_id: str
    seen: Seen | None
    """The try it was, where a mail server was asked."""


class Invitations:
    """Makes and takes them. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(
        self, store: Store, prover: Prover, keys: KeyRing, book: SessionBook, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._prover = prover
        self._keys = keys
        self._book = book
        self._now = now

    async def invite(self, name: str, actor: Actor, *, by_mail: bool = False) -> Invited:
        """Invite the owner of the account called `name`; the one before is worth nothing from now on.

        `by_mail`: what sends mails finds the link in the store, sealed. Refuses whoever is enrolled already.
        """
        at, token = int(self._now()), new_token()

        def deed(tx: Tx) -> Invited:
            account = account_named(tx, name)
            _must_need_one(account)
            invited = Invited(account=account, token=token, expires_at=at + GOOD_S)
            row = InvitationRow(
                digest=token_digest(token),
                account_id=account.id,
                created_at=at,
                expires_at=invited.expires_at,
            )
            rows.put(tx, row)
            outbox.withdraw(tx, account.id, NoticeKind.INVITATION)
            if by_mail:
                outbox.put(tx, self._notice(invited), at)
            mark = Mark(deed=ChangeKind.INVITED, detail="by mail" if by_mail else "")
            deeds.conclude(tx, audit_entry(actor, account, at, mark))
            return invited

        return await self._store.write(deed)

    def _notice(self, invited: Invited) -> Notice:
        return notices.invitation(
            self._keys,
            invited.account.id,
            invited.token,
            name=ids.new_id(ids.INVITATION),
            expires_at=invited.expires_at,
        )

    async def all_to_invite(self) -> ToInvite:
        """Give all who have no second factor yet."""
        at = int(self._now())
        found = await self._store.read(lambda tx: rows.without_second_factor(tx, at))
        return ToInvite(
            without=tuple(email for email, good in found if not good),
            invited=tuple(email for email, good in found if good),
        )

    async def look(self, token: Secret) -> Invitation | None:
        """Give the invitation of a token, and use nothing up; None where it is good no more, or never was."""
        found = await self._store.read(lambda tx: self._find(tx, token))
        if found is None:
            return None
        row, account = found
        elsewhere = self._prover.primaries.elsewhere(account.email)
        return Invitation(account=account, expires_at=row.expires_at, elsewhere=elsewhere)

    async def accept(self, token: Secret, primary: Secret, where: str) -> Opened:
        """Use an invitation up, from the address `where`; gives a session in stage `ENROL`.

        `primary` is the new primary password, or the one of the mailbox; while it is not taken, the
        invitation stays good. INVITATION_ENDED says nothing of whether there ever was one.
        """
        invitation = await self.look(token)
        if invitation is None:
            raise _ended()
        account = invitation.account
        if invitation.elsewhere:
            proved = await self._proved(account, primary, where)
        else:
            check_primary(primary)
            stored, key_id = await self._prover.primaries.hash(account.id, primary)
            proved = _Proved(stored=stored, key_id=key_id, seen=None)
        actor = Actor(kind="owner", name=account.email, where=where)
        return await self._store.write(lambda tx: self._let_in(tx, token, proved, actor))

    async def _proved(self, account: AccountRow, primary: Secret, where: str) -> _Proved:
        """Ask the mail server, as one counted try; raises WRONG_PROOF."""
        seen = await self._prover.enter(account.email, where)
        known = seen.asked.account
        async with self._prover.looking(seen.subjects):
            # Where the account is to be left alone it is wrong unseen, and the mail server is spared.
            right = known is not None and await self._prover.primaries.is_right_elsewhere(known, primary)
            if not right:
                raise _not_the_mailboxs()
            stored, key_id = await self._prover.primaries.hash(account.id, primary)
        return _Proved(stored=stored, key_id=key_id, seen=seen)

    def _let_in(self, tx: Tx, token: Secret, proved: _Proved, actor: Actor) -> Opened:
        """Use it up, store the primary password, open a session."""
        found = self._find(tx, token)
        if found is None:
            raise _ended()
        row, account = found
        at = int(self._now())
        rows.use(tx, row.digest, at)
        if proved.seen is not None:
            self._prover.tries.right(tx, proved.seen.subjects)
        else:
            self._prover.tries.forget(tx, account)
        portal_sessions.end(tx, account.id)
        deeds.set_primary(tx, account.id, proved.stored, proved.key_id)
        # Without a second factor there is none to revoke; were there one, it would not outlive this.
        ended = deeds.revoke(tx, account.id, at, RevokedWhy.PRIMARY_CHANGED)
        opened = self._book.open(tx, account, Step(stage=Stage.ENROL))
        how = "the primary password set" if proved.seen is None else "the primary password proved"
        entry = audit_entry(actor, account, at, Mark(deed=ChangeKind.INVITATION_USED, detail=how))
        change = deeds.conclude(tx, entry, ended)
        return replace(opened, revocation=Revocation(change=change, app_password_ids=ended))

    def _find(self, tx: Tx, token: Secret) -> tuple[InvitationRow, AccountRow] | None:
        """Give an invitation that is good now, and whose it is."""
        row = rows.find(tx, token_digest(token))
        if row is None or row.used_at is not None or row.expires_at <= self._now():
            return None
        account = queries.account_by_id(tx, row.account_id)
        if account is None or account.disabled_at is not None or account.has_second_factor:
            return None
        return row, account


def _must_need_one(account: AccountRow) -> None:
    """Refuse to invite who is in already, or may not come in."""
    if account.is_service:
        raise AccountError(
            Problem.SERVICE_ACCOUNT,
            f"{account.email} is a service account: nobody comes in for it",
            "make its app passwords yourself: " + to_type("password", "create", account.email),
        )
    if account.disabled_at is not None:
        raise disabled(account.email)
    if account.has_second_factor:
        raise AccountError(
            Problem.ALREADY_ENROLLED,
            f"{account.email} has a second factor already, and signs in with it",
            "where it is lost, take it away first: " + to_type("account", "reset-2fa", account.email),
        )


def _ended() -> AccountError:
    return AccountError(
        Problem.INVITATION_ENDED,
        "this invitation is good no more",
        "where it was you who used it, sign in; else ask whoever runs the mail server for a new one",
    )


def _not_the_mailboxs() -> AccountError:
    return AccountError(
        Problem.WRONG_PROOF,
        "this is not the password of the mailbox",
        "type the one that you read your mail with; after many wrong tries wait for 15 minutes",
    )

"""Who may do a deed: the owner who proves it, or the operator who needs no proof.

`claim` looks at a proof outside any transaction, for hashing takes time. `carry_out` then spends it in the
transaction of the deed, where the account must still be what was looked at: so a code opens one deed, and of
two in parallel the second finds it spent. A session of the portal that proved both halves minutes ago is a
proof too; it is looked at again in the transaction, and spends nothing. Unknown accounts cost, count and
answer like known ones, whatever was tried at their other names (see `auth.tries`), and a wrong proof never
says which half was wrong.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from auth import codes, names
from auth.codes import Code
from auth.deed import AccountError, Actor, Fresh, Problem, Proof, Revocation, proof_needed, to_type
from auth.hashing import Busy, Hasher
from auth.lifetimes import is_alive, is_fresh
from auth.outage import PrimaryOutage
from auth.primaries import Asked, Checked, Elsewhere, PrimaryPasswords
from auth.seal import KeyRing, UnknownKey, UnsealError
from auth.secret import Secret
from auth.store import portal_sessions, proofs, queries
from auth.store.deeds import set_primary
from auth.store.errors import StoreUnavailable
from auth.store.rows import AccountRow, SessionRow, Stage
from auth.store.store import Store, Tx
from auth.throttle import origin
from auth.tokens import token_digest
from auth.tries import Subject, Tries
from auth.turns import Asker

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The account a deed is about, and what its proof spends; an operator's spends nothing."""

    account: AccountRow
    proved: bool = False
    by_code_alone: bool = False
    code: Code = codes.WRONG
    session: SessionRow | None = None
    """The portal's, where it is the proof."""
    rehashed: tuple[str, str] | None = field(default=None, repr=False)
    """The primary password's hash at today's cost, and its key id, where the stored one is of yesterday."""
    revocation: Revocation | None = None
    """What ended because the primary password was found to be changed elsewhere."""

    @property
    def how(self) -> str:
        """How it was proved, for the audit trail."""
        if not self.proved:
            return "without the owner's proof"
        if self.session is not None:
            return "in the portal"
        if self.code.recovery is not None:
            return "by a recovery code"
        return "by a code" if self.code.step is not None else "by the primary password"

    @property
    def in_portal(self) -> bytes | None:
        """The digest of the session it is done in."""
        return None if self.session is None else self.session.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the store knew when a try began."""

    asked: Asked
    account_id: str | None
    """The account it was counted against, even where nothing may be seen of it."""
    recovery: list[tuple[str, bytes]] = field(repr=False)
    subjects: tuple[Subject, ...]


class Prover:
    """Looks at proofs and spends them. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(
        self,
        store: Store,
        hasher: Hasher,
        keys: KeyRing,
        now: Callable[[], float],
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`elsewhere` is None where every primary password is kept here."""
        self._store = store
        self._keys = keys
        self._now = now
        self._floor = None if elsewhere is None else elsewhere.floor
        primaries = None if elsewhere is None else elsewhere.primaries
        self.primaries = PrimaryPasswords(store, hasher, keys, now, primaries)
        self.tries = Tries(keys)

    async def claim(self, name: str, actor: Actor, proof: Proof | Fresh | Secret | None) -> Claim:
        """Find the account and look at the proof; a Secret alone is a code, None is the operator's word.

        Raises AccountError, StoreUnavailable, PrimaryOutage, Busy when there is too much to hash, and
        UnknownKey or UnsealError when what is stored cannot be compared with the keys at hand.
        """
        if isinstance(proof, Fresh):
            return await self._store.read(lambda tx: self._fresh(tx, name, proof))
        if proof is not None:
            return await self._prove(name, actor, proof)
        if actor.kind != "operator":
            raise proof_needed()
        return Claim(account=await self._store.read(lambda tx: account_named(tx, name)))

    async def carry_out(self, claim: Claim, deed: Callable[[Tx, AccountRow], T]) -> T:
        """Spend the proof and do the deed in one transaction.

        A deed refused for a reason of its own changes nothing, but the code stays spent: what was accepted
        once is not accepted again (RFC 6238 §5.2). A recovery code is kept.
        """
        try:
            return await self._store.write(lambda tx: deed(tx, self._spend(tx, claim)))
        except AccountError as error:
            step = claim.code.step
            if step is not None and error.problem not in {Problem.WRONG_PROOF, Problem.CHANGED_MEANWHILE}:
                await self._store.write(lambda tx: proofs.take_step(tx, claim.account.id, step))
            raise

    async def enter(self, name: str, where: str) -> Seen:
        """Count a try and read what it is about. Raises AccountError when it is too early for one."""
        now = self._now()
        return await self._store.write(lambda tx: self._enter(tx, name, where, now))

    @asynccontextmanager
    async def looking(self, subjects: tuple[Subject, ...]) -> AsyncIterator[None]:
        """Take a try back where an outage keeps it from being looked at in the block."""
        try:
            yield
        except (Busy, UnknownKey, UnsealError, StoreUnavailable, PrimaryOutage):
            with suppress(StoreUnavailable):
                await self._store.write(lambda tx: self.tries.not_seen(tx, subjects))
            raise

    def begun(self) -> Callable[[], Awaitable[None]]:
        """Give what waits, from now on, until an answer tells nothing by the time it took."""
        floor = self._floor
        return _at_once if floor is None else partial(floor.keep, floor.monotonic())

    async def _prove(self, name: str, actor: Actor, proof: Proof | Secret) -> Claim:
        wait = self.begun()
        seen = await self.enter(name, actor.where)
        try:
            async with self.looking(seen.subjects):
                claim = await self._look(seen, proof)
                await self._store.write(lambda tx: self.tries.right(tx, seen.subjects))
        except AccountError:
            await wait()
            raise
        return claim

    def _enter(self, tx: Tx, name: str, where: str, now: float) -> Seen:
        known = names.canonical(name)
        account = queries.find_account(tx, "" if known is None else known)
        account_id = None if account is None else account.id
        this = self.tries.begin(tx, known or name, account_id, where, now)
        if this.unseen:
            account = None  # from here on it is like a name nobody has
        return Seen(
            asked=Asked(
                name=known or name,
                account=account,
                where=where,
                unseen=this.unseen,
                asker=Asker(origin=origin(where), doubted=this.doubted),
            ),
            account_id=account_id,
            recovery=proofs.recovery_codes(tx, "" if account is None else account.id),
            subjects=this.subjects,
        )

    async def _look(self, seen: Seen, proof: Proof | Secret) -> Claim:
        """Look at both halves, whatever the first one was; what is not enrolled needs no code."""
        primary, typed = (proof.primary, proof.code) if isinstance(proof, Proof) else (None, proof)
        checked = (
            Checked(account=seen.asked.account, right=True)
            if primary is None
            else await self.primaries.check(seen.asked, primary)
        )
        account = checked.account
        code = codes.look_at(self._keys, account, seen.recovery, typed, self._now())
        if account is None or not checked.right:
            raise wrong(by_code_alone=primary is None)
        if not code.right and (primary is None or account.has_second_factor):
            raise wrong(by_code_alone=primary is None)
        return Claim(
            account=account,
            proved=True,
            by_code_alone=primary is None,
            code=code,
            rehashed=None if primary is None else await self.primaries.rehashed(account, primary),
            revocation=checked.revocation,
        )

    def _fresh(self, tx: Tx, name: str, proof: Fresh) -> Claim:
        session = portal_sessions.find(tx, token_digest(proof.token))
        if session is None or not is_fresh(session, self._now()):
            raise proof_needed()
        account = account_named(tx, name)
        if account.id != session.account_id:
            raise proof_needed()
        return Claim(account=account, proved=True, session=session)

    def _spend(self, tx: Tx, claim: Claim) -> AccountRow:
        """Take the proof, in the deed's transaction; gives the account as it stands now."""
        seen = claim.account
        account = queries.account_by_id(tx, seen.id)
        if account is None:
            raise AccountError(
                Problem.NO_SUCH_ACCOUNT,
                f"there is no account {seen.email} any more",
                "it was removed in the same moment",
            )
        if not claim.proved:
            return account
        if claim.session is not None:
            self._see_again(tx, claim.session, account)
        elif (account.primary_hash, account.seed) != (seen.primary_hash, seen.seed):
            raise AccountError(
                Problem.CHANGED_MEANWHILE, "the account was changed in the same moment", "try again"
            )
        if not codes.take(tx, account.id, claim.code, int(self._now())):
            raise wrong(by_code_alone=claim.by_code_alone)
        if claim.rehashed is not None:
            set_primary(tx, account.id, *claim.rehashed)
        return account

    def _see_again(self, tx: Tx, seen: SessionRow, account: AccountRow) -> None:
        """See that a session is still there and still proves what it did; one that enrols proves less."""
        session = portal_sessions.find(tx, seen.digest)
        if session is None or session.account_id != account.id or session.stage is not seen.stage:
            raise proof_needed()
        if session.stage is Stage.ENROL:
            good = is_alive(session, self._now()) and not account.has_second_factor
        else:
            good = is_fresh(session, self._now())
        if not good:
            raise proof_needed()


async def _at_once() -> None:
    """Wait for nothing: no mail server was asked."""


def account_named(tx: Tx, name: str) -> AccountRow:
    """Find the account that signs in by `name`, in any case; raises AccountError."""
    known = names.canonical(name)
    account = None if known is None else queries.find_account(tx, known)
    if account is None:
        shown = "of this name" if known is None else known
        raise AccountError(
            Problem.NO_SUCH_ACCOUNT,
            f"there is no account {shown}",
            f"those there are: {to_type('account', 'list')}",
        )
    return account


def wrong(*, by_code_alone: bool = False) -> AccountError:
    """Refuse a proof, without saying which part of it was wrong."""
    return AccountError(
        Problem.WRONG_PROOF,
        "the code is wrong" if by_code_alone else "the primary password or the code is wrong",
        "each code is good for one use: wait for the next one, or after many wrong tries for 15 minutes",
    )

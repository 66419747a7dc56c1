"""Who may do a deed: the owner who proves it, or the operator who needs no proof.

`claim` looks at a proof outside any transaction, for hashing takes time. `carry_out` then spends it in the
transaction of the deed, where the account must still be what was looked at: so a code opens one deed, and of
two in parallel the second finds it spent. Unknown accounts cost, count and answer like known ones, whatever
was tried at their other names (see `auth.tries`), and a wrong proof never says which half was wrong.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from auth import names
from auth.deed import AccountError, Actor, Problem, Proof, to_type
from auth.hashing import Busy, CorruptHash, Hasher
from auth.seal import Binding, KeyRing, UnknownKey, UnsealError, framed
from auth.secret import Secret
from auth.store import proofs, queries
from auth.store.deeds import set_primary
from auth.store.errors import StoreUnavailable
from auth.store.rows import AccountRow
from auth.store.store import Store, Tx
from auth.totp import matching_step, normalise_recovery, recovery_digest
from auth.tries import Subject, Tries

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The account a deed is about, and what its proof spends; an operator's spends nothing."""

    account: AccountRow
    proved: bool = False
    by_code_alone: bool = False
    step: int | None = None
    recovery: bytes | None = field(default=None, repr=False)
    rehashed: tuple[str, str] | None = field(default=None, repr=False)
    """The primary password's hash at today's cost, and its key id, where the stored one is of yesterday."""

    @property
    def how(self) -> str:
        """How it was proved, for the audit trail."""
        if not self.proved:
            return "without the owner's proof"
        if self.recovery is not None:
            return "by a recovery code"
        return "by a code" if self.step is not None else "by the primary password"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the store knew when a try began."""

    account: AccountRow | None
    recovery: list[tuple[str, bytes]] = field(repr=False)
    subjects: tuple[Subject, ...]


class Prover:
    """Looks at proofs and spends them."""

    def __init__(self, store: Store, hasher: Hasher, keys: KeyRing, now: Callable[[], float]) -> None:
        self._store = store
        self._hasher = hasher
        self._keys = keys
        self._now = now
        self.tries = Tries(keys)

    async def claim(self, name: str, actor: Actor, proof: Proof | Secret | None) -> Claim:
        """Find the account and look at the proof; a Secret alone is a code, None is the operator's word.

        Raises AccountError, StoreUnavailable, Busy when there is too much to hash, and UnknownKey or
        UnsealError when what is stored cannot be compared with the keys at hand.
        """
        if proof is not None:
            return await self._prove(name, actor, proof)
        if actor.kind != "operator":
            raise AccountError(
                Problem.PROOF_NEEDED,
                "the primary password and a code are needed",
                "give both; only an operator is spared the proof",
            )
        return Claim(account=await self._store.read(lambda tx: account_named(tx, name)))

    async def carry_out(self, claim: Claim, deed: Callable[[Tx, AccountRow], T]) -> T:
        """Spend the proof and do the deed in one transaction.

        A deed refused for a reason of its own changes nothing, but the code stays spent: what was accepted
        once is not accepted again (RFC 6238 §5.2). A recovery code is kept.
        """
        try:
            return await self._store.write(lambda tx: deed(tx, self._spend(tx, claim)))
        except AccountError as error:
            step = claim.step
            if step is not None and error.problem not in {Problem.WRONG_PROOF, Problem.CHANGED_MEANWHILE}:
                await self._store.write(lambda tx: proofs.take_step(tx, claim.account.id, step))
            raise

    async def hash_primary(self, account_id: str, primary: Secret) -> tuple[str, str]:
        """Hash a primary password; gives hash and key id. Raises Busy."""
        key_id = self._keys.current_id
        digest = self._keys.pepper(key_id, _primary_message(account_id, primary))
        return await self._hasher.hash_primary(digest), key_id

    async def _prove(self, name: str, actor: Actor, proof: Proof | Secret) -> Claim:
        now = self._now()
        seen = await self._store.write(lambda tx: self._enter(tx, name, actor, now))
        try:
            claim = await self._look(seen, proof, now)
            await self._store.write(lambda tx: self.tries.right(tx, seen.subjects))
        except (Busy, UnknownKey, UnsealError, StoreUnavailable):
            with suppress(StoreUnavailable):
                await self._store.write(lambda tx: self.tries.not_seen(tx, seen.subjects))
            raise
        return claim

    def _enter(self, tx: Tx, name: str, actor: Actor, now: float) -> _Seen:
        known = names.canonical(name)
        account = None if known is None else queries.find_account(tx, known)
        account_id = None if account is None else account.id
        this = self.tries.begin(tx, known or name, account_id, actor.where, now)
        if this.unseen:
            account = None  # from here on it is like a name nobody has
        recovery = [] if account is None else proofs.recovery_codes(tx, account.id)
        return _Seen(account=account, recovery=recovery, subjects=this.subjects)

    async def _look(self, seen: _Seen, proof: Proof | Secret, now: float) -> Claim:
        """Look at both halves, whatever the first one was; what is not enrolled needs no code."""
        primary, code = (proof.primary, proof.code) if isinstance(proof, Proof) else (None, proof)
        right = primary is None or await self._is_primary(seen.account, primary)
        step = self._step(seen.account, code, now)
        recovery = self._recovery(seen, code) if step is None else None
        account = seen.account
        if account is None or not right:
            raise _wrong(by_code_alone=primary is None)
        if step is None and recovery is None and (primary is None or account.has_second_factor):
            raise _wrong(by_code_alone=primary is None)
        return Claim(
            account=account,
            proved=True,
            by_code_alone=primary is None,
            step=step,
            recovery=recovery,
            rehashed=None if primary is None else await self._rehashed(account, primary),
        )

    async def _is_primary(self, account: AccountRow | None, primary: Secret) -> bool:
        if account is None or account.primary_hash is None or account.primary_key_id is None:
            await self._hasher.dummy_primary()
            return False
        digest = self._keys.pepper(account.primary_key_id, _primary_message(account.id, primary))
        try:
            return await self._hasher.verify_primary(account.primary_hash, digest)
        except CorruptHash:
            raise StoreUnavailable("a stored hash cannot be understood") from None

    def _step(self, account: AccountRow | None, code: Secret, now: float) -> int | None:
        if account is None or account.seed is None:
            return None
        seed = self._keys.unseal(account.seed, seed_binding(account.id))
        return matching_step(seed, code, now, account.last_step)

    def _recovery(self, seen: _Seen, code: Secret) -> bytes | None:
        """Give the digest of the unused recovery code that was typed."""
        plain = normalise_recovery(code)
        if plain is None or seen.account is None or seen.account.seed is None:
            return None
        found = None
        for key_id, digest in seen.recovery:
            if hmac.compare_digest(recovery_digest(self._keys, key_id, seen.account.id, plain), digest):
                found = digest
        return found

    async def _rehashed(self, account: AccountRow, primary: Secret) -> tuple[str, str] | None:
        stored = account.primary_hash
        if stored is None:
            return None
        if account.primary_key_id == self._keys.current_id and not self._hasher.primary_needs_rehash(stored):
            return None
        return await self.hash_primary(account.id, primary)

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
        if (account.primary_hash, account.seed) != (seen.primary_hash, seen.seed):
            raise AccountError(
                Problem.CHANGED_MEANWHILE, "the account was changed in the same moment", "try again"
            )
        if claim.step is not None and not proofs.take_step(tx, account.id, claim.step):
            raise _wrong(by_code_alone=claim.by_code_alone)
        if claim.recovery is not None:
            at = int(self._now())
            if not proofs.take_recovery_code(tx, account.id, claim.recovery, at):
                raise _wrong(by_code_alone=claim.by_code_alone)
        if claim.rehashed is not None:
            set_primary(tx, account.id, *claim.rehashed)
        return account


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


def seed_binding(account_id: str) -> Binding:
    """Say where a TOTP seed is kept, for sealing."""
    return Binding(table="account", row_id=account_id, account_id=account_id, purpose="totp")


def _primary_message(account_id: str, primary: Secret) -> bytes:
    """What is peppered. NFC: every keyboard's way to write a letter is the same one (RFC 8265 §4.2.2)."""
    text = unicodedata.normalize("NFC", primary.reveal())
    return framed("wicketgate/primary/1", account_id, text.encode("utf-8", "surrogateescape"))


def _wrong(*, by_code_alone: bool) -> AccountError:
    return AccountError(
        Problem.WRONG_PROOF,
        "the code is wrong" if by_code_alone else "the primary password or the code is wrong",
        "each code is good for one use: wait for the next one, or after many wrong tries for 15 minutes",
    )

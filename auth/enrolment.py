"""The second factor of an account: enrolled, replaced by its owner, reset by the operator.

A seed counts only once a code made from it came back, and the code's step is spent with it. Nothing is stored
before. A replacement keeps the app passwords; a reset ends them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from auth import totp
from auth.codes import seed_binding
from auth.deed import (
    AccountError,
    Actor,
    Enrolment,
    Fresh,
    Mark,
    Problem,
    Proof,
    Revocation,
    audit_entry,
    disabled,
    proof_needed,
    to_type,
)
from auth.ending import end_all
from auth.proving import Claim, Prover, account_named
from auth.seal import KeyRing
from auth.secret import Secret
from auth.store import deeds, invitations, portal_sessions, proofs
from auth.store.rows import AccountRow, ChangeKind
from auth.store.store import Store, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """An authenticator that has made a code, and the recovery codes that come with it."""

    enrolment: Enrolment
    step: int
    codes: tuple[Secret, ...]


class SecondFactor:
    """Enrols and resets authenticators."""

    def __init__(
        self, store: Store, prover: Prover, keys: KeyRing, *, issuer: str, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._prover = prover
        self._keys = keys
        self._issuer = issuer
        self._now = now

    async def begin(self, name: str) -> Enrolment:
        """Make a seed for an authenticator; nothing is stored."""
        account = await self._store.read(lambda tx: account_named(tx, name))
        return self.offer(account, totp.new_seed())

    def offer(self, account: AccountRow, seed: Secret) -> Enrolment:
        """Write down how an authenticator of this seed is set up; raises AccountError."""
        _must_be_a_person(account)
        uri = totp.provisioning_uri(seed, account.email, self._issuer)
        return Enrolment(account_id=account.id, seed=seed, uri=uri)

    async def confirm(
        self, name: str, enrolment: Enrolment, code: Secret, actor: Actor, proof: Proof | Secret | None
    ) -> tuple[Secret, ...]:
        """Store the seed; see `Accounts.confirm_enrolment`."""
        step = self.confirming_step(enrolment, code)
        claim = await self._prover.claim(name, actor, proof)
        codes = totp.new_recovery_codes()

        def deed(tx: Tx, account: AccountRow) -> None:
            portal_sessions.end(tx, account.id)
            self.put(tx, account, Confirmed(enrolment=enrolment, step=step, codes=codes), claim, actor)

        await self._prover.carry_out(claim, deed)
        return codes

    def confirming_step(self, enrolment: Enrolment, code: Secret) -> int:
        """Give the step of a code that the new authenticator made; raises AccountError."""
        step = totp.matching_step(enrolment.seed, code, self._now(), None)
        if step is None:
            raise AccountError(
                Problem.WRONG_NEW_CODE,
                "this is not a code of the new authenticator",
                "type the code it shows now; see that its clock is right",
            )
        return step

    def put(self, tx: Tx, account: AccountRow, new: Confirmed, claim: Claim, actor: Actor) -> None:
        """Write the seed and the recovery codes, as the last step of a deed."""
        _may_enrol(account, new.enrolment, proved=claim.proved)
        replaced = account.has_second_factor
        seed = self._keys.seal(new.enrolment.seed, seed_binding(account.id))
        proofs.set_seed(tx, account.id, seed, new.step)
        self._put_codes(tx, account, new.codes)
        invitations.end(tx, account.id)
        kind = ChangeKind.SECOND_FACTOR_REPLACED if replaced else ChangeKind.SECOND_FACTOR_ENROLLED
        mark = Mark(deed=kind, detail=claim.how)
        deeds.conclude(tx, audit_entry(actor, account, int(self._now()), mark))

    async def renew_codes(self, name: str, actor: Actor, proof: Proof | Fresh | None) -> tuple[Secret, ...]:
        """Replace the recovery codes; see `Accounts.renew_recovery_codes`."""
        if proof is None:  # the operator's word is not enough: a code would stand in for the owner's factor
            raise proof_needed()
        claim = await self._prover.claim(name, actor, proof)
        codes = totp.new_recovery_codes()

        def deed(tx: Tx, account: AccountRow) -> None:
            if account.disabled_at is not None:
                raise disabled(account.email)
            if not account.has_second_factor:
                raise _none_enrolled(account.email)
            self._put_codes(tx, account, codes)
            mark = Mark(deed=ChangeKind.RECOVERY_CODES_RENEWED, detail=claim.how)
            deeds.conclude(tx, audit_entry(actor, account, int(self._now()), mark))

        await self._prover.carry_out(claim, deed)
        return codes

    def _put_codes(self, tx: Tx, account: AccountRow, codes: tuple[Secret, ...]) -> None:
        key_id = self._keys.current_id
        digests = [
            totp.recovery_digest(self._keys, key_id, account.id, plain)
            for plain in map(totp.normalise_recovery, codes)
            if plain is not None
        ]
        proofs.replace_recovery_codes(tx, account.id, key_id, digests)

    async def reset(self, name: str, actor: Actor) -> Revocation:
        """Take the second factor away; see `Accounts.reset_second_factor`."""
        at = int(self._now())

        def deed(tx: Tx) -> Revocation:
            account = account_named(tx, name)
            if not account.has_second_factor:
                raise _none_enrolled(account.email)
            proofs.set_seed(tx, account.id, None, None)
            proofs.replace_recovery_codes(tx, account.id, self._keys.current_id, ())
            self._prover.tries.forget(tx, account)
            return end_all(tx, account, actor, at, Mark(deed=ChangeKind.SECOND_FACTOR_RESET))

        return await self._store.write(deed)


def _none_enrolled(email: str) -> AccountError:
    return AccountError(
        Problem.NO_SECOND_FACTOR,
        f"{email} has no second factor",
        f"there is nothing to reset or renew; enrol one: {to_type('account', 'enrol-2fa', email)}",
    )


def _must_be_a_person(account: AccountRow) -> None:
    if account.is_service:
        raise AccountError(
            Problem.SERVICE_ACCOUNT,
            f"{account.email} is a service account: it has no second factor",
            "the operator makes its app passwords without one",
        )


def _may_enrol(account: AccountRow, enrolment: Enrolment, *, proved: bool) -> None:
    _must_be_a_person(account)
    if account.disabled_at is not None:
        raise disabled(account.email)
    if account.id != enrolment.account_id:
        raise AccountError(
            Problem.NO_SUCH_ACCOUNT, "this enrolment was begun for another account", "begin it anew"
        )
    if account.has_second_factor and not proved:
        raise AccountError(
            Problem.ALREADY_ENROLLED,
            f"{account.email} has a second factor already",
            "give one of its codes or a recovery code, or reset it: "
            + to_type("account", "reset-2fa", account.email),
        )

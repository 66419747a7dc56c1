"""Sessions of the portal: signing in, the proof taken again, what a session holds, its end.

The store has the digest of a token alone, and each step up makes a new token. What changes or ends an
account's proofs ends its sessions in the same transaction (`auth.ending`, `auth.enrolment`). A session opens
nothing but the portal, and an app password opens no session. How signing in tells nothing of who has an
account is in `auth.signing_in`, how long sessions last in `auth.lifetimes`.

Methods raise AccountError, StoreUnavailable, `auth.primaries.PrimaryOutage`, `auth.hashing.Busy`, and
`auth.seal.UnknownKey` or `UnsealError` where stored secrets and keys do not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from auth import totp
from auth.deed import Actor, Enrolment, Opened, Proof, proof_needed, session_ended
from auth.enrolment import Confirmed, SecondFactor
from auth.lifetimes import TOUCH_S, is_fresh
from auth.proving import Claim, Prover
from auth.secret import Secret
from auth.session_book import SessionBook, Step
from auth.signing_in import SigningIn
from auth.store import portal_sessions as rows
from auth.store.rows import AccountRow, SessionRow, Stage
from auth.store.store import Store, Tx
from auth.tokens import token_digest

_OURS: Final = "."
"""Before a purpose that is no page's."""
_SEED: Final = f"{_OURS}seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSession:
    """A session, as pages see it."""

    stage: Stage
    created_at: int
    seen_at: int
    proved_at: int | None
    """When both halves were last proved; None before stage `IN`. Times are seconds since 1970-01-01 UTC."""
    whose: AccountRow | None
    """None in stage `CODE`, whoever it may be."""

    @property
    def account(self) -> AccountRow:
        """Whose it is, in stages `ENROL` and `IN`."""
        if self.whose is None:
            raise RuntimeError("nobody is in yet")
        return self.whose


class PortalSessions:
    """Opens, turns and ends sessions. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(
        self,
        store: Store,
        prover: Prover,
        second_factor: SecondFactor,
        book: SessionBook,
        signing_in: SigningIn,
    ) -> None:
        self._store = store
        self._prover = prover
        self._second_factor = second_factor
        self._book = book
        self._signing_in = signing_in
        self._now: Callable[[], float] = book.now

    # --- signing in -----------------------------------------------------------------------------------------

    async def begin(self, name: str, primary: Secret, where: str) -> Opened:
        """Take a primary password, typed at the address `where`; gives stage `CODE`, right or wrong.

        Where it is right and no second factor is enrolled it gives `ENROL`.
        """
        return await self._signing_in.begin(name, primary, where)

    async def answer(self, token: Secret, code: Secret, where: str) -> Opened:
        """Take a code or a recovery code; gives stage `IN` under a new token.

        WRONG_PROOF does not say which half was wrong. After the third it begins anew: SESSION_ENDED.
        """
        return await self._signing_in.answer(token, code, where)

    async def confirm(self, token: Secret, primary: Secret, code: Secret, where: str) -> Opened:
        """Take both halves again from who is in; gives a new token, and the proof is fresh from now on."""
        session = await self.look(token)
        if session is None or session.stage is not Stage.IN:
            raise session_ended()
        email, account_id = session.account.email, session.account.id
        actor = Actor(kind="owner", name=email, where=where)
        claim = await self._prover.claim(email, actor, Proof(primary=primary, code=code))

        def deed(tx: Tx, account: AccountRow) -> Opened:
            if account.id != account_id or not account.has_second_factor or account.disabled_at is not None:
                raise session_ended()
            at = int(self._now())
            if claim.revocation is not None:  # all sessions have ended with it, the owner's too
                step = Step(stage=Stage.IN, proved_at=at, began_at=session.created_at)
                return self._book.open(tx, account, step, revocation=claim.revocation)
            row, _ = self._book.must_find(tx, token, Stage.IN)
            return self._book.turn(tx, row, Step(stage=Stage.IN, proved_at=at, held=self._book.held(row)))

        return await self._prover.carry_out(claim, deed)

    def open_for(self, tx: Tx, account: AccountRow, stage: Stage) -> Opened:
        """Open a session in a deed of the caller's, which has seen to it that this stage is due.

        Nothing was proved in it but the primary password, at most.
        """
        return self._book.open(tx, account, Step(stage=stage))

    # --- while it lasts -------------------------------------------------------------------------------------

    async def look(self, token: Secret) -> PortalSession | None:
        """Give the session of a token, and count it as used; None where there is none (any more)."""
        at = int(self._now())
        found = await self._store.read(lambda tx: self._book.find(tx, token))
        if found is None:
            return None
        row, account = found
        if at - row.seen_at >= TOUCH_S:
            await self._store.write(lambda tx: rows.touch(tx, row.digest, at))
        return PortalSession(
            stage=row.stage,
            created_at=row.created_at,
            seen_at=row.seen_at,
            proved_at=row.proved_at,
            whose=account,
        )

    async def end(self, token: Secret) -> None:
        """End a session; one that has ended stays so."""
        await self._store.write(lambda tx: rows.remove(tx, token_digest(token)))

    async def end_others(self, token: Secret) -> int:
        """End the other sessions of the account whose owner is in by this one; give how many there were."""

        def deed(tx: Tx) -> int:
            row, account = self._book.must_find(tx, token, Stage.IN)
            return rows.end(tx, account.id, keep=row.digest)

        return await self._store.write(deed)

    # --- what it holds --------------------------------------------------------------------------------------

    async def keep(self, token: Secret, purpose: str, value: Secret | None) -> None:
        """Keep something, sealed, until the session ends; None takes it away. Raises SESSION_ENDED."""

        def deed(tx: Tx) -> None:
            row, _ = self._book.must_find(tx, token, Stage.ENROL, Stage.IN)
            held = self._book.held(row)
            held.pop(_of_pages(purpose), None)
            if value is not None:
                held[purpose] = value.reveal()
            self._book.hold(tx, row, held)

        await self._store.write(deed)

    async def kept(self, token: Secret, purpose: str) -> Secret | None:
        """Give what was kept; None where nothing is, or the session has ended."""
        _, held = await self._store.read(lambda tx: self._held(tx, token))
        value = held.get(_of_pages(purpose))
        return None if value is None else Secret(value)

    async def take(self, token: Secret, purpose: str) -> Secret | None:
        """Give what was kept and forget it: of two who ask at once one gets it."""

        def deed(tx: Tx) -> Secret | None:
            row, held = self._held(tx, token)
            value = held.pop(_of_pages(purpose), None)
            if row is None or value is None:
                return None
            self._book.hold(tx, row, held)
            return Secret(value)

        return await self._store.write(deed)

    def _held(self, tx: Tx, token: Secret) -> tuple[SessionRow | None, dict[str, str]]:
        row, account = self._book.find(tx, token) or (None, None)
        return (None, {}) if row is None or account is None else (row, self._book.held(row))

    # --- second factor --------------------------------------------------------------------------------------

    async def begin_enrolment(self, token: Secret) -> Enrolment:
        """Give the seed of a new authenticator, the same one each time until it is confirmed.

        In stage `IN` it is to replace the one there is, and needs a fresh proof.
        """

        def deed(tx: Tx) -> Enrolment:
            row, account = self._enrolling(tx, token)
            held = self._book.held(row)
            if _SEED not in held:
                held[_SEED] = totp.new_seed().reveal()
                self._book.hold(tx, row, held)
            return self._second_factor.offer(account, Secret(held[_SEED]))

        return await self._store.write(deed)

    async def confirm_enrolment(
        self, token: Secret, code: Secret, actor: Actor
    ) -> tuple[Opened, tuple[Secret, ...]]:
        """Enrol the authenticator that made `code`, and end the account's other sessions.

        Gives stage `IN` under a new token, and the recovery codes, which are shown once.
        """
        claim, enrolment = await self._store.read(lambda tx: self._pending(tx, token))
        step = self._second_factor.confirming_step(enrolment, code)
        new = Confirmed(enrolment=enrolment, step=step, codes=totp.new_recovery_codes())

        def deed(tx: Tx, account: AccountRow) -> Opened:
            row, _ = self._enrolling(tx, token)
            held = self._book.held(row)
            if held.pop(_SEED, None) != enrolment.seed.reveal():
                raise session_ended()
            proved_at = int(self._now()) if row.stage is Stage.ENROL else row.proved_at
            rows.end(tx, account.id, keep=row.digest)
            opened = self._book.turn(tx, row, Step(stage=Stage.IN, proved_at=proved_at, held=held))
            self._second_factor.put(tx, account, new, claim, actor)
            return opened

        return await self._prover.carry_out(claim, deed), new.codes

    def _enrolling(self, tx: Tx, token: Secret) -> tuple[SessionRow, AccountRow]:
        """Find a session that may enrol: the first authenticator, or with a fresh proof another one."""
        row, account = self._book.must_find(tx, token, Stage.ENROL, Stage.IN)
        if row.stage is Stage.ENROL and account.has_second_factor:
            raise session_ended()
        if row.stage is Stage.IN and not is_fresh(row, self._now()):
            raise proof_needed()
        return row, account

    def _pending(self, tx: Tx, token: Secret) -> tuple[Claim, Enrolment]:
        row, account = self._enrolling(tx, token)
        seed = self._book.held(row).get(_SEED)
        if seed is None:
            raise session_ended()
        claim = Claim(account=account, proved=True, session=row)
        return claim, self._second_factor.offer(account, Secret(seed))


def _of_pages(purpose: str) -> str:
    if purpose.startswith(_OURS):
        raise ValueError("this purpose is no page's")
    return purpose

"""The two halves of a sign-in at the portal: first the primary password, then a code.

After the first half the answer is always the same, right or wrong, so only both together tell anything; only
who has no second factor yet goes on to enrol one at once. Right and wrong cost the same statements and the
same hashes. Each half is one counted try, and what was counted stays until the whole sign-in succeeded: were
a right primary password forgiven by itself, the counts would tell it. Three codes may be tried for one first
half. A code that was taken is spent, whatever session it was typed into.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from auth import codes
from auth.codes import Code
from auth.deed import AccountError, Opened, Problem, Revocation, session_ended
from auth.lifetimes import is_alive
from auth.primaries import Asked, Checked
from auth.proving import Prover, Seen, wrong
from auth.seal import KeyRing
from auth.secret import Secret
from auth.session_book import SessionBook, Step
from auth.store import portal_sessions as rows
from auth.store import proofs, queries
from auth.store.rows import AccountRow, FeedMark, SessionRow, Stage
from auth.store.store import Store, Tx
from auth.tokens import token_digest
from auth.tries import NAME_CHARS, Subject

CODES: Final = 3
"""Codes that may be tried for one primary password."""
_AGAIN: Final = 3
"""How often a first half is looked at anew because the account was changed in the same moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trying:
    """One code that is being looked at."""

    row: SessionRow
    begun: dict[str, Any] = field(repr=False)
    """What the first half left in the box, this code counted."""
    account: AccountRow | None
    """None unless the first half was right and nothing has changed since."""
    recovery: list[tuple[str, bytes]] = field(repr=False)
    subjects: tuple[Subject, ...]


class SigningIn:
    """Takes both halves. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(
        self, store: Store, prover: Prover, keys: KeyRing, book: SessionBook, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._prover = prover
        self._keys = keys
        self._book = book
        self._now = now

    async def begin(self, name: str, primary: Secret, where: str) -> Opened:
        """Take the first half; see `PortalSessions.begin`."""
        wait = self._prover.begun()
        seen = await self._prover.enter(name, where)
        async with self._prover.looking(seen.subjects):
            opened = await self._begin(seen, primary)
        if opened.stage is Stage.CODE:
            await wait()
        return opened

    async def answer(self, token: Secret, code: Secret, where: str) -> Opened:
        """Take the second half; see `PortalSessions.answer`."""
        opened = None
        trying = await self._store.write(lambda tx: self._try(tx, token_digest(token), where))
        async with self._prover.looking(trying.subjects):
            shown = codes.look_at(self._keys, trying.account, trying.recovery, code, self._now())
            account = trying.account
            if account is not None and shown.right:
                opened = await self._store.write(lambda tx: self._let_in(tx, trying, account, shown))
        if opened is not None:
            return opened
        if trying.begun["left"] == 0:
            await self._store.write(lambda tx: rows.remove(tx, trying.row.digest))
        error = wrong()
        error.tried = str(trying.begun["name"])
        raise error

    # --- the first half -------------------------------------------------------------------------------------

    async def _begin(self, seen: Seen, primary: Secret) -> Opened:
        asked = seen.asked
        for _ in range(_AGAIN):
            checked = await self._prover.primaries.check(asked, primary)
            opened = await self._store.write(lambda tx, now=checked: self._open(tx, seen, now))  # type: ignore[misc]
            if opened is not None:
                return opened
            asked = await self._store.read(lambda tx, was=asked: _anew(tx, was))  # type: ignore[misc]
        raise AccountError(
            Problem.CHANGED_MEANWHILE, "the account was changed in the same moment", "try again"
        )

    def _open(self, tx: Tx, seen: Seen, checked: Checked) -> Opened | None:
        """Open the session that follows the first half; None when the account was changed meanwhile."""
        before, right = checked.account, checked.right
        account = queries.account_by_id(tx, "" if before is None else before.id)
        if right and (account is None or before is None or not _the_same(account, before)):
            return None
        known = account if right and account is not None and _may_come_in(account) else None
        if known is not None and not known.has_second_factor:
            self._prover.tries.right(tx, seen.subjects)
            return self._book.open(tx, known, Step(stage=Stage.ENROL), revocation=checked.revocation)
        begun = {
            "name": seen.asked.name[:NAME_CHARS],
            "counted": seen.account_id,
            "where": seen.asked.where,
            "left": CODES,
            "revocation": _packed(checked.revocation),
        }
        return self._book.open(tx, known, Step(stage=Stage.CODE, held=begun))

    # --- the second half ------------------------------------------------------------------------------------

    def _try(self, tx: Tx, digest: bytes, where: str) -> _Trying:
        """Count a code, and read what it is to be compared with."""
        now = self._now()
        row = rows.find(tx, digest)
        if row is None or row.stage is not Stage.CODE or not is_alive(row, now):
            raise session_ended()
        begun = self._book.held(row)
        if begun.get("left", 0) < 1:
            raise session_ended()
        try:
            this = self._prover.tries.begin(tx, begun["name"], begun["counted"], where, now)
        except AccountError as error:
            error.tried = str(begun["name"])
            raise
        begun["left"] -= 1
        self._book.hold(tx, row, begun)
        account = queries.account_by_id(tx, row.account_id or "")
        if this.unseen or (account is not None and not _may_come_in(account)):
            account = None
        recovery = proofs.recovery_codes(tx, "" if account is None else account.id)
        return _Trying(row=row, begun=begun, account=account, recovery=recovery, subjects=this.subjects)

    def _let_in(self, tx: Tx, trying: _Trying, before: AccountRow, code: Code) -> Opened | None:
        """Spend the code and let the owner in; None where it was spent meanwhile."""
        row = rows.find(tx, trying.row.digest)
        account = queries.account_by_id(tx, before.id)
        if row is None or account is None or account.seed != before.seed or not _may_come_in(account):
            raise session_ended()
        if not codes.take(tx, account.id, code, int(self._now())):
            return None
        self._prover.tries.right(tx, trying.subjects)
        self._prover.tries.give_back(tx, trying.begun["where"])
        # The older half says how fresh the proof is.
        opened = self._book.turn(tx, row, Step(stage=Stage.IN, proved_at=row.created_at))
        return replace(opened, revocation=_unpacked(trying.begun["revocation"]))


def _anew(tx: Tx, asked: Asked) -> Asked:
    """Read again who it is about."""
    account = queries.find_account(tx, asked.name) if asked.account is None else None
    if asked.account is not None:
        account = queries.account_by_id(tx, asked.account.id)
    return replace(asked, account=None if asked.unseen else account)


def _the_same(now: AccountRow, before: AccountRow) -> bool:
    return (now.primary_hash, now.seed) == (before.primary_hash, before.seed)


def _may_come_in(account: AccountRow) -> bool:
    return account.disabled_at is None and not account.is_service


def _packed(revocation: Revocation | None) -> list[Any] | None:
    """Write down, for the box, what the first half ended."""
    if revocation is None or revocation.change is None:
        return None
    return [revocation.change.seq, revocation.change.token.hex(), *revocation.app_password_ids]


def _unpacked(packed: list[Any] | None) -> Revocation | None:
    if packed is None:
        return None
    seq, token, *app_password_ids = packed
    change = FeedMark(seq, bytes.fromhex(token))
    return Revocation(change=change, app_password_ids=tuple(app_password_ids))

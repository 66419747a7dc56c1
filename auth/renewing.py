"""Renewal: a successor of an app password that has an end, with its label, scopes and limits.

Nobody can type a new password into every app in one moment. So the old one lives until the new one is first
used (`auth.gate` ends it then, before that client is told yes), and at most `GRACE_S` past its own end.
Together they count as one app password and have one label. Only an active one that has an end is renewed, and
once: while the successor waits for its first use there is no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from auth.deed import AccountError, Actor, Fresh, Minted, Problem, Proof, to_type
from auth.ending import meant
from auth.minting import Mint, Wanted
from auth.proving import Prover
from auth.store import queries
from auth.store.rows import AccountRow, AppPasswordRow


class Renewal:
    """Makes successors. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(self, prover: Prover, mint: Mint, now: Callable[[], float]) -> None:
        self._prover = prover
        self._mint = mint
        self._now = now

    async def renew(
        self, name: str, which: str, expires_at: int | None, actor: Actor, proof: Proof | Fresh | None
    ) -> Minted:
        """Make one; see `Accounts.renew`."""
        if expires_at is not None and expires_at <= self._now():
            raise AccountError(Problem.BAD_EXPIRY, "it would have expired already", "choose a time to come")
        claim = await self._prover.claim(name, actor, proof)

        def ask(rows: Sequence[AppPasswordRow], account: AccountRow) -> Wanted:
            old = to_renew(rows, which.strip(), account.email, self._now())
            if expires_at is not None and old.expires_at is not None and expires_at < old.expires_at:
                raise AccountError(
                    Problem.BAD_EXPIRY,
                    f"it would end before {old.label!r}, which it is to take the place of",
                    "choose a later end",
                )
            return Wanted(
                label=old.label,
                scopes=old.scopes,
                limits=old.limits,
                expires_at=expires_at,
                replaces=old.id,
            )

        return await self._mint.make(claim, actor, ask)


def to_renew(rows: Sequence[AppPasswordRow], which: str, email: str, now: float) -> AppPasswordRow:
    """Find the one that `which` names by id, label or selector, and see that it can be renewed.

    A label names the old one of a pair. Raises AccountError.
    """
    named = [row for row in rows if row.replaces is None or which in (row.id, row.selector)]
    old = meant(named, which, email, now)
    called = f"the app password {old.label!r} of {email}"
    waiting = next((row for row in rows if row.replaces == old.id and row.revoked_at is None), None)
    if waiting is not None:
        raise AccountError(
            Problem.NOT_RENEWABLE,
            f"{called} was renewed already, and its successor has not been used yet",
            "type the new one into the app; where it is lost, end it first: "
            + to_type("password", "revoke", email, waiting.id),
        )
    if old.replaces is not None:
        raise AccountError(
            Problem.NOT_RENEWABLE, f"{called} is new itself and was not used yet", "type it into the app"
        )
    if not queries.is_active(old, now):
        raise AccountError(
            Problem.NOT_RENEWABLE, f"{called} has ended", "make a new one; what has ended does not come back"
        )
    if old.expires_at is None:
        raise AccountError(Problem.NOT_RENEWABLE, f"{called} never ends", "there is nothing to renew")
    return old


def usual_end(row: AppPasswordRow, now: float) -> int | None:
    """Give the end of a successor that is to live from `now` for as long as the old one was given."""
    return None if row.expires_at is None else int(now) + row.expires_at - row.created_at

"""The end of app passwords: one, or all of an account. Steps for deeds of accounts, inside their transaction.

What is revoked stays as a tombstone, with its hash and its selector. Expired ones are revoked with the rest:
a clock set back must not revive them, and a session begun before the expiry may still be there to cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from auth.checks import folded
from auth.deed import AccountError, Actor, Mark, Problem, Revocation, audit_entry, to_type
from auth.store import deeds, invitations, portal_sessions, queries, successors
from auth.store.rows import AccountRow, AppPasswordRow, ChangeKind, RevokedWhy
from auth.store.store import Tx

WHY: Final[Mapping[ChangeKind, RevokedWhy]] = MappingProxyType(
    {
        ChangeKind.ACCOUNT_DISABLED: RevokedWhy.DISABLED,
        ChangeKind.ACCOUNT_REMOVED: RevokedWhy.ACCOUNT_REMOVED,
        ChangeKind.PRIMARY_CHANGED: RevokedWhy.PRIMARY_CHANGED,
        ChangeKind.SECOND_FACTOR_RESET: RevokedWhy.SECOND_FACTOR_RESET,
        ChangeKind.ALL_REVOKED: RevokedWhy.ALL_REVOKED,
    }
)
"""The deeds that end all app passwords of an account, and what each tombstone then says."""


def end_all(
    tx: Tx, account: AccountRow, actor: Actor, at: int, mark: Mark, *, keep: bytes | None = None
) -> Revocation:
    """Revoke every app password of the account and conclude the deed named in `mark`.

    Its sessions at the portal end too, but the one of the digest `keep`; unless app passwords are all it is
    about. So does an invitation, unless the primary password is all it is about.
    """
    if mark.deed is not ChangeKind.ALL_REVOKED:
        portal_sessions.end(tx, account.id, keep)
    if mark.deed is not ChangeKind.PRIMARY_CHANGED:  # one that a mail server keeps is proved all the same
        invitations.end(tx, account.id)
    ended = deeds.revoke(tx, account.id, at, WHY[mark.deed])
    counted = f"{len(ended)} app password{'' if len(ended) == 1 else 's'} revoked"
    said = Mark(deed=mark.deed, detail=", ".join(filter(None, (mark.detail, counted))))
    change = deeds.conclude(tx, audit_entry(actor, account, at, said), ended)
    return Revocation(change=change, app_password_ids=ended)


def end_one(tx: Tx, account: AccountRow, actor: Actor, at: int, which: str) -> Revocation:
    """Revoke the app password that `which` names by id, label or selector; twice changes nothing."""
    row = meant(queries.app_passwords(tx, [account.id]), which, account.email, at)
    if row.revoked_at is not None:
        return Revocation(change=None, app_password=row)
    why = RevokedWhy.BY_OWNER if actor.kind == "owner" else RevokedWhy.BY_OPERATOR
    ended = deeds.revoke(tx, account.id, at, why, only=row.id)
    successors.part(tx, row.id)
    mark = Mark(deed=ChangeKind.REVOKED, app_password_id=row.id, label=row.label)
    change = deeds.conclude(tx, audit_entry(actor, account, at, mark), ended)
    return Revocation(change=change, app_password_ids=ended, app_password=row)


def meant(rows: list[AppPasswordRow], which: str, email: str, now: float) -> AppPasswordRow:
    """Find the row named by id, label or selector; an active one before an expired one before a revoked one.

    What an id names is meant, whatever labels there are. Case makes no difference, except between two that
    are equally alive. Raises AccountError when there is none, or when two as good answer to the name.
    """
    wanted = folded(which)
    named = [row for row in rows if row.id == which] or [
        row for row in rows if wanted in {folded(row.label), row.selector}
    ]
    if not named:
        raise AccountError(
            Problem.NO_SUCH_APP_PASSWORD,
            f"{email} has no app password of that id, label or selector",
            f"those it has: {to_type('password', 'list', email)}",
        )
    ranked = sorted(named, key=lambda row: _rank(row, which, now))
    best = [row for row in ranked if _rank(row, which, now) == _rank(ranked[0], which, now)]
    if len(best) > 1 and best[0].revoked_at is None:
        raise AccountError(
            Problem.AMBIGUOUS,
            f"{len(best)} app passwords of {email} answer to that name",
            f"name it by its id, which is in: {to_type('password', 'history', email)}",
        )
    return best[-1]


def _rank(row: AppPasswordRow, which: str, now: float) -> tuple[int, bool]:
    """Say how far a row is from being meant: first how dead it is, then whether only case makes it match."""
    dead = 2 if row.revoked_at is not None else 0 if queries.is_active(row, now) else 1
    return dead, which not in {row.id, row.label, row.selector}

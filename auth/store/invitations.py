"""Invitations as rows: steps of a deed, each a plain function of a `Tx`. An account has one at a time.

What an invitation is good for is decided in `auth.invitations`. The store has the digest of its token alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import and_, delete, exists, insert, select, update

from auth.store.engine import Tx
from auth.store.schema import account, invitation


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRow:
    """One invitation. Times are seconds since 1970-01-01 UTC."""

    digest: bytes = field(repr=False)
    """SHA-256 of its token."""
    account_id: str
    created_at: int
    expires_at: int
    used_at: int | None = None


def find(tx: Tx, digest: bytes) -> InvitationRow | None:
    """Read the invitation of a token's digest, good or not."""
    row = tx.execute(select(invitation).where(invitation.c.digest == digest)).one_or_none()
    if row is None:
        return None
    return InvitationRow(
        digest=row.digest,
        account_id=row.account_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


def put(tx: Tx, row: InvitationRow) -> None:
    """Write an invitation in the place of those its account had."""
    end(tx, row.account_id)
    tx.execute(
        insert(invitation).values(
            digest=row.digest,
            account_id=row.account_id,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
    )


def use(tx: Tx, digest: bytes, at: int) -> None:
    """Let it be used; the caller has seen, in this transaction, that it was not."""
    tx.execute(update(invitation).where(invitation.c.digest == digest).values(used_at=at))


def end(tx: Tx, account_id: str) -> None:
    """Let the account have no invitation."""
    tx.execute(delete(invitation).where(invitation.c.account_id == account_id))


def without_second_factor(tx: Tx, at: int) -> list[tuple[str, bool]]:
    """Give who may come in and has no second factor, by email, and whether an invitation is good."""
    good = exists().where(
        and_(
            invitation.c.account_id == account.c.id,
            invitation.c.used_at.is_(None),
            invitation.c.expires_at > at,
        )
    )
    may_come = and_(
        account.c.removed_at.is_(None),
        account.c.disabled_at.is_(None),
        ~account.c.is_service,
        account.c.seed_box.is_(None),
    )
    rows = tx.execute(select(account.c.email, good.label("good")).where(may_come).order_by(account.c.email))
    return [(row.email, bool(row.good)) for row in rows]

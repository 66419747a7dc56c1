"""Successors of app passwords: the old one lives until the new one is first used, and little past its end.

A pair is pending while the successor's row names the one it `replaces`; both are alive then. Whatever ends
one of them ends the pair in the same transaction, so what is pending is never half dead.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select, update

from auth.store import deeds
from auth.store.engine import Tx
from auth.store.rows import AuditEntry, ChangeKind, RevokedWhy
from auth.store.schema import account, app_password

GRACE_S: Final = 7 * 86_400
"""How long past its own end an app password lives for a successor that was not used yet."""


def extend(tx: Tx, app_password_id: str) -> int | None:
    """Move the end of an app password that was renewed, and give it."""
    _move_end(tx, app_password_id, GRACE_S)
    end = select(app_password.c.expires_at).where(app_password.c.id == app_password_id)
    found: int | None = tx.execute(end).scalar_one()
    return found


def first_use(tx: Tx, app_password_id: str, at: int, where: str) -> None:
    """End what a successor replaces, because it is used; nothing where that was done before.

    A successor that is revoked ends nothing. The audit line is the owner's: it was one of the owner's apps.
    """
    row = tx.execute(
        select(app_password.c.replaces, app_password.c.account_id, app_password.c.label, account.c.email)
        .join(account, account.c.id == app_password.c.account_id)
        .where(app_password.c.id == app_password_id, app_password.c.revoked_at.is_(None))
    ).one_or_none()
    if row is None or row.replaces is None:
        return
    _forget(tx, app_password_id)
    ended = deeds.revoke(tx, row.account_id, at, RevokedWhy.REPLACED, only=row.replaces)
    entry = AuditEntry(
        at=at,
        actor_kind="owner",
        actor_name=row.email,
        where=where,
        deed=ChangeKind.REPLACED,
        account_id=row.account_id,
        email=row.email,
        app_password_id=row.replaces,
        label=row.label,
        detail=f"at the first use of {app_password_id}",
    )
    deeds.conclude(tx, entry, ended)


def part(tx: Tx, ended_id: str) -> None:
    """End the pair that a revoked app password was in.

    A successor that was never used gives the other its own end back; one that outlives what it was to replace
    is an app password like any other.
    """
    replaced = tx.execute(
        select(app_password.c.replaces).where(app_password.c.id == ended_id)
    ).scalar_one_or_none()
    if replaced is not None:
        _forget(tx, ended_id)
        _move_end(tx, replaced, -GRACE_S)
    tx.execute(update(app_password).where(app_password.c.replaces == ended_id).values(replaces=None))


def _forget(tx: Tx, app_password_id: str) -> None:
    """Let a successor be an app password like any other. Its secret is the same: so is its version."""
    tx.execute(update(app_password).where(app_password.c.id == app_password_id).values(replaces=None))


def _move_end(tx: Tx, app_password_id: str, seconds: int) -> None:
    tx.execute(
        update(app_password)
        .where(app_password.c.id == app_password_id, app_password.c.revoked_at.is_(None))
        .values(expires_at=app_password.c.expires_at + seconds, version=app_password.c.version + 1)
    )

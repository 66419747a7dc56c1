"""What is asked of the store about app passwords that will expire, each a plain function of a `Tx`."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import exists, select

from auth.store.engine import Tx
from auth.store.notices import NoticeKind
from auth.store.queries import app_password_of
from auth.store.rows import AppPasswordRow
from auth.store.schema import account, app_password, notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring:
    """One that works and will end."""

    email: str
    is_service: bool
    row: AppPasswordRow
    renewed: bool
    """Whether it has a successor, which was not used yet."""


def between(tx: Tx, after: float, until: float) -> list[Expiring]:
    """Give those of enabled accounts that end then, the next one first."""
    successor = app_password.alias("successor")
    renewed = exists().where(successor.c.replaces == app_password.c.id, successor.c.revoked_at.is_(None))
    wanted = (
        select(app_password, account.c.email, account.c.is_service, renewed.label("renewed"))
        .join(account, account.c.id == app_password.c.account_id)
        .where(
            app_password.c.revoked_at.is_(None),
            app_password.c.expires_at > after,
            app_password.c.expires_at <= until,
            account.c.disabled_at.is_(None),
            account.c.removed_at.is_(None),
        )
        .order_by(app_password.c.expires_at, account.c.email, app_password.c.id)
    )
    return [
        Expiring(
            email=row.email,
            is_service=row.is_service,
            row=app_password_of(row),
            renewed=bool(row.renewed),
        )
        for row in tx.execute(wanted)
    ]


def warned(tx: Tx) -> frozenset[str]:
    """Give the subjects of the warnings that were given lately."""
    rows = tx.execute(select(notice.c.subject).where(notice.c.kind == NoticeKind.EXPIRING.value))
    return frozenset(row.subject for row in rows)

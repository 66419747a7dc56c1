"""Which deeds are news for the owner of an account, and what is told of them.

Asked by `deeds.conclude` in the transaction of each deed, so no deed can forget it. Only a store that was
opened to tell owners writes anything, and nobody reads the mail of a service account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Row, select

from auth.store.engine import Tx, tells_owners
from auth.store.notices import Notice, NoticeKind, put
from auth.store.rows import AuditEntry, ChangeKind, RevokedWhy
from auth.store.schema import account, app_password

_OF_ONE: Final[Mapping[ChangeKind, NoticeKind]] = MappingProxyType(
    {
        ChangeKind.MINTED: NoticeKind.MINTED,
        ChangeKind.RENEWED: NoticeKind.RENEWED,
        ChangeKind.REPLACED: NoticeKind.REPLACED,
        ChangeKind.REVOKED: NoticeKind.REVOKED,
    }
)
_OF_ALL: Final = frozenset(
    {
        ChangeKind.ALL_REVOKED,
        ChangeKind.PRIMARY_CHANGED,
        ChangeKind.ACCOUNT_DISABLED,
        ChangeKind.ACCOUNT_REMOVED,
        ChangeKind.SECOND_FACTOR_RESET,
        ChangeKind.RESTORED,
    }
)


def tell(tx: Tx, entry: AuditEntry, ended: Sequence[str]) -> None:
    """Write a notice of the deed in `entry` where it is news; `ended` are the app passwords it revoked."""
    if not tells_owners(tx):
        return
    kind, ids = _news(entry, ended)
    if kind is None or _is_service(tx, entry.account_id):
        return
    rows = [_row(tx, each) for each in ids]
    if kind is NoticeKind.ALL_REVOKED:
        rows = [row for row in rows if _is_new(row, entry)]
    if not rows:
        return
    facts = {
        "by": entry.actor_kind,
        "where": entry.where,
        "at": entry.at,
        "deed": entry.deed.value,
        "app_passwords": [_facts(tx, row) for row in rows],
    }
    told = Notice(subject=f"{kind} {rows[0].id}", account_id=entry.account_id, kind=kind, facts=facts)
    put(tx, told, entry.at)


def _news(entry: AuditEntry, ended: Sequence[str]) -> tuple[NoticeKind | None, Sequence[str]]:
    """Say what is told, and of which app passwords."""
    if entry.deed in _OF_ONE and entry.app_password_id is not None:
        return _OF_ONE[entry.deed], (entry.app_password_id,)
    if entry.deed in _OF_ALL:
        return NoticeKind.ALL_REVOKED, ended
    return None, ()


def _is_service(tx: Tx, account_id: str) -> bool:
    found = tx.execute(select(account.c.is_service).where(account.c.id == account_id)).scalar_one_or_none()
    return found is not False


def _row(tx: Tx, app_password_id: str) -> Row[Any]:
    return tx.execute(select(app_password).where(app_password.c.id == app_password_id)).one()


def _is_new(row: Row[Any], entry: AuditEntry) -> bool:
    """Tell whether an app password worked until this deed: not what had expired, or was known to be dead."""
    if row.expires_at is not None and row.expires_at <= entry.at:
        return False
    return entry.deed is not ChangeKind.RESTORED or row.revoked_why == RevokedWhy.RESTORED.value


def _facts(tx: Tx, row: Row[Any]) -> Mapping[str, Any]:
    """Give what a letter says of an app password; nothing that authorises."""
    old_ends_at = None
    if row.replaces is not None:
        old = select(app_password.c.expires_at).where(app_password.c.id == row.replaces)
        old_ends_at = tx.execute(old).scalar_one_or_none()
    return {
        "label": row.label,
        "selector": row.selector,
        "scopes": row.scopes.split(),
        "expires_at": row.expires_at,
        "old_ends_at": old_ends_at,
    }

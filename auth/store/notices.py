"""What owners are to be told by mail: a row written in the transaction of the deed, sent afterwards.

So nothing is told that did not happen, and nothing that happened is left untold because a server was away. A
`subject` says once for what: a second row for the same one is not written. A row is claimed for a while
before it is sent, so of several processes one sends it; one that is killed between sending and `settle` sends
it again. What is done with stays for `KEPT_S` without its facts, so that it is not told anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from auth.store.engine import Tx
from auth.store.schema import account, notice

KEPT_S: Final = 30 * 86_400
"""Longer than the time between the first warning of an end and that end."""


class NoticeKind(StrEnum):
    """What a mail is about."""

    INVITATION = "invitation"
    MINTED = "app password made"
    RENEWED = "app password renewed"
    REPLACED = "app password replaced"
    REVOKED = "app password revoked"
    ALL_REVOKED = "all app passwords revoked"
    EXPIRING = "app password expires soon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell."""

    subject: str
    """Unique, as in `minted ap_…`."""
    account_id: str
    kind: NoticeKind
    facts: Mapping[str, object] = field(default_factory=dict, repr=False)
    """JSON. No secret in clear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A notice that is claimed, to be sent now."""

    id: int
    subject: str
    account_id: str
    email: str
    """Where to; of a removed account the one it had."""
    kind: NoticeKind
    facts: Mapping[str, Any] = field(repr=False)
    created_at: int
    tries: int
    """This one included."""


_DUE: Final = (
    select(notice, account.c.email)
    .join(account, account.c.id == notice.c.account_id)
    .order_by(notice.c.next_at, notice.c.id)
    .limit(1)
)


def put(tx: Tx, told: Notice, at: int) -> None:
    """Write a notice, to be sent from `at` on; one for the same subject stays as it is."""
    row = upsert(notice).values(
        subject=told.subject,
        account_id=told.account_id,
        kind=told.kind.value,
        facts=json.dumps(dict(told.facts)),
        created_at=at,
        tries=0,
        next_at=at,
    )
    tx.execute(row.on_conflict_do_nothing(index_elements=[notice.c.subject]))


def any_due(tx: Tx, now: int) -> bool:
    """Tell whether something is to be sent; a look that locks nobody out."""
    return tx.execute(select(notice.c.id).where(notice.c.next_at <= now).limit(1)).first() is not None


def claim(tx: Tx, now: int, lease_s: int) -> Due | None:
    """Take the one that is due for longest; nobody else gets it for `lease_s`.

    Of kinds that a newer version wrote nothing is known here; they wait for it.
    """
    kinds = [kind.value for kind in NoticeKind]
    row = tx.execute(_DUE.where(notice.c.next_at <= now, notice.c.kind.in_(kinds))).one_or_none()
    if row is None:
        return None
    _write(tx, row.id, tries=row.tries + 1, next_at=now + lease_s)
    return Due(
        id=row.id,
        subject=row.subject,
        account_id=row.account_id,
        email=row.email,
        kind=NoticeKind(row.kind),
        facts=_facts(row.facts),
        created_at=row.created_at,
        tries=row.tries + 1,
    )


def postpone(tx: Tx, notice_id: int, until: int) -> None:
    """Let it be due again at `until`."""
    _write(tx, notice_id, next_at=until)


def settle(tx: Tx, notice_id: int, sent_at: int | None) -> None:
    """Be done with it: sent, or with None given up. What it told of is forgotten."""
    _write(tx, notice_id, sent_at=sent_at, next_at=None, facts="{}")


def withdraw(tx: Tx, account_id: str, kind: NoticeKind) -> None:
    """Give up what of this kind was not sent to an account yet: it is true no more."""
    those = (notice.c.account_id == account_id) & (notice.c.kind == kind.value)
    tx.execute(update(notice).where(those, notice.c.next_at.is_not(None)).values(next_at=None, facts="{}"))


def settle_all(tx: Tx) -> None:
    """Give up what was not sent: in a restored copy nobody knows what was sent since."""
    tx.execute(update(notice).where(notice.c.next_at.is_not(None)).values(next_at=None, facts="{}"))


def sweep(tx: Tx, now: int) -> None:
    """Forget what is done with for long."""
    tx.execute(delete(notice).where(notice.c.next_at.is_(None), notice.c.created_at < now - KEPT_S))


def _write(tx: Tx, notice_id: int, **values: object) -> None:
    tx.execute(update(notice).where(notice.c.id == notice_id).values(**values))


def _facts(text: str) -> Mapping[str, Any]:
    """Read the facts; damaged ones are none, so that one bad row does not hold the others up."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

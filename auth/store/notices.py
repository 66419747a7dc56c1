"""What owners are to be told by mail: a row written in the transaction of the deed, sent afterwards.

So nothing is told that did not happen, and nothing that happened is left untold because a server was away. A
`subject` says once for what: a second row for the same one is not written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.dialects.sqlite import insert as upsert

from auth.store.engine import Tx
from auth.store.schema import notice


class NoticeKind(StrEnum):
    """What a mail is about."""

    INVITATION = "invitation"
    MINTED = "app password made"
    REVOKED = "app password revoked"
    ALL_REVOKED = "all app passwords revoked"
    RENEWED = "app password renewed"
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

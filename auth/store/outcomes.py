"""How an account's sign-ins went lately, by service, as far as the servers behind are to blame.

Read from the history, which may be lost without harm: nothing here authorises. A refusal of the client's own
(a revoked app password, another scope) says nothing about a server behind and is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from auth.refusal import Reason
from auth.store.engine import Tx
from auth.store.rows import GRANTED
from auth.store.schema import sign_in
from scopes.model import Service

_TOLD: Final = (GRANTED, Reason.UPSTREAM_REFUSED.value, Reason.UNAVAILABLE.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Sign-ins that ended in the same way, one after the other."""

    outcome: str
    """`GRANTED`, or the reason of the refusal."""
    since: int
    """The first of them."""
    until: int
    """The last of them. Times in seconds since 1970-01-01 UTC."""


def latest_runs(tx: Tx, account_id: str) -> dict[Service, tuple[Run, ...]]:
    """Give the last run of each outcome since a sign-in last came in, by service; the newest first.

    What came in is a run of its own, so that one is never empty where there is any history.
    """
    runs = {service: _runs(tx, account_id, service) for service in Service}
    return {service: each for service, each in runs.items() if each}


def _runs(tx: Tx, account_id: str, service: Service) -> tuple[Run, ...]:
    mine = (
        sign_in.c.account_id == account_id,
        sign_in.c.service == service.value,
        sign_in.c.outcome.in_(_TOLD),
    )
    came_in = select(func.max(sign_in.c.id)).where(*mine, sign_in.c.outcome == GRANTED)
    newest = func.max(sign_in.c.id)
    since_then = (
        select(
            sign_in.c.outcome, func.min(sign_in.c.at).label("since"), func.max(sign_in.c.at).label("until")
        )
        .where(*mine, sign_in.c.id >= func.coalesce(came_in.scalar_subquery(), 0))
        .group_by(sign_in.c.outcome)
        .order_by(newest.desc())
    )
    return tuple(Run(outcome=row.outcome, since=row.since, until=row.until) for row in tx.execute(since_then))

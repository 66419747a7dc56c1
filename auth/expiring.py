"""App passwords that will expire, and when their owners are warned: 14, 3 and 1 days before, once each.

Of two warnings that are due the nearer one is given. One that was made for less time than that before its end
is not warned of then: who asks for ten days is not told fourteen days before. A renewal moves an end, and
what ends later is warned of anew.
"""

from __future__ import annotations

from typing import Final

from auth.store.engine import Tx
from auth.store.expiring import Expiring, between, warned
from auth.store.notices import Notice, NoticeKind
from auth.store.rows import AppPasswordRow

DAY_S: Final = 86_400
WARNED_DAYS: Final = (1, 3, 14)
"""Before the end; the nearest first."""
SOON_S: Final = max(WARNED_DAYS) * DAY_S


def expires_within(tx: Tx, now: float, within_s: float) -> list[Expiring]:
    """Give those of all enabled accounts that end within that time, the next one first."""
    return between(tx, now, now + within_s)


def days_before(row: AppPasswordRow, now: float, *, renewed: bool = False) -> int | None:
    """Give how many days before its end a warning of an app password is due now; None when none is.

    Whoever has renewed it is only told near the end that the successor was not used yet.
    """
    if row.expires_at is None or row.revoked_at is not None or row.expires_at <= now:
        return None
    for days in WARNED_DAYS[:-1] if renewed else WARNED_DAYS:
        begins = row.expires_at - days * DAY_S
        if begins <= now:
            return days if row.created_at < begins else None
    return None


def warnings(tx: Tx, now: int) -> list[Notice]:
    """Give the warnings that are due and were not given: to people, who read mail."""
    given = warned(tx)
    due = [
        (each, days)
        for each in expires_within(tx, now, SOON_S)
        if not each.is_service and (days := days_before(each.row, now, renewed=each.renewed)) is not None
    ]
    told = [_notice(each, days) for each, days in due]
    return [each for each in told if each.subject not in given]


def _notice(expiring: Expiring, days: int) -> Notice:
    row = expiring.row
    facts = {
        "renewed": expiring.renewed,
        "app_passwords": [
            {
                "label": row.label,
                "selector": row.selector,
                "scopes": sorted(row.scopes),
                "expires_at": row.expires_at,
            }
        ],
    }
    subject = f"{NoticeKind.EXPIRING} {row.id} {row.expires_at} {days}"
    return Notice(subject=subject, account_id=row.account_id, kind=NoticeKind.EXPIRING, facts=facts)

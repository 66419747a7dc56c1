"""Activity: what did not work and what came in, and what was done to the account, in the last 30 days."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from auth.store.activity import ACCOUNT_REFUSED_ROWS, ACCOUNT_ROWS, HISTORY_S
from auth.store.errors import StoreUnavailable
from proxy.portal import deeds
from proxy.portal.activity_words import Activity, stories
from proxy.portal.pages.own import rows_of
from proxy.portal.visit import Route, Visit

DEEDS_SHOWN: Final = 50


async def show(visit: Visit) -> web.Response:
    """Tell both; where the history cannot be read, that is said."""
    account = visit.session.account
    try:
        records = await visit.ports.history.sign_ins(account.id, ACCOUNT_ROWS + ACCOUNT_REFUSED_ROWS)
    except StoreUnavailable:
        records = None
    since = int(visit.now) - HISTORY_S
    recent = [record for record in records or () if record.at >= since]
    told: Activity | None = None if records is None else stories(recent, await rows_of(visit), visit.now)
    entries = await visit.ports.accounts.audit(account.email, since)
    own = [entry for entry in entries if entry.account_id == account.id]
    return visit.page("activity.html", activity=told, deeds=deeds.told(own, visit.now)[:DEEDS_SHOWN])


ROUTES: Final = (Route("GET", "/activity", show),)

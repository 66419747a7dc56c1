"""View History: every app password that has ended, why, and which app still tries it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from auth.store.errors import StoreUnavailable
from proxy.portal import listing
from proxy.portal.pages.own import rows_of
from proxy.portal.visit import Route, Visit


async def show(visit: Visit) -> web.Response:
    """Show them, the last ended first."""
    rows = await rows_of(visit)
    try:
        refused = await visit.ports.history.last_refused([visit.session.account.id])
    except StoreUnavailable:
        refused = None
    return visit.page(
        "history.html", lines=listing.ended(rows, refused, visit.now), is_whole=refused is not None
    )


ROUTES: Final = (Route("GET", "/history", show),)

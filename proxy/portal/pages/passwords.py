"""The list of app passwords, and how they end: one, or all.

What is about to end names the live sessions that end with it; afterwards it is said how many were cut, and
whether a worker has not answered yet. A revocation is committed before anything is said of it.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from auth.minting import counted
from auth.store import queries
from proxy.portal import listing
from proxy.portal.pages.own import HOME, cut, live, row_of, rows_of, take_news, uses_of
from proxy.portal.sentences import Name, Sentence
from proxy.portal.visit import Route, Visit


async def show(visit: Visit) -> web.Response:
    """Show the active ones."""
    rows = await rows_of(visit)
    alive = [row for row in rows if queries.is_active(row, visit.now)]
    lines = listing.active(alive, await uses_of(visit, alive), visit.now)
    return visit.page(
        "passwords.html",
        lines=lines,
        soon=[line for line in lines if line.ends_soon],
        number=len(counted(rows, visit.now)),
        last=Sentence() if lines else listing.last_ended(rows, visit.now),
        limit=visit.ports.limit,
        ended=await take_news(visit),
    )


async def ask_revoke(visit: Visit) -> web.Response:
    """Ask whether this one is to end, and say which sessions end with it."""
    row = await row_of(visit)
    if row.revoked_at is not None:
        return visit.go(HOME)
    return visit.page("revoke.html", id=row.id, label=Name(row.label), sessions=live(visit, [row.id]))


async def revoke(visit: Visit) -> web.Response:
    """End it."""
    row = await row_of(visit)
    revocation = await visit.ports.accounts.revoke(visit.session.account.email, row.id, visit.actor)
    return await cut(visit, revocation, row.label)


async def ask_revoke_all(visit: Visit) -> web.Response:
    """Ask whether all are to end, and say which sessions end with them."""
    alive = [row for row in await rows_of(visit) if queries.is_active(row, visit.now)]
    if not alive:
        return visit.go(HOME)
    return visit.page(
        "revoke_all.html",
        labels=[Name(row.label) for row in alive],
        sessions=live(visit, [row.id for row in alive]),
    )


async def revoke_all(visit: Visit) -> web.Response:
    """End all of them."""
    email = visit.session.account.email
    return await cut(visit, await visit.ports.accounts.revoke_all(email, visit.actor, visit.fresh()), None)


ROUTES: Final = (
    Route("GET", HOME, show),
    Route("GET", HOME + "/{id}/revoke", ask_revoke),
    Route("POST", HOME + "/{id}/revoke", revoke),
    Route("GET", HOME + "/revoke-all", ask_revoke_all, fresh=True),
    Route("POST", HOME + "/revoke-all", revoke_all, fresh=True),
)

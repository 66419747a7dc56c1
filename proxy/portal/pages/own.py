"""What the pages of app passwords share: an owner's own rows, what lives by them, and news for the next page.

Rows are asked for by name, and a name may have been another account's before; so only rows of the account
that is signed in are ever given. Last uses may be unreadable for a while: that is told, and stops nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final

from aiohttp import web

from auth.deed import AccountError, Revocation
from auth.store.errors import StoreUnavailable
from auth.store.rows import AppPasswordRow, LastUse
from proxy.portal import words
from proxy.portal.guard import Stopped
from proxy.portal.news import Ended
from proxy.portal.sentences import Sentence
from proxy.portal.visit import Visit

HOME: Final = "/app-passwords"
_NEWS: Final = "news of app passwords"


async def rows_of(visit: Visit) -> list[AppPasswordRow]:
    """Give all app passwords of the account, tombstones too, the oldest first."""
    account = visit.session.account
    found = await visit.ports.accounts.history(account.email)
    return [row for row in found if row.account_id == account.id]


async def row_of(visit: Visit) -> AppPasswordRow:
    """Give the one that the address names by its id. Raises Stopped where the account has none of it."""
    found = [row for row in await rows_of(visit) if row.id == visit.match["id"]]
    if not found:
        raise Stopped(404, "you have no such app password")
    return found[0]


async def uses_of(visit: Visit, rows: Iterable[AppPasswordRow]) -> dict[str, list[LastUse]] | None:
    """Give the last uses; None when they cannot be read now."""
    try:
        return await visit.ports.history.last_used([row.id for row in rows])
    except StoreUnavailable:
        return None


def live(visit: Visit, app_password_ids: Iterable[str]) -> list[Sentence]:
    """Say which sessions live by these app passwords."""
    sessions = [live for each in app_password_ids for live in visit.ports.live(each)]
    return [words.session(session, visit.now) for session in sessions]


async def cut(visit: Visit, revocation: Revocation, label: str | None) -> web.Response:
    """Cut what a revocation ended, and go back to the list, which tells of it."""
    reports = await visit.ports.cut(revocation)
    ended = Ended(
        label=label,
        number=len(revocation.app_password_ids),
        cut=reports.sessions_cut,
        silent=reports.silent_workers,
    )
    with contextlib.suppress(StoreUnavailable, AccountError):  # it is done, whether that can be told or not
        await visit.keep(_NEWS, ended.to_keep())
    return visit.go(HOME)


async def take_news(visit: Visit) -> Sentence:
    """Tell what the page before did, once; nothing where it did nothing."""
    kept = await visit.take(_NEWS)
    return Sentence() if kept is None else Ended.kept(kept).told()

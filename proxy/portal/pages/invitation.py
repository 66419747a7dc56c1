"""The page behind an invitation: a person sets or proves the primary password, then enrols.

The address holds the one secret that lets in. So it is in no log and on no other page, nothing is loaded from
elsewhere beside it, and no other site hears of it (`Referrer-Policy: same-origin`: with `no-referrer` the
form would come without its origin, which older browsers say in no other way). To look at it uses nothing up,
for mail scanners open links before people do; only the form does. Late, used and unknown links are answered
alike.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from auth.checks import PRIMARY_CHARS_LEAST, PRIMARY_CHARS_MOST
from auth.deed import Problem
from auth.secret import Secret
from proxy.portal.pages.account import typed_twice
from proxy.portal.pages.sign_in import SECOND_FACTOR
from proxy.portal.sentences import moment
from proxy.portal.visit import Route, Visit

_HERE: Final = "/invitation/{token}"


async def ask(visit: Visit) -> web.Response:
    """Say whom it is for, and ask for the primary password."""
    invitation = await visit.ports.accounts.invitations.look(_token(visit))
    if invitation is None:
        if visit.problem is not None and visit.problem.problem is Problem.INVITATION_ENDED:
            visit.problem = None  # the page says it
        return visit.page("invitation_ended.html", status=410)
    return visit.page(
        "invitation.html",
        email=invitation.account.email,
        elsewhere=invitation.elsewhere,
        until=moment(invitation.expires_at, visit.now),
        least=PRIMARY_CHARS_LEAST,
        most=PRIMARY_CHARS_MOST,
    )


async def accept(visit: Visit) -> web.Response:
    """Use it up, and go on to the second factor."""
    invitations, token = visit.ports.accounts.invitations, _token(visit)
    proves = "password" in visit.form
    primary = Secret(visit.form["password"]) if proves else typed_twice(visit)
    opened = await invitations.accept(token, primary, visit.where)
    visit.turn(opened)
    if opened.revocation is not None and opened.revocation.app_password_ids:
        await visit.ports.cut(opened.revocation)
    return visit.go(SECOND_FACTOR)


def _token(visit: Visit) -> Secret:
    return Secret(visit.match["token"])


ROUTES: Final = (
    Route("GET", _HERE, ask, stage=None),
    Route("POST", _HERE, accept, stage=None),
)

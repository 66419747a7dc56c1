"""Generate Password… and Renew: a new app password, shown once, with what to type into apps beside it.

The deed answers with a redirect, so that a reload makes no second one. For the one page that follows, the
password is kept sealed in the session; that page forgets it before it is sent, and notes that it was shown
once it was. From then on the same address shows the settings without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from aiohttp import web

from auth.deed import AccountError, Minted, Problem
from auth.minting import counted as counting
from auth.renewing import usual_end
from auth.store import queries
from auth.store.rows import AppPasswordRow
from proxy.portal import listing, mint_form, settings, words
from proxy.portal.apps import apps
from proxy.portal.listing import how_long
from proxy.portal.mint_form import EXPIRIES, MAY, SCOPES, MintForm, said
from proxy.portal.pages.own import HOME, row_of, rows_of
from proxy.portal.sentences import Name, counted, moment
from proxy.portal.visit import Route, Visit
from scopes.model import Scope

SAME: Final = "same"
"""The choice of as long a life as the old one was given."""
_BEGUN: Final = "form of an app password"


async def ask(visit: Visit) -> web.Response:
    """Show the form: as it was sent, where a proof came between, else with mail ticked."""
    kept = await visit.take(_BEGUN)
    form = MintForm(opens=(Scope.MAIL,)) if kept is None else MintForm.kept(kept)
    return await _form(visit, form, {})


async def generate(visit: Visit) -> web.Response:
    """Make what the form asks for, or show it again with what is wrong."""
    form = mint_form.filled(visit.form, visit.forms)
    wanted = mint_form.asked(form, visit.now)
    if isinstance(wanted, dict):
        return await _form(visit, form, wanted)
    email = visit.session.account.email
    try:
        minted = await visit.ports.accounts.mint(email, wanted, visit.actor, visit.fresh())
    except AccountError as error:
        if error.problem is Problem.PROOF_NEEDED:  # it took its time; the form waits for the proof
            await visit.keep(_BEGUN, form.to_keep())
        if (field := mint_form.FIELD_OF.get(error.problem)) is None:
            raise
        return await _form(visit, form, {field: said(error)})
    return await _keep(visit, minted)


async def ask_renew(visit: Visit) -> web.Response:
    """Ask how long the successor is to live."""
    row = await row_of(visit)
    lines = listing.active(await rows_of(visit), None, visit.now)
    if not any(line.can_be_renewed for line in lines if line.id == row.id):
        return visit.go(HOME)
    return await _renewal(visit, row, {})


async def renew(visit: Visit) -> web.Response:
    """Make a successor."""
    row, errors = await row_of(visit), dict[str, str]()
    chosen, usual = visit.form.get("expires", SAME), usual_end(row, visit.now)
    expires_at = usual if chosen == SAME else mint_form.expiry(chosen, visit.now, errors)
    if errors:
        return await _renewal(visit, row, errors)
    email = visit.session.account.email
    try:
        minted = await visit.ports.accounts.renew(email, row.id, expires_at, visit.actor, visit.fresh())
    except AccountError as error:
        match error.problem:
            case Problem.NOT_RENEWABLE:  # ended, or renewed in another window
                return visit.go(HOME)
            case Problem.BAD_EXPIRY:
                return await _renewal(visit, row, {"expires": said(error)})
        raise
    return await _keep(visit, minted)


async def show(visit: Visit) -> web.Response:
    """Show what to type into apps, and, right after it was made, the password: this once."""
    row = await row_of(visit)
    if not queries.is_active(row, visit.now):
        return visit.go("/history")
    password = await visit.take(_purpose(row.id))
    if password is not None:
        visit.once_sent(partial(visit.ports.accounts.mark_shown, row.id))
    opened = settings.opened(visit.ports.endpoints(), visit.session.account.email, row.scopes, row.limits)
    return visit.page(
        "password.html",
        id=row.id,
        label=Name(row.label),
        opens=words.opens(row.scopes),
        limits=words.limits(row.limits),
        ends=None if row.expires_at is None else moment(row.expires_at, visit.now),
        password=password,
        user=opened.user,
        apps=apps(opened),
        was_shown=row.shown_at is not None,
        is_successor=row.replaces is not None,
    )


async def _form(visit: Visit, form: MintForm, errors: Mapping[str, str]) -> web.Response:
    number = len(counting(await rows_of(visit), visit.now))
    if number >= visit.ports.limit:
        return visit.page("full.html", number=counted(number, "active app password"))
    served = settings.served(visit.ports.endpoints())
    scopes = [each for each in SCOPES if each[0] in served] or SCOPES
    return visit.page(
        "generate.html",
        status=422 if errors else 200,
        typed=form,
        errors=errors,
        expiries=EXPIRIES,
        may=MAY,
        scopes=scopes,
    )


async def _renewal(visit: Visit, row: AppPasswordRow, errors: Mapping[str, str]) -> web.Response:
    end = usual_end(row, visit.now)
    again = () if end is None else ((SAME, f"{how_long(end - visit.now)}, as long as this one was given"),)
    return visit.page(
        "renew.html",
        status=422 if errors else 200,
        id=row.id,
        label=Name(row.label),
        ends=None if row.expires_at is None else moment(row.expires_at, visit.now),
        expiries=(*again, *EXPIRIES),
        errors=errors,
    )


async def _keep(visit: Visit, minted: Minted) -> web.Response:
    """Keep the password for the one page that shows it, and go there."""
    await visit.keep(_purpose(minted.id), minted.password)
    return visit.go(f"{HOME}/{minted.id}")


def _purpose(app_password_id: str) -> str:
    return f"password {app_password_id}"


ROUTES: Final = (
    Route("GET", HOME + "/new", ask, fresh=True),
    Route("POST", HOME + "/new", generate),  # the deed asks for the proof, and then keeps the form
    Route("GET", HOME + "/{id}", show),
    Route("GET", HOME + "/{id}/renew", ask_renew, fresh=True),
    Route("POST", HOME + "/{id}/renew", renew, fresh=True),
)

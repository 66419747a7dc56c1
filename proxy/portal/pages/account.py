"""The page *Account*: the primary password, recovery codes, the authenticator, and being signed in elsewhere.

What a change ends is said before it is made. What changes a credential needs a proof of the last minutes; a
password that was typed never comes back in a form. New recovery codes are made and shown in
`proxy.portal.pages.second_factor`.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from auth.checks import PRIMARY_CHARS_LEAST, PRIMARY_CHARS_MOST
from auth.deed import AccountError, Problem
from auth.secret import Secret
from proxy.portal import connection_words
from proxy.portal.news import Ended
from proxy.portal.sentences import Part, Sentence, counted
from proxy.portal.visit import Route, Visit
from scopes.model import Service

_HERE: Final = "/account"
_PASSWORD: Final = "/account/password"  # noqa: S105 - an address
_CHANGED: Final = "what a new primary password ended"


async def show(visit: Visit) -> web.Response:
    """Show what there is to change."""
    account, accounts = visit.session.account, visit.ports.accounts
    left = await accounts.recovery_codes_left(account.email)
    return visit.page(
        "account.html",
        aliases=account.aliases,
        elsewhere=await _kept_at(visit) if accounts.primary_elsewhere(account.email) else "",
        codes_left=counted(left, "recovery code"),
        changed=await _changed(visit),
    )


async def ask_password(visit: Visit) -> web.Response:
    """Ask for a new primary password, and say what it ends."""
    email, accounts = visit.session.account.email, visit.ports.accounts
    if accounts.primary_elsewhere(email):
        return visit.go(_HERE)
    ends = await accounts.preview(email)
    return visit.page(
        "account_password.html",
        ends=ends,
        app_passwords=counted(ends, "app password"),
        least=PRIMARY_CHARS_LEAST,
        most=PRIMARY_CHARS_MOST,
    )


async def change_password(visit: Visit) -> web.Response:
    """Change it, and cut what that has ended. Who does it stays signed in, under a new token."""
    email, new = visit.session.account.email, typed_twice(visit)
    ended = await visit.ports.accounts.set_primary(email, new, visit.actor, visit.fresh())
    if ended.opened is not None:
        visit.turn(ended.opened)
    reports = await visit.ports.cut(ended)
    revoked = Ended(
        label=None,
        number=len(ended.app_password_ids),
        cut=reports.sessions_cut,
        silent=reports.silent_workers,
    )
    await visit.keep(_CHANGED, revoked.to_keep())
    return visit.go(_HERE)


async def ask_codes(visit: Visit) -> web.Response:
    """Ask whether the earlier recovery codes are to be void."""
    return visit.page("account_codes.html")


async def end_others(visit: Visit) -> web.Response:
    """End the other sessions of this account."""
    await visit.ports.accounts.portal.end_others(visit.token)
    return visit.go(_HERE, said="others-signed-out")


def typed_twice(visit: Visit) -> Secret:
    """Give a new password that was typed twice. Raises AccountError where the two differ."""
    new, again = (Secret(visit.form.get(name, "")) for name in ("new-password", "again"))
    if new != again:
        raise AccountError(
            Problem.BAD_PRIMARY, "the two passwords are not the same", "type the new one twice, alike"
        )
    return new


async def _changed(visit: Visit) -> Sentence:
    """Say what the page before changed and ended; nothing where it did nothing."""
    kept = await visit.take(_CHANGED)
    if kept is None:
        return Sentence()
    revoked = Ended.kept(kept)
    what = Sentence("Your primary password is changed.")
    return what + Sentence(" ") + revoked.told() if revoked.number else what


async def _kept_at(visit: Visit) -> Part:
    """Give what people call the server that keeps the primary password."""
    states = await visit.ports.connections.states(visit.session.account)
    mail = (state for state in states if state.service is Service.IMAP)
    return next(map(connection_words.server_name, mail), "the mail server")


ROUTES: Final = (
    Route("GET", _HERE, show),
    Route("GET", _PASSWORD, ask_password, fresh=True),
    Route("POST", _PASSWORD, change_password, fresh=True),
    Route("GET", "/account/recovery-codes", ask_codes, fresh=True),
    Route("POST", "/account/sign-out-elsewhere", end_others),
)

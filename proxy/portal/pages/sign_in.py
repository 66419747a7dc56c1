"""Signing in and out, and proving it again.

First name and primary password, then a code. Whatever was wrong, the code is asked for all the same, and only
then it is said that something was: never what.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from auth.accounts import AccountError
from auth.deed import Opened, Problem
from auth.secret import Secret
from auth.store.rows import Stage
from proxy.portal.visit import Route, Visit

HOME: Final = "/app-passwords"
SIGN_IN: Final = "/sign-in"
CODE: Final = "/sign-in/code"
CONFIRM: Final = "/confirm"
SECOND_FACTOR: Final = "/second-factor"
_NEXT: Final = {Stage.CODE: CODE, Stage.ENROL: SECOND_FACTOR, Stage.IN: HOME}


async def begin(visit: Visit) -> web.Response:
    """Send everybody where they are."""
    return visit.go(SIGN_IN if visit.held is None else _NEXT[visit.held.stage])


async def ask(visit: Visit) -> web.Response:
    """Ask for name and primary password; who is in already goes on."""
    if visit.held is not None and visit.held.stage is Stage.IN:
        return visit.go(HOME)
    return visit.page("sign_in.html", name=visit.form.get("email", ""), on=_on(visit))


async def sign_in(visit: Visit) -> web.Response:
    """Take both, and go on to the code, or to the second factor where there is none yet."""
    name, primary = visit.form.get("email", "").strip(), Secret(visit.form.get("password", ""))
    opened = await visit.ports.accounts.portal.begin(name, primary, visit.where)
    await _turn(visit, opened)
    on = _on(visit)
    if opened.stage is Stage.CODE:
        return visit.go(f"{CODE}?{urlencode({'then': on})}" if on else CODE)
    return visit.go(SECOND_FACTOR)


async def ask_code(visit: Visit) -> web.Response:
    """Ask for a code."""
    return visit.page("sign_in_code.html", on=_on(visit))


async def answer(visit: Visit) -> web.Response:
    """Take the code."""
    code = Secret(visit.form.get("code", ""))
    try:
        opened = await visit.ports.accounts.portal.answer(visit.token, code, visit.where)
    except AccountError as error:
        if error.problem is Problem.WRONG_PROOF:
            raise _wrong(error.tried) from None
        raise
    await _turn(visit, opened)
    return visit.go(_on(visit) or HOME)


async def ask_again(visit: Visit) -> web.Response:
    """Ask for both once more."""
    return visit.page("confirm.html", on=_on(visit) or HOME)


async def confirm(visit: Visit) -> web.Response:
    """Take both, and go on."""
    primary, code = (Secret(visit.form.get(name, "")) for name in ("password", "code"))
    opened = await visit.ports.accounts.portal.confirm(visit.token, primary, code, visit.where)
    await _turn(visit, opened)
    return visit.go(_on(visit) or HOME)


async def sign_out(visit: Visit) -> web.Response:
    """End the session."""
    await visit.ports.accounts.portal.end(visit.token)
    visit.leave()
    return visit.go(f"{SIGN_IN}?said=signed-out")


def own_path(text: str) -> str:
    """Give a path of ours to go on to; empty for anything else, such as another site's `//host`."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isascii()
    return text if plain and text.isprintable() and len(text) <= _LONGEST else ""


def _on(visit: Visit) -> str:
    """Where to go on: as the form says that was sent, also when shown again; else as the address does."""
    return own_path(visit.form.get("then", visit.query.get("then", "")))


def _wrong(tried: str) -> AccountError:
    error = AccountError(
        Problem.WRONG_PROOF,
        "The email address, the password or the code is wrong.",
        "Type the next code that your authenticator shows. Each is good once.",
    )
    error.tried = tried
    return error


async def _turn(visit: Visit, opened: Opened) -> None:
    """Go on under the new token, and cut what a changed primary password has ended."""
    visit.turn(opened)
    if opened.revocation is not None:
        await visit.ports.cut(opened.revocation)


_LONGEST: Final = 200

ROUTES: Final = (
    Route("GET", "/", begin, stage=None),
    Route("GET", SIGN_IN, ask, stage=None),
    Route("POST", SIGN_IN, sign_in, stage=None),
    Route("GET", CODE, ask_code, stage=Stage.CODE),
    Route("POST", CODE, answer, stage=Stage.CODE),
    Route("GET", CONFIRM, ask_again),
    Route("POST", CONFIRM, confirm),
    Route("POST", "/sign-out", sign_out, also=Stage.ENROL),
)

"""The second factor: set up for the first time, or replaced by its owner, and the recovery codes.

The seed lies sealed in the session until a code made of it came back; a form never brings it. Recovery codes
are shown on one page, which can also be had as a file: they are kept, sealed, for these two answers, and are
gone when the owner says that they are safe, or with the session.
"""

from __future__ import annotations

import json
from typing import Final

import segno
from aiohttp import web
from markupsafe import Markup

from auth.deed import Enrolment
from auth.secret import Secret
from auth.store.rows import Stage
from proxy.portal.visit import Route, Visit

SECOND_FACTOR: Final = "/second-factor"
CODES: Final = "/second-factor/recovery-codes"
_KEPT: Final = "recovery codes"
_HOME: Final = "/app-passwords"


async def ask(visit: Visit) -> web.Response:
    """Show what the authenticator scans, and ask for a code it makes."""
    enrolment = await visit.ports.accounts.portal.begin_enrolment(visit.token)
    return visit.page(
        "second_factor.html",
        replaces=visit.session.stage is Stage.IN,
        picture=_picture(enrolment),
        key=in_fours(enrolment.seed.reveal()),
        uri=enrolment.uri.reveal(),
    )


async def confirm(visit: Visit) -> web.Response:
    """Take the code; from then on the authenticator counts."""
    actor = visit.actor
    opened, codes = await visit.ports.accounts.portal.confirm_enrolment(
        visit.token, Secret(visit.form.get("code", "")), actor
    )
    visit.turn(opened)
    return await show_once(visit, codes)


async def show_once(visit: Visit, codes: tuple[Secret, ...]) -> web.Response:
    """Keep new recovery codes for the page that shows them, and go there."""
    await visit.keep(_KEPT, Secret(json.dumps([code.reveal() for code in codes])))
    return visit.go(CODES)


async def renew_codes(visit: Visit) -> web.Response:
    """Make new recovery codes."""
    email = visit.session.account.email
    codes = await visit.ports.accounts.renew_recovery_codes(email, visit.actor, visit.fresh())
    return await show_once(visit, codes)


async def show_codes(visit: Visit) -> web.Response:
    """Show them until their owner says that they are safe."""
    codes = await _codes(visit)
    if not codes:
        return visit.go(_HOME)
    return visit.page("recovery_codes.html", codes=codes)


async def download(visit: Visit) -> web.Response:
    """Give them as a file."""
    codes = await _codes(visit)
    if not codes:
        return visit.go(_HOME)
    host, email = visit.ports.endpoints().host, visit.session.account.email
    lines = [f"Recovery codes of {email} at {host}", "Each replaces one code of the authenticator, once.", ""]
    text = "".join(f"{line}\r\n" for line in (*lines, *codes))
    headers = {"Content-Disposition": 'attachment; filename="recovery-codes.txt"'}
    return web.Response(text=text, content_type="text/plain", headers=headers)


async def safe(visit: Visit) -> web.Response:
    """Forget them."""
    await visit.keep(_KEPT, None)
    return visit.go(_HOME)


def in_fours(secret: str) -> str:
    """Group a key for typing; authenticators pass over the spaces."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


async def _codes(visit: Visit) -> list[str]:
    kept = await visit.kept(_KEPT)
    return [] if kept is None else [str(code) for code in json.loads(kept.reveal())]


def _picture(enrolment: Enrolment) -> Markup:
    """Draw the QR code: dark on light in either colour scheme, for cameras."""
    code = segno.make(enrolment.uri.reveal(), micro=False, error="m")
    drawn = code.svg_inline(border=4, light="#fff", dark="#000", svgclass="qr", lineclass=None, omitsize=True)
    return Markup(drawn)  # noqa: S704 - drawn by segno: paths and colours alone


ROUTES: Final = (
    Route("GET", SECOND_FACTOR, ask, also=Stage.ENROL, fresh=True),
    Route("POST", SECOND_FACTOR, confirm, also=Stage.ENROL, fresh=True),
    Route("GET", CODES, show_codes),
    Route("POST", CODES, safe),
    Route("GET", CODES + ".txt", download),
    Route("POST", "/account/recovery-codes", renew_codes, fresh=True),
)

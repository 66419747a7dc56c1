"""The page *Connections*: the servers behind, how it goes there, and what their owner can do about it.

A secret that was typed never comes back in a form. Whoever goes to a provider comes back from another site,
so without our cookie (SameSite=Strict): they land on a page that knows nobody, and go on from there to an
address of our own. The code stands in these two addresses and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from aiohttp import web

from auth.accounts import AccountError
from auth.secret import Secret
from proxy.portal import connection_words
from proxy.portal.connection_words import Told
from proxy.portal.connections_port import ServiceState, State, Way
from proxy.portal.visit import Route, Visit
from scopes.model import Service

_HERE: Final = "/connections"
_SECRET: Final = "/connections/password"  # noqa: S105 - an address
_LANDING: Final = "/connections/authorised"
_ARRIVAL: Final = "/connections/authorised/here"
_BEGUN: Final = "way to a provider"
_OUTCOME: Final = "what came of a way to a provider"
_BROUGHT: Final = ("state", "code", "error")
"""What a provider sends a browser back with, as far as we read it (RFC 6749 §4.1.2)."""
_NO_REFERRER: Final = {"Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class Card:
    """One service, and where its owner goes to mend it."""

    told: Told
    address: str = ""
    action: str = ""
    """What the link says; empty where there is nothing to do here."""


async def show(visit: Visit) -> web.Response:
    """Show every service that has a server behind."""
    states = await visit.ports.connections.states(visit.session.account)
    outcome = await visit.take(_OUTCOME)
    return visit.page(
        "connections.html",
        cards=[_card(state, visit.now) for state in states],
        outcome=None if outcome is None else json.loads(outcome.reveal()),
    )


async def ask_secret(visit: Visit) -> web.Response:
    """Ask for a new secret, and at which servers it is to count."""
    stored = await _stored(visit)
    if not stored:
        return visit.go(_HERE)
    ticked = _ticked(stored, visit.forms["service"]) if "service" in visit.forms else [*stored]
    return visit.page(
        "connection_password.html",
        services=[(each.service, connection_words.told(each, visit.now)) for each in stored.values()],
        ticked=ticked,
    )


async def replace_secret(visit: Visit) -> web.Response:
    """Try the secret that was typed, and keep it."""
    stored = await _stored(visit)
    wanted = [*stored] if len(stored) == 1 else _ticked(stored, visit.forms.get("service", ()))
    secret = Secret(visit.form.get("secret", ""))
    await visit.ports.connections.replace_secret(
        visit.session.account, wanted, secret, visit.actor, visit.fresh()
    )
    return visit.go(_HERE, said="secret-replaced")


async def leave(visit: Visit) -> web.Response:
    """Make a way to a provider, and show where it begins.

    By a link: a form that is answered by a redirect to another site is stopped by `form-action 'self'`.
    """
    provider = visit.match["provider"]
    begun = await visit.ports.connections.begin(visit.session.account, provider, _redirect_uri(visit))
    await visit.keep(_BEGUN, begun.kept)
    name = connection_words.provider_name(provider)
    return visit.page("connection_leave.html", address=begun.address, login=begun.login, provider=name)


async def land(visit: Visit) -> web.Response:
    """Meet a browser that a provider sent back without a cookie, and let it go on to an address of ours."""
    visit.turned = False  # or the cookie that this request could not bring would be overwritten
    brought = {name: visit.query[name] for name in _BROUGHT if name in visit.query}
    page = visit.page("connection_landing.html", onward=f"{_ARRIVAL}?{urlencode(brought)}")
    page.headers.update(_NO_REFERRER)
    return page


async def arrive(visit: Visit) -> web.Response:
    """End the way, whatever comes of it: what was begun is forgotten before the provider is asked."""
    connections, account = visit.ports.connections, visit.session.account
    target = f"{_ARRIVAL}?{visit.query_string}"
    kept = await visit.kept(_BEGUN)
    if kept is None or not connections.is_answer(kept, account, target):
        return visit.go(_HERE, said="not-begun-here")
    kept = await visit.take(_BEGUN)
    if kept is None:  # another window of this browser was faster
        return visit.go(_HERE)
    try:
        done = await connections.finish(account, kept, target, visit.actor)
        outcome = {"good": True, "what": str(connection_words.outcome(done)), "hint": ""}
    except AccountError as error:
        outcome = {"good": False, "what": error.message, "hint": error.hint}
    await visit.keep(_OUTCOME, Secret(json.dumps(outcome)))
    return visit.go(_HERE)


def _card(state: ServiceState, now: float) -> Card:
    """Put the way to mend something beside it."""
    told = connection_words.told(state, now)
    missing = state.state is State.MISSING
    if state.way is Way.SECRET:
        return Card(told, _SECRET, "Save a password" if missing else "Replace the password")
    if state.way is Way.PROVIDER and state.can_authorise:
        name = connection_words.provider_name(state.provider)
        words = f"Let Wicketgate in at {name}" if missing else f"Renew the permission at {name}"
        return Card(told, f"{_HERE}/authorise/{quote(state.provider, safe='')}", words)
    return Card(told)


async def _stored(visit: Visit) -> dict[Service, ServiceState]:
    """Give the services that are signed in to with a secret of this account."""
    states = await visit.ports.connections.states(visit.session.account)
    return {state.service: state for state in states if state.way is Way.SECRET}


def _ticked(stored: Iterable[Service], ticked: Iterable[str]) -> list[Service]:
    wanted = set(ticked)
    return [service for service in stored if service.value in wanted]


def _redirect_uri(visit: Visit) -> str:
    """Give where providers send a browser back to, as docs/oauth.md has it registered."""
    return (visit.ports.endpoints().portal_url or "").rstrip("/") + _LANDING


ROUTES: Final = (
    Route("GET", _HERE, show),
    Route("GET", _SECRET, ask_secret, fresh=True),
    Route("POST", _SECRET, replace_secret, fresh=True),
    Route("GET", f"{_HERE}/authorise/{{provider}}", leave, fresh=True),
    Route("GET", _LANDING, land, stage=None, lands=True),
    Route("GET", _ARRIVAL, arrive),
)

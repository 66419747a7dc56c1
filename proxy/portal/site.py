"""Requests to pages: the guard, the session, the route, and what becomes of everything that may go wrong.

A page is asked only by who may see it. What a page cannot do is said on its form again; an outage is a page
that says so and means nothing else; what nobody foresaw is a number, which stands in the log with its place.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

from aiohttp import web

from auth.accounts import AccountError
from auth.deed import Problem
from auth.fault import fault
from auth.hashing import Busy
from auth.lifetimes import FRESH_S
from auth.outage import PrimaryOutage
from auth.portal_sessions import PortalSession
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from auth.store.rows import Stage
from proxy.limits import PORTAL_BODY_S
from proxy.log.events import Visitor
from proxy.portal import guard, rendering
from proxy.portal.forms import read_form
from proxy.portal.guard import Stopped
from proxy.portal.pages import (
    account,
    activity,
    connections,
    generate,
    history,
    invitation,
    passwords,
    second_factor,
    sign_in,
)
from proxy.portal.ports import PortalPorts
from proxy.portal.said import SAID
from proxy.portal.table import Table
from proxy.portal.telling import Telling
from proxy.portal.visit import Route, Sent, Visit

log = logging.getLogger(__name__)

_SAID: Final = "said"
_NEXT: Final = {Stage.CODE: sign_in.CODE, Stage.ENROL: sign_in.SECOND_FACTOR, Stage.IN: sign_in.HOME}
ROUTES: Final[tuple[Route, ...]] = (
    *sign_in.ROUTES,
    *second_factor.ROUTES,
    *invitation.ROUTES,
    *connections.ROUTES,
    *account.ROUTES,
    *passwords.ROUTES,
    *generate.ROUTES,
    *history.ROUTES,
    *activity.ROUTES,
)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request came to."""

    response: web.Response
    visit: Visit | None = None
    refused: bool = False
    """Whether somebody was not let in, by a fault of his own."""

    @property
    def came_in(self) -> bool:
        """Whether the caller is known by name: the first half alone makes nobody known."""
        visit = self.visit
        if visit is None:
            return False
        opened = visit.opened is not None and visit.opened.stage is not Stage.CODE
        return opened or (visit.held is not None and visit.held.whose is not None)

    @property
    def after(self) -> Sequence[Sent]:
        """What is to be called once the answer has been sent whole."""
        return () if self.visit is None else self.visit.after


class Site:
    """Answers requests; `handle` is aiohttp's handler."""

    def __init__(
        self,
        ports: PortalPorts,
        is_ours: Callable[[str], bool],
        routes: Iterable[Route] = ROUTES,
        *,
        body_s: float = PORTAL_BODY_S,
    ) -> None:
        """`is_ours` tells of `host` or `host:port`, in lower case, whether browsers may mean us by it."""
        self._body_s = body_s
        self._ports = ports
        self._is_ours = is_ours
        self._table = Table(routes)

    async def handle(
        self, request: web.BaseRequest, caller: Visitor, begins: Callable[[], None] = lambda: None
    ) -> Answered:
        """Answer one request of a caller; `begins` is called once it is there as a whole.

        Raises CancelledError, and ConnectionError where the caller is gone.
        """
        visit = None
        telling = Telling(caller, request.headers.get("User-Agent", ""))
        try:
            guard.check_head(request, self._is_ours)
            method = "GET" if request.method == "HEAD" else request.method
            if method == "GET" and request.path in rendering.STATIC:
                file = rendering.STATIC[request.path]
                return Answered(_dressed(file.answer(request.headers.get("If-None-Match")), request))
            visit = await self._visit(request, caller)
            begins()
            response = await self._answer(method, visit, telling)
            await telling.came_in(visit)
        except ConnectionError:
            raise
        except Exception as trouble:  # noqa: BLE001 - each has its page
            response = self._trouble(trouble, visit, telling)
        if visit is not None:
            await self._leave(visit, response)
        return Answered(_dressed(response, request), visit=visit, refused=telling.refused)

    def unread(self, status: int) -> web.Response:
        """Answer what is no request, or what a fault of ours left without an answer."""
        why = "what the browser sent is no request that can be read"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            why = "something went wrong here; please tell whoever runs this server"
        host = self._ports.endpoints().host
        return _dressed(_stopped(status, why, host))

    async def _visit(self, request: web.BaseRequest, caller: Visitor) -> Visit:
        held = guard.token_of(request)
        form = await read_form(request, self._body_s) if request.method == "POST" else {}
        crossed = held is None and guard.crossed(request)
        session = None if held is None else await self._ports.accounts.portal.look(held)
        visit = Visit(
            ports=self._ports,
            path=request.path,
            match={},
            query=dict(request.query.items()),
            query_string=request.rel_url.raw_query_string,
            head=request.method == "HEAD",
            where="" if caller.address is None else str(caller.address),
            now=self._ports.now(),
            token=held or guard.new_token(),
            held=session,
            crossed=crossed,
            turned=held is None and not crossed,  # or any site could end a session by a link to us
            form={name: values[-1] for name, values in form.items()},
            forms=form,
        )
        if request.method == "POST":
            guard.check_form(visit.form, held)
        return visit

    async def _answer(self, method: str, visit: Visit, telling: Telling) -> web.Response:
        found = self._table.find(method, visit.path)
        if found is None:
            return visit.page("gone.html", status=404)
        if visit.crossed and not found.route.lands:
            return _landing(visit)
        if (elsewhere := _elsewhere(found.route, visit)) is not None:
            return elsewhere
        visit.match = found.match
        visit.news = await self._news(method, visit)
        try:
            return await found.route.handler(visit)
        except AccountError as error:
            telling.of(error, visit)
            return await self._again(error, method, visit)

    async def _again(self, error: AccountError, method: str, visit: Visit) -> web.Response:
        """Show the page of a form again, with what is wrong."""
        match error.problem:
            case Problem.SESSION_ENDED:
                visit.leave()
                return visit.go(f"{sign_in.SIGN_IN}?said=ended")
            case Problem.PROOF_NEEDED:
                return visit.go(_confirm(visit.path))
        visit.problem = error
        shown = self._table.find("GET", visit.path) if method == "POST" and self._shows(visit.path) else None
        if shown is None:
            return visit.page("problem.html")
        try:
            return await shown.route.handler(visit)
        except AccountError:
            return visit.page("problem.html")

    def _shows(self, path: str) -> bool:
        try:
            return self._table.find("GET", path) is not None
        except Stopped:
            return False

    async def _news(self, method: str, visit: Visit) -> str:
        """Give what the page before has done: by the session, or by one of two words in the address."""
        if method != "GET":
            return ""
        if visit.held is None or visit.held.stage is Stage.CODE:
            return SAID[visit.query["said"]] if visit.query.get("said") in {"signed-out", "ended"} else ""
        kept = await visit.kept(_SAID)
        if kept is None:
            return ""
        await visit.keep(_SAID, None)
        return SAID.get(kept.reveal(), "")

    async def _leave(self, visit: Visit, response: web.StreamResponse) -> None:
        """Keep what is to be said next, and the cookie."""
        if visit.to_say is not None and not visit.left:
            try:
                await visit.keep(_SAID, Secret(visit.to_say))
            except (AccountError, StoreUnavailable):
                log.warning("portal what was done could not be kept for the next page")
        if visit.left:
            guard.set_cookie(response, None)
        elif visit.turned:
            guard.set_cookie(response, visit.token)

    def _trouble(self, trouble: Exception, visit: Visit | None, telling: Telling) -> web.Response:
        host = self._ports.endpoints().host
        match trouble:
            case Stopped(status, why):
                return _stopped(status, why, host)
            case PrimaryOutage():
                telling.of_outage(trouble, visit)
                return rendering.html("away.html", {"what": "mail server", "host": host}, status=503)
            case StoreUnavailable() | Busy():
                log.warning("portal unavailable cause=%s", type(trouble).__name__)
                return rendering.html("away.html", {"what": "server", "host": host}, status=503)
        number = secrets.token_hex(4)
        log.error("portal fault number=%s cause=%s", number, fault(trouble))
        return rendering.html("fault.html", {"number": number, "host": host}, status=500)


def _stopped(status: int, why: str, host: str) -> web.Response:
    title = "Not here" if status == HTTPStatus.NOT_FOUND else "That was not done"
    return rendering.html("stopped.html", {"title": title, "why": why, "host": host}, status=status)


def _dressed(response: web.Response, request: web.BaseRequest | None = None) -> web.Response:
    guard.dress(response, "" if request is None else request.headers.get("Host", ""))
    return response


def _landing(visit: Visit) -> web.Response:
    """Let a browser that came from another site go on from a page of ours, where it has its cookie again."""
    query = f"?{visit.query_string}" if visit.query_string else ""
    onward = sign_in.own_path(f"{quote(visit.path)}{query}") or "/"
    page = visit.page("landing.html", onward=onward)
    page.headers["Referrer-Policy"] = "no-referrer"
    return page


def _elsewhere(route: Route, visit: Visit) -> web.Response | None:
    """Send who is not where the page is; None for who is."""
    if route.stage is None:
        return None
    if visit.held is None:
        then = (
            f"?{urlencode({'then': visit.path})}" if route.method == "GET" and route.stage is Stage.IN else ""
        )
        return visit.go(f"{sign_in.SIGN_IN}{then}")
    if visit.held.stage not in (route.stage, route.also):
        return visit.go(_NEXT[visit.held.stage])
    if route.fresh and visit.held.stage is Stage.IN and not _is_fresh(visit.held, visit.now):
        return visit.go(_confirm(visit.path))
    return None


def _is_fresh(held: PortalSession, now: float) -> bool:
    """Whether to show a form that needs a fresh proof; the deed itself looks again."""
    return held.proved_at is not None and now - held.proved_at < FRESH_S


def _confirm(path: str) -> str:
    return f"{sign_in.CONFIRM}?then={quote(path)}"

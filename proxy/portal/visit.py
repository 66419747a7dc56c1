"""One request for a page, as the page sees it, and the tables by which pages are found.

A page gets a visit whose session is at the stage its route names, and whose form is known to come from a page
of ours. It answers with `page` or `go`; what it keeps for the next page is kept in the session, sealed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from auth.accounts import AccountError
from auth.deed import Actor, Fresh, Opened
from auth.portal_sessions import PortalSession
from auth.secret import Secret
from auth.store.rows import Stage
from proxy.portal import rendering
from proxy.portal.guard import form_token
from proxy.portal.ports import PortalPorts
from proxy.portal.said import SAID

Sent = Callable[[], Awaitable[object]]


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request. Times are seconds since 1970-01-01 UTC."""

    ports: PortalPorts
    path: str
    match: Mapping[str, str]
    """What stands in the braces of the route's path."""
    query: Mapping[str, str]
    query_string: str
    head: bool
    """Whether nothing of the page will be sent."""
    where: str
    """The visitor's address; empty on a Unix socket."""
    now: float
    token: Secret
    """What the cookie holds, or will; of a session, or of a visitor without one."""
    held: PortalSession | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    """The last value of each field of a POST."""
    forms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All values of each field."""
    problem: AccountError | None = None
    """What kept the form that was sent from being done; its page is shown again with it."""
    news: str = ""
    """What the page before has done, in words."""
    crossed: bool = False
    """Whether a link on another site led here: then a browser leaves the cookie out (SameSite=Strict)."""
    turned: bool = False
    """Whether the cookie holds another token from now on."""
    opened: Opened | None = None
    """The step that was made."""
    left: bool = False
    """Whether the session is over, and its cookie to be forgotten."""
    to_say: str | None = None
    after: list[Sent] = field(default_factory=list)

    @property
    def session(self) -> PortalSession:
        """The session, on pages that are for who has one."""
        if self.held is None:
            raise RuntimeError("this page is for anybody")
        return self.held

    @property
    def actor(self) -> Actor:
        """The owner, for the audit trail."""
        return Actor(kind="owner", name=self.session.account.email, where=self.where)

    def fresh(self) -> Fresh:
        """The proof of who has proved both halves within the last minutes; looked at where it is used."""
        return Fresh(token=self.token)

    def turn(self, opened: Opened) -> None:
        """Go on under the new token of a session that has come a step further."""
        self.token, self.turned, self.opened = opened.token, True, opened

    def leave(self) -> None:
        """Let the browser forget its cookie."""
        self.left = True

    async def keep(self, purpose: str, value: Secret | None) -> None:
        """Keep something in the session, sealed; None takes it away."""
        await self.ports.accounts.portal.keep(self.token, purpose, value)

    async def kept(self, purpose: str) -> Secret | None:
        """Give what was kept."""
        return await self.ports.accounts.portal.kept(self.token, purpose)

    async def take(self, purpose: str) -> Secret | None:
        """Give what was kept and forget it: of two requests at once one gets it, and HEAD gets nothing."""
        return None if self.head else await self.ports.accounts.portal.take(self.token, purpose)

    def once_sent(self, call: Sent) -> None:
        """Call this when the answer has been sent whole."""
        self.after.append(call)

    def go(self, path: str, *, said: str | None = None) -> web.Response:
        """Send the browser on, by GET (RFC 9110 §15.4.4); `said` names what the next page says, in `SAID`."""
        if said is not None and said not in SAID:
            raise KeyError(said)
        self.to_say = said
        return web.Response(status=303, headers={"Location": path})

    def page(self, template: str, *, status: int = 200, **facts: Any) -> web.Response:
        """Render a page of ours."""
        status = 422 if self.problem is not None and status == 200 else status
        signed_in = self.held is not None and self.held.stage is Stage.IN
        common = {
            "csrf_token": form_token(self.token),
            "path": self.path,
            "problem": self.problem,
            "hint": _hint(self.problem),
            "said": self.news,
            "signed_in": signed_in,
            "who": self.held.account.email if self.held is not None and signed_in else "",
            "host": self.ports.endpoints().host,
        }
        return rendering.html(template, common | facts, status=status)


def _hint(problem: AccountError | None) -> str:
    """Give what to do; one that names a command is for whoever has a command line."""
    return "" if problem is None or "wicketgate " in problem.hint else problem.hint


Handler = Callable[[Visit], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """A page: by which method and path it is asked for, and of whom."""

    method: str
    path: str
    """With `{name}` for one segment."""
    handler: Handler
    stage: Stage | None = field(default=Stage.IN, kw_only=True)
    """At which stage a session must be; None is for anybody."""
    also: Stage | None = field(default=None, kw_only=True)
    """Another stage that is as good."""
    lands: bool = field(default=False, kw_only=True)
    """Whether it meets by itself who comes from another site."""
    fresh: bool = field(default=False, kw_only=True)
    """Whether both halves must have been proved within the last minutes."""

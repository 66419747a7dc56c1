"""The scope wall: what one DAV request may do, by the path it is about and the scopes of its app password.

The order is always the same: the method, the path's one reading, what the path is (`proxy.dav.oracle`), the
table (`scopes.davrules`), and then the errand that was ruled. Nothing reaches the upstream before but our
own question, and where the answer to that is in doubt nothing is decided (`UpstreamFailure`).

What is closed and what is not, when a path changes its kind between our question and the client's request
(two apps of one account can do that to each other): listings say in the same answer what each thing is, and
objects are looked at, so no answer carries the other scope's objects. Names and ETags may be seen, and a
write may meet a collection that was made anew under the same name, for the milliseconds between, or
the second that a body may take before the wall is asked once more (`proxy.dav.passage`); the server's own
check of the object's type is then the only one. What is remembered serves GET and PROPFIND
alone, and is forgotten with every change that goes through here; a change that goes past us is noticed
after a minute at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

from proxy.dav.answers import Counts
from proxy.dav.conditions import BadField, destination
from proxy.dav.discovery import is_probe, named_principal, options, redirect
from proxy.dav.errands import Errand
from proxy.dav.oracle import Oracle
from proxy.dav.ports import Answer, Ask, Forward, WallRequest
from proxy.dav.replies import (
    BAD_PATH,
    BAD_REQUEST,
    FINITE_DEPTH,
    FORBIDDEN,
    NOT_FOUND,
    NOT_OFFERED,
    READ_ONLY,
    UNSUPPORTED,
)
from scopes.davpath import BadPath, canonical
from scopes.davrules import Deed, Ruling, Standing, deed, rule, standing
from scopes.decide import OPENED_BY
from scopes.model import Grant, Scope, Service

_FIXED: Final = {
    Ruling.FINITE_DEPTH: FINITE_DEPTH,
    Ruling.FORBIDDEN: FORBIDDEN,
    Ruling.NOT_FOUND: NOT_FOUND,
    Ruling.NOT_OFFERED: NOT_OFFERED,
    Ruling.READ_ONLY: READ_ONLY,
}
_ERRANDS: Final[Mapping[Ruling, Callable[[Errand], Answer | Forward]]] = {
    Ruling.PASS: Errand.object,
    Ruling.LIST: Errand.listing,
    Ruling.REPORT: Errand.report,
    Ruling.SEARCH: Errand.search,
    Ruling.PUT: Errand.put,
    Ruling.DELETE: Errand.delete,
    Ruling.PROPPATCH: Errand.proppatch,
    Ruling.MAKE: Errand.mkcol,
}
_SELF_EVIDENT: Final = frozenset({Deed.GET, Deed.HEAD, Deed.PROPFIND})
"""Their answers say themselves what they are: only for these will do what is remembered of a path."""
_CHANGES: Final = frozenset({Deed.MKCOL, Deed.MKCALENDAR, Deed.DELETE, Deed.MOVE, Deed.COPY, Deed.PROPPATCH})
"""After these no path is surely what it was."""


@cache
def _everywhere(asked: Deed | None) -> Ruling | None:
    """Give the table's word where it is the same for every place; None where it is not."""
    rulings = {rule(asked, place) for place in Standing}
    return rulings.pop() if len(rulings) == 1 else None


class Wall:
    """Judges requests; a `proxy.dav.ports.Judge`."""

    def __init__(
        self,
        ask: Ask,
        *,
        authorities: Container[str],
        served: Collection[Scope] = OPENED_BY[Service.DAV],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = Counts()
        self._oracle = Oracle(ask, clock=clock)
        self._authorities = authorities
        """Ours, as `host` or `host:port` in lower case, without a scheme's own port."""
        self._served = frozenset(served)

    def unsigned(self, request: WallRequest) -> Answer | None:
        """Answer what is answered without credentials; None: sign in first."""
        return redirect(request)

    async def judge(self, request: WallRequest, grant: Grant) -> Answer | Forward:
        """Decide about one request. Raises `UpstreamFailure`."""
        if not grant.scopes <= self._served:
            grant = replace(grant, scopes=grant.scopes & self._served)
        asked = deed(request.method, request.fields.get("depth"))
        try:
            return self._at_once(request, asked, grant) or await self._judge(request, asked, grant)
        except BadPath:
            return BAD_PATH
        except BadField:
            return BAD_REQUEST

    def _at_once(self, request: WallRequest, asked: Deed | None, grant: Grant) -> Answer | None:
        """Answer what needs no look at the path: the table says the same everywhere."""
        ruling = _everywhere(asked)
        if ruling is Ruling.NOT_OFFERED:
            return NOT_OFFERED
        if request.fields.get("content-encoding", "identity").lower() != "identity":
            return UNSUPPORTED
        if ruling is Ruling.OPTIONS:
            if request.target != "*":
                canonical(request.target)
            return options(grant.scopes, read_only=grant.limits.read_only)
        if ruling is Ruling.FINITE_DEPTH:
            return FINITE_DEPTH
        return redirect(request)

    async def _judge(self, request: WallRequest, asked: Deed | None, grant: Grant) -> Answer | Forward:
        path = canonical(request.target)
        found = await self._oracle.find(grant, path, fresh=asked not in _SELF_EVIDENT)
        place = standing(found.kind, found.role, grant.scopes)
        ruling = rule(asked, place, read_only=grant.limits.read_only)
        if ruling is Ruling.NOT_FOUND and asked is Deed.PROPFIND and is_probe(path):
            return named_principal(request, path, await self._oracle.principal(grant))
        if ruling in _FIXED:
            return _FIXED[ruling]
        errand = Errand(
            request=request,
            path=path,
            found=found,
            scopes=grant.scopes,
            authorities=self._authorities,
            counts=self.counts,
            read_only=grant.limits.read_only,
        )
        outcome = await self._run(ruling, errand, grant)
        if asked not in _CHANGES or isinstance(outcome, Answer):
            return outcome
        self._oracle.forget(grant.account_id)
        return replace(outcome, after=lambda: self._oracle.forget(grant.account_id))

    async def _run(self, ruling: Ruling, errand: Errand, grant: Grant) -> Answer | Forward:
        if ruling in _ERRANDS:
            return _ERRANDS[ruling](errand)
        match ruling:
            case Ruling.MAKE_EVENTS:
                return errand.mkcalendar() if Scope.EVENTS in grant.scopes else FORBIDDEN
            case Ruling.TRANSFER:
                return await self._transfer(errand, grant)
            case Ruling.RENAME:
                return await self._rename(errand, grant)
        return NOT_FOUND

    async def _transfer(self, errand: Errand, grant: Grant) -> Answer | Forward:
        """Move an object: it must land directly in a collection of the same kind."""
        target = destination(errand.request.fields, self._authorities)
        there = await self._oracle.find(grant, target, fresh=True)
        place = standing(there.kind, there.role, grant.scopes)
        if place not in (Standing.OWN_MEMBER, Standing.OWN_ABSENT) or there.kind is not errand.found.kind:
            return FORBIDDEN
        return errand.transfer(target)

    async def _rename(self, errand: Errand, grant: Grant) -> Answer | Forward:
        """Move a collection: its new name must be free, directly in something neutral."""
        target = destination(errand.request.fields, self._authorities)
        there = await self._oracle.find(grant, target, fresh=True)
        if standing(there.kind, there.role, grant.scopes) is not Standing.ABSENT_BELOW_NEUTRAL:
            return FORBIDDEN
        return errand.rename(target)

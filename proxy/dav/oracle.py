"""What is this path? Asked of the upstream itself, as the account, never guessed from the name.

A PROPFIND of our own for `resourcetype`, Depth 0: an object has the kind of its collection, a path that is
not there has the kind of the collection it would lie in, and without that one it is nobody's. Whatever the
upstream does not answer clearly is an outage (`UpstreamFailure`), never a kind. Only kinds that the asking
app password has opened are remembered, for reads alone and for a minute at most, never that something is not
there; any change of collections by the account forgets all of it. RFC 4918 §9.1, §15.9.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from proxy.dav.ports import Ask
from proxy.dav.properties import CURRENT_USER_PRINCIPAL, RESOURCETYPE
from proxy.dav.xmltree import BadXml, Budget, Node, document, read
from proxy.limits import DAV_ASK_OCTETS, DAV_KIND_ACCOUNTS, DAV_KIND_S, DAV_KINDS
from proxy.upstreams.place import UpstreamFailure
from scopes.davpath import BadPath, DavPath, canonical
from scopes.davrules import DAV, Kind, Role, kind_of, opened
from scopes.model import Grant

_BUDGET: Final = Budget(octets=DAV_ASK_OCTETS, elements=1_000)
_FIELDS: Final = (("depth", "0"), ("content-type", 'application/xml; charset="utf-8"'))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a path is."""

    kind: Kind
    role: Role
    collection: DavPath
    """The path itself if it is a collection, else the collection it lies in, or would lie in."""


@dataclass(slots=True)
class _Memory:
    """What is remembered for one account. It is replaced, not emptied: looks that began before are lost."""

    kinds: OrderedDict[tuple[str, ...], tuple[Found, float]] = field(default_factory=OrderedDict)


class Oracle:
    """Asks, and remembers what may be remembered."""

    def __init__(self, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._memories: OrderedDict[str, _Memory] = OrderedDict()

    async def find(self, grant: Grant, path: DavPath, *, fresh: bool) -> Found:
        """Say what `path` is; `fresh` if nothing remembered will do. Raises `UpstreamFailure`, `BadPath`."""
        memory = self._memory(grant.account_id)
        known = None if fresh else self._recall(memory, path)
        if known is not None:
            return known
        found = await self._find(grant, path)
        if found.kind in opened(grant.scopes):
            if found.role is not Role.ABSENT:
                self._remember(memory, path, found)
        elif found.role is Role.COLLECTION and found.kind is not Kind.NEUTRAL:
            # As many questions as about a path that is not there, so that the time taken tells less.
            await self._look(grant, path.parent)
        return found

    async def principal(self, grant: Grant) -> DavPath:
        """Say where the account's principal is (RFC 5397). Raises `UpstreamFailure`."""
        try:
            prop = await self._prop(grant, DavPath(), CURRENT_USER_PRINCIPAL)
        except (_Denied, BadPath):
            prop = None
        hrefs = [] if prop is None else list(prop.named(f"{DAV}href"))
        if len(hrefs) != 1:
            raise UpstreamFailure("the upstream names no principal")
        try:
            return canonical(hrefs[0].text().strip())
        except BadPath as bad:
            raise UpstreamFailure(f"the principal's path: {bad}") from None

    def forget(self, account_id: str) -> None:
        """Forget all that is remembered for an account, and what is just being asked."""
        self._memories.pop(account_id, None)

    async def _find(self, grant: Grant, path: DavPath) -> Found:
        if path.segments and path.segments[0].startswith("."):
            return Found(kind=Kind.DENIED, role=Role.COLLECTION, collection=path)
        types = await self._look(grant, path)
        if types or (types is not None and not path.segments):
            return Found(kind=kind_of(types), role=Role.COLLECTION, collection=path.collection)
        above = await self._look(grant, path.parent)
        kind = Kind.DENIED if not above else kind_of(above)
        role = Role.ABSENT if types is None else Role.MEMBER
        return Found(kind=kind, role=role, collection=path.parent)

    async def _look(self, grant: Grant, path: DavPath) -> frozenset[str] | None:
        """Give the resource types of a path: none for an object, None for what is not there."""
        try:
            prop = await self._prop(grant, path, RESOURCETYPE)
        except _Denied:
            return frozenset({"denied"})
        return None if prop is None else frozenset(each.name for each in prop.children())

    async def _prop(self, grant: Grant, path: DavPath, name: str) -> Node | None:
        """Give one property of one path, None if the path is not there."""
        body = document(Node(f"{DAV}propfind", {}, [Node(f"{DAV}prop", {}, [Node(name)])]))
        answer = await self._ask(grant, "PROPFIND", str(path), _FIELDS, body)
        match answer.status:
            case 207:
                return _read_prop(answer.body, path, name)
            case 404 | 410:
                return None
            case 403:
                raise _Denied
            case 400:
                raise BadPath("the upstream does not take it")
        raise UpstreamFailure(f"the upstream answers {answer.status} to a question about a path")

    def _memory(self, account_id: str) -> _Memory:
        memory = self._memories.setdefault(account_id, _Memory())
        self._memories.move_to_end(account_id)
        if len(self._memories) > DAV_KIND_ACCOUNTS:
            self._memories.popitem(last=False)
        return memory

    def _recall(self, memory: _Memory, path: DavPath) -> Found | None:
        found, until = memory.kinds.get(path.segments, (None, 0.0))
        return found if self._clock() < until else None

    def _remember(self, memory: _Memory, path: DavPath, found: Found) -> None:
        memory.kinds[path.segments] = (found, self._clock() + DAV_KIND_S)
        memory.kinds.move_to_end(path.segments)
        if len(memory.kinds) > DAV_KINDS:
            memory.kinds.popitem(last=False)


class _Denied(Exception):  # noqa: N818 - an answer, not an error
    """The upstream does not show this to the account."""


def _read_prop(octets: bytes, path: DavPath, name: str) -> Node:
    """Read a multi-status about one path and one property (RFC 4918 §13)."""
    try:
        root = read(octets, _BUDGET)
        responses = list(root.named(f"{DAV}response"))
        hrefs = [canonical(href.text().strip()) for each in responses for href in each.named(f"{DAV}href")]
    except (BadXml, BadPath) as bad:
        raise UpstreamFailure(f"the upstream's answer about a path: {bad}") from None
    if root.name != f"{DAV}multistatus" or len(responses) != 1 or len(hrefs) != 1 or not hrefs[0].same(path):
        raise UpstreamFailure("the upstream's answer is about something else")
    found = [
        prop
        for stat in responses[0].named(f"{DAV}propstat")
        if is_success(stat)
        for each in stat.named(f"{DAV}prop")
        for prop in each.named(name)
    ]
    if len(found) != 1:
        raise UpstreamFailure("the upstream's answer leaves the property out")
    return found[0]


def is_success(stat: Node) -> bool:
    """Whether a propstat or response says 200 (RFC 4918 §14.28: a status line)."""
    words = [each.text().split() for each in stat.named(f"{DAV}status")]
    return len(words) == 1 and words[0][1:2] == ["200"]

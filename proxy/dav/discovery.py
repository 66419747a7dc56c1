"""How clients find their way from a bare host name: OPTIONS, the well-known paths, and the probes.

Clients guess at paths until one names their principal. Where the upstream has nothing at such a path we
name the principal ourselves, and nothing else; what is shown from there on is the wall's affair. RFC 6764
§5 and §6, RFC 5397 §3, RFC 4791 §5.1, RFC 6352 §6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from proxy.dav.ports import Answer, CheckXml, Fields, Forward, WallRequest
from proxy.dav.properties import CURRENT_USER_PRINCIPAL, RESOURCETYPE
from proxy.dav.replies import ALLOW, ALLOW_READING, BAD_XML, XML, refusal
from proxy.dav.xmlcheck import propfind
from proxy.dav.xmltree import BadXml, Node, document
from proxy.limits import DAV_XML_OCTETS
from scopes.davpath import BadPath, DavPath, canonical
from scopes.davrules import DAV, Kind
from scopes.model import Scope

_WELL_KNOWN: Final = frozenset({(".well-known", "caldav"), (".well-known", "carddav")})
_PROBED: Final = frozenset(
    {(), ("principals",), ("principals", "users"), ("calendar", "dav"), ("dav",), ("caldav",), ("carddav",)}
)
"""What Apple, Thunderbird, Evolution and DAVx5 try when they know no more than a host."""
_PROBED_BELOW: Final = frozenset({("principals", "users"), ("calendar", "dav")})
"""The same with a name behind it; Apple adds `user` or the sign-in name, and `/user/` once more."""
_MOVED: Final = Answer(status=301, fields=(("location", "/"),))


def dav_field(scopes: Collection[Scope]) -> Fields:
    """Give the DAV field: what the app password opens, and nothing of what the upstream says of itself.

    RFC 4918 §18: class 1 and 3. Apple's clients want to read `1, 3` in a plain OPTIONS answer.
    """
    named = ["1", "3", "extended-mkcol"]
    if Scope.EVENTS in scopes:
        named.append("calendar-access")
    if Scope.CONTACTS in scopes:
        named.append("addressbook")
    return (("dav", ", ".join(named)),)


def options(scopes: Collection[Scope], *, read_only: bool = False) -> Answer:
    """Answer OPTIONS from the app password, whatever the path."""
    return Answer(status=200, fields=(*dav_field(scopes), ("allow", ALLOW_READING if read_only else ALLOW)))


def redirect(request: WallRequest) -> Answer | None:
    """Send a client on from a well-known path, with or without credentials (RFC 6764 §5).

    PROPFIND with credentials is answered where it is: not every client follows there.
    """
    if request.method not in ("GET", "HEAD", "PROPFIND"):
        return None
    if request.method == "PROPFIND" and "authorization" in request.fields:
        return None
    try:
        path = canonical(request.target)
    except BadPath:
        return None
    return _MOVED if path.segments in _WELL_KNOWN else None


def is_probe(path: DavPath) -> bool:
    """Whether clients look for their principal at this path."""
    parts = path.segments
    return parts in _WELL_KNOWN or parts in _PROBED or (parts[:2] in _PROBED_BELOW and len(parts) <= 4)


def named_principal(request: WallRequest, path: DavPath, principal: DavPath) -> Answer | Forward:
    """Answer a PROPFIND on a probed path: who the client is, and that all else is not there."""
    check = _answered(path, principal)
    if not request.has_body:
        return check(b"")
    body = CheckXml(limit_octets=DAV_XML_OCTETS, check=check)
    return Forward(method="PROPFIND", path=str(path), fields=(), body=body, answer=_never)


def _answered(path: DavPath, principal: DavPath) -> Callable[[bytes], Answer]:
    found = {
        CURRENT_USER_PRINCIPAL: Node(CURRENT_USER_PRINCIPAL, {}, [Node(f"{DAV}href", {}, [str(principal)])]),
        RESOURCETYPE: Node(RESOURCETYPE, {}, [Node(f"{DAV}collection")]),
    }

    def answer(octets: bytes) -> Answer:
        try:
            listing = propfind(octets, Kind.NEUTRAL, ())
        except BadXml:
            return BAD_XML
        asked = listing.asked or tuple(found)
        here = [Node(name) if listing.names_only else found[name] for name in asked if name in found]
        absent = [Node(name) for name in asked if name not in found]
        stats = [_propstat(here, "HTTP/1.1 200 OK")] if here or not absent else []
        stats += [_propstat(absent, "HTTP/1.1 404 Not Found")] if absent else []
        response = Node(f"{DAV}response", {}, [Node(f"{DAV}href", {}, [str(path)]), *stats])
        return Answer(status=207, fields=XML, body=document(Node(f"{DAV}multistatus", {}, [response])))

    return answer


def _propstat(props: list[Node], status: str) -> Node:
    return Node(f"{DAV}propstat", {}, [Node(f"{DAV}prop", {}, [*props]), Node(f"{DAV}status", {}, [status])])


def _never(status: int, _fields: Fields) -> Answer:
    """Nothing goes upstream: the body's check answers."""
    return refusal(status)

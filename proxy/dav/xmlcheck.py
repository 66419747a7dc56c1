"""Bodies of requests: read within budgets, held to what the path and the scopes allow, written anew.

What goes upstream is our own serialisation of what was understood, so the upstream reads nothing that was not
read here. A refused body is `Refused`, which names the precondition that failed; `proxy.dav.wall` words it.
RFC 4918 §9.1 and §9.2, RFC 3253 §3.6, RFC 4791, RFC 6352, RFC 5689, RFC 6578. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import dataclass
from typing import Final

from proxy.dav.properties import RESOURCETYPE, is_foreign, may_be_seen, may_be_set
from proxy.dav.xmltree import BadXml, Budget, Node, document, read
from proxy.limits import DAV_XML_ELEMENTS, DAV_XML_OCTETS, DAV_XML_PROPERTIES
from scopes.davpath import BadPath, DavPath, from_uri
from scopes.davrules import CALDAV, CARDDAV, DAV, Kind

_BUDGET: Final = Budget(octets=DAV_XML_OCTETS, elements=DAV_XML_ELEMENTS)
_PROP: Final = f"{DAV}prop"
_NAMING: Final = frozenset({_PROP, f"{DAV}include"})
_TYPE: Final = {Kind.CONTACTS: f"{CARDDAV}addressbook", Kind.EVENTS: f"{CALDAV}calendar"}
_REPORTS: Final = {
    Kind.CONTACTS: {f"{CARDDAV}addressbook-query", f"{CARDDAV}addressbook-multiget", f"{DAV}sync-collection"},
    Kind.EVENTS: {
        f"{CALDAV}calendar-query",
        f"{CALDAV}calendar-multiget",
        f"{CALDAV}free-busy-query",
        f"{DAV}sync-collection",
    },
}
WHAT_IS_SEARCHED: Final = f"{DAV}principal-search-property-set"
SEARCHES: Final = frozenset((WHAT_IS_SEARCHED, f"{DAV}principal-property-search", f"{DAV}expand-property"))
"""Reports about principals: nothing is found."""


class Refused(Exception):  # noqa: N818 - a word of the wall
    """The body is well-formed and may not do this."""

    def __init__(self, status: int, precondition: str | None = None) -> None:
        super().__init__(f"{status} {precondition or ''}")
        self.status = status
        self.precondition = precondition
        """As `{namespace}name`, for the error body (RFC 4918 §16)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A checked PROPFIND body."""

    body: bytes
    hidden: tuple[str, ...] = ()
    """Properties that were asked for and are not for this client: it is told they are not there."""
    types_added: bool = False
    """Whether the resource types were added by us, to judge the answer by."""
    names_only: bool = False
    asked: tuple[str, ...] = ()
    """The properties that were asked for by name."""


def propfind(octets: bytes, where: Kind, kinds: Collection[Kind]) -> Listing:
    """Check a PROPFIND body (RFC 4918 §14.20). Raises `BadXml`.

    Where the answer is to be judged the resource types are asked for too: it then says of each thing what it
    was at the very moment the answer was made.
    """
    if not octets:
        return Listing(body=document(Node(f"{DAV}propfind", {}, [Node(f"{DAV}allprop")])))
    root = _root(octets, {f"{DAV}propfind"})
    match [each.name for each in root.children() if each.name in _WAYS]:
        case [way]:
            pass
        case _:
            raise BadXml("not one of prop, allprop, propname")
    if way == f"{DAV}propname":
        return Listing(body=document(Node(root.name, {}, [Node(way)])), names_only=True)
    if way == f"{DAV}allprop":
        wanted = [each.name for include in root.named(f"{DAV}include") for each in include.children()]
        seen = [Node(name) for name in wanted if may_be_seen(name, where, kinds)]
        content = [Node(way), *([Node(f"{DAV}include", {}, [*seen])] if seen else [])]
        return Listing(body=document(Node(root.name, {}, [*content])))
    return _named(root, where, kinds)


_WAYS: Final = frozenset(DAV + name for name in ("prop", "allprop", "propname"))


def _named(root: Node, where: Kind, kinds: Collection[Kind]) -> Listing:
    wanted = [each for prop in root.named(_PROP) for each in prop.children()]
    shown = [each for each in wanted if not is_foreign(each.name, kinds)]
    if where is not Kind.NEUTRAL:
        shown = [each for each in wanted if may_be_seen(each.name, where, kinds)]
    names = {each.name for each in shown}
    types_added = RESOURCETYPE not in names
    content = [*shown, *([Node(RESOURCETYPE)] if types_added else [])]
    return Listing(
        body=document(Node(root.name, {}, [Node(_PROP, {}, [*content])])),
        hidden=tuple(dict.fromkeys(each.name for each in wanted if each.name not in names)),
        types_added=types_added,
        asked=tuple(dict.fromkeys(each.name for each in wanted)),
    )


def proppatch(octets: bytes, kind: Kind) -> bytes:
    """Check a PROPPATCH body (RFC 4918 §14.19). Raises `BadXml`, `Refused`."""
    root = _root(octets, {f"{DAV}propertyupdate"})
    changes = list(root.children())
    if not changes or any(each.name not in (f"{DAV}set", f"{DAV}remove") for each in changes):
        raise BadXml("not a list of changes")
    for change in changes:
        for prop in _props(change):
            _must_be_settable(prop, kind)
    return document(root)


def mkcol(octets: bytes, kinds: Collection[Kind]) -> bytes:
    """Check an extended MKCOL body (RFC 5689 §5.1): exactly one type, one's own. Raises `BadXml`, `Refused`.

    Without a body a plain collection would be made, which is nobody's.
    """
    if not octets:
        raise Refused(403, f"{DAV}valid-resourcetype")
    root = _root(octets, {f"{DAV}mkcol"})
    types, others = _what_is_made(root)
    made = [kind for kind in _TYPE if kind in kinds and types == [_types_of(kind)]]
    if not made:
        raise Refused(403, f"{DAV}valid-resourcetype")
    for prop in others:
        _must_be_settable(prop, made[0])
    return document(root)


def mkcalendar(octets: bytes) -> bytes:
    """Check a MKCALENDAR body (RFC 4791 §5.3.1). Raises `BadXml`, `Refused`."""
    if not octets:
        return b""
    root = _root(octets, {f"{CALDAV}mkcalendar"})
    types, others = _what_is_made(root)
    if types not in ([], [_types_of(Kind.EVENTS)]):
        raise Refused(403, f"{DAV}valid-resourcetype")
    for prop in others:
        _must_be_settable(prop, Kind.EVENTS)
    return document(root)


def report(octets: bytes, kind: Kind, collection: DavPath, authorities: Container[str]) -> bytes:
    """Check a REPORT body on a collection of one's own. Raises `BadXml`, `Refused`."""
    root = _root(octets, None)
    if root.name not in _REPORTS[kind]:
        raise Refused(403, f"{DAV}supported-report")
    for each in root.content:
        if isinstance(each, Node) and each.name == _PROP:
            each.content = [prop for prop in each.children() if may_be_seen(prop.name, kind, {kind})]
    for node in root.walk():
        if is_foreign(node.name, {kind}):
            raise Refused(403, f"{DAV}supported-report")
        if node.name == f"{DAV}href":
            node.content = [_within(node.text(), collection, authorities)]
        if node.name == f"{DAV}sync-level" and node.text().strip() != "1":
            raise Refused(403, f"{DAV}sync-traversal-supported")
    return document(root)


def search(octets: bytes) -> str:
    """Check a REPORT body on something neutral; what passes finds nothing. Gives the report's name.

    Raises `BadXml`, `Refused`.
    """
    name = _root(octets, None).name
    if name not in SEARCHES:
        raise Refused(403, f"{DAV}supported-report")
    return name


def _root(octets: bytes, names: Collection[str] | None) -> Node:
    root = read(octets, _BUDGET)
    if names is not None and root.name not in names:
        raise BadXml("another root")
    # Each is answered for each path that is found, even if only to say that it is not there.
    if sum(len(list(node.children())) for node in root.walk() if node.name in _NAMING) > DAV_XML_PROPERTIES:
        raise BadXml("too many properties")
    return root


def _props(change: Node) -> list[Node]:
    """Give the properties of one set or remove; there is exactly one prop in it (RFC 4918 §14.23, §14.26)."""
    inside = list(change.children())
    if [each.name for each in inside] != [_PROP]:
        raise BadXml("not exactly one prop")
    return list(inside[0].children())


def _what_is_made(root: Node) -> tuple[list[list[str]], list[Node]]:
    """Give each resourcetype that is set, and the other properties, of a MKCOL or MKCALENDAR body."""
    changes = list(root.children())
    if any(each.name != f"{DAV}set" for each in changes):
        raise BadXml("something else than set")
    props = [prop for change in changes for prop in _props(change)]
    # A nested type would be read by nobody, or only by somebody behind us.
    types = [
        sorted(each.name for each in prop.children())
        for prop in props
        if prop.name == RESOURCETYPE and all(not list(each.children()) for each in prop.children())
    ]
    others = [prop for prop in props if prop.name != RESOURCETYPE]
    if len(types) + len(others) != len(props):
        raise Refused(403, f"{DAV}valid-resourcetype")
    return types, others


def _types_of(kind: Kind) -> list[str]:
    return sorted([f"{DAV}collection", _TYPE[kind]])


def _must_be_settable(prop: Node, kind: Kind) -> None:
    if not may_be_set(prop.name, kind):
        raise Refused(403, f"{DAV}cannot-modify-protected-property")


def _within(uri: str, collection: DavPath, authorities: Container[str]) -> str:
    """Give an href of a body in canonical form. It must lie in the request's own collection."""
    try:
        path = from_uri(uri.strip(), authorities)
    except BadPath as bad:
        raise BadXml(f"an href: {bad}") from None
    if not path.within(collection):
        raise Refused(403)
    return str(path)

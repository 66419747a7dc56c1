"""One response of a multi-status answer: is it the client's, and what of it may the client see?

It passes if its href is the path that was asked or lies directly in it, and if what it is, by the resource
types in the very same response, is the scope's own or neutral. Properties of the other scope are told to be
absent. Objects are looked at: an event in an answer about contacts is an alarm. RFC 4918 §14.24. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.dav.oracle import is_success
from proxy.dav.ports import AnswerFault
from proxy.dav.properties import ADDRESS_DATA, CALENDAR_DATA, PRIVILEGES, RESOURCETYPE, may_be_seen
from proxy.dav.xmltree import Node
from scopes.davpath import BadPath, DavPath, from_uri
from scopes.davrules import CALDAV, CALENDAR_SERVER, CARDDAV, DAV, Kind, kind_of

_PROP: Final = f"{DAV}prop"
_HREF: Final = f"{DAV}href"
_STATUS: Final = f"{DAV}status"
_BEGINS: Final = {Kind.CONTACTS: "BEGIN:VCARD", Kind.EVENTS: "BEGIN:VCALENDAR"}
_PRECONDITIONS: Final = frozenset(
    [DAV + name for name in ("valid-sync-token", "supported-report", "number-of-matches-within-limits")]
    + [
        DAV + name
        for name in ("cannot-modify-protected-property", "resource-must-be-null", "need-privileges")
    ]
    + [CALDAV + name for name in ("no-uid-conflict", "valid-calendar-data", "valid-calendar-object-resource")]
    + [CALDAV + name for name in ("supported-calendar-component", "supported-filter", "valid-filter")]
    + [CALDAV + name for name in ("max-resource-size", "min-date-time", "max-date-time", "max-instances")]
    + [CARDDAV + name for name in ("no-uid-conflict", "valid-address-data", "supported-address-data")]
    + [CARDDAV + name for name in ("supported-filter", "max-resource-size")]
)
"""What a client can act on in an error body; nothing in it is passed on, nor any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one answer is held to."""

    base: DavPath
    """The path that was asked."""
    where: Kind
    """What it is: the scope's own kind, or neutral."""
    kinds: Collection[Kind]
    """What the app password opens."""
    deep: bool = True
    """Whether what lies directly in it may be in the answer."""
    is_member: bool = False
    """Whether the path is an object: it has no type of its own."""
    authorities: Container[str] = ()
    asked: Collection[str] = ()
    """The properties asked for by name: what of them is not to be seen is told to be absent."""
    hidden: tuple[str, ...] = ()
    """Asked for, not put to the upstream, and told to be absent."""
    types_added: bool = False
    """Whether the resource types were asked for by us alone."""
    names_only: bool = False
    """Whether names of properties were asked for, not values."""
    read_only: bool = False
    """Whether the app password only reads, whatever the upstream says that the account may do."""


class Response:
    """One response of a multi-status."""

    def __init__(self, node: Node, rules: Rules) -> None:
        self._node = node
        self._rules = rules
        self._paths = _paths(node, rules.authorities)
        self.alarm = False
        """Whether it holds what should never have come."""
        self._kind_of_it = self._judged()

    def rewritten(self) -> Node | None:
        """Give it as the client sees it; None if it is not for the client."""
        if self._kind_of_it is None:
            return None
        content: list[Node | str] = [Node(_HREF, {}, [str(path)]) for path in self._paths]
        content += [Node(_STATUS, {}, [each.text()]) for each in self._node.named(_STATUS)]
        content += [error(each) for each in self._node.named(f"{DAV}error")]
        content += self._propstats(self._kind_of_it)
        return Node(self._node.name, {}, content)

    def _judged(self) -> Kind | None:
        rules = self._rules
        if len(self._paths) != 1:
            return None
        path = self._paths[0]
        is_self = path.same(rules.base)
        if not is_self and not (rules.deep and path.child_of(rules.base)):
            return None
        kind = self._kind(is_self=is_self)
        if kind is not None and any(_is_alarm(each, kind) for each in self._props()):
            self.alarm = True
            return None
        return kind

    def _kind(self, *, is_self: bool) -> Kind | None:
        """Say what it is, by the resource types in it. Raises `AnswerFault` if the path has changed."""
        rules = self._rules
        types = [each for each in self._props(found=True) if each.name == RESOURCETYPE]
        if rules.names_only:
            types = []
        named = {each.name for prop in types for each in prop.children()}
        if is_self:
            now = (Kind.DENIED if named else rules.where) if rules.is_member else kind_of(named)
            if types and now is not rules.where:
                raise AnswerFault("the path has become something else")
            return rules.where
        if rules.where is not Kind.NEUTRAL:
            # An object, or something that has no business in a collection of objects.
            return None if named else rules.where
        kind = kind_of(named)
        return kind if kind is Kind.NEUTRAL or kind in rules.kinds else None

    def _props(self, *, found: bool = False) -> list[Node]:
        """Give the properties in it; with `found` those that are said to be there."""
        stats = [each for each in self._node.named(f"{DAV}propstat") if is_success(each) or not found]
        return [prop for stat in stats for props in stat.named(_PROP) for prop in props.children()]

    def _propstats(self, kind: Kind) -> list[Node]:
        """Give the properties by status; what is not to be seen is among the absent, if it was asked for."""
        rules = self._rules
        absent = list(rules.hidden)
        stats: list[Node] = []
        for stat in self._node.named(f"{DAV}propstat"):
            shown: list[Node | str] = []
            for prop in (prop for props in stat.named(_PROP) for prop in props.children()):
                if self._shows(prop, kind):
                    told = _reading(prop) if rules.read_only and prop.name == PRIVILEGES else prop
                    shown.append(_with_own_hrefs(told, rules.authorities))
                elif prop.name in rules.asked:
                    absent.append(prop.name)
            if shown:
                stats.append(_propstat(shown, " ".join(each.text() for each in stat.named(_STATUS))))
        if absent:
            stats.append(_propstat([Node(name) for name in absent], "HTTP/1.1 404 Not Found"))
        if not stats and not list(self._node.named(_STATUS)):
            stats.append(_propstat([], "HTTP/1.1 200 OK"))
        return stats

    def _shows(self, prop: Node, kind: Kind) -> bool:
        if prop.name == RESOURCETYPE and self._rules.types_added:
            return False
        return may_be_seen(prop.name, kind, self._rules.kinds)


def _reading(privileges: Node) -> Node:
    """Say that a client may read, in place of what the account may do; what says nothing stays as it is."""
    if not list(privileges.children()):
        return privileges
    may = ("read", "read-current-user-privilege-set")
    return Node(privileges.name, {}, [Node(f"{DAV}privilege", {}, [Node(f"{DAV}{each}")]) for each in may])


def _is_alarm(prop: Node, kind: Kind) -> bool:
    """Whether it is an object of another kind than the collection it lies in."""
    if prop.name not in (CALENDAR_DATA, ADDRESS_DATA):
        return False
    text = prop.text().lstrip()
    return bool(text) and not text[:16].upper().startswith(_BEGINS.get(kind, "nothing"))


def _propstat(props: Sequence[Node | str], status: str) -> Node:
    return Node(f"{DAV}propstat", {}, [Node(_PROP, {}, [*props]), Node(_STATUS, {}, [status])])


def error(node: Node) -> Node:
    """Reduce an error element to the preconditions a client can act on (RFC 4918 §16)."""
    known = [Node(each.name) for each in node.children() if each.name in _PRECONDITIONS]
    return Node(f"{DAV}error", {}, [*known])


def _paths(response: Node, authorities: Container[str]) -> list[DavPath]:
    """Give the hrefs of a response in canonical form; none at all if one has none."""
    try:
        return [from_uri(each.text().strip(), authorities) for each in response.named(_HREF)]
    except BadPath:
        return []


def _with_own_hrefs(prop: Node, authorities: Container[str]) -> Node:
    """Rewrite the hrefs in a property's value; one that leads elsewhere stays only where it is meant to."""
    if prop.name == f"{CALENDAR_SERVER}source":  # the address of a feed that is subscribed to
        return prop
    for node in prop.walk():
        kept: list[Node | str] = []
        for each in node.content:
            if not isinstance(each, Node) or each.name != _HREF:
                kept.append(each)
            elif (uri := _own(each.text().strip(), authorities)) is not None:
                kept.append(Node(_HREF, {}, [uri]))
        node.content = kept
    return prop


def _own(uri: str, authorities: Container[str]) -> str | None:
    if uri.lower().startswith(("mailto:", "urn:")):  # RFC 6638 §2.4.1, addresses of a calendar user
        return uri
    try:
        return str(from_uri(uri, authorities))
    except BadPath:
        return None

"""What a DAV request may do: one table, method by standing of the path, everything else is denied.

A path has a kind (what it holds) and a role (whether it is a collection, lies in one, or is not there); with
the scopes of an app password these give its standing. "Own" is what the scopes open. What is forbidden
because it belongs to the other scope is answered exactly as what does not exist: 404. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from scopes.model import Scope

DAV: Final = "{DAV:}"
CALDAV: Final = "{urn:ietf:params:xml:ns:caldav}"
CARDDAV: Final = "{urn:ietf:params:xml:ns:carddav}"
CALENDAR_SERVER: Final = "{http://calendarserver.org/ns/}"


class Kind(StrEnum):
    """What a path holds."""

    CONTACTS = "contacts"
    EVENTS = "events"
    NEUTRAL = "neutral"
    """Principals and homes: what leads to both."""
    DENIED = "denied"
    """Anything that is not known to be one of these."""


class Role(StrEnum):
    """What a path is."""

    COLLECTION = "collection"
    MEMBER = "member"
    ABSENT = "absent"
    """Not there; its kind is that of the nearest collection above."""


class Standing(StrEnum):
    """What a path is to one app password: the columns of the table."""

    OWN_COLLECTION = "own collection"
    OWN_MEMBER = "own member"
    OWN_ABSENT = "own absent"
    NEUTRAL = "neutral"
    ABSENT_BELOW_NEUTRAL = "absent below neutral"
    OTHER = "other or denied"


class Ruling(StrEnum):
    """What becomes of a request: the cells of the table."""

    OPTIONS = "options"
    """Answered from the scopes, never from the path."""
    PASS = "pass"  # noqa: S105 - a word of the table
    """The object goes to the client, if it is of its own kind."""
    LIST = "list"
    """The answer is filtered."""
    FINITE_DEPTH = "finite depth"
    """403 with the precondition `propfind-finite-depth` (RFC 4918 §9.1)."""
    REPORT = "report"
    """By kind; the body is checked and the answer filtered."""
    SEARCH = "search"
    """Searches for principals and the like: nothing is found; every other report is refused."""
    PUT = "put"
    """If the body is of own kind and the path lies directly in an own collection."""
    DELETE = "delete"
    PROPPATCH = "proppatch"
    """Less the properties that say what a collection is."""
    MAKE = "make"
    """Of exactly one own type (RFC 5689)."""
    MAKE_EVENTS = "make events"
    """The same for MKCALENDAR, if events are open."""
    RENAME = "rename"
    """A collection, to a free name directly in a neutral one."""
    TRANSFER = "transfer"
    """An object, to a path directly in a collection of the same kind."""
    READ_ONLY = "read only"
    """403, in the place of what would let a read-only app password change something."""
    FORBIDDEN = "forbidden"
    """403: it is there and not for this."""
    NOT_FOUND = "not found"
    """404: not there, or not this app password's; nobody can tell which."""
    NOT_OFFERED = "not offered"
    """405, on every path."""


class Deed(StrEnum):
    """What is asked for: the rows. A method that is none of these is not offered."""

    OPTIONS = "OPTIONS"
    GET = "GET"
    HEAD = "HEAD"
    PROPFIND = "PROPFIND"
    """With Depth 0 or 1."""
    PROPFIND_ALL = "PROPFIND infinity"
    """With Depth infinity, or without Depth (RFC 4918 §9.1: the same)."""
    REPORT = "REPORT"
    PUT = "PUT"
    DELETE = "DELETE"
    PROPPATCH = "PROPPATCH"
    MKCOL = "MKCOL"
    MKCALENDAR = "MKCALENDAR"
    MOVE = "MOVE"
    COPY = "COPY"
    POST = "POST"
    LOCK = "LOCK"
    UNLOCK = "UNLOCK"
    ACL = "ACL"
    BIND = "BIND"
    PATCH = "PATCH"
    SEARCH = "SEARCH"
    TRACE = "TRACE"


_OPTIONS, _PASS, _LIST, _DEPTH = Ruling.OPTIONS, Ruling.PASS, Ruling.LIST, Ruling.FINITE_DEPTH
_REPORT, _SEARCH, _PUT, _DELETE = Ruling.REPORT, Ruling.SEARCH, Ruling.PUT, Ruling.DELETE
_PATCH, _MAKE, _MAKE_EV, _RENAME = Ruling.PROPPATCH, Ruling.MAKE, Ruling.MAKE_EVENTS, Ruling.RENAME
_TRANSFER = Ruling.TRANSFER
_403, _404, _405 = Ruling.FORBIDDEN, Ruling.NOT_FOUND, Ruling.NOT_OFFERED

# RFC 4918 (WebDAV), RFC 4791 (CalDAV), RFC 6352 (CardDAV), RFC 5689 (extended MKCOL), RFC 6578 (sync).
# POST waits for a server with an outbox (RFC 6638) to be proven, LOCK for one that locks: we say DAV 1 and 3.
# fmt: off
_ROWS: Final = {
    #                    own collection  own member own absent neutral    below neutral   other
    Deed.OPTIONS:       (_OPTIONS,      _OPTIONS,  _OPTIONS,  _OPTIONS,  _OPTIONS,       _OPTIONS),
    Deed.GET:           (_PASS,         _PASS,     _404,      _403,      _404,           _404),
    Deed.HEAD:          (_PASS,         _PASS,     _404,      _403,      _404,           _404),
    Deed.PROPFIND:      (_LIST,         _LIST,     _404,      _LIST,     _404,           _404),
    Deed.PROPFIND_ALL:  (_DEPTH,        _DEPTH,    _DEPTH,    _DEPTH,    _DEPTH,         _DEPTH),
    Deed.REPORT:        (_REPORT,       _403,      _404,      _SEARCH,   _404,           _404),
    Deed.PUT:           (_403,          _PUT,      _PUT,      _403,      _404,           _404),
    Deed.DELETE:        (_DELETE,       _DELETE,   _404,      _403,      _404,           _404),
    Deed.PROPPATCH:     (_PATCH,        _403,      _404,      _403,      _404,           _404),
    Deed.MKCOL:         (_403,          _403,      _403,      _403,      _MAKE,          _404),
    Deed.MKCALENDAR:    (_403,          _403,      _403,      _403,      _MAKE_EV,       _404),
    Deed.MOVE:          (_RENAME,       _TRANSFER, _404,      _403,      _404,           _404),
    Deed.COPY:          (_RENAME,       _TRANSFER, _404,      _403,      _404,           _404),
    Deed.POST:          (_403,          _403,      _404,      _403,      _404,           _404),
    Deed.LOCK:          (_405,          _405,      _405,      _405,      _405,           _405),
    Deed.UNLOCK:        (_405,          _405,      _405,      _405,      _405,           _405),
    Deed.ACL:           (_405,          _405,      _405,      _405,      _405,           _405),
    Deed.BIND:          (_405,          _405,      _405,      _405,      _405,           _405),
    Deed.PATCH:         (_405,          _405,      _405,      _405,      _405,           _405),
    Deed.SEARCH:        (_405,          _405,      _405,      _405,      _405,           _405),
    Deed.TRACE:         (_405,          _405,      _405,      _405,      _405,           _405),
}
# fmt: on

TABLE: Final[Mapping[Deed, Mapping[Standing, Ruling]]] = MappingProxyType(
    {deed: MappingProxyType(dict(zip(Standing, row, strict=True))) for deed, row in _ROWS.items()}
)

OFFERED: Final = tuple(
    deed.value
    for deed, row in TABLE.items()
    if deed is not Deed.PROPFIND_ALL and set(row.values()) & set(Ruling) - {_403, _404, _405}
)
"""The methods of Allow."""
READING: Final = frozenset({Deed.OPTIONS, Deed.GET, Deed.HEAD, Deed.PROPFIND, Deed.PROPFIND_ALL, Deed.REPORT})
"""All that a read-only app password may ask for: the safe methods of RFC 9110 §9.2.1 and their kin."""
_REFUSALS: Final = frozenset({_403, _404, _405})

MEDIA: Final[Mapping[Scope, str]] = MappingProxyType(
    {Scope.CONTACTS: "text/vcard", Scope.EVENTS: "text/calendar"}
)
"""The media type of a scope's objects (RFC 6350 §10.1, RFC 5545 §8.1)."""

_TYPES: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        f"{DAV}collection": Kind.NEUTRAL,
        f"{DAV}principal": Kind.NEUTRAL,
        f"{CARDDAV}addressbook": Kind.CONTACTS,
        f"{CALDAV}calendar": Kind.EVENTS,
        f"{CALDAV}schedule-inbox": Kind.EVENTS,
        f"{CALDAV}schedule-outbox": Kind.EVENTS,
        f"{CALENDAR_SERVER}subscribed": Kind.EVENTS,
    }
)


_OWN: Final[Mapping[Role, Standing]] = MappingProxyType(
    {
        Role.COLLECTION: Standing.OWN_COLLECTION,
        Role.MEMBER: Standing.OWN_MEMBER,
        Role.ABSENT: Standing.OWN_ABSENT,
    }
)


def deed(method: str, depth: str | None) -> Deed | None:
    """Say what is asked for; None for a method that nobody knows. Methods are case-sensitive."""
    if method == "PROPFIND" and depth not in ("0", "1"):
        return Deed.PROPFIND_ALL
    try:
        return Deed(method)
    except ValueError:
        return None


def kind_of(resource_types: Collection[str]) -> Kind:
    """Give the kind of a collection or principal by its `resourcetype`, names as `{namespace}name`.

    Contacts and events in one, and any type that is not known, are denied. Not for members, which have none.
    """
    kinds = {_TYPES.get(each, Kind.DENIED) for each in resource_types}
    if kinds == {Kind.NEUTRAL}:
        return Kind.NEUTRAL
    kinds.discard(Kind.NEUTRAL)
    if len(kinds) == 1 and f"{DAV}collection" in resource_types:
        return kinds.pop()
    return Kind.DENIED


def opened(scopes: Collection[Scope]) -> frozenset[Kind]:
    """Give the kinds that these scopes open."""
    pairs = ((Scope.CONTACTS, Kind.CONTACTS), (Scope.EVENTS, Kind.EVENTS))
    return frozenset(kind for scope, kind in pairs if scope in scopes)


def standing(kind: Kind, role: Role, scopes: Collection[Scope]) -> Standing:
    """Say what a path is to an app password with these scopes."""
    match kind, role:
        case Kind.NEUTRAL, Role.COLLECTION:
            return Standing.NEUTRAL
        case Kind.NEUTRAL, Role.ABSENT:
            return Standing.ABSENT_BELOW_NEUTRAL
    if kind not in opened(scopes):
        return Standing.OTHER
    return _OWN[role]


def rule(asked: Deed | None, where: Standing, *, read_only: bool = False) -> Ruling:
    """Look a request up; what is not in the table is not offered."""
    if asked is None:
        return Ruling.NOT_OFFERED
    ruling = TABLE[asked][where]
    if read_only and asked not in READING and ruling not in _REFUSALS:
        return Ruling.READ_ONLY
    return ruling

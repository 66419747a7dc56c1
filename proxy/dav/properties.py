"""Which properties a scope may see and set: by namespace on its own, by an allow-list on what is neutral.

Principals and homes lead to both scopes, so what one app password is shown there is listed; a property nobody
thought of is not shown. `resourcetype` says what a collection is and is never set, but where one is made
(`proxy.dav.xmlcheck`). Pure tables.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from scopes.davrules import CALDAV, CALENDAR_SERVER, CARDDAV, DAV, Kind

RESOURCETYPE: Final = f"{DAV}resourcetype"
CALENDAR_DATA: Final = f"{CALDAV}calendar-data"
ADDRESS_DATA: Final = f"{CARDDAV}address-data"
CURRENT_USER_PRINCIPAL: Final = f"{DAV}current-user-principal"
PRIVILEGES: Final = f"{DAV}current-user-privilege-set"
"""RFC 3744 §5.4: by it apps show a collection as read-only."""

_APPLE: Final = "{http://apple.com/ns/ical/}"
_ME_CARD: Final = f"{CALENDAR_SERVER}me-card"
_OF_BOTH: Final = frozenset({f"{CALENDAR_SERVER}getctag"})
"""CalendarServer's namespace is about events, but for these and for the card of oneself."""

_NEUTRAL: Final = frozenset(
    DAV + name
    for name in (
        "resourcetype",
        "displayname",
        "current-user-principal",
        "current-user-privilege-set",
        "owner",
        "principal-URL",
        "principal-collection-set",
        "supported-report-set",
    )
)
"""No getctag, sync-token, ETag, time or quota: on a home these tell of changes in both scopes."""

_OF_THE_SERVER: Final = frozenset({"{http://radicale.org/ns/}version"})
"""What is nobody's business."""

_KEPT_BY_THE_SERVER: Final = frozenset(
    DAV + name
    for name in (
        *(
            "resourcetype",
            "acl",
            "acl-restrictions",
            "inherited-acl-set",
            "owner",
            "group",
            "alternate-URI-set",
        ),
        *("group-member-set", "group-membership", "principal-URL", "principal-collection-set", "parent-set"),
        *("current-user-principal", "current-user-privilege-set", "supported-privilege-set", "resource-id"),
        *("supported-report-set", "supported-method-set", "supportedlock", "lockdiscovery", "sync-token"),
        *("getetag", "getlastmodified", "getcontentlength", "creationdate", "add-member"),
    )
)
"""RFC 4918 §15, RFC 3744 §4 and §5: who may do what, and what a thing is."""


def is_foreign(name: str, kinds: Collection[Kind]) -> bool:
    """Whether a property or element belongs to the scope that is not among `kinds`."""
    contacts = name.startswith(CARDDAV) or name == _ME_CARD
    events = not contacts and name.startswith((CALDAV, CALENDAR_SERVER, _APPLE)) and name not in _OF_BOTH
    return (contacts and Kind.CONTACTS not in kinds) or (events and Kind.EVENTS not in kinds)


def may_be_seen(name: str, where: Kind, kinds: Collection[Kind]) -> bool:
    """Whether a property of something of kind `where` may be shown to who has opened `kinds`."""
    if where is not Kind.NEUTRAL:
        return name not in _OF_THE_SERVER and not is_foreign(name, {where})
    if name in _NEUTRAL:
        return True
    return (name.startswith((CALDAV, CARDDAV)) or name == _ME_CARD) and not is_foreign(name, kinds)


def may_be_set(name: str, where: Kind) -> bool:
    """Whether a property of a collection of kind `where` may be set or removed."""
    if not name.startswith("{") or name in _KEPT_BY_THE_SERVER or name.endswith("-home-set"):
        return False
    return not is_foreign(name, {where})

"""Which properties each scope sees and sets."""

import pytest

from proxy.dav.properties import RESOURCETYPE, is_foreign, may_be_seen, may_be_set
from scopes.davrules import CALDAV, CALENDAR_SERVER, CARDDAV, DAV, Kind

CONTACTS, EVENTS = {Kind.CONTACTS}, {Kind.EVENTS}
BOTH = CONTACTS | EVENTS


@pytest.mark.parametrize(
    ("name", "shown_to"),
    [
        (f"{DAV}displayname", BOTH),
        (f"{DAV}current-user-principal", BOTH),
        (f"{CARDDAV}addressbook-home-set", CONTACTS),
        (f"{CALENDAR_SERVER}me-card", CONTACTS),
        (f"{CALDAV}calendar-home-set", EVENTS),
        (f"{CALDAV}schedule-outbox-URL", EVENTS),
        (f"{CALDAV}calendar-user-address-set", EVENTS),
        (f"{CALENDAR_SERVER}getctag", set()),
        (f"{CALENDAR_SERVER}notification-URL", set()),
        (f"{DAV}sync-token", set()),
        (f"{DAV}getetag", set()),
        (f"{DAV}quota-used-bytes", set()),
        ("{http://radicale.org/ns/}version", set()),
        ("{urn:x}anything", set()),
        ("displayname", set()),
    ],
)
def test_what_is_seen_of_homes_and_principals(name: str, shown_to: set[Kind]) -> None:
    for kinds in (CONTACTS, EVENTS):
        assert may_be_seen(name, Kind.NEUTRAL, kinds) == bool(kinds & shown_to)
    assert not may_be_seen(name, Kind.NEUTRAL, set()) or shown_to == BOTH


def test_what_is_seen_and_set_of_ones_own() -> None:
    assert may_be_seen(f"{CALENDAR_SERVER}getctag", Kind.CONTACTS, CONTACTS)
    assert may_be_seen("{urn:x}anything", Kind.EVENTS, EVENTS)
    assert not may_be_seen("{http://radicale.org/ns/}version", Kind.EVENTS, EVENTS)
    assert not may_be_set(RESOURCETYPE, Kind.EVENTS)
    assert is_foreign(f"{CALDAV}x", CONTACTS)
    assert not is_foreign(f"{CALDAV}x", BOTH)

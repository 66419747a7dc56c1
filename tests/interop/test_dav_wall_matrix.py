"""The whole front-end against a real Radicale: every method, on every kind and role, for each scope and both.

After every request nothing that is not the app password's own is stored otherwise than before, and no mark
of it was in the answer. What is forbidden looks like what is not there, octet by octet.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from proxy.dav.replies import READ_ONLY
from scopes.davrules import Deed, Kind, Ruling, Standing, rule
from scopes.model import Limits, Scope
from support.dav_house import (
    ALICES,
    BOBS,
    BOX,
    HOME,
    KINDS,
    MARKS,
    MEDIA,
    OBJECTS,
    SCOPES,
    mkcol,
)
from support.dav_town import Town, town_in
from support.wall_stage import grant


@dataclass(frozen=True)
class Place:
    """One target of the matrix."""

    target: str
    standing: Standing
    kind: Kind
    """What is sent there, if something is sent."""


def places(scopes: frozenset[Scope]) -> Iterator[Place]:
    """Give every kind and role there is, as an app password with these scopes stands to it."""
    for kind, shelf in ALICES.items():
        is_own = KINDS[kind] in scopes
        roles = {
            shelf.path: Standing.OWN_COLLECTION,
            shelf.path.rstrip("/"): Standing.OWN_COLLECTION,
            shelf.member(): Standing.OWN_MEMBER,
            shelf.member() + "/": Standing.OWN_MEMBER,
            shelf.absent: Standing.OWN_ABSENT,
            shelf.path.replace("%40", "@"): Standing.OWN_COLLECTION,
        }
        for target, standing in roles.items():
            yield Place(target, standing if is_own else Standing.OTHER, kind)
    for kind, target in itertools.product(MARKS, (HOME, "/", HOME.rstrip("/"))):
        yield Place(target, Standing.NEUTRAL, kind)
    for kind, target in itertools.product(MARKS, (f"{HOME}new/", f"{HOME}new")):
        yield Place(target, Standing.ABSENT_BELOW_NEUTRAL, kind)
    for kind, shelf in BOBS.items():
        for target in (shelf.home, shelf.path, shelf.member(), shelf.absent, f"{shelf.home}new/"):
            yield Place(target, Standing.OTHER, kind)
        for target in (
            f"{HOME}no/where/",
            f"{ALICES[kind].absent}/deeper",
            "/.web/",
            "/.sharing/v1/",
            BOX,
            f"{BOX}new",
        ):
            yield Place(target, Standing.OTHER, kind)


QUERIES = {
    Kind.CONTACTS: "addressbook-query xmlns='urn:ietf:params:xml:ns:carddav'",
    Kind.EVENTS: "calendar-query xmlns='urn:ietf:params:xml:ns:caldav'",
}
PROPPATCH = (
    b'<propertyupdate xmlns="DAV:"><set><prop><displayname>x</displayname></prop></set></propertyupdate>'
)
SEARCH = b'<principal-property-search xmlns="DAV:"/>'


def request_to(asked: Deed, place: Place) -> tuple[str, dict[str, str], bytes]:
    """Give method, fields and a body that the method would take if it were allowed."""
    method, fields, body = asked.value, {}, b""
    match asked:
        case Deed.PROPFIND:
            fields["depth"] = "1"
        case Deed.PROPFIND_ALL:
            method, fields["depth"] = "PROPFIND", "infinity"
        case Deed.REPORT if place.standing is Standing.NEUTRAL:
            body = SEARCH
        case Deed.REPORT:
            root = QUERIES[place.kind]
            data = "address-data" if place.kind is Kind.CONTACTS else "calendar-data"
            body = (
                f"<{root}><D:prop xmlns:D='DAV:'><D:getetag/><{data}/></D:prop></{root.split()[0]}>".encode()
            )
        case Deed.PUT:
            fields["content-type"] = MEDIA[place.kind]
            is_there = place.standing is Standing.OWN_MEMBER
            body = OBJECTS[place.kind](f"{ALICES[place.kind].mark}1" if is_there else "new")
        case Deed.PROPPATCH:
            body = PROPPATCH
        case Deed.MKCOL:
            body = mkcol(place.kind)
        case Deed.MOVE | Deed.COPY:
            is_object = place.standing is Standing.OWN_MEMBER
            fields["destination"] = f"{ALICES[place.kind].path}moved" if is_object else f"{HOME}moved/"
    return method, fields, body


# What Radicale makes of what is let through; it knows neither COPY nor the renaming of collections.
LET_THROUGH = {
    Ruling.OPTIONS: {200},
    Ruling.PASS: {200},
    Ruling.LIST: {207},
    Ruling.REPORT: {207},
    Ruling.SEARCH: {207},
    Ruling.PUT: {201, 204},
    Ruling.DELETE: {204},
    Ruling.PROPPATCH: {207},
    Ruling.MAKE: {201},
    Ruling.MAKE_EVENTS: {201},
    Ruling.RENAME: {405},
    Ruling.TRANSFER: {201, 405},
    Ruling.FINITE_DEPTH: {403},
    Ruling.FORBIDDEN: {403},
    Ruling.NOT_FOUND: {404},
    Ruling.NOT_OFFERED: {405},
    Ruling.READ_ONLY: {403},
}
CHANGING = {
    Ruling.PUT,
    Ruling.DELETE,
    Ruling.PROPPATCH,
    Ruling.MAKE,
    Ruling.MAKE_EVENTS,
    Ruling.RENAME,
    Ruling.TRANSFER,
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town_in(tmp_path_factory.mktemp("town")) as built:
        yield built


@pytest.mark.parametrize("asked", Deed)
@pytest.mark.parametrize("scopes", SCOPES.values(), ids=SCOPES)
def test_every_method_everywhere(town: Town, asked: Deed, scopes: frozenset[Scope]) -> None:
    for place in places(scopes):
        ruling = rule(asked, place.standing)
        method, fields, body = request_to(asked, place)
        reply = town.request(scopes, method, place.target, fields, body)
        expected = LET_THROUGH[ruling]
        if ruling in (Ruling.MAKE, Ruling.MAKE_EVENTS):
            wanted = place.kind if ruling is Ruling.MAKE else Kind.EVENTS
            expected = {201} if KINDS[wanted] in scopes else {403}
        assert reply.status in expected, (asked, place, reply)
        assert town.is_unchanged() or ruling in CHANGING, (asked, place)


@pytest.mark.parametrize("asked", Deed)
@pytest.mark.parametrize("scopes", SCOPES.values(), ids=SCOPES)
def test_a_read_only_app_password_reads_the_same_and_changes_nothing(
    town: Town, asked: Deed, scopes: frozenset[Scope]
) -> None:
    reader = replace(grant(*scopes), limits=Limits(read_only=True))
    for place in places(scopes):
        method, fields, body = request_to(asked, place)
        reply = town.door.request(reader, method, place.target, fields, body)
        usual = rule(asked, place.standing)
        assert reply.status in ({403} if usual in CHANGING else LET_THROUGH[usual]), (asked, place, reply)
        assert (reply.body == READ_ONLY.body) == (usual in CHANGING), (asked, place, reply)
        assert town.is_unchanged(), (asked, place)
        if asked is Deed.OPTIONS:
            assert reply.fields["allow"] == "OPTIONS, GET, HEAD, PROPFIND, REPORT"


@pytest.mark.parametrize("asked", [each for each in Deed if each not in (Deed.MKCOL, Deed.MKCALENDAR)])
@pytest.mark.parametrize("scopes", [SCOPES["contacts"], SCOPES["events"]], ids=["contacts", "events"])
def test_forbidden_and_absent_are_one_answer(town: Town, asked: Deed, scopes: frozenset[Scope]) -> None:
    other = Kind.EVENTS if Scope.CONTACTS in scopes else Kind.CONTACTS
    answers = set()
    targets = [ALICES[other].path, ALICES[other].member(), ALICES[other].absent, BOBS[other].path]
    for target in (*targets, f"{HOME}nothing", f"{HOME}nothing/at/all", "/nobody/", BOBS[other].home):
        method, fields, body = request_to(asked, Place(target, Standing.OTHER, other))
        reply = town.request(scopes, method, target, fields, body)
        fields = {**reply.fields, "date": "now"}
        answers.add((reply.status, tuple(fields.items()), reply.body))
    assert len(answers) == 1
    assert town.is_unchanged()


@pytest.mark.parametrize("scopes", SCOPES.values(), ids=SCOPES)
def test_a_read_only_app_password_is_told_so_by_privileges(town: Town, scopes: frozenset[Scope]) -> None:
    asked = b'<propfind xmlns="DAV:"><prop><current-user-privilege-set/></prop></propfind>'
    reader = replace(grant(*scopes), limits=Limits(read_only=True))
    for shelf in ALICES.values():
        if KINDS[shelf.kind] in scopes:
            reply = town.door.request(reader, "PROPFIND", shelf.path, {"depth": "0"}, asked)
            assert (reply.status, b"read" in reply.body, b"write" in reply.body) == (207, True, False)
            usual = town.request(scopes, "PROPFIND", shelf.path, {"depth": "0"}, asked)
            assert b"write" in usual.body

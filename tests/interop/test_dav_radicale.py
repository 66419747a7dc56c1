"""Honest clients through the whole front-end to Radicale: what an app password opens, all of it works.

And what Radicale does by itself, measured: why each rule of the wall is there.
"""

import re
from collections.abc import Iterator

import pytest

from scopes.davrules import Kind
from scopes.model import Scope
from support.dav_house import (
    ALICE,
    ALICES,
    BOTH,
    CONTACTS,
    EVENTS,
    HOME,
    KINDS,
    MEDIA,
    OBJECTS,
    Shelf,
    card,
    event,
    mkcol,
)
from support.dav_town import Town, town_in
from support.radicale_server import Reply

BOOK, CAL = ALICES[Kind.CONTACTS], ALICES[Kind.EVENTS]
NS = (
    'xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:R="urn:ietf:params:xml:ns:carddav"'
    ' xmlns:S="http://calendarserver.org/ns/"'
)
OWN = [(frozenset({KINDS[kind]}), shelf) for kind, shelf in ALICES.items()]
OWN += [(BOTH, shelf) for shelf in ALICES.values()]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town_in(tmp_path_factory.mktemp("town")) as built:
        yield built


@pytest.fixture(autouse=True)
def put_back(town: Town) -> Iterator[None]:
    yield
    town.is_unchanged()


def xml(name: str, inside: str = "") -> bytes:
    return f"<{name} {NS}>{inside}</{name}>".encode()


def hrefs(reply: Reply) -> list[str]:
    """Give the hrefs of the responses."""
    return re.findall(r"<D:response><D:href>([^<]*)</D:href>", reply.body.decode())


def value(reply: Reply, name: str) -> str:
    """Give the text of the first element of this name, without the hrefs around it."""
    found = re.search(rf"<{name}>(?:<D:href>)?([^<]*)", reply.body.decode())
    assert found, reply.body
    return found[1]


# --- from a bare host name to the objects ------------------------------------------------------------------

PROBES = ["/", "/.well-known/caldav", "/.well-known/carddav", "/principals/", "/principals/users/alice/"]
PROBES += ["/calendar/dav/alice@example.org/user/", "/dav/", "/caldav", "/carddav/"]


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("scopes", [CONTACTS, EVENTS, BOTH])
def test_every_probe_finds_the_principal(town: Town, scopes: frozenset[Scope], path: str) -> None:
    for body in (xml("propfind", "<prop><current-user-principal/><principal-URL/></prop>"), b""):
        reply = town.request(scopes, "PROPFIND", path, {"depth": "0"}, body)
        assert (reply.status, value(reply, "D:current-user-principal")) == (207, HOME)


def test_well_known_paths_without_credentials(town: Town) -> None:
    for path in ("/.well-known/caldav", "/.well-known/carddav"):
        reply = town.door.raw(
            f"PROPFIND {path} HTTP/1.1\r\nHost: dav.example.org\r\nDepth: 0\r\n\r\n".encode()
        )
        assert (reply.status, reply.fields["location"]) == (301, "/")
    for path in ("/", HOME, "/principals/"):
        for method in ("PROPFIND", "OPTIONS"):
            reply = town.door.raw(f"{method} {path} HTTP/1.1\r\nHost: dav.example.org\r\n\r\n".encode())
            assert reply.status == 401
            assert "dav" not in reply.fields


@pytest.mark.parametrize(
    ("scopes", "sees", "not_there"),
    [
        (CONTACTS, ["CR:addressbook-home-set"], ["C:calendar-home-set", "C:calendar-user-address-set"]),
        (EVENTS, ["C:calendar-home-set", "C:calendar-user-address-set"], ["CR:addressbook-home-set"]),
        (BOTH, ["CR:addressbook-home-set", "C:calendar-home-set", "C:calendar-user-address-set"], []),
    ],
)
def test_a_principal_leads_to_what_is_open(
    town: Town, scopes: frozenset[Scope], sees: list[str], not_there: list[str]
) -> None:
    names = "<R:addressbook-home-set/><C:calendar-home-set/><C:calendar-user-address-set/>"
    reply = town.request(scopes, "PROPFIND", HOME, {"depth": "0"}, xml("propfind", f"<prop>{names}</prop>"))
    assert [value(reply, name) for name in sees] == [HOME] * len(sees)
    absent = reply.body.decode().partition("404 Not Found")[0].rpartition("200 OK")[2]
    for name in not_there:
        assert f"<{name}/>" in absent
        assert f"<{name}>" not in reply.body.decode()
    everything = town.request(scopes, "PROPFIND", HOME, {"depth": "0"}).body.decode()
    assert all(f"<{name}>" in everything for name in sees)
    assert not any(name in everything for name in not_there)
    names = town.request(
        scopes, "PROPFIND", HOME, {"depth": "1"}, xml("propfind", "<propname/>")
    ).body.decode()
    assert not any(name in names for name in not_there)


@pytest.mark.parametrize(("scopes", "kinds"), [(CONTACTS, [BOOK]), (EVENTS, [CAL]), (BOTH, [BOOK, CAL])])
def test_a_home_lists_what_is_open(town: Town, scopes: frozenset[Scope], kinds: list[Shelf]) -> None:
    for body in (b"", xml("propfind", "<prop><displayname/><S:getctag/><sync-token/></prop>")):
        reply = town.request(scopes, "PROPFIND", HOME, {"depth": "1"}, body)
        assert sorted(hrefs(reply)) == [HOME, *(shelf.path for shelf in kinds)]
        assert reply.body.count(b"<CS:getctag>") == len(kinds)
    assert "addressbook" in reply.fields["dav"] or Scope.CONTACTS not in scopes


@pytest.mark.parametrize(("scopes", "shelf"), OWN)
def test_a_whole_life_of_an_object(town: Town, scopes: frozenset[Scope], shelf: Shelf) -> None:
    put = {"content-type": f"{MEDIA[shelf.kind]}; charset=utf-8", "if-none-match": "*"}
    made = town.request(scopes, "PUT", shelf.absent, put, OBJECTS[shelf.kind]("a"))
    assert made.status == 201
    assert town.request(scopes, "PUT", shelf.absent, put, OBJECTS[shelf.kind]("a")).status == 412
    got = town.request(scopes, "GET", shelf.absent)
    assert (got.status, got.fields["etag"], b"UID:a" in got.body) == (200, made.fields["etag"], True)
    seen = town.request(scopes, "HEAD", shelf.absent)
    assert (seen.status, seen.fields["etag"]) == (200, made.fields["etag"])
    change = {"content-type": MEDIA[shelf.kind], "if-match": made.fields["etag"]}
    changed = town.request(scopes, "PUT", shelf.absent, change, OBJECTS[shelf.kind]("a", "changed"))
    assert changed.status in (201, 204)
    assert town.request(scopes, "PUT", shelf.absent, change, OBJECTS[shelf.kind]("a")).status == 412
    moved = town.request(
        scopes, "MOVE", shelf.absent, {"destination": f"https://dav.example.org{shelf.path}b"}
    )
    assert moved.status == 201
    assert town.request(scopes, "GET", shelf.absent).status == 404
    gone = town.request(scopes, "DELETE", f"{shelf.path}b", {"if-match": changed.fields["etag"]})
    assert (gone.status, gone.body) == (204, b"")
    assert town.is_unchanged()


@pytest.mark.parametrize(("scopes", "shelf"), OWN)
def test_a_whole_life_of_a_collection(town: Town, scopes: frozenset[Scope], shelf: Shelf) -> None:
    path = f"{HOME}new/"
    assert town.request(scopes, "MKCOL", path, {}, mkcol(shelf.kind, "first")).status == 201
    body = xml("propertyupdate", "<set><prop><displayname>second</displayname></prop></set>")
    assert town.request(scopes, "PROPPATCH", path, {}, body).status == 207
    reply = town.request(
        scopes, "PROPFIND", path, {"depth": "0"}, xml("propfind", "<prop><displayname/></prop>")
    )
    assert (value(reply, "D:displayname"), "resourcetype" in reply.body.decode()) == ("second", False)
    assert town.request(scopes, "DELETE", path).status == 204
    assert town.request(scopes, "PROPFIND", path, {"depth": "0"}).status == 404
    if shelf.kind is Kind.EVENTS:
        assert town.request(scopes, "MKCALENDAR", path).status == 201
    assert town.is_unchanged() == (shelf.kind is Kind.CONTACTS)


@pytest.mark.parametrize(("scopes", "shelf"), OWN)
def test_reports(town: Town, scopes: frozenset[Scope], shelf: Shelf) -> None:
    data = "R:address-data" if shelf.kind is Kind.CONTACTS else "C:calendar-data"
    query, multiget = "R:addressbook-query", "R:addressbook-multiget"
    if shelf.kind is Kind.EVENTS:
        query, multiget = "C:calendar-query", "C:calendar-multiget"
    props = f"<prop><getetag/><{data}/></prop>"
    filters = "" if shelf.kind is Kind.CONTACTS else '<C:filter><C:comp-filter name="VCALENDAR"/></C:filter>'
    asked = town.request(scopes, "REPORT", shelf.path, {"depth": "1"}, xml(query, props + filters))
    assert sorted(hrefs(asked)) == [shelf.member(1), shelf.member(2)]
    one = f"<href>{shelf.member(2).replace('%40', '@')}</href><href>{shelf.absent}</href>"
    got = town.request(scopes, "REPORT", shelf.path, {"depth": "0"}, xml(multiget, props + one))
    assert sorted(hrefs(got)) == sorted([shelf.member(2), shelf.absent])
    assert f"UID:{shelf.mark}2\n" in got.body.decode()
    assert "404 Not Found" in got.body.decode()


@pytest.mark.parametrize(("scopes", "shelf"), OWN)
def test_sync(town: Town, scopes: frozenset[Scope], shelf: Shelf) -> None:
    def sync(token: str) -> Reply:
        inside = f"<sync-token>{token}</sync-token><sync-level>1</sync-level><prop><getetag/></prop>"
        return town.request(scopes, "REPORT", shelf.path, {}, xml("sync-collection", inside))

    first = sync("")
    assert sorted(hrefs(first)) == [shelf.member(1), shelf.member(2)]
    assert town.request(scopes, "DELETE", shelf.member(1)).status == 204
    second = sync(value(first, "D:sync-token"))
    assert hrefs(second) == [shelf.member(1)]
    assert "404 Not Found" in second.body.decode()
    assert value(second, "D:sync-token") != value(first, "D:sync-token")
    bad = sync("http://radicale.org/ns/sync/nonsense")
    assert (bad.status, b"<D:valid-sync-token/>" in bad.body) == (403, True)


def test_a_large_collection(town: Town) -> None:
    cards = b"".join(card(f"n{number}", "x" * 2_000) for number in range(300))
    assert town.server.ask(ALICE, "PUT", BOOK.path, {"Content-Type": "text/vcard"}, cards).status == 201
    body = xml("R:addressbook-query", "<prop><getetag/><R:address-data/></prop>")
    reply = town.request(CONTACTS, "REPORT", BOOK.path, {"depth": "1"}, body)
    assert reply.body.count(b"END:VCARD") == 300
    assert len(hrefs(reply)) == 300


# --- what changes behind our back --------------------------------------------------------------------------


def become(town: Town, shelf: Shelf, other: Shelf) -> None:
    """Turn one collection into the other's kind, past the gate, with the other's objects in it."""
    assert town.server.ask(ALICE, "DELETE", shelf.path).status == 200
    assert town.server.ask(ALICE, "MKCOL", shelf.path, {}, mkcol(other.kind, other.mark)).status == 201
    body = OBJECTS[other.kind](f"{shelf.mark}1", other.mark)
    fields = {"Content-Type": MEDIA[other.kind]}
    assert town.server.ask(ALICE, "PUT", shelf.member(), fields, body).status == 201


@pytest.mark.parametrize(("shelf", "other"), [(BOOK, CAL), (CAL, BOOK)])
def test_a_remembered_path_gives_nothing_of_what_it_has_become(
    town: Town, shelf: Shelf, other: Shelf
) -> None:
    scopes = frozenset({KINDS[shelf.kind]})
    for path in (shelf.path, shelf.member()):
        assert town.door.request(scopes, "GET", path).status == 200
    become(town, shelf, other)
    seen = []
    for path in (shelf.path, shelf.member()):
        seen += [town.door.request(scopes, method, path) for method in ("GET", "HEAD")]
    seen.append(town.door.request(scopes, "PROPFIND", shelf.path, {"depth": "1"}))
    seen.append(town.door.request(scopes, "DELETE", shelf.path))
    query = "R:addressbook-query" if shelf is BOOK else "C:calendar-query"
    props = "<prop><getetag/><R:address-data/><C:calendar-data/></prop>"
    seen.append(town.door.request(scopes, "REPORT", shelf.path, {}, xml(query, props)))
    assert [reply.status for reply in seen] == [404, 404, 404, 404, 502, 404, 404]
    assert not any(other.mark.encode() in reply.body + repr(reply.fields).encode() for reply in seen)
    assert town.door.wall.counts.alarms > 0


# --- why: Radicale alone ----------------------------------------------------------------------------------


def test_radicale_serves_events_to_a_query_for_contacts(town: Town) -> None:
    body = xml("R:addressbook-query", "<prop><R:address-data/></prop>")
    reply = town.server.ask(ALICE, "REPORT", CAL.path, {"Depth": "1"}, body)
    assert b"BEGIN:VEVENT" in reply.body


def test_radicale_replaces_a_whole_collection_by_one_put(town: Town) -> None:
    fields = {"Content-Type": "text/vcard"}
    assert town.server.ask(ALICE, "PUT", CAL.path, fields, card("x")).status == 201
    assert b"BEGIN:VCARD" in town.server.ask(ALICE, "GET", CAL.path).body


def test_radicale_makes_a_collection_of_a_put_into_a_home(town: Town) -> None:
    fields = {"Content-Type": "text/calendar"}
    assert town.server.ask(ALICE, "PUT", f"{HOME}x", fields, event("x")).status == 201
    assert b"calendar" in town.server.ask(ALICE, "PROPFIND", f"{HOME}x/", {"Depth": "0"}).body


def test_radicale_reads_paths_otherwise(town: Town) -> None:
    for path in (
        f"{BOOK.path}..%2f{CAL.path.split('/')[-2]}/",
        f"//{CAL.path}",
        CAL.path.replace("/plans", "%2Fplans"),
    ):
        assert b"BEGIN:VEVENT" in town.server.ask(ALICE, "GET", path).body

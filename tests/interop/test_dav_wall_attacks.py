"""Attacks on the scope wall through the whole front-end, with a real Radicale behind that falls for most.

The town sees to it that nothing foreign is stored otherwise afterwards and no foreign mark came out; here it
is said what the attacker is told.
"""

import gzip
from collections.abc import Iterator

import pytest

from scopes.davrules import Kind
from scopes.model import Scope
from support.dav_house import (
    ALICE,
    ALICES,
    BOB,
    BOBS,
    BOTH,
    CONTACTS,
    EVENTS,
    HOME,
    card,
    event,
    mkcol,
)
from support.dav_town import Town, town_in
from support.radicale_server import Reply

BOOK, CAL = ALICES[Kind.CONTACTS], ALICES[Kind.EVENTS]
CAL_NAME = CAL.path.split("/")[-2]
BOOK_NAME = BOOK.path.split("/")[-2]
NS = (
    'xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:R="urn:ietf:params:xml:ns:carddav"'
    ' xmlns:S="http://calendarserver.org/ns/"'
)


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


# --- paths ------------------------------------------------------------------------------------------------

TRICKS = [
    f"{BOOK.path}..%2f{CAL_NAME}/",
    f"{BOOK.path}%2e%2e/{CAL_NAME}/",
    f"{BOOK.path}../{CAL_NAME}/",
    f"{BOOK.path}..%5c{CAL_NAME}%5c",
    f"{BOOK.path}..\\{CAL_NAME}\\",
    f"{BOOK.path}.%2e/{CAL_NAME}/",
    f"{BOOK.path}..%252f{CAL_NAME}/",
    f"{BOOK.path}..;/{CAL_NAME}/",
    f"{BOOK.path};/../{CAL_NAME}/",
    f"{BOOK.path}%00/../{CAL_NAME}/",
    f"{BOOK.path}..%c0%af{CAL_NAME}/",
    f"{BOOK.path}..%ef%bc%8f{CAL_NAME}/",
    f"{BOOK.path}%ef%bc%8e%ef%bc%8e/{CAL_NAME}/",
    f"{BOOK.path}?/../{CAL_NAME}/",
    f"{BOOK.path}#/../{CAL_NAME}/",
    f"{CAL.path}?x",
    f"{CAL.path}%3fx",
    f"{CAL.path}#x",
    f"{CAL.path}.",
    f"{CAL.path}%2e",
    f"{CAL.path.rstrip('/')}%20",
    f"{CAL.path.rstrip('/')}.",
    f"{CAL.path}/",
    f"/{CAL.path}",
    f"/.{CAL.path}",
    f"/x/..{CAL.path}",
    CAL.path.replace("/alice", "/%61lice"),
    CAL.path.replace("%40", "%2540"),
    CAL.path.replace("/plans", "%2fplans"),
    CAL.path.replace("plans", "pla%CC%88ns"),
    CAL.path.upper(),
    f"http://evil.example{CAL.path}",
    f"https://dav.example.org{CAL.path}",
    f"https://dav.example.org/{CAL.path}",
    f"//dav.example.org{CAL.path}",
    HOME + "a" * 300 + f"/../{CAL_NAME}/",
    HOME + "%61/" * 3_000,
]


@pytest.mark.parametrize(
    "method", ["GET", "PROPFIND", "REPORT", "DELETE", "PUT", "MOVE", "PROPPATCH", "MKCOL"]
)
def test_path_tricks(town: Town, method: str) -> None:
    bodies = {
        "REPORT": xml("R:addressbook-query", "<prop><getetag/><R:address-data/></prop>"),
        "PUT": card("1"),
        "PROPPATCH": xml("propertyupdate", "<set><prop><displayname>x</displayname></prop></set>"),
        "MKCOL": mkcol(Kind.CONTACTS),
    }
    fields = {"depth": "1"} if method == "PROPFIND" else {}
    if method == "MOVE":
        fields["destination"] = f"{BOOK.path}x.vcf"
    for target in TRICKS:
        for member in ("", "plansmark1.ics") if target.endswith("/") else ("",):
            reply = town.request(CONTACTS, method, target + member, fields, bodies.get(method, b""))
            assert reply.status in (400, 404, 414, 421, 431), (target, reply)
    assert town.is_unchanged()


@pytest.mark.parametrize("method", ["MOVE", "COPY"])
def test_destination_tricks(town: Town, method: str) -> None:
    for target in TRICKS:
        for member in ("", "plansmark1.ics", "x.vcf"):
            for overwrite in ("T", "F"):
                fields = {"destination": target + member, "overwrite": overwrite}
                reply = town.request(CONTACTS, method, BOOK.member(), fields)
                assert reply.status in (400, 403, 431), (target, reply)
                assert town.is_unchanged()


def test_an_address_book_with_a_name_that_radicale_reads_otherwise(town: Town) -> None:
    # Radicale decodes Destination before it cuts off what it takes for a fragment.
    name = f"{HOME}{CAL_NAME}%23x/"
    assert town.server.ask(ALICE, "MKCOL", name, {}, mkcol(Kind.CONTACTS)).status == 201
    town.before, before = town.server.stored("/"), town.before
    reply = town.request(CONTACTS, "MOVE", BOOK.member(), {"destination": f"{name}2.vcf"})
    assert reply.status == 400
    town.before = before


def test_twice_the_same_field(town: Town) -> None:
    for fields in (
        {"Depth": "1", "depth": "infinity"},
        {"Destination": BOOK.absent, "destination": CAL.absent},
    ):
        assert town.request(CONTACTS, "MOVE", BOOK.member(), fields).status == 400
    assert town.is_unchanged()


@pytest.mark.parametrize("header", ["X-Remote-User", "x_remote_user", "Remote-User", "X-Forwarded-User"])
def test_another_identity(town: Town, header: str) -> None:
    reply = town.request(BOTH, "PROPFIND", "/", {"depth": "1", header: BOB})
    assert reply.status in (207, 400)
    assert town.request(BOTH, "GET", BOBS[Kind.EVENTS].member(), {header: BOB}).status in (400, 404)


@pytest.mark.parametrize("prefix", ["/", HOME, CAL.path.rstrip("/"), "/x"])
def test_another_prefix(town: Town, prefix: str) -> None:
    fields = {"depth": "1", "X-Script-Name": prefix, "X-Forwarded-Host": "evil.example"}
    reply = town.request(CONTACTS, "PROPFIND", BOOK.path, fields)
    assert reply.status == 207
    assert b"evil" not in reply.body
    assert reply.body.count(b"<D:response>") == 3


# --- bodies -----------------------------------------------------------------------------------------------


def multiget(kind: Kind, *hrefs: str) -> bytes:
    prop, root = ("R:address-data", "R:addressbook-multiget")
    if kind is Kind.EVENTS:
        prop, root = ("C:calendar-data", "C:calendar-multiget")
    return xml(root, f"<prop><getetag/><{prop}/></prop>" + "".join(f"<href>{each}</href>" for each in hrefs))


def test_hrefs_of_the_other_scope(town: Town) -> None:
    honest = town.request(CONTACTS, "REPORT", BOOK.path, {}, multiget(Kind.CONTACTS, BOOK.member()))
    assert (honest.status, honest.body.count(b"BEGIN:VCARD")) == (207, 1)
    for href in [*TRICKS, CAL.member(), CAL.path, HOME, "/", BOBS[Kind.CONTACTS].member()]:
        body = multiget(Kind.CONTACTS, BOOK.member(), href.replace("&", "&amp;"))
        reply = town.request(CONTACTS, "REPORT", BOOK.path, {}, body)
        assert reply.status in (400, 403), (href, reply)


@pytest.mark.parametrize(
    ("scopes", "path", "root"),
    [
        (CONTACTS, BOOK.path, "C:calendar-query"),
        (CONTACTS, BOOK.path, "C:calendar-multiget"),
        (CONTACTS, BOOK.path, "C:free-busy-query"),
        (EVENTS, CAL.path, "R:addressbook-query"),
        (EVENTS, CAL.path, "R:addressbook-multiget"),
        (BOTH, CAL.path, "R:addressbook-query"),
        (BOTH, BOOK.path, "C:calendar-query"),
        (BOTH, HOME, "C:calendar-query"),
        (BOTH, HOME, "sync-collection"),
        (BOTH, BOOK.path, "expand-property"),
    ],
)
def test_reports_of_another_kind(town: Town, scopes: frozenset[Scope], path: str, root: str) -> None:
    reply = town.request(scopes, "REPORT", path, {"depth": "1"}, xml(root, "<prop><getetag/></prop>"))
    assert (reply.status, b"supported-report" in reply.body) == (403, True)


def test_busy_times(town: Town) -> None:
    inside = '<C:time-range start="20200101T000000Z" end="20400101T000000Z"/>'
    reply = town.request(EVENTS, "REPORT", CAL.path, {"depth": "1"}, xml("C:free-busy-query", inside))
    assert (reply.status, reply.fields["content-type"].partition(";")[0]) == (200, "text/calendar")
    for path in (CAL.path, BOOK.path, HOME):
        reply = town.request(CONTACTS, "REPORT", path, {"depth": "1"}, xml("C:free-busy-query", inside))
        assert reply.status in (403, 404)


@pytest.mark.parametrize("scopes", [CONTACTS, EVENTS, BOTH])
def test_what_a_collection_is_is_never_changed(town: Town, scopes: frozenset[Scope]) -> None:
    types = ["<C:calendar/>", "<R:addressbook/>", "<S:subscribed/>", ""]
    for shelf in (BOOK, CAL):
        for kind in types:
            inside = f"<resourcetype><collection/>{kind}</resourcetype>"
            for way in ("set", "remove"):
                body = xml("propertyupdate", f"<{way}><prop>{inside}</prop></{way}>")
                reply = town.request(scopes, "PROPPATCH", shelf.path, {}, body)
                assert reply.status in (403, 404)
    assert town.is_unchanged()


def test_radicale_would_change_it(town: Town) -> None:
    inside = "<set><prop><resourcetype><collection/><R:addressbook/></resourcetype></prop></set>"
    town.server.ask(ALICE, "PROPPATCH", CAL.path, {}, xml("propertyupdate", inside))
    assert not town.is_unchanged()


@pytest.mark.parametrize("body", [card("1"), event("1"), card("1") * 3, b""])
@pytest.mark.parametrize("media", ["text/vcard", "text/calendar", "application/octet-stream", ""])
def test_a_whole_collection_is_never_put(town: Town, body: bytes, media: str) -> None:
    for scopes in (CONTACTS, EVENTS, BOTH):
        targets = (
            BOOK.path,
            BOOK.path.rstrip("/"),
            CAL.path,
            CAL.path.rstrip("/"),
            HOME,
            f"{HOME}new",
            "/new",
            "/",
        )
        for target in targets:
            reply = town.request(
                scopes, "PUT", target, {"content-type": media, "content-length": str(len(body))}, body
            )
            assert reply.status in (403, 404, 415), (target, reply)
    assert town.is_unchanged()


@pytest.mark.parametrize(
    ("scopes", "target", "media", "body", "status"),
    [
        (CONTACTS, BOOK.absent, "text/calendar", event("x"), {415}),
        (CONTACTS, BOOK.absent, "text/vcard", event("x"), {415}),
        (BOTH, BOOK.absent, "text/vcard", event("x"), {415}),
        (BOTH, CAL.absent, "text/calendar", card("x"), {415}),
        (CONTACTS, BOOK.absent, "text/vcard", card("x") + card("y"), {400}),
        (CONTACTS, BOOK.absent, "text/vcard", card("x") + event("y"), {400}),
        (CONTACTS, BOOK.absent, "text/vcard", b"BEGIN:VCARD\r\n" + event("y"), {400}),
        (EVENTS, CAL.absent, "text/calendar", event("x") + card("y"), {400}),
        (CONTACTS, BOOK.absent, "text/vcard", b"BEGIN:VCARD\r\n", {400}),
        (CONTACTS, f"{BOOK.path}deep/x.vcf", "text/vcard", card("x"), {404}),
        (CONTACTS, f"{BOOK.member()}/x.vcf", "text/vcard", card("x"), {404}),
    ],
)
def test_objects_of_another_kind(
    town: Town, scopes: frozenset[Scope], target: str, media: str, body: bytes, status: set[int]
) -> None:
    reply = town.request(scopes, "PUT", target, {"content-type": media}, body)
    assert reply.status in status, reply
    assert town.is_unchanged()


BOMB = b'<!DOCTYPE x [<!ENTITY a "hahahahaha"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;">]>'
PROPS = b'<propfind xmlns="DAV:"><prop><displayname/></prop></propfind>'


@pytest.mark.parametrize(
    "body",
    [
        BOMB + b'<propfind xmlns="DAV:"><prop>&c;</prop></propfind>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + PROPS,
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + PROPS.replace(b"<displayname/>", b"&e;"),
        b"<a>" * 10_000,
        b'<propfind xmlns="DAV:"><prop>' + b"<a/>" * 6_000 + b"</prop></propfind>",
        PROPS.decode().encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-7"?>' + PROPS,
        PROPS + b"<x/>",
        PROPS[:-3],
        b"\x00",
        gzip.compress(PROPS, mtime=0),
    ],
)
@pytest.mark.parametrize("method", ["PROPFIND", "PROPPATCH", "REPORT"])
def test_bodies_that_are_no_xml(town: Town, method: str, body: bytes) -> None:
    for target in (BOOK.path, HOME):
        reply = town.request(CONTACTS, method, target, {"depth": "0"}, body)
        assert reply.status in (400, 403)
    assert town.is_unchanged()


def test_a_body_that_is_too_large(town: Town) -> None:
    reply = town.request(CONTACTS, "PROPFIND", HOME, {"depth": "0"}, b" " * 1_048_577)
    assert reply.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip", "br"])
def test_bodies_that_are_packed(town: Town, encoding: str) -> None:
    fields = {"content-encoding": encoding, "depth": "0", "content-type": "text/vcard"}
    for method, target, body in (("PUT", BOOK.absent, card("x")), ("PROPFIND", HOME, PROPS)):
        assert town.request(CONTACTS, method, target, fields, gzip.compress(body, mtime=0)).status == 415
    assert town.is_unchanged()


@pytest.mark.parametrize("depth", ["infinity", "Infinity", "2", "", "1,noroot"])
def test_no_listing_without_end(town: Town, depth: str) -> None:
    for target in ("/", HOME, BOOK.path, CAL.path, BOBS[Kind.EVENTS].home):
        reply = town.request(CONTACTS, "PROPFIND", target, {"depth": depth} if depth else {})
        assert (reply.status, b"propfind-finite-depth" in reply.body) == (403, True)


@pytest.mark.parametrize("path", [HOME, "/", HOME.rstrip("/")])
@pytest.mark.parametrize("scopes", [CONTACTS, EVENTS, BOTH])
def test_a_home_is_never_deleted(town: Town, scopes: frozenset[Scope], path: str) -> None:
    for fields in ({}, {"depth": "infinity"}, {"depth": "0"}, {"if-match": "*"}):
        assert town.request(scopes, "DELETE", path, fields).status == 403
    assert town.is_unchanged()


def test_conditions_on_another_path(town: Town) -> None:
    etag = town.server.ask(ALICE, "GET", CAL.member()).fields["etag"]
    answers = set()
    for path in (CAL.member(), CAL.absent, BOBS[Kind.EVENTS].member()):
        for tag in (etag, '"wrong"'):
            fields = {"if": f"<{path}> ([{tag}])", "content-type": "text/vcard"}
            reply: Reply = town.request(CONTACTS, "PUT", BOOK.absent, fields, card("x"))
            answers.add((reply.status, reply.body))
    assert len(answers) == 1
    assert town.is_unchanged()


def test_making_what_is_taken(town: Town) -> None:
    for scopes, path in ((CONTACTS, CAL.path), (EVENTS, BOOK.path), (BOTH, BOBS[Kind.EVENTS].path)):
        for method, body in (
            ("MKCOL", mkcol(Kind.CONTACTS)),
            ("MKCOL", mkcol(Kind.EVENTS)),
            ("MKCALENDAR", b""),
        ):
            assert town.request(scopes, method, path, {}, body).status == 404
    for kind in Kind.CONTACTS, Kind.EVENTS:
        assert town.request(BOTH, "MKCOL", f"/{kind}/", {}, mkcol(kind)).status in (403, 404)
    assert town.is_unchanged()

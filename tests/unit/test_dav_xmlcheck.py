"""Bodies of requests as attacks: what goes upstream is ours, and never more than path and scope allow."""

import pytest

from proxy.dav.xmlcheck import Refused, mkcalendar, mkcol, propfind, proppatch, report, search
from proxy.dav.xmltree import BadXml, Budget, read
from scopes.davpath import canonical
from scopes.davrules import CALDAV, CALENDAR_SERVER, CARDDAV, DAV, Kind

NS = (
    'xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:R="urn:ietf:params:xml:ns:carddav"'
    ' xmlns:S="http://calendarserver.org/ns/" xmlns:A="http://apple.com/ns/ical/" xmlns:X="urn:x"'
)
CONTACTS, EVENTS = {Kind.CONTACTS}, {Kind.EVENTS}
BOTH = CONTACTS | EVENTS
BOOK, CAL = canonical("/alice/book/"), canonical("/alice/cal/")
HOUSE = ("dav.example.org",)


def xml(name: str, inside: str = "") -> bytes:
    return f"<{name} {NS}>{inside}</{name}>".encode()


def names(octets: bytes) -> list[str]:
    """Give the names of all elements, in short."""
    short = {DAV: "", CALDAV: "C:", CARDDAV: "R:", CALENDAR_SERVER: "S:"}
    found = []
    for node in read(octets, Budget(octets=10**6, elements=10**4)).walk():
        namespace, brace, local = node.name.partition("}")
        found.append(short.get(namespace + brace, "?:") + local if brace else namespace)
    return found


def test_propfind_asks_for_types_too() -> None:
    listing = propfind(xml("propfind", "<prop><displayname/></prop>"), Kind.NEUTRAL, CONTACTS)
    assert names(listing.body) == ["propfind", "prop", "displayname", "resourcetype"]
    assert listing.types_added
    listing = propfind(xml("propfind", "<prop><resourcetype/></prop>"), Kind.NEUTRAL, CONTACTS)
    assert names(listing.body) == ["propfind", "prop", "resourcetype"]
    assert not listing.types_added


@pytest.mark.parametrize(
    ("where", "kinds", "asked"),
    [
        (Kind.NEUTRAL, CONTACTS, ["R:addressbook-home-set", "S:me-card", "getetag"]),
        (Kind.NEUTRAL, EVENTS, ["C:calendar-home-set", "C:schedule-inbox-URL", "getetag"]),
        (Kind.CONTACTS, BOTH, ["R:addressbook-home-set", "S:me-card", "getetag"]),
        (Kind.EVENTS, BOTH, ["C:calendar-home-set", "C:schedule-inbox-URL", "getetag"]),
    ],
)
def test_propfind_hides_the_other_scope(where: Kind, kinds: set[Kind], asked: list[str]) -> None:
    inside = "<R:addressbook-home-set/><S:me-card/><C:calendar-home-set/><C:schedule-inbox-URL/><getetag/>"
    listing = propfind(xml("propfind", f"<prop>{inside}</prop>"), where, kinds)
    assert names(listing.body) == ["propfind", "prop", *asked, "resourcetype"]
    assert len(listing.hidden) == 5 - len(asked)
    assert len(listing.asked) == 5


def test_propfind_of_all_and_of_names() -> None:
    assert names(propfind(b"", Kind.NEUTRAL, CONTACTS).body) == ["propfind", "allprop"]
    assert names(propfind(xml("propfind", "<allprop/>"), Kind.NEUTRAL, CONTACTS).body) == [
        "propfind",
        "allprop",
    ]
    include = "<allprop/><include><C:calendar-home-set/><owner/></include>"
    body = propfind(xml("propfind", include), Kind.NEUTRAL, CONTACTS).body
    assert names(body) == ["propfind", "allprop", "include", "owner"]
    listing = propfind(xml("propfind", "<X:more/><propname/>"), Kind.NEUTRAL, CONTACTS)
    assert names(listing.body) == ["propfind", "propname"]
    assert listing.names_only


@pytest.mark.parametrize(
    "body",
    [
        xml("propfind"),
        xml("propfind", "<allprop/><propname/>"),
        xml("propfind", "<prop/><prop/>"),
        xml("prop"),
        b"<propfind><prop/></propfind>",
        b"<!DOCTYPE a><propfind xmlns='DAV:'><allprop/></propfind>",
    ],
)
def test_propfind_that_is_none(body: bytes) -> None:
    with pytest.raises(BadXml):
        propfind(body, Kind.NEUTRAL, BOTH)


def change(inside: str, way: str = "set") -> bytes:
    return xml("propertyupdate", f"<{way}><prop>{inside}</prop></{way}>")


@pytest.mark.parametrize("way", ["set", "remove"])
@pytest.mark.parametrize(
    ("kind", "inside"),
    [
        (Kind.CONTACTS, "<displayname>x</displayname>"),
        (Kind.CONTACTS, "<R:addressbook-description>x</R:addressbook-description>"),
        (Kind.EVENTS, "<A:calendar-color>#ff0000</A:calendar-color>"),
        (Kind.EVENTS, "<C:calendar-timezone>BEGIN:VCALENDAR</C:calendar-timezone>"),
        (Kind.CONTACTS, "<X:anything>x</X:anything>"),
    ],
)
def test_proppatch(kind: Kind, inside: str, way: str) -> None:
    body = proppatch(change(inside, way), kind)
    assert names(body)[:3] == ["propertyupdate", way, "prop"]


@pytest.mark.parametrize("way", ["set", "remove"])
@pytest.mark.parametrize("kind", [Kind.CONTACTS, Kind.EVENTS])
@pytest.mark.parametrize(
    "inside",
    [
        "<resourcetype><collection/><C:calendar/></resourcetype>",
        "<resourcetype><collection/><R:addressbook/></resourcetype>",
        "<resourcetype/>",
        "<displayname>x</displayname><resourcetype/>",
        "<acl/>",
        "<owner/>",
        "<C:calendar-home-set/>",
        "<R:addressbook-home-set/>",
        "<X:files-home-set/>",
        "<group-member-set/>",
        "<tag xmlns=''>VADDRESSBOOK</tag>",
    ],
)
def test_proppatch_never_says_what_a_thing_is(kind: Kind, inside: str, way: str) -> None:
    with pytest.raises(Refused) as refused:
        proppatch(change(inside, way), kind)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("kind", "inside"),
    [
        (Kind.CONTACTS, "<C:calendar-timezone/>"),
        (Kind.CONTACTS, "<A:calendar-color/>"),
        (Kind.CONTACTS, "<S:source/>"),
        (Kind.EVENTS, "<R:addressbook-description/>"),
    ],
)
def test_proppatch_of_the_other_scope(kind: Kind, inside: str) -> None:
    with pytest.raises(Refused):
        proppatch(change(inside), kind)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        xml("propertyupdate"),
        xml("propfind", "<set><prop/></set>"),
        xml("propertyupdate", "<set/>"),
        xml("propertyupdate", "<set><prop/><prop><resourcetype/></prop></set>"),
        xml("propertyupdate", "<set><X:prop><resourcetype/></X:prop></set>"),
        xml("propertyupdate", "<X:set><prop><resourcetype/></prop></X:set>"),
        xml("mkcol", "<set><prop><displayname/></prop></set>"),
    ],
)
def test_proppatch_that_is_none(body: bytes) -> None:
    with pytest.raises(BadXml):
        proppatch(body, Kind.CONTACTS)


BOOK_TYPE = "<resourcetype><collection/><R:addressbook/></resourcetype>"
CAL_TYPE = "<resourcetype><collection/><C:calendar/></resourcetype>"


def make(*props: str, root: str = "mkcol") -> bytes:
    return xml(root, "".join(f"<set><prop>{each}</prop></set>" for each in props))


def test_mkcol_of_ones_own() -> None:
    assert "R:addressbook" in names(mkcol(make(BOOK_TYPE + "<displayname>x</displayname>"), CONTACTS))
    assert "C:calendar" in names(mkcol(make("<displayname>x</displayname>", CAL_TYPE), BOTH))


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (b"", BOTH),
        (make("<displayname>x</displayname>"), BOTH),
        (make(CAL_TYPE), CONTACTS),
        (make(BOOK_TYPE), EVENTS),
        (make("<resourcetype><collection/></resourcetype>"), BOTH),
        (make("<resourcetype/>"), BOTH),
        (make("<resourcetype><R:addressbook/></resourcetype>"), BOTH),
        (make("<resourcetype><collection/><R:addressbook/><C:calendar/></resourcetype>"), BOTH),
        (make("<resourcetype><collection/><R:addressbook/><X:more/></resourcetype>"), BOTH),
        (make("<resourcetype><collection><R:addressbook/></collection></resourcetype>"), BOTH),
        (
            make("<resourcetype><collection/><R:addressbook><C:calendar/></R:addressbook></resourcetype>"),
            BOTH,
        ),
        (make("<resourcetype><collection/><S:subscribed/></resourcetype>"), BOTH),
        (make("<resourcetype><collection/><addressbook/></resourcetype>"), BOTH),
        (make(BOOK_TYPE, CAL_TYPE), BOTH),
        (make(BOOK_TYPE + CAL_TYPE), BOTH),
        (make(BOOK_TYPE, BOOK_TYPE), BOTH),
        (make(BOOK_TYPE + "<C:calendar-timezone/>"), BOTH),
        (make(BOOK_TYPE + "<acl/>"), BOTH),
        (make(BOOK_TYPE + "<tag xmlns=''>VCALENDAR</tag>"), BOTH),
    ],
)
def test_mkcol_of_anything_else(body: bytes, kinds: set[Kind]) -> None:
    with pytest.raises(Refused) as refused:
        mkcol(body, kinds)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "body",
    [
        xml("mkcol", f"<remove><prop>{BOOK_TYPE}</prop></remove>"),
        xml("mkcol", f"<set><prop>{BOOK_TYPE}</prop></set><remove><prop>{BOOK_TYPE}</prop></remove>"),
        make(BOOK_TYPE, root="propertyupdate"),
        make(BOOK_TYPE, root="C:mkcalendar"),
    ],
)
def test_mkcol_that_is_none(body: bytes) -> None:
    with pytest.raises(BadXml):
        mkcol(body, BOTH)


def test_mkcalendar() -> None:
    assert mkcalendar(b"") == b""
    assert names(mkcalendar(make("<displayname/>", root="C:mkcalendar")))[0] == "C:mkcalendar"
    assert "C:calendar" in names(mkcalendar(make(CAL_TYPE, root="C:mkcalendar")))
    for props in (BOOK_TYPE, "<resourcetype><collection/></resourcetype>", "<R:addressbook-description/>"):
        with pytest.raises(Refused):
            mkcalendar(make(props, root="C:mkcalendar"))
    with pytest.raises(BadXml):
        mkcalendar(make(CAL_TYPE))


@pytest.mark.parametrize(
    ("kind", "root"),
    [
        (Kind.CONTACTS, "R:addressbook-query"),
        (Kind.CONTACTS, "R:addressbook-multiget"),
        (Kind.CONTACTS, "sync-collection"),
        (Kind.EVENTS, "C:calendar-query"),
        (Kind.EVENTS, "C:calendar-multiget"),
        (Kind.EVENTS, "C:free-busy-query"),
        (Kind.EVENTS, "sync-collection"),
    ],
)
def test_reports_by_kind(kind: Kind, root: str) -> None:
    path = BOOK if kind is Kind.CONTACTS else CAL
    assert names(report(xml(root, "<prop><getetag/></prop>"), kind, path, HOUSE)) == [root, "prop", "getetag"]
    other = Kind.EVENTS if kind is Kind.CONTACTS else Kind.CONTACTS
    if root != "sync-collection":
        with pytest.raises(Refused):
            report(xml(root, "<prop><getetag/></prop>"), other, path, HOUSE)


@pytest.mark.parametrize(
    "root",
    [
        "expand-property",
        "principal-match",
        "acl-principal-prop-set",
        "X:anything",
        "propfind",
        "version-tree",
    ],
)
def test_other_reports(root: str) -> None:
    with pytest.raises(Refused) as refused:
        report(xml(root), Kind.EVENTS, CAL, HOUSE)
    assert refused.value.precondition == f"{DAV}supported-report"


def multiget(*hrefs: str, kind: Kind = Kind.CONTACTS) -> bytes:
    root = "R:addressbook-multiget" if kind is Kind.CONTACTS else "C:calendar-multiget"
    return xml(root, "<prop><getetag/></prop>" + "".join(f"<href>{each}</href>" for each in hrefs))


@pytest.mark.parametrize(
    ("href", "sent"),
    [
        ("/alice/book/1.vcf", "/alice/book/1.vcf"),
        ("\n /alice/book/1.vcf ", "/alice/book/1.vcf"),
        ("/alice/book/a@b.vcf", "/alice/book/a%40b.vcf"),
        ("https://dav.example.org/alice/book/1.vcf", "/alice/book/1.vcf"),
        ("/alice/book/", "/alice/book/"),
    ],
)
def test_hrefs_of_the_own_collection(href: str, sent: str) -> None:
    body = report(multiget(href), Kind.CONTACTS, BOOK, HOUSE)
    assert [each.text() for each in read(body, Budget(octets=9_999, elements=9)).named(f"{DAV}href")] == [
        sent
    ]


@pytest.mark.parametrize(
    "href",
    [
        "/alice/cal/1.ics",
        "/alice/bookshelf/1.vcf",
        "/bob/book/1.vcf",
        "/alice/",
        "/",
        "https://dav.example.org/alice/cal/1.ics",
        "/alice/book/..%2fcal/1.ics",
        "/alice/book/../cal/1.ics",
        "/alice/book%2f..%2fcal/1.ics",
        "//evil.example/alice/book/1.vcf",
        "https://evil.example/alice/book/1.vcf",
        "1.vcf",
        "",
        "/alice/book/1.vcf?x",
        "/alice/book/1.vcf#/alice/cal/1.ics",
        "/alice/book;/1.vcf",
        "/alice/book/1.vcf\n/alice/cal/1.ics",
    ],
)
def test_hrefs_of_anything_else(href: str) -> None:
    with pytest.raises((BadXml, Refused)):
        report(multiget("/alice/book/1.vcf", href), Kind.CONTACTS, BOOK, HOUSE)


def test_an_href_split_by_elements_is_one_href() -> None:
    with pytest.raises((BadXml, Refused)):
        report(multiget("/alice/book<X:y/>shelf/1.vcf"), Kind.CONTACTS, BOOK, HOUSE)


def test_an_href_wherever_it_stands() -> None:
    with pytest.raises(Refused):
        report(
            xml("R:addressbook-query", "<X:deep><href>/alice/cal/1.ics</href></X:deep>"),
            Kind.CONTACTS,
            BOOK,
            (),
        )


@pytest.mark.parametrize("level", ["infinite", "infinity", "2", "", "0"])
def test_one_level_of_sync(level: str) -> None:
    body = xml("sync-collection", f"<sync-token/><sync-level>{level}</sync-level><prop><getetag/></prop>")
    with pytest.raises(Refused):
        report(body, Kind.EVENTS, CAL, HOUSE)
    report(body.replace(level.encode() + b"</sync-level>", b"1</sync-level>"), Kind.EVENTS, CAL, HOUSE)


def test_elements_of_the_other_scope_in_a_report() -> None:
    asked = xml("R:addressbook-query", "<prop><getetag/><C:calendar-data/><R:address-data/></prop>")
    assert names(report(asked, Kind.CONTACTS, BOOK, ())) == [
        *("R:addressbook-query", "prop", "getetag", "R:address-data"),
    ]
    for inside in ("<C:filter/>", "<prop><R:address-data><C:expand/></R:address-data></prop>"):
        with pytest.raises(Refused):
            report(xml("R:addressbook-query", inside), Kind.CONTACTS, BOOK, ())


def test_searches_find_nothing() -> None:
    for root in ("principal-property-search", "principal-search-property-set", "expand-property"):
        search(xml(root))
    for root in ("C:calendar-query", "sync-collection", "R:addressbook-multiget"):
        with pytest.raises(Refused):
            search(xml(root))


def test_sizes() -> None:
    with pytest.raises(BadXml):
        report(multiget(*["/alice/book/1.vcf"] * 5_000), Kind.CONTACTS, BOOK, HOUSE)
    with pytest.raises(BadXml):
        propfind(xml("propfind", "<prop>" + "<X:a>" * 70 + "</X:a>" * 70 + "</prop>"), Kind.EVENTS, EVENTS)


def test_so_many_properties() -> None:
    def body(root: str, around: str, number: int) -> bytes:
        inside = "".join(f"<x{each}/>" for each in range(number))
        return xml(root, around.replace("*", inside))

    sorts = [("propfind", "<prop>*</prop>"), ("propfind", "<allprop/><include>*</include>")]
    for root, around in sorts:
        propfind(body(root, around, 200), Kind.CONTACTS, {Kind.CONTACTS})
        with pytest.raises(BadXml, match="too many properties"):
            propfind(body(root, around, 201), Kind.CONTACTS, {Kind.CONTACTS})
    for inside in ("<prop>*</prop>", "<prop><y/></prop><prop>*</prop>"):
        with pytest.raises(BadXml, match="too many properties"):
            report(body("R:addressbook-query", inside, 201), Kind.CONTACTS, canonical("/a/"), ())

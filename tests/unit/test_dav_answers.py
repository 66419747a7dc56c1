"""Answers on their way out: what is not the client's stays behind, whatever the upstream says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dav.answers import Counts, ErrorFilter, MultistatusFilter
from proxy.dav.ports import AnswerFault
from proxy.dav.propstat import Rules
from proxy.dav.xmltree import Budget, Node, read
from proxy.limits import DAV_ANSWER_OCTETS, DAV_RESPONSE_OCTETS
from scopes.davpath import canonical
from scopes.davrules import CALDAV, CARDDAV, DAV, Kind

NS = (
    'xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:R="urn:ietf:params:xml:ns:carddav"'
    ' xmlns:S="http://calendarserver.org/ns/" xmlns:X="urn:x"'
)
PLAIN = "<resourcetype><collection/></resourcetype>"
BOOK = "<resourcetype><collection/><R:addressbook/></resourcetype>"
CAL = "<resourcetype><collection/><C:calendar/></resourcetype>"
OBJECT = "<resourcetype/>"
CARD = "BEGIN:VCARD&#13;\nFN:Anna&#13;\nEND:VCARD&#13;\n"
EVENT = "BEGIN:VCALENDAR&#13;\nSUMMARY:secret&#13;\nEND:VCALENDAR&#13;\n"
CONTACTS, EVENTS = {Kind.CONTACTS}, {Kind.EVENTS}
BOTH = CONTACTS | EVENTS


def response(href: str, *props: str, status: str = "200 OK") -> str:
    stats = "".join(
        f"<propstat><prop>{each}</prop><status>HTTP/1.1 {status}</status></propstat>" for each in props
    )
    return f"<response><href>{href}</href>{stats}</response>"


def answer(*inside: str) -> bytes:
    return f"<multistatus {NS}>{''.join(inside)}</multistatus>".encode()


def home(kinds: set[Kind], **more: object) -> Rules:
    return Rules(base=canonical("/alice/"), where=Kind.NEUTRAL, kinds=kinds, **more)  # type: ignore[arg-type]


def book(**more: object) -> Rules:
    return Rules(base=canonical("/alice/book/"), where=Kind.CONTACTS, kinds=CONTACTS, **more)  # type: ignore[arg-type]


class Seen:
    """What a client sees of an answer."""

    def __init__(self, rules: Rules, octets: bytes, size: int = 10**6) -> None:
        self.counts = Counts()
        filtering = MultistatusFilter(rules, self.counts)
        pieces = [filtering.feed(octets[at : at + size]) for at in range(0, len(octets), size)]
        self.octets = b"".join([*pieces, filtering.finish()])
        self.root = read(self.octets, Budget(octets=10**7, elements=10**5))

    @property
    def hrefs(self) -> list[str]:
        return [href.text() for each in self.root.children() for href in each.named(f"{DAV}href")]

    def props(self, at: int = 0) -> dict[str, list[str]]:
        """Give the names of the properties of one response, by status."""
        found: dict[str, list[str]] = {}
        for stat in list(self.root.named(f"{DAV}response"))[at].named(f"{DAV}propstat"):
            status = next(stat.named(f"{DAV}status")).text()
            names = [prop.name for props in stat.named(f"{DAV}prop") for prop in props.children()]
            found.setdefault(status, []).extend(names)
        return found


LISTING = answer(
    response("/alice/", "<resourcetype><principal/><collection/></resourcetype>"),
    response("/alice/book/", BOOK + "<displayname>friends</displayname>"),
    response("/alice/cal/", CAL + "<displayname>secret plans</displayname>"),
    response("/alice/box/", PLAIN + "<displayname>box</displayname>"),
    response("/alice/files/", "<resourcetype><collection/><X:files/></resourcetype>"),
    response("/alice/mixed/", "<resourcetype><collection/><C:calendar/><R:addressbook/></resourcetype>"),
    response("/alice/note.txt", OBJECT),
    response("/alice/untold/", "<displayname>secret</displayname>"),
)


@pytest.mark.parametrize(
    ("kinds", "hrefs"),
    [
        (CONTACTS, ["/alice/", "/alice/book/", "/alice/box/"]),
        (EVENTS, ["/alice/", "/alice/cal/", "/alice/box/"]),
        (BOTH, ["/alice/", "/alice/book/", "/alice/cal/", "/alice/box/"]),
    ],
)
def test_a_home_is_listed_by_what_each_thing_says_it_is(kinds: set[Kind], hrefs: list[str]) -> None:
    seen = Seen(home(kinds), LISTING)
    assert seen.hrefs == hrefs
    assert seen.counts.dropped == 8 - len(hrefs)
    assert seen.counts.alarms == 0


@given(st.integers(1, 50))
def test_however_an_answer_is_split(size: int) -> None:
    assert Seen(home(CONTACTS), LISTING, size).octets == Seen(home(CONTACTS), LISTING).octets


@pytest.mark.parametrize(
    "href",
    [
        "/alice/cal/1.ics",
        "/alice/bookshelf/",
        "/alice/",
        "/",
        "/alice/book/deep/1.vcf",
        "/alice/book/../cal/1.ics",
        "/alice/book/..%2fcal%2f1.ics",
        "/alice//book/1.vcf",
        "//evil.example/alice/book/1.vcf",
        "https://evil.example/alice/book/1.vcf",
        "alice/book/1.vcf",
        "",
    ],
)
def test_an_href_from_elsewhere(href: str) -> None:
    seen = Seen(book(), answer(response(href, OBJECT), response("/alice/book/1.vcf", OBJECT)))
    assert seen.hrefs == ["/alice/book/1.vcf"]
    assert seen.counts.dropped == 1


def test_several_hrefs_or_none() -> None:
    two = "<href>/alice/book/1.vcf</href><href>/alice/cal/1.ics</href><status>HTTP/1.1 200 OK</status>"
    two = f"<response>{two}</response>"
    assert Seen(book(), answer(two, "<response><status>HTTP/1.1 200 OK</status></response>")).hrefs == []


def test_hrefs_are_written_in_canonical_form() -> None:
    octets = answer(response("https://dav.example.org/alice/book/a@b.vcf", OBJECT))
    assert Seen(book(authorities=("dav.example.org",)), octets).hrefs == ["/alice/book/a%40b.vcf"]


def test_only_the_path_itself_where_nothing_lies_in_it() -> None:
    octets = answer(response("/alice/book/1.vcf", OBJECT), response("/alice/book/1.vcf/x", OBJECT))
    rules = Rules(
        base=canonical("/alice/book/1.vcf"), where=Kind.CONTACTS, kinds=CONTACTS, deep=False, is_member=True
    )
    assert Seen(rules, octets).hrefs == ["/alice/book/1.vcf"]


def test_a_collection_among_objects_is_left_out() -> None:
    octets = answer(
        response("/alice/book/", BOOK),
        response("/alice/book/1.vcf", OBJECT),
        response("/alice/book/cal/", CAL),
        response("/alice/book/box/", PLAIN),
    )
    assert Seen(book(), octets).hrefs == ["/alice/book/", "/alice/book/1.vcf"]


@pytest.mark.parametrize(
    "types", [CAL, PLAIN, OBJECT, "<resourcetype><collection/><X:files/></resourcetype>"]
)
def test_a_path_that_has_become_something_else(types: str) -> None:
    with pytest.raises(AnswerFault):
        Seen(book(), answer(response("/alice/book/", types)))


def test_an_object_that_has_become_a_collection() -> None:
    rules = Rules(base=canonical("/alice/book/1"), where=Kind.CONTACTS, kinds=CONTACTS, is_member=True)
    with pytest.raises(AnswerFault):
        Seen(rules, answer(response("/alice/book/1", CAL)))


def test_a_home_that_has_become_a_calendar() -> None:
    with pytest.raises(AnswerFault):
        Seen(home(CONTACTS), answer(response("/alice/", CAL)))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Kind.CONTACTS, f"<C:calendar-data>{EVENT}</C:calendar-data>"),
        (Kind.CONTACTS, f"<R:address-data>{EVENT}</R:address-data>"),
        (Kind.CONTACTS, f"<R:address-data> \n {EVENT.lower()}</R:address-data>"),
        (Kind.CONTACTS, "<R:address-data>SUMMARY:secret</R:address-data>"),
        (Kind.EVENTS, f"<C:calendar-data>{CARD}secret</C:calendar-data>"),
        (Kind.EVENTS, f"<R:address-data>{CARD}secret</R:address-data>"),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "299 Odd"])
def test_an_object_of_the_other_scope_is_an_alarm(
    kind: Kind, data: str, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    rules = Rules(base=canonical("/alice/x/"), where=kind, kinds=BOTH)
    seen = Seen(rules, answer(response("/alice/x/1", f"<getetag>1</getetag>{data}", status=status)))
    assert seen.hrefs == []
    assert b"secret" not in seen.octets
    assert (seen.counts.alarms, seen.counts.dropped) == (1, 1)
    assert "another kind" in caplog.text
    assert "secret" not in caplog.text


def test_objects_of_ones_own_pass_octet_by_octet() -> None:
    seen = Seen(book(), answer(response("/alice/book/1", f"<R:address-data>{CARD}</R:address-data>")))
    texts = [each.text() for each in seen.root.walk() if each.name == f"{CARDDAV}address-data"]
    assert texts == ["BEGIN:VCARD\r\nFN:Anna\r\nEND:VCARD\r\n"]


def test_properties_of_the_other_scope_are_told_to_be_absent() -> None:
    shown = "<R:addressbook-home-set><href>/alice/</href></R:addressbook-home-set>"
    hidden = (
        "<C:calendar-home-set><href>/alice/secret</href></C:calendar-home-set><S:getctag>secret</S:getctag>"
    )
    rules = home(CONTACTS, asked=[f"{CALDAV}calendar-home-set"], hidden=(f"{CALDAV}schedule-inbox-URL",))
    seen = Seen(rules, answer(response("/alice/", shown + hidden)))
    assert seen.props() == {
        "HTTP/1.1 200 OK": [f"{CARDDAV}addressbook-home-set"],
        "HTTP/1.1 404 Not Found": [f"{CALDAV}schedule-inbox-URL", f"{CALDAV}calendar-home-set"],
    }
    assert b"secret" not in seen.octets


def test_types_that_only_we_asked_for_stay_here() -> None:
    seen = Seen(home(CONTACTS, types_added=True), answer(response("/alice/", PLAIN)))
    assert seen.props() == {"HTTP/1.1 200 OK": []}


def test_names_of_properties_say_nothing_of_what_lies_in_a_home() -> None:
    octets = answer(
        response("/alice/", "<resourcetype/><C:x/>"), response("/alice/cal/", "<resourcetype/><C:x/>")
    )
    seen = Seen(home(CONTACTS, names_only=True), octets)
    assert seen.hrefs == ["/alice/"]
    assert seen.props() == {"HTTP/1.1 200 OK": [f"{DAV}resourcetype"]}


@pytest.mark.parametrize(
    ("prop", "left"),
    [
        ("<owner><href>/alice/</href></owner>", ["/alice/"]),
        ("<owner><href>/alice@x/</href></owner>", ["/alice%40x/"]),
        ("<owner><href>/alice/../bob/</href></owner>", []),
        ("<owner><href>https://evil.example/</href></owner>", []),
        ("<owner><X:deep><href>//evil.example/</href><href>/a/</href></X:deep></owner>", ["/a/"]),
        ("<X:mail><href>mailto:alice@example.org</href></X:mail>", ["mailto:alice@example.org"]),
        ("<X:script><href>javascript:alert(1)</href></X:script>", []),
    ],
)
def test_hrefs_in_properties(prop: str, left: list[str]) -> None:
    seen = Seen(book(), answer(response("/alice/book/", prop)))
    stats = [each for each in seen.root.walk() if each.name == f"{DAV}propstat"]
    assert [each.text() for stat in stats for each in stat.walk() if each.name == f"{DAV}href"] == left


def test_a_feed_keeps_its_address() -> None:
    rules = Rules(base=canonical("/alice/cal/"), where=Kind.EVENTS, kinds=EVENTS)
    octets = answer(response("/alice/cal/", "<S:source><href>https://feeds.example/a.ics</href></S:source>"))
    assert b"https://feeds.example/a.ics" in Seen(rules, octets).octets


def test_sync_tokens_and_what_is_gone() -> None:
    gone = "<response><href>/alice/book/1</href><status>HTTP/1.1 404 Not Found</status></response>"
    error = "<error><number-of-matches-within-limits/><X:secret/></error>"
    rest = (
        "<response><href>/alice/book/</href><status>HTTP/1.1 507 Insufficient Storage</status>"
        f"{error}</response>"
    )
    octets = answer(gone, rest, "<sync-token>http://example.org/1</sync-token>", "<X:secret/>", "secret")
    seen = Seen(book(), octets)
    assert seen.hrefs == ["/alice/book/1", "/alice/book/"]
    assert next(seen.root.named(f"{DAV}sync-token")).text() == "http://example.org/1"
    assert b"number-of-matches-within-limits" in seen.octets
    assert b"secret" not in seen.octets
    assert b"sync-token" not in Seen(home(CONTACTS), octets).octets


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"<html/>",
        b"not xml",
        answer(LISTING.decode())[:-3],
        b"<!DOCTYPE x><multistatus xmlns='DAV:'/>",
        b'<!DOCTYPE x [<!ENTITY e "x">]><multistatus xmlns="DAV:">&e;</multistatus>',
        b"<multistatus/>",
        answer("<X:a>" * 70 + "</X:a>" * 70),
        answer("<response>" + "<X:a/>" * 10_001 + "</response>"),
    ],
)
def test_what_is_no_answer_breaks_off(octets: bytes) -> None:
    with pytest.raises(AnswerFault):
        Seen(home(CONTACTS), octets)


def test_one_response_is_held_and_no_more() -> None:
    filtering = MultistatusFilter(book(), Counts())
    one = response("/alice/book/1", f"<R:address-data>{CARD}</R:address-data>").encode()
    begin = f"<multistatus {NS}>".encode()
    out = len(filtering.feed(begin))
    for _ in range(500):
        out += len(filtering.feed(one))
        assert filtering._reader.root == Node(f"{DAV}multistatus")
    assert out > 500 * 100
    filtering.feed(b"<response><X:a>")
    for _ in range(DAV_RESPONSE_OCTETS // 2**20 - 1):
        filtering.feed(b"x" * 2**20)
    with pytest.raises(AnswerFault):
        filtering.feed(b"x" * 2**20)


def test_an_answer_without_end() -> None:
    filtering = MultistatusFilter(book(), Counts())
    filtering._octets = DAV_ANSWER_OCTETS
    with pytest.raises(AnswerFault):
        filtering.feed(b"<")


@pytest.mark.parametrize(
    ("octets", "left"),
    [
        (f"<error {NS}><valid-sync-token/></error>", [f"{DAV}error", f"{DAV}valid-sync-token"]),
        (
            f"<error {NS}><C:no-uid-conflict><href>/alice/secret</href></C:no-uid-conflict></error>",
            [f"{DAV}error", f"{CALDAV}no-uid-conflict"],
        ),
        (f"<error {NS}><X:secret>secret</X:secret>secret</error>", [f"{DAV}error"]),
        ("<html>secret</html>", [f"{DAV}error"]),
        ("secret", [f"{DAV}error"]),
        ("", [f"{DAV}error"]),
        (f"<error {NS}>" + "secret" * 20_000 + "</error>", [f"{DAV}error"]),
    ],
)
def test_errors_are_reduced(octets: str, left: list[str]) -> None:
    filtering = ErrorFilter()
    whole = octets.encode()
    assert b"".join(filtering.feed(whole[at : at + 999]) for at in range(0, len(whole), 999)) == b""
    said = filtering.finish()
    assert [each.name for each in read(said, Budget(octets=9_999, elements=9)).walk()] == left
    assert b"secret" not in said


def test_a_reader_is_told_that_it_reads_whatever_the_account_may():
    may = "".join(f"<privilege><{each}/></privilege>" for each in ("all", "write", "read", "bind"))
    octets = answer(
        response("/alice/book/", f"{BOOK}<current-user-privilege-set>{may}</current-user-privilege-set>"),
        response("/alice/book/1", f"{OBJECT}<current-user-privilege-set/>"),
    )
    name = f"{DAV}current-user-privilege-set"
    for rules, told in (
        (book(), ["all", "write", "read", "bind"]),
        (book(read_only=True), ["read", "read-current-user-privilege-set"]),
    ):
        first, second = [node for node in Seen(rules, octets).root.walk() if node.name == name]
        named = [each.name for privilege in first.children() for each in privilege.children()]
        assert named == [DAV + each for each in told]
        assert list(second.children()) == []

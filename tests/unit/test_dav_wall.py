"""The wall on a paper server: what it decides before it asks, and what it makes of the answers."""

from dataclasses import replace

import pytest

from proxy.dav.ports import Answer, AnswerFault, Forward, WallRequest
from proxy.dav.wall import Wall
from proxy.upstreams.place import UpstreamFailure
from scopes.davrules import Kind
from scopes.model import Scope
from support.dav_house import BOTH, CONTACTS, EVENTS, card, event, mkcol
from support.radicale_server import Reply
from support.wall_stage import HOST, Stage, done, grant

NOT_FOUND = Reply(404, {"content-type": "text/plain; charset=utf-8"}, b"not found\n")
TYPES = {
    "/": "<D:collection/>",
    "/alice/": "<D:principal/><D:collection/>",
    "/alice/book/": '<D:collection/><R:addressbook xmlns:R="urn:ietf:params:xml:ns:carddav"/>',
    "/alice/book/1.vcf": "",
    "/alice/cal/": '<D:collection/><C:calendar xmlns:C="urn:ietf:params:xml:ns:caldav"/>',
    "/alice/cal/1.ics": "",
}


class Paper:
    """A server that knows some paths, and says to everything else what it was told to say."""

    def __init__(self) -> None:
        self.types = dict(TYPES)
        self.says = Reply(204, {}, b"")
        self.stage = Stage(self.answer)

    def answer(self, user: str, method: str, path: str, fields: dict[str, str], body: bytes) -> Reply:
        if method != "PROPFIND" or b"<D:resourcetype/></D:prop>" not in body or b"displayname" in body:
            return self.says
        if path not in self.types:
            return Reply(404, {}, b"")
        prop = f"<D:prop><D:resourcetype>{self.types[path]}</D:resourcetype></D:prop>"
        stat = f"<D:propstat>{prop}<D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
        response = f"<D:response><D:href>{path}</D:href>{stat}</D:response>"
        return Reply(207, {}, f'<D:multistatus xmlns:D="DAV:">{response}</D:multistatus>'.encode())

    def last(self) -> tuple[str, str, dict[str, str]]:
        """Give what reached the server last."""
        sent = self.stage.sent[-1]
        return sent.method, sent.path, sent.fields


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.mark.parametrize("method", ["LOCK", "ACL", "PATCH", "TRACE", "SEARCH", "BIND", "get", "CONNECT", "X"])
def test_a_method_that_is_not_offered_asks_nobody(paper: Paper, method: str) -> None:
    for target in ("/alice/book/", "/alice/cal/", "/nowhere", "/../x"):
        reply = paper.stage.request(CONTACTS, method, target)
        assert reply.status == 405
        assert "MKCOL" in reply.fields["allow"]
    assert paper.stage.sent == []


@pytest.mark.parametrize("target", ["/alice/../bob/", "/alice%2fcal/", "//x/", "/a;b", "/a?b", "*", "", "a"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PROPFIND", "DELETE", "MKCOL", "MOVE", "OPTIONS", "REPORT"])
def test_a_path_with_two_readings_asks_nobody(paper: Paper, method: str, target: str) -> None:
    reply = paper.stage.request(BOTH, method, target, {"depth": "0"})
    assert reply.status == (200 if (method, target) == ("OPTIONS", "*") else 400)
    assert paper.stage.sent == []


@pytest.mark.parametrize("depth", [None, "infinity", "2", "1, 0"])
def test_no_listing_without_end(paper: Paper, depth: str | None) -> None:
    for target in ("/alice/book/", "/alice/cal/", "/nowhere/"):
        reply = paper.stage.request(CONTACTS, "PROPFIND", target, {} if depth is None else {"depth": depth})
        assert reply.status == 403
        assert b"propfind-finite-depth" in reply.body
    assert paper.stage.sent == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "x"])
@pytest.mark.parametrize("method", ["PUT", "PROPFIND", "REPORT", "MKCOL"])
def test_no_encoded_bodies(paper: Paper, method: str, encoding: str) -> None:
    fields = {"content-encoding": encoding, "depth": "0"}
    assert paper.stage.request(BOTH, method, "/alice/book/1.vcf", fields, b"x").status == 415
    assert paper.stage.sent == []


def put(paper: Paper, path: str, media: str | None, body: bytes) -> int:
    fields = {} if media is None else {"content-type": media}
    return paper.stage.request(BOTH, "PUT", path, fields, body).status


def test_put_of_ones_own(paper: Paper) -> None:
    for media in ("text/vcard", "TEXT/VCARD; charset=UTF-8", 'text/x-vcard;charset="utf-8"', None):
        assert put(paper, "/alice/book/1.vcf", media, card("1")) == 204
        assert paper.last()[2]["content-type"] == "text/vcard; charset=utf-8"
    assert put(paper, "/alice/cal/2.ics", "text/calendar", event("2")) == 204
    assert put(paper, "/alice/cal/2.ics", "text/calendar", event("2").replace(b"\r\n", b"\n").lower()) == 204


@pytest.mark.parametrize(
    ("path", "media", "body"),
    [
        ("/alice/book/1.vcf", "text/vcard", event("1")),
        ("/alice/book/1.vcf", "text/calendar", card("1")),
        ("/alice/book/1.vcf", None, event("1")),
        ("/alice/cal/1.ics", "text/calendar", card("1")),
        ("/alice/cal/1.ics", "text/vcard", event("1")),
        ("/alice/book/1.vcf", "text/vcard; charset=utf-7", card("1")),
        ("/alice/book/1.vcf", "text/vcard; charset=utf-8; charset=utf-16", card("1")),
        ("/alice/book/1.vcf", "text/vcard, text/calendar", card("1")),
        ("/alice/book/1.vcf", "", card("1")),
        ("/alice/book/1.vcf", "text/vcard", b"\xef\xbb\xbf" + card("1")),
        ("/alice/book/1.vcf", "text/vcard", b"\r\n" + card("1")),
        ("/alice/book/1.vcf", "text/vcard", b" " + card("1")),
        ("/alice/book/1.vcf", "text/vcard", card("1").decode().encode("utf-16")),
        ("/alice/book/1.vcf", "text/vcard", b"BEGIN:VCARDX\r\n"),
        ("/alice/book/1.vcf", "text/vcard", b"BEGIN:VCARD"),
        ("/alice/book/1.vcf", "text/vcard", b"BEGIN :VCARD\r\n"),
        ("/alice/book/1.vcf", "text/vcard", b""),
        ("/alice/book/1.vcf", "application/xml", b"<x/>"),
    ],
)
def test_put_of_anything_else(paper: Paper, path: str, media: str | None, body: bytes) -> None:
    assert put(paper, path, media, body) == 415
    assert {each.method for each in paper.stage.sent} == {"PROPFIND"}


@pytest.mark.parametrize(
    "path", ["/alice/book/", "/alice/book", "/alice/", "/alice/new.vcf", "/alice/new/1.vcf"]
)
def test_a_collection_is_never_put(paper: Paper, path: str) -> None:
    paper.types["/alice/book"] = TYPES["/alice/book/"]
    assert put(paper, path, "text/vcard", card("1")) in (403, 404)
    assert {each.method for each in paper.stage.sent} == {"PROPFIND"}


@pytest.mark.parametrize(
    ("method", "destination", "status"),
    [
        ("MOVE", "/alice/book/2.vcf", 204),
        ("COPY", f"https://{HOST}/alice/book/2.vcf", 204),
        ("MOVE", "/alice/book/1.vcf", 204),
        ("MOVE", "/alice/cal/2.ics", 403),
        ("MOVE", "/alice/cal/1.ics", 403),
        ("COPY", "/alice/cal/1.ics", 403),
        ("MOVE", "/alice/cal/", 403),
        ("MOVE", "/alice/book/", 403),
        ("MOVE", "/alice/new.vcf", 403),
        ("MOVE", "/bob/x", 403),
        ("MOVE", "https://evil.example/alice/book/2.vcf", 400),
        ("MOVE", "/alice/book/../cal/1.ics", 400),
        ("MOVE", "/alice/book/..%2fcal%2f1.ics", 400),
        ("MOVE", "", 400),
    ],
)
def test_where_an_object_may_go(paper: Paper, method: str, destination: str, status: int) -> None:
    scopes = BOTH if destination == "/alice/cal/2.ics" else CONTACTS
    reply = paper.stage.request(scopes, method, "/alice/book/1.vcf", {"destination": destination})
    assert reply.status == status
    assert (paper.last()[0] == method) == (status == 204)
    if status == 204:
        assert paper.last()[2]["destination"].startswith("/alice/book/")


@pytest.mark.parametrize(
    ("destination", "status"),
    [("/alice/new/", 204), ("/alice/cal/", 403), ("/alice/book/x/", 403), ("/alice/", 403), ("/new/x/", 403)],
)
def test_where_a_collection_may_go(paper: Paper, destination: str, status: int) -> None:
    fields = {"destination": destination, "overwrite": "T"}
    reply = paper.stage.request(CONTACTS, "MOVE", "/alice/book/", fields)
    assert reply.status == status
    if status == 204:
        assert paper.last()[2] == {"destination": "/alice/new/", "overwrite": "F"}


@pytest.mark.parametrize(
    ("method", "target", "fields"),
    [
        ("DELETE", "/alice/book/", {"depth": "0"}),
        ("DELETE", "/alice/book/", {"depth": "1"}),
        ("DELETE", "/alice/book/1.vcf", {"depth": "x"}),
        ("DELETE", "/alice/book/1.vcf", {"if": '</alice/cal/1.ics> (["1"])'}),
        ("MOVE", "/alice/book/", {"depth": "0", "destination": "/alice/new/"}),
        ("MOVE", "/alice/book/1.vcf", {"overwrite": "x", "destination": "/alice/book/2.vcf"}),
        ("REPORT", "/alice/book/", {"depth": "2"}),
    ],
)
def test_fields_that_say_something_else(
    paper: Paper, method: str, target: str, fields: dict[str, str]
) -> None:
    assert paper.stage.request(CONTACTS, method, target, fields).status == 400
    assert {each.method for each in paper.stage.sent} == {"PROPFIND"}


def test_only_known_fields_go_upstream(paper: Paper) -> None:
    fields = {"x-remote-user": "bob", "x-script-name": "/x", "prefer": "x", "if-match": '"1"', "cookie": "x"}
    paper.stage.request(CONTACTS, "DELETE", "/alice/book/1.vcf", fields)
    assert paper.last() == ("DELETE", "/alice/book/1.vcf", {"if-match": '"1"'})


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (Reply(200, {"content-type": "text/vcard; charset=utf-8", "etag": '"1"'}, b"BEGIN"), 200),
        (Reply(200, {"content-type": "text/calendar"}, b"secret"), 404),
        (Reply(200, {"content-type": "text/html"}, b"secret"), 404),
        (Reply(200, {}, b"secret"), 404),
        (Reply(404, {"content-type": "text/html"}, b"secret"), 404),
        (Reply(410, {}, b"secret"), 404),
        (Reply(405, {"allow": "secret"}, b"secret"), 405),
        (Reply(403, {"content-type": "text/html"}, b"secret"), 403),
        (Reply(416, {}, b"secret"), 416),
        (Reply(304, {"etag": '"1"', "x-secret": "1"}, b""), 304),
    ],
)
def test_what_becomes_of_an_object(paper: Paper, said: Reply, seen: int) -> None:
    paper.says = said
    reply = paper.stage.request(CONTACTS, "GET", "/alice/book/1.vcf")
    assert reply.status == seen
    assert b"secret" not in reply.body + repr(reply.fields).encode()
    if seen == 404:
        assert reply == NOT_FOUND
    assert paper.stage.wall.counts.alarms == (said.status == 200 and seen == 404)


@pytest.mark.parametrize("status", [301, 302, 307, 202, 102])
@pytest.mark.parametrize("method", ["GET", "PROPFIND", "REPORT", "DELETE"])
def test_an_answer_that_nobody_asked_for(paper: Paper, method: str, status: int) -> None:
    paper.says = Reply(status, {"location": "/alice/cal/"}, b"secret")
    body = b"<R:addressbook-query xmlns:R='urn:ietf:params:xml:ns:carddav'/>" if method == "REPORT" else b""
    if method == "PROPFIND":
        body = b"<propfind xmlns='DAV:'><prop><displayname/></prop></propfind>"
    with pytest.raises(AnswerFault):
        paper.stage.request(CONTACTS, method, "/alice/book/", {"depth": "1"} if body else {}, body)


def test_writes_are_answered_by_their_status(paper: Paper) -> None:
    fields = {"etag": '"1"', "dav": "secret", "location": "/alice/book/9.vcf", "content-type": "text/xml"}
    paper.says = Reply(201, fields, b"secret")
    reply = paper.stage.request(CONTACTS, "PUT", "/alice/book/9.vcf", {}, card("9"))
    assert reply == Reply(201, {"etag": '"1"', "location": "/alice/book/9.vcf"}, b"")
    for elsewhere in ("/alice/cal/9", "https://evil.example/alice/book/9", "/alice/book/../cal/9"):
        paper.says = Reply(200, {"location": elsewhere}, b"secret")
        assert paper.stage.request(CONTACTS, "DELETE", "/alice/book/1.vcf") == Reply(204, {}, b"")


def test_an_error_keeps_its_precondition(paper: Paper) -> None:
    error = b'<error xmlns="DAV:"><valid-sync-token/><secret/></error>'
    paper.says = Reply(403, {"content-type": "text/xml"}, error)
    body = b'<sync-collection xmlns="DAV:"><sync-token>old</sync-token><prop/></sync-collection>'
    reply = paper.stage.request(CONTACTS, "REPORT", "/alice/book/", {}, body)
    assert reply.status == 403
    assert b"valid-sync-token" in reply.body
    assert b"secret" not in reply.body


def test_busy_times_are_events(paper: Paper) -> None:
    paper.says = Reply(200, {"content-type": "text/calendar"}, b"BEGIN:VCALENDAR")
    body = b"<C:free-busy-query xmlns:C='urn:ietf:params:xml:ns:caldav'/>"
    assert paper.stage.request(EVENTS, "REPORT", "/alice/cal/", {"depth": "infinity"}, body).status == 200
    assert paper.last()[2]["depth"] == "1"
    assert paper.stage.request(CONTACTS, "REPORT", "/alice/cal/", {}, body) == NOT_FOUND
    assert paper.stage.request(CONTACTS, "REPORT", "/alice/book/", {}, body).status == 403


@pytest.mark.parametrize(
    ("report", "status", "root"),
    [
        ("principal-search-property-set", 200, "principal-search-property-set"),  # RFC 3744 §9.5
        ("principal-property-search", 207, "multistatus"),
        ("expand-property", 207, "multistatus"),
    ],
)
def test_searches_for_principals_find_nothing(paper: Paper, report: str, status: int, root: str) -> None:
    for target in ("/", "/alice/"):
        reply = paper.stage.request(BOTH, "REPORT", target, {}, f"<{report} xmlns='DAV:'/>".encode())
        assert (reply.status, reply.body.count(b"<D:")) == (status, 1)
        assert f"<D:{root} ".encode() in reply.body
    assert {each.method for each in paper.stage.sent} == {"PROPFIND"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'x'>]><x>&a;</x>", 400),
        (b"<x", 400),
        (b"", 400),
        (b"<D:sync-collection xmlns:D='DAV:'><D:href>/alice/cal/</D:href></D:sync-collection>", 403),
    ],
)
def test_bodies_that_are_refused(paper: Paper, body: bytes, status: int) -> None:
    assert paper.stage.request(CONTACTS, "REPORT", "/alice/book/", {}, body).status == status
    assert {each.method for each in paper.stage.sent} == {"PROPFIND"}


def test_what_is_remembered_serves_reads_until_something_changes(paper: Paper) -> None:
    paper.says = Reply(200, {"content-type": "text/vcard"}, b"BEGIN:VCARD")

    def questions(method: str, target: str, body: bytes = b"") -> int:
        before = len(paper.stage.sent)
        paper.stage.request(CONTACTS, method, target, {}, body)
        return len(paper.stage.sent) - before - 1

    assert questions("GET", "/alice/book/1.vcf") == 2
    assert questions("GET", "/alice/book/1.vcf") == 0
    paper.says = Reply(204, {}, b"")
    assert questions("PUT", "/alice/book/1.vcf", card("1")) == 2
    assert questions("DELETE", "/alice/book/1.vcf") == 2
    paper.says = Reply(200, {"content-type": "text/vcard"}, b"BEGIN:VCARD")
    assert questions("GET", "/alice/book/1.vcf") == 2


def test_what_is_learned_while_something_changes_is_forgotten_after_it(paper: Paper) -> None:
    asked = WallRequest(method="DELETE", target="/alice/book/", fields={}, has_body=False)
    deleting = done(paper.stage.wall.judge(asked, grant(*Scope)))
    assert isinstance(deleting, Forward)
    paper.says = Reply(200, {"content-type": "text/vcard"}, b"BEGIN:VCARD")
    paper.stage.request(CONTACTS, "GET", "/alice/book/")
    deleting.after()
    paper.types["/alice/book/"] = TYPES["/alice/cal/"]
    assert paper.stage.request(CONTACTS, "GET", "/alice/book/") == NOT_FOUND


def test_a_scope_that_is_not_served_is_not_open(paper: Paper) -> None:
    wall = Wall(paper.stage._ask, authorities=(HOST,), served={Scope.CONTACTS})
    asked = WallRequest(method="GET", target="/alice/cal/1.ics", fields={}, has_body=False)
    decided = done(wall.judge(asked, grant(*Scope)))
    assert isinstance(decided, Answer)
    assert decided.status == 404
    allowed = done(wall.judge(replace(asked, target="/alice/book/1.vcf"), grant(*Scope)))
    assert isinstance(allowed, Forward)


def test_an_upstream_in_doubt_decides_nothing(paper: Paper) -> None:
    paper.stage.upstream = lambda *_: Reply(500, {}, b"")
    for method in ("GET", "PUT", "DELETE", "PROPFIND", "MKCOL"):
        with pytest.raises(UpstreamFailure):
            paper.stage.request(
                BOTH, method, "/alice/book/1.vcf", {"depth": "0"} if method[0:4] == "PROP" else {}
            )
    assert {each.method for each in paper.stage.sent} == {"PROPFIND"}


def test_making_what_is_not_open(paper: Paper) -> None:
    paper.says = Reply(201, {}, b"")
    assert paper.stage.request(CONTACTS, "MKCALENDAR", "/alice/new/").status == 403
    assert paper.stage.request(EVENTS, "MKCALENDAR", "/alice/new/").status == 201
    assert paper.stage.request(EVENTS, "MKCOL", "/alice/new/", {}, mkcol(Kind.CONTACTS)).status == 403
    assert paper.stage.request(CONTACTS, "MKCOL", "/alice/new/", {}, mkcol(Kind.CONTACTS)).status == 201
    assert paper.stage.request(BOTH, "MKCOL", "/alice/new/").status == 403

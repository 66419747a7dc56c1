"""The oracle: it asks the upstream, believes clear answers alone, and remembers little."""

import asyncio

import pytest

from proxy.dav.oracle import Found, Oracle
from proxy.dav.ports import Fields, UpstreamAnswer
from proxy.limits import DAV_KIND_ACCOUNTS, DAV_KIND_S, DAV_KINDS
from proxy.upstreams.place import UpstreamFailure
from scopes.davpath import BadPath, canonical
from scopes.davrules import Kind, Role
from scopes.model import Grant, Scope
from support.wall_stage import ALICE, done, grant

TYPES = {
    "plain": "<D:collection/>",
    "principal": "<D:principal/><D:collection/>",
    "book": '<D:collection/><R:addressbook xmlns:R="urn:ietf:params:xml:ns:carddav"/>',
    "cal": '<D:collection/><C:calendar xmlns:C="urn:ietf:params:xml:ns:caldav"/>',
    "files": '<D:collection/><x xmlns="urn:x"/>',
    "object": "",
}
TREE = {
    "/": "plain",
    "/alice/": "principal",
    "/alice/book/": "book",
    "/alice/book/1.vcf": "object",
    "/alice/cal/": "cal",
    "/alice/cal/1.ics": "object",
    "/alice/files/": "files",
    "/alice/note.txt": "object",
}


def multistatus(path: str, prop: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return (
        f'<D:multistatus xmlns:D="DAV:"><D:response><D:href>{path}</D:href>'
        f"<D:propstat><D:prop>{prop}</D:prop><D:status>{status}</D:status></D:propstat></D:response></D:multistatus>"
    ).encode()


def typed(path: str, what: str) -> bytes:
    return multistatus(path, f"<D:resourcetype>{TYPES[what]}</D:resourcetype>")


class Upstream:
    """Answers from a tree of paths, or in one fixed way."""

    def __init__(self) -> None:
        self.tree = dict(TREE)
        self.asked: list[str] = []
        self.now = 0.0
        self.fixed: UpstreamAnswer | None = None
        self.oracle = Oracle(self.ask, clock=lambda: self.now)

    async def ask(self, who: Grant, method: str, path: str, fields: Fields, body: bytes) -> UpstreamAnswer:
        assert who.email == ALICE
        assert (method, dict(fields)["depth"]) == ("PROPFIND", "0")
        assert b"resourcetype" in body or b"current-user-principal" in body
        self.asked.append(path)
        if self.fixed is not None:
            return self.fixed
        if path.startswith("/bob/"):
            return UpstreamAnswer(status=403, fields={}, body=b"")
        what = self.tree.get(path) or self.tree.get(path + "/") or self.tree.get(path.rstrip("/"))
        if what is None:
            return UpstreamAnswer(status=404, fields={}, body=b"")
        return UpstreamAnswer(status=207, fields={}, body=typed(path, what))

    def find(self, path: str, *scopes: Scope, fresh: bool = False) -> Found:
        return done(self.oracle.find(grant(*scopes), canonical(path), fresh=fresh))


@pytest.mark.parametrize(
    ("path", "kind", "role", "collection"),
    [
        ("/", Kind.NEUTRAL, Role.COLLECTION, "/"),
        ("/alice/", Kind.NEUTRAL, Role.COLLECTION, "/alice/"),
        ("/alice/book/", Kind.CONTACTS, Role.COLLECTION, "/alice/book/"),
        ("/alice/book", Kind.CONTACTS, Role.COLLECTION, "/alice/book/"),
        ("/alice/book/1.vcf", Kind.CONTACTS, Role.MEMBER, "/alice/book/"),
        ("/alice/book/1.vcf/", Kind.CONTACTS, Role.MEMBER, "/alice/book/"),
        ("/alice/book/2.vcf", Kind.CONTACTS, Role.ABSENT, "/alice/book/"),
        ("/alice/cal/1.ics", Kind.EVENTS, Role.MEMBER, "/alice/cal/"),
        ("/alice/new/", Kind.NEUTRAL, Role.ABSENT, "/alice/"),
        ("/alice/new/deep/", Kind.DENIED, Role.ABSENT, "/alice/new/"),
        ("/alice/book/1.vcf/deep", Kind.DENIED, Role.ABSENT, "/alice/book/1.vcf/"),
        ("/alice/files/", Kind.DENIED, Role.COLLECTION, "/alice/files/"),
        ("/alice/note.txt", Kind.NEUTRAL, Role.MEMBER, "/alice/"),
        ("/bob/", Kind.DENIED, Role.COLLECTION, "/bob/"),
        ("/bob/book/1.vcf", Kind.DENIED, Role.COLLECTION, "/bob/book/1.vcf/"),
        ("/.web/", Kind.DENIED, Role.COLLECTION, "/.web/"),
    ],
)
def test_what_a_path_is(path: str, kind: Kind, role: Role, collection: str) -> None:
    found = Upstream().find(path, *Scope)
    assert (found.kind, found.role) == (kind, role)
    assert found.collection.segments == canonical(collection).segments


@pytest.mark.parametrize(
    "answer",
    [
        (200, typed("/alice/book/", "book")),
        (207, b""),
        (207, b"<html/>"),
        (207, b"not xml"),
        (207, b"<!DOCTYPE x>" + typed("/alice/book/", "book")),
        (207, typed("/alice/cal/", "book")),
        (207, typed("/alice/book/../book/", "book")),
        (207, typed("https://evil.example/alice/book/", "book")),
        (207, b'<D:multistatus xmlns:D="DAV:"/>'),
        (207, typed("/alice/book/", "book").replace(b"HTTP/1.1 200", b"HTTP/1.1 404")),
        (207, typed("/alice/book/", "book").replace(b"HTTP/1.1 200 OK", b"")),
        (207, multistatus("/alice/book/", "<D:displayname/>")),
        (207, multistatus("/alice/book/", "<D:resourcetype/><D:resourcetype/>")),
        (207, typed("/alice/book/", "book").replace(b"multistatus", b"multi")),
        (
            207,
            typed("/alice/book/", "book").replace(
                b"</D:multistatus>", b"<D:response><D:href>/x</D:href></D:response></D:multistatus>"
            ),
        ),
        (301, b""),
        (302, b""),
        (401, b""),
        (429, b""),
        (500, b""),
        (503, b""),
    ],
)
def test_what_is_not_clear_is_an_outage(answer: tuple[int, bytes]) -> None:
    upstream = Upstream()
    upstream.fixed = UpstreamAnswer(status=answer[0], fields={}, body=answer[1])
    with pytest.raises(UpstreamFailure):
        upstream.find("/alice/book/", *Scope)


def test_a_path_that_the_upstream_does_not_take() -> None:
    upstream = Upstream()
    upstream.fixed = UpstreamAnswer(status=400, fields={}, body=b"")
    with pytest.raises(BadPath):
        upstream.find("/alice/book/a%2Ab", *Scope)
    with pytest.raises(UpstreamFailure):
        done(upstream.oracle.principal(grant(*Scope)))


def test_own_kinds_are_remembered_for_a_minute() -> None:
    upstream = Upstream()
    for path in ("/alice/book/1.vcf", "/alice/book/"):
        upstream.find(path, Scope.CONTACTS)
    asked = len(upstream.asked)
    for path in ("/alice/book/1.vcf", "/alice/book/", "/alice/book"):
        assert upstream.find(path, Scope.CONTACTS).kind is Kind.CONTACTS
    assert len(upstream.asked) == asked
    upstream.find("/alice/book/", Scope.CONTACTS, fresh=True)
    assert len(upstream.asked) == asked + 1
    upstream.now += DAV_KIND_S
    upstream.tree["/alice/book/"] = "cal"
    assert upstream.find("/alice/book/", Scope.CONTACTS).kind is Kind.EVENTS


@pytest.mark.parametrize(
    "path", ["/", "/alice/", "/alice/cal/", "/alice/cal/1.ics", "/alice/book/2.vcf", "/alice/new/", "/bob/"]
)
def test_nothing_else_is_remembered(path: str) -> None:
    upstream = Upstream()
    upstream.find(path, Scope.CONTACTS)
    asked = len(upstream.asked)
    upstream.find(path, Scope.CONTACTS)
    assert len(upstream.asked) == 2 * asked


@pytest.mark.parametrize(
    "path", ["/alice/cal/", "/alice/cal/1.ics", "/alice/new/", "/alice/cal/2.ics", "/bob/"]
)
def test_forbidden_costs_as_many_questions_as_absent(path: str) -> None:
    upstream = Upstream()
    upstream.find(path, Scope.CONTACTS)
    assert len(upstream.asked) == 2


def test_accounts_do_not_share_and_a_change_forgets() -> None:
    upstream = Upstream()
    upstream.find("/alice/book/", Scope.CONTACTS)
    upstream.oracle.forget("ac_2")
    upstream.find("/alice/book/", Scope.CONTACTS)
    assert len(upstream.asked) == 1
    done(upstream.oracle.find(grant(*Scope, account_id="ac_2"), canonical("/alice/book/"), fresh=False))
    assert len(upstream.asked) == 2
    upstream.oracle.forget("ac_1")
    upstream.find("/alice/book/", Scope.CONTACTS)
    assert len(upstream.asked) == 3


async def test_a_look_that_began_before_a_change_is_not_remembered() -> None:
    upstream = Upstream()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(who: Grant, method: str, path: str, fields: Fields, body: bytes) -> UpstreamAnswer:
        answer = await upstream.ask(who, method, path, fields, body)
        asked.set()
        await go_on.wait()
        return answer

    oracle = Oracle(slow)
    look = asyncio.create_task(oracle.find(grant(*Scope), canonical("/alice/book/"), fresh=False))
    await asked.wait()
    oracle.forget("ac_1")
    upstream.tree["/alice/book/"] = "cal"
    go_on.set()
    assert (await look).kind is Kind.CONTACTS
    assert (await oracle.find(grant(*Scope), canonical("/alice/book/"), fresh=False)).kind is Kind.EVENTS


def test_memory_is_bounded() -> None:
    upstream = Upstream()
    for number in range(DAV_KINDS + 1):
        path = f"/alice/book/{number}.vcf"
        upstream.tree[path] = "object"
        upstream.find(path, Scope.CONTACTS)
    asked = len(upstream.asked)
    upstream.find(f"/alice/book/{DAV_KINDS}.vcf", Scope.CONTACTS)
    assert len(upstream.asked) == asked
    upstream.find("/alice/book/0.vcf", Scope.CONTACTS)
    assert len(upstream.asked) == asked + 2
    for number in range(DAV_KIND_ACCOUNTS):
        other = grant(*Scope, account_id=f"ac_other{number}")
        done(upstream.oracle.find(other, canonical("/alice/book/"), fresh=False))
    asked = len(upstream.asked)
    upstream.find(f"/alice/book/{DAV_KINDS}.vcf", Scope.CONTACTS)
    assert len(upstream.asked) == asked + 2


PRINCIPAL = "<D:current-user-principal><D:href>/alice%40x/</D:href></D:current-user-principal>"


def test_the_principal() -> None:
    upstream = Upstream()
    upstream.fixed = UpstreamAnswer(status=207, fields={}, body=multistatus("/", PRINCIPAL))
    assert str(done(upstream.oracle.principal(grant(*Scope)))) == "/alice%40x/"
    assert upstream.asked == ["/"]


@pytest.mark.parametrize(
    "answer",
    [
        (403, b""),
        (404, b""),
        (500, b""),
        (207, multistatus("/", "<D:current-user-principal><D:unauthenticated/></D:current-user-principal>")),
        (207, multistatus("/", PRINCIPAL.replace("/alice%40x/", "/alice/../bob/"))),
        (207, multistatus("/", PRINCIPAL.replace("/alice%40x/", "https://evil.example/"))),
        (207, multistatus("/", PRINCIPAL, "HTTP/1.1 404 Not Found")),
    ],
)
def test_no_principal_is_an_outage(answer: tuple[int, bytes]) -> None:
    upstream = Upstream()
    upstream.fixed = UpstreamAnswer(status=answer[0], fields={}, body=answer[1])
    with pytest.raises(UpstreamFailure):
        done(upstream.oracle.principal(grant(*Scope)))

"""The way from a bare host name: OPTIONS, well-known paths, probes."""

import pytest

from proxy.dav.discovery import is_probe, named_principal, options, redirect
from proxy.dav.ports import Answer, CheckXml, Forward, WallRequest
from proxy.dav.xmltree import Budget, read
from scopes.davpath import canonical
from scopes.davrules import CALDAV, DAV
from scopes.model import Scope

ALICE = canonical("/alice%40example.org/")


def request(method: str, target: str, *, signed: bool = False, has_body: bool = False) -> WallRequest:
    fields = {"authorization": "Basic x"} if signed else {}
    return WallRequest(method=method, target=target, fields=fields, has_body=has_body)


@pytest.mark.parametrize(
    ("scopes", "named"),
    [
        ({Scope.CONTACTS}, "1, 3, extended-mkcol, addressbook"),
        ({Scope.EVENTS}, "1, 3, extended-mkcol, calendar-access"),
        (set(Scope), "1, 3, extended-mkcol, calendar-access, addressbook"),
    ],
)
def test_options_name_what_is_open(scopes: set[Scope], named: str) -> None:
    fields = dict(options(scopes).fields)
    assert fields["dav"] == named
    assert "PROPFIND" in fields["allow"]
    assert not {"LOCK", "POST", "ACL", "PATCH"} & set(fields["allow"].split(", "))


@pytest.mark.parametrize("target", ["/.well-known/caldav", "/.well-known/carddav", "/.well-known/caldav/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PROPFIND"])
def test_well_known_paths_lead_to_the_root(method: str, target: str) -> None:
    moved = redirect(request(method, target))
    assert moved is not None
    assert (moved.status, moved.fields) == (301, (("location", "/"),))
    signed = redirect(request(method, target, signed=True))
    assert (signed is None) == (method == "PROPFIND")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/.well-known/"),
        ("GET", "/.well-known/caldav/x"),
        ("GET", "/.well-known/../alice/"),
        ("GET", "/.well-known%2fcaldav"),
        ("GET", "//.well-known/caldav"),
        ("GET", "/.well-known/caldav?x"),
        ("OPTIONS", "/.well-known/caldav"),
        ("PUT", "/.well-known/caldav"),
        ("DELETE", "/.well-known/carddav"),
    ],
)
def test_nothing_else_is_answered_without_credentials(method: str, target: str) -> None:
    assert redirect(request(method, target)) is None


@pytest.mark.parametrize(
    ("target", "probed"),
    [
        ("/", True),
        ("/principals/", True),
        ("/principals/users/alice@example.org/", True),
        ("/calendar/dav/alice%40example.org/user/", True),
        ("/calendar/dav/a/b/c/", False),
        ("/dav", True),
        ("/caldav/", True),
        ("/carddav/", True),
        ("/.well-known/caldav", True),
        ("/alice/", False),
        ("/dav/alice/", False),
        ("/principals/alice/", False),
    ],
)
def test_probed_paths(target: str, probed: bool) -> None:
    assert is_probe(canonical(target)) is probed


def stats(answer: Answer) -> dict[str, list[str]]:
    """Give the names of properties by status."""
    root = read(answer.body, Budget(octets=9_999, elements=99))
    found = {}
    for node in root.walk():
        if node.name == f"{DAV}propstat":
            names = [prop.name for props in node.named(f"{DAV}prop") for prop in props.children()]
            found[next(node.named(f"{DAV}status")).text()] = names
    return found


def test_a_probe_learns_who_it_is() -> None:
    answer = named_principal(request("PROPFIND", "/dav/"), canonical("/dav/"), ALICE)
    assert isinstance(answer, Answer)
    assert answer.status == 207
    assert stats(answer) == {"HTTP/1.1 200 OK": [f"{DAV}current-user-principal", f"{DAV}resourcetype"]}
    assert b"<D:href>/dav/</D:href>" in answer.body
    assert b"<D:href>/alice%40example.org/</D:href>" in answer.body


@pytest.mark.parametrize(
    ("inside", "here", "absent"),
    [
        ("<prop><current-user-principal/></prop>", [f"{DAV}current-user-principal"], []),
        (
            "<prop><current-user-principal/><X xmlns='urn:ietf:params:xml:ns:caldav'/></prop>",
            [f"{DAV}current-user-principal"],
            [f"{CALDAV}X"],
        ),
        ("<prop><displayname/></prop>", None, [f"{DAV}displayname"]),
        ("<propname/>", [f"{DAV}current-user-principal", f"{DAV}resourcetype"], []),
        ("<allprop/>", [f"{DAV}current-user-principal", f"{DAV}resourcetype"], []),
    ],
)
def test_a_probe_with_a_body(inside: str, here: list[str] | None, absent: list[str]) -> None:
    asked = request("PROPFIND", "/dav/", has_body=True)
    forward = named_principal(asked, canonical("/dav/"), ALICE)
    assert isinstance(forward, Forward)
    assert isinstance(forward.body, CheckXml)
    answer = forward.body.check(f'<propfind xmlns="DAV:">{inside}</propfind>'.encode())
    assert isinstance(answer, Answer)
    expected = {"HTTP/1.1 200 OK": here, "HTTP/1.1 404 Not Found": absent or None}
    assert stats(answer) == {status: names for status, names in expected.items() if names is not None}
    bad = forward.body.check(b"<no/>")
    assert isinstance(bad, Answer)
    assert bad.status == 400
    assert forward.answer(404, ()) == Answer(
        status=404, fields=(("content-type", "text/plain; charset=utf-8"),), body=b"not found\n"
    )

"""The table of the scope wall: every cell is named here once more, in words of its own."""

import pytest

from scopes.davrules import (
    CALDAV,
    CALENDAR_SERVER,
    CARDDAV,
    DAV,
    OFFERED,
    TABLE,
    Deed,
    Kind,
    Role,
    Ruling,
    Standing,
    deed,
    kind_of,
    opened,
    rule,
    standing,
)
from scopes.model import Scope

# own collection | own member | own absent | neutral | absent below neutral | other
EXPECTED = """
OPTIONS            | options      | options   | options   | options   | options      | options
GET                | pass         | pass      | not found | forbidden | not found    | not found
HEAD               | pass         | pass      | not found | forbidden | not found    | not found
PROPFIND           | list         | list      | not found | list      | not found    | not found
PROPFIND infinity  | finite depth | finite depth | finite depth | finite depth | finite depth | finite depth
REPORT             | report       | forbidden | not found | search    | not found    | not found
PUT                | forbidden    | put       | put       | forbidden | not found    | not found
DELETE             | delete       | delete    | not found | forbidden | not found    | not found
PROPPATCH          | proppatch    | forbidden | not found | forbidden | not found    | not found
MKCOL              | forbidden    | forbidden | forbidden | forbidden | make         | not found
MKCALENDAR         | forbidden    | forbidden | forbidden | forbidden | make events  | not found
MOVE               | rename       | transfer  | not found | forbidden | not found    | not found
COPY               | rename       | transfer  | not found | forbidden | not found    | not found
POST               | forbidden    | forbidden | not found | forbidden | not found    | not found
"""
NEVER = ("LOCK", "UNLOCK", "ACL", "BIND", "PATCH", "SEARCH", "TRACE")


def cells() -> list[tuple[Deed, Standing, Ruling]]:
    named = []
    for line in EXPECTED.strip().splitlines():
        method, *rulings = (each.strip() for each in line.split("|"))
        named += [(Deed(method), place, Ruling(word)) for place, word in zip(Standing, rulings, strict=True)]
    named += [(Deed(method), place, Ruling.NOT_OFFERED) for method in NEVER for place in Standing]
    return named


@pytest.mark.parametrize(("asked", "place", "ruling"), cells())
def test_cell(asked: Deed, place: Standing, ruling: Ruling) -> None:
    assert rule(asked, place) is ruling


def test_every_cell_is_named() -> None:
    assert {(asked, place) for asked, place, _ in cells()} == {(d, s) for d in Deed for s in Standing}
    assert {(asked, place) for asked, row in TABLE.items() for place in row} == {
        (d, s) for d in Deed for s in Standing
    }


READING = {"OPTIONS", "GET", "HEAD", "PROPFIND", "PROPFIND infinity", "REPORT"}


@pytest.mark.parametrize(("asked", "place", "ruling"), cells())
def test_a_read_only_app_password_may_only_read(asked: Deed, place: Standing, ruling: Ruling) -> None:
    refused = (Ruling.FORBIDDEN, Ruling.NOT_FOUND, Ruling.NOT_OFFERED)
    stays = asked.value in READING or ruling in refused
    assert rule(asked, place, read_only=True) is (ruling if stays else Ruling.READ_ONLY)


@pytest.mark.parametrize("method", ["", "get", "Propfind", "MKWORKSPACE", "BASELINE-CONTROL", "CONNECT"])
def test_an_unknown_method_is_not_offered(method: str) -> None:
    assert deed(method, "0") is None
    assert {rule(deed(method, "0"), place) for place in Standing} == {Ruling.NOT_OFFERED}
    assert rule(deed(method, "0"), Standing.OWN_MEMBER, read_only=True) is Ruling.NOT_OFFERED


@pytest.mark.parametrize(
    ("depth", "asked"),
    [
        ("0", Deed.PROPFIND),
        ("1", Deed.PROPFIND),
        (None, Deed.PROPFIND_ALL),
        ("infinity", Deed.PROPFIND_ALL),
        ("2", Deed.PROPFIND_ALL),
        ("1,noroot", Deed.PROPFIND_ALL),
        ("", Deed.PROPFIND_ALL),
    ],
)
def test_depth_of_a_listing(depth: str | None, asked: Deed) -> None:
    assert deed("PROPFIND", depth) is asked


def test_depth_says_nothing_of_other_methods() -> None:
    assert deed("DELETE", "infinity") is Deed.DELETE


def test_what_is_offered() -> None:
    assert (
        *("OPTIONS", "GET", "HEAD", "PROPFIND", "REPORT", "PUT", "DELETE", "PROPPATCH"),
        *("MKCOL", "MKCALENDAR", "MOVE", "COPY"),
    ) == OFFERED


BOOK = f"{CARDDAV}addressbook"
CALENDAR = f"{CALDAV}calendar"
PLAIN = f"{DAV}collection"
PRINCIPAL = f"{DAV}principal"


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        ({PLAIN}, Kind.NEUTRAL),
        ({PRINCIPAL}, Kind.NEUTRAL),
        ({PLAIN, PRINCIPAL}, Kind.NEUTRAL),
        ({PLAIN, BOOK}, Kind.CONTACTS),
        ({PLAIN, CALENDAR}, Kind.EVENTS),
        ({PLAIN, f"{CALDAV}schedule-inbox"}, Kind.EVENTS),
        ({PLAIN, f"{CALDAV}schedule-outbox"}, Kind.EVENTS),
        ({PLAIN, f"{CALENDAR_SERVER}subscribed"}, Kind.EVENTS),
        ({PLAIN, CALENDAR, f"{CALENDAR_SERVER}subscribed"}, Kind.EVENTS),
        ({PLAIN, BOOK, CALENDAR}, Kind.DENIED),
        ({BOOK}, Kind.DENIED),
        ({CALENDAR}, Kind.DENIED),
        ({PRINCIPAL, BOOK}, Kind.DENIED),
        ({PLAIN, "{urn:x}files"}, Kind.DENIED),
        ({PLAIN, BOOK, "{urn:x}files"}, Kind.DENIED),
        ({"collection"}, Kind.DENIED),
        (set(), Kind.DENIED),
    ],
)
def test_kind_by_resourcetype(types: set[str], kind: Kind) -> None:
    assert kind_of(types) is kind


@pytest.mark.parametrize("scopes", [{Scope.MAIL}, set(), {Scope.CONTACTS}, {Scope.EVENTS}, set(Scope)])
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("role", Role)
def test_standing(scopes: set[Scope], kind: Kind, role: Role) -> None:
    found = standing(kind, role, scopes)
    if kind is Kind.NEUTRAL and role is not Role.MEMBER:
        assert found is (Standing.NEUTRAL if role is Role.COLLECTION else Standing.ABSENT_BELOW_NEUTRAL)
    elif kind in opened(scopes):
        assert found is Standing(f"own {role}")
    else:
        assert found is Standing.OTHER


def test_what_scopes_open() -> None:
    assert opened(set()) == opened({Scope.MAIL}) == frozenset()
    assert opened({Scope.CONTACTS}) == {Kind.CONTACTS}
    assert opened({Scope.EVENTS, Scope.MAIL}) == {Kind.EVENTS}
    assert opened(set(Scope)) == {Kind.CONTACTS, Kind.EVENTS}

"""Two people's contacts and events on one server, each piece marked, so that a leak is seen by its mark."""

from dataclasses import dataclass
from urllib.parse import quote

from scopes.davrules import Kind
from scopes.model import Scope
from support.radicale_server import Radicale

ALICE, BOB = "alice@example.org", "bob@example.org"
MARKS = {Kind.CONTACTS: "peoplemark", Kind.EVENTS: "plansmark"}
BOBS_MARK = "bobsmark"
CONTACTS, EVENTS = frozenset({Scope.CONTACTS}), frozenset({Scope.EVENTS})
BOTH = CONTACTS | EVENTS
SCOPES = {"contacts": CONTACTS, "events": EVENTS, "both": BOTH}
KINDS = {Kind.CONTACTS: Scope.CONTACTS, Kind.EVENTS: Scope.EVENTS}
SUFFIX = {Kind.CONTACTS: "vcf", Kind.EVENTS: "ics"}
MEDIA = {Kind.CONTACTS: "text/vcard", Kind.EVENTS: "text/calendar"}
TYPES = {
    Kind.CONTACTS: '<R:addressbook xmlns:R="urn:ietf:params:xml:ns:carddav"/>',
    Kind.EVENTS: '<C:calendar xmlns:C="urn:ietf:params:xml:ns:caldav"/>',
    Kind.NEUTRAL: "",
}


def card(uid: str, mark: str = "new") -> bytes:
    return (
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{mark} {uid}\r\nN:{uid};;;;\r\nEND:VCARD\r\n"
    ).encode()


def event(uid: str, mark: str = "new") -> bytes:
    return (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n"
        f"DTSTAMP:20300101T000000Z\r\nDTSTART:20300101T100000Z\r\nDTEND:20300101T110000Z\r\n"
        f"SUMMARY:{mark} {uid}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()


OBJECTS = {Kind.CONTACTS: card, Kind.EVENTS: event}


def mkcol(kind: Kind, name: str = "new") -> bytes:
    return (
        f'<mkcol xmlns="DAV:"><set><prop><resourcetype><collection/>{TYPES[kind]}</resourcetype>'
        f"<displayname>{name}</displayname></prop></set></mkcol>"
    ).encode()


@dataclass(frozen=True)
class Shelf:
    """One collection of one person, with two objects in it."""

    owner: str
    kind: Kind
    mark: str

    @property
    def home(self) -> str:
        return f"/{quote(self.owner)}/"

    @property
    def path(self) -> str:
        return f"{self.home}{self.mark}-{self.kind}/"

    def member(self, number: int = 1) -> str:
        return f"{self.path}{self.mark}{number}.{SUFFIX[self.kind]}"

    @property
    def absent(self) -> str:
        return f"{self.path}absent.{SUFFIX[self.kind]}"


ALICES = {kind: Shelf(ALICE, kind, mark) for kind, mark in MARKS.items()}
BOBS = {kind: Shelf(BOB, kind, BOBS_MARK) for kind in MARKS}
HOME = ALICES[Kind.CONTACTS].home
BOX = f"{HOME}box/"
"""A plain collection in alice's home: Radicale does not show it, not even to her."""


def furnish(radicale: Radicale) -> None:
    """Put everything where it belongs."""
    for shelf in (*ALICES.values(), *BOBS.values()):
        made = radicale.ask(shelf.owner, "MKCOL", shelf.path, {}, mkcol(shelf.kind, shelf.mark))
        assert made.status == 201
        for number in (1, 2):
            body = OBJECTS[shelf.kind](f"{shelf.mark}{number}", shelf.mark)
            fields = {"Content-Type": MEDIA[shelf.kind]}
            assert radicale.ask(shelf.owner, "PUT", shelf.member(number), fields, body).status == 201
    (radicale.collections / ALICE / "box").mkdir()


def foreign_marks(scopes: frozenset[Scope]) -> list[bytes]:
    """Give the marks that an app password with these scopes must never see."""
    others = [mark for kind, mark in MARKS.items() if KINDS[kind] not in scopes]
    return [mark.encode() for mark in [*others, BOBS_MARK]]

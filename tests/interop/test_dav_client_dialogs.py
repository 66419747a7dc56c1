"""Clients that cannot be run here, from what is known of their requests, before a whole gate.

Each dialog is played with an app password for contacts, for events and for both. Whatever is answered,
nothing in it is of the other scope, and nothing of the other scope is stored otherwise afterwards.
"""

import re
import ssl
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from scopes.davrules import Kind
from support.dav_dialogs import load, play
from support.dav_gate import Person, Town, dav_town
from support.dav_house import MARKS, MEDIA, OBJECTS, SUFFIX, mkcol
from support.radicale_server import Reply

DIALOGS = Path(__file__).parent.parent / "transcripts" / "dav_clients"
COLLECTIONS = {Kind.CONTACTS: "people", Kind.EVENTS: "plans"}
FOREIGN = {
    "contacts": [MARKS[Kind.EVENTS], "plans/", "calendar-access", r"<C:[\w-]+[ >]", r"<ICAL:[\w-]+[ >]"],
    "events": [MARKS[Kind.CONTACTS], "people/", "addressbook,", r"addressbook\n", r"<CR:[\w-]+[ >]"],
    "both": [],
}
"""What tells of the other scope: its objects and collections, its class of DAV, values of its properties."""


class Client:
    """A connection that signs in with one app password of somebody."""

    def __init__(self, person: Person, opens: str) -> None:
        trusting = ssl.create_default_context(cafile=person.facts["ca_file"])
        port = person.facts["https_port"]
        self._connection = HTTPSConnection("localhost", port, context=trusting, timeout=30)
        secret = f"{person.email}:{person.password(opens)}"
        self._signed = "Basic " + b64encode(secret.encode()).decode()

    def ask(
        self, method: str, path: str, fields: dict[str, str], body: bytes = b"", *, signed: bool = True
    ) -> Reply:
        sent = {**fields, "Authorization": self._signed} if signed else fields
        self._connection.request(method, path, body or None, sent)
        answer = self._connection.getresponse()
        octets = answer.read()
        return Reply(answer.status, dict(answer.getheaders()), octets)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with dav_town(tmp_path_factory.mktemp("gate")) as standing:
        yield standing


def shelves(person: Person) -> dict[Kind, str]:
    return {kind: f"{person.home}{name}/" for kind, name in COLLECTIONS.items()}


def furnish(person: Person, client: Client) -> None:
    """Put a collection with one object for each scope into a home."""
    for kind, shelf in shelves(person).items():
        mark = MARKS[kind]
        made = client.ask("MKCOL", shelf, {"Content-Type": "application/xml"}, mkcol(kind, mark))
        assert made.status == 201
        body = OBJECTS[kind](f"{mark}1", mark)
        path = f"{shelf}{mark}1.{SUFFIX[kind]}"
        assert client.ask("PUT", path, {"Content-Type": MEDIA[kind]}, body).status == 201


def stored(person: Person, client: Client, opens: str) -> list[bytes]:
    """Give all that is stored of the other scope."""
    return [
        client.ask("GET", shelf, {}).body
        for kind, shelf in shelves(person).items()
        if opens not in ("both", kind.value)
    ]


@pytest.mark.parametrize("opens", ["contacts", "events", "both"])
@pytest.mark.parametrize("dialog", sorted(each.stem for each in DIALOGS.glob("*.txt")))
def test_a_client(town: Town, dialog: str, opens: str) -> None:
    person = town.person()
    owner, client = Client(person, "both"), Client(person, opens)
    try:
        furnish(person, owner)
        before = stored(person, owner, opens)
        known = {"home": person.home, "email": person.email}
        for reply in play(load(DIALOGS / f"{dialog}.txt"), client, opens, known):
            told = "".join(f"{name}: {value}\n" for name, value in reply.fields.items()) + reply.body.decode()
            for mark in FOREIGN[opens]:
                assert not re.search(mark, told), told
        assert stored(person, owner, opens) == before
        assert (len(before) == 1) != (opens == "both")
    finally:
        owner.close()
        client.close()

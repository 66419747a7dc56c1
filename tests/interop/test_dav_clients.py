"""Programs with contacts and calendars before a whole gate: each finds what its app password opens, alone.

All of them are told the bare host name and nothing else.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dav_gate import Person, Town, dav_town
from support.dav_house import card, event
from support.dav_programs import Khal, Khard, caldav, curl
from support.vdirsyncer import Kind, Vdir

OBJECTS = {"carddav": card, "caldav": event}
NAMED = {"carddav": b"FN:", "caldav": b"SUMMARY:"}
ENDING = {"carddav": "vcf", "caldav": "ics"}
OWN: list[tuple[Kind, str]] = [
    ("carddav", "contacts"), ("carddav", "both"), ("caldav", "events"), ("caldav", "both"),
]  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with dav_town(tmp_path_factory.mktemp("gate")) as standing:
        yield standing


@pytest.fixture
def person(town: Town) -> Person:
    return town.person()


def put(client: Vdir, collection: str, name: str, mark: str = "new") -> None:
    """Create or change an object in a client's folder."""
    folder = client.folder / "items" / collection
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.{ENDING[client.kind]}").write_bytes(OBJECTS[client.kind](name, mark))


def delete(client: Vdir, collection: str, name: str) -> None:
    (client.folder / "items" / collection / f"{name}.{ENDING[client.kind]}").unlink()


def held(client: Vdir) -> dict[str, str]:
    """What a client's folder holds: `collection/name` to what it is called."""
    mark = NAMED[client.kind]
    return {
        name.rpartition(".")[0]: next(
            line.removeprefix(mark).decode() for line in octets.splitlines() if line.startswith(mark)
        )
        for name, octets in client.items.items()
    }


@pytest.mark.parametrize(("kind", "opens"), OWN)
def test_vdirsyncer_both_ways(person: Person, tmp_path: Path, kind: Kind, opens: str) -> None:
    near = person.vdir(tmp_path / "near", kind, opens)
    far = person.vdir(tmp_path / "far", kind, "both")
    put(near, "first", "a")
    put(near, "first", "b")
    put(near, "second", "c")
    near.sync()
    far.sync()
    assert held(far) == {"first/a": "new a", "first/b": "new b", "second/c": "new c"}
    put(far, "first", "a", "changed")
    put(far, "first", "d")
    delete(far, "first", "b")
    far.sync()
    near.sync()
    assert held(near) == {"first/a": "changed a", "first/d": "new d", "second/c": "new c"}
    put(near, "first", "d", "changed")
    delete(near, "first", "a")
    near.sync()
    far.sync()
    assert held(far) == held(near) == {"first/d": "changed d", "second/c": "new c"}


@pytest.fixture
def furnished(person: Person, tmp_path: Path) -> Person:
    """Somebody with contacts and a calendar."""
    for kind, collection in (("carddav", "people"), ("caldav", "plans")):
        client = person.vdir(tmp_path / f"furnish-{kind}", kind, "both")
        put(client, collection, f"{collection}1", collection)
        client.sync()
    return person


@pytest.mark.parametrize(("kind", "opens"), OWN)
def test_vdirsyncer_finds_what_is_open(furnished: Person, tmp_path: Path, kind: Kind, opens: str) -> None:
    client = furnished.vdir(tmp_path / "client", kind, opens)
    client.sync()
    name = "people" if kind == "carddav" else "plans"
    assert held(client) == {f"{name}/{name}1": f"{name} {name}1"}


@pytest.mark.parametrize(("kind", "opens"), [("caldav", "contacts"), ("carddav", "events")])
def test_vdirsyncer_finds_no_home_of_the_other_scope(
    furnished: Person, tmp_path: Path, kind: Kind, opens: str
) -> None:
    client = furnished.vdir(tmp_path / "client", kind, opens)
    assert "home-set" in client.refused()
    assert client.items == {}


@pytest.mark.parametrize("opens", ["events", "both"])
def test_khal_on_a_synced_folder(furnished: Person, tmp_path: Path, opens: str) -> None:
    client = furnished.vdir(tmp_path / "client", "caldav", opens)
    client.sync()
    khal = Khal(tmp_path, client.folder / "items")
    assert khal.events == ["plans: plans plans1"]
    khal.add("plans", "dinner")
    client.sync()
    other = furnished.vdir(tmp_path / "other", "caldav", "both")
    other.sync()
    assert sorted(held(other).values()) == ["dinner", "plans plans1"]
    (tmp_path / "khal").mkdir()
    assert Khal(tmp_path / "khal", other.folder / "items").events == ["plans: dinner", "plans: plans plans1"]


@pytest.mark.parametrize("opens", ["contacts", "both"])
def test_khard_on_a_synced_folder(furnished: Person, tmp_path: Path, opens: str) -> None:
    client = furnished.vdir(tmp_path / "client", "carddav", opens)
    client.sync()
    khard = Khard(tmp_path, client.folder / "items", "people")
    assert khard.names == ["people people1"]
    khard.add("Ada", "Byron", "ada@example.net")
    client.sync()
    other = furnished.vdir(tmp_path / "other", "carddav", "both")
    other.sync()
    (tmp_path / "khard").mkdir()
    there = Khard(tmp_path / "khard", other.folder / "items", "people")
    assert there.names == ["Ada Byron", "people people1"]
    assert there.emails == ["ada@example.net Ada Byron"]


@pytest.mark.parametrize("opens", ["events", "both"])
def test_python_caldav_does_all_of_it(furnished: Person, opens: str) -> None:
    plans = f"{furnished.facts['dav_url'].rstrip('/')}{furnished.home}plans/"
    told = caldav(furnished, opens, "whole", event("lunch", "saved").decode())
    assert told.pop("calendars") == sorted([plans, told.pop("made")])
    assert told == {
        "name": "Made by a library",
        "saved": ["saved lunch"],
        "busy": 1,
        "changed": ["changed"],
        "found": ["changed"],
        "deleted": [],
        "left": [plans],
    }


def test_python_caldav_reaches_no_calendar_with_contacts_alone(furnished: Person) -> None:
    plans = f"{furnished.facts['dav_url'].rstrip('/')}{furnished.home}plans/"
    assert caldav(furnished, "contacts", "calendars") == []
    for words in (["make"], ["put", f"{plans}new.ics", event("new").decode()]):
        name, said = caldav(furnished, "contacts", *words)
        assert (name, "404" in said) == ("PutError" if words[0] == "put" else "NotFoundError", True)
    assert caldav(furnished, "events", "calendars") == [plans]


@pytest.mark.parametrize("well_known", ["carddav", "caldav"])
@pytest.mark.parametrize("opens", ["contacts", "events", "both"])
def test_curl_finds_the_way_from_a_well_known_path(person: Person, well_known: str, opens: str) -> None:
    for method in ("GET", "PROPFIND"):
        status, text = curl(person, opens, method, f"/.well-known/{well_known}", "--header", "Depth: 0")
        assert (status, text.count("Location: /")) == ((301, 1) if method == "GET" else (207, 0))
    assert f"<D:current-user-principal><D:href>{person.home}</D:href>" in text


@pytest.mark.parametrize(
    ("kind", "opens", "path"), [("carddav", "contacts", "people"), ("caldav", "events", "plans")]
)
def test_curl_puts_gets_and_deletes(furnished: Person, kind: Kind, opens: str, path: str) -> None:
    path = f"{furnished.home}{path}/new.{ENDING[kind]}"
    text = OBJECTS[kind]("new").decode()
    put_it = ("--data-binary", text, "--header", "Content-Type:", "--header", "If-None-Match: *")
    assert curl(furnished, opens, "PUT", path, *put_it)[0] == 201
    assert curl(furnished, opens, "PUT", path, *put_it)[0] == 412
    status, got = curl(furnished, opens, "GET", path)
    assert (status, f"{NAMED[kind].decode()}new new" in got) == (200, True)
    other = "events" if opens == "contacts" else "contacts"
    for method in ("GET", "PUT", "DELETE"):
        assert curl(furnished, other, method, path)[0] == 404
    assert curl(furnished, opens, "DELETE", path)[0] == 204
    assert curl(furnished, opens, "GET", path)[0] == 404


def test_contacts_alone_see_no_calendar(furnished: Person) -> None:
    for path in ("plans/", "plans/plans1.ics", "plans/no-such.ics", "no-such/"):
        for method in ("GET", "PROPFIND", "DELETE", "REPORT"):
            there = curl(furnished, "contacts", method, f"{furnished.home}{path}", "--header", "Depth: 1")
            assert there[0] == 404
            assert "plans" not in there[1]


def test_an_app_password_for_mail_alone_opens_no_dav(person: Person) -> None:
    status, text = curl(person, "mail", "PROPFIND", "/", "--header", "Depth: 0")
    assert (status, 'the app-specific password "mail" opens mail, not contacts or events' in text) == (
        403, True,
    )  # fmt: skip


@pytest.mark.parametrize("opens", ["contacts", "events", "both"])
def test_a_revoked_app_password_is_refused_as_that(furnished: Person, tmp_path: Path, opens: str) -> None:
    kind: Kind = "caldav" if opens == "events" else "carddav"
    client = furnished.vdir(tmp_path / "client", kind, opens)
    client.sync()
    furnished.revoke(opens)
    status, text = curl(furnished, opens, "PROPFIND", "/", "--header", "Depth: 0")
    assert (status, f'the app-specific password "{opens}" was revoked' in text) == (401, True)
    assert 'WWW-Authenticate: Basic realm="Wicketgate", charset="UTF-8"' in text
    assert "Unauthorized" in client.refused()
    assert caldav(furnished, opens, "calendars")[0] == "AuthorizationError"

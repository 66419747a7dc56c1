"""The canonical path: what has one reading keeps it, everything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scopes.davpath import PATH_OCTETS, SEGMENT_OCTETS, SEGMENTS, BadPath, DavPath, canonical, from_uri

HOUSE = ("dav.example.org", "dav.example.org:8443")


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ("/", "/"),
        ("/alice/", "/alice/"),
        ("/alice", "/alice"),
        ("/alice@example.org/book/", "/alice%40example.org/book/"),
        ("/alice%40example.org/book/", "/alice%40example.org/book/"),
        ("/%61lice", "/alice"),
        ("/a%20b/c!$&'()*+,=:d", "/a%20b/c%21%24%26%27%28%29%2A%2B%2C%3D%3Ad"),
        ("/gr%c3%bcn", "/gr%C3%BCn"),
        ("/100%25", "/100%25"),
        ("/.well-known/carddav", "/.well-known/carddav"),
        ("/a/..b", "/a/..b"),
        ("/~alice", "/~alice"),
    ],
)
def test_what_has_one_reading(wire: str, said: str) -> None:
    assert str(canonical(wire)) == said
    assert canonical(said) == canonical(wire)


TRICKS = [
    "",
    "alice",
    "*",
    "//",
    "//evil.example/alice/",
    "/alice//book/",
    "/alice/./book/",
    "/alice/../bob/",
    "/alice/.",
    "/..",
    "/alice/%2e%2e/bob/",
    "/alice/%2e/book",
    "/alice/.%2e/bob",
    "/alice%2fbook/",
    "/alice/..%2fbob/",
    "/alice/%2e%2e%2fbob/",
    "/alice/%252e%252e/bob/",
    "/alice/%252fbook",
    "/alice%5cbook",
    "/alice\\book",
    "/alice;v=1/book",
    "/alice%3bv=1/book",
    "/alice/book%00",
    "/alice/book%00.vcf",
    "/alice/%0d%0aHost:x",
    "/alice/%7f",
    "/alice/%c2%85",
    "/alice/book.",
    "/alice./book",
    "/alice/book%20",
    "/alice/...",
    "/alice/book%2e",
    "/alice/%ff",
    "/alice/%c0%af",
    "/alice/%e0%80%af",
    "/alice/%ed%a0%80",
    "/alice/gru%cc%88n",
    "/alice/%ef%bc%8fbook",
    "/alice/%ef%bc%8e%ef%bc%8e/bob",
    "/alice/%ef%bc%85%32%66",
    "/alice/%e2%80%a5",
    "/alice/%ef%bc%bcbook",
    "/alice/%ef%bc%9bbook",
    "/alice/b\u00fcch",
    "/alice/book?x",
    "/alice/book#x",
    "/alice/book x",
    "/alice/[book]",
    '/alice/"book"',
    "/alice/<book>",
    "/alice/{book}",
    "/alice/book|x",
    "/alice/book^`",
    "/alice/%",
    "/alice/%4",
    "/alice/%zz",
    "/alice/%u002f",
    "/alice/book\n",
    "http://dav.example.org/alice/",
]


@pytest.mark.parametrize("wire", TRICKS)
def test_what_has_two_readings_is_refused(wire: str) -> None:
    with pytest.raises(BadPath):
        canonical(wire)


@pytest.mark.parametrize(
    ("longest", "too_long"),
    [
        ("/" + "a" * SEGMENT_OCTETS, "/" + "a" * (SEGMENT_OCTETS + 1)),
        ("/" + "%c3%bc" * 127 + "a", "/" + "%c3%bc" * 128),
        ("/a" * SEGMENTS, "/a" * (SEGMENTS + 1)),
        ("/" + ("a" * 127 + "/") * 15 + "a" * 127, "/" + ("a" * 127 + "/") * 16),
        ("/" + ("@" * 84 + "/") * 8, "/" + ("@" * 85 + "/") * 8),
    ],
)
def test_sizes(longest: str, too_long: str) -> None:
    assert len(str(canonical(longest))) <= PATH_OCTETS
    with pytest.raises(BadPath):
        canonical(too_long)


def test_a_very_long_path_is_not_even_read() -> None:
    with pytest.raises(BadPath):
        canonical("/" + "%61" * PATH_OCTETS)


def test_relations() -> None:
    home = canonical("/alice/")
    book = canonical("/alice/book/")
    card = canonical("/alice/book/1.vcf")
    assert book.same(canonical("/alice/book"))
    assert not book.same(home)
    assert book.parent == home
    assert DavPath().parent == DavPath()
    assert canonical("/alice/book").collection == book
    assert card.child_of(book)
    assert card.child_of(canonical("/alice/book"))
    assert not card.child_of(home)
    assert not DavPath().child_of(DavPath())
    assert card.within(home)
    assert home.within(home)
    assert not home.within(card)
    assert not canonical("/alice/bookshelf/").within(book)


@pytest.mark.parametrize(
    "uri",
    [
        "/alice/book/",
        "https://dav.example.org/alice/book/",
        "HTTPS://DAV.example.org:443/alice/book/",
        "http://dav.example.org:80/alice/book/",
        "https://dav.example.org:8443/alice/book/",
    ],
)
def test_our_own_uris(uri: str) -> None:
    assert from_uri(uri, HOUSE) == canonical("/alice/book/")


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/alice/book/",
        "https://dav.example.org:444/alice/book/",
        "https://dav.example.org:80/alice/book/",
        "https://dav.example.org@evil.example/alice/",
        "https://alice@dav.example.org/alice/",
        "https://dav.example.org",
        "https:///alice/book/",
        "https:/alice/book/",
        "ftp://dav.example.org/alice/book/",
        "//dav.example.org/alice/book/",
        "alice/book/",
        "https://dav.example.org/alice/../bob/",
        "https://dav.example.org//alice/",
        "https://dav.example.org/alice/\n",
        "",
        "mailto:alice@example.org",
    ],
)
def test_other_uris(uri: str) -> None:
    with pytest.raises(BadPath):
        from_uri(uri, HOUSE)


DAV_WIRES = st.one_of(
    st.text(alphabet="/.%2f5c;\\ab@~ \u00fc\uff0f\x00", max_size=30).map(lambda text: "/" + text),
    st.lists(st.text(max_size=12), max_size=6).map(
        lambda texts: "/" + "/".join("".join(f"%{each:02X}" for each in text.encode()) for text in texts)
    ),
    st.lists(st.sampled_from(TRICKS), min_size=1, max_size=3).map("".join),
    st.binary(max_size=20).map(lambda octets: "/" + "".join(f"%{each:02x}" for each in octets)),
)


@given(DAV_WIRES)
def test_idempotent_or_refused(wire: str) -> None:
    try:
        path = canonical(wire)
    except BadPath:
        return
    assert str(canonical(str(path))) == str(path)
    assert canonical(str(path)) == path
    assert str(path).isascii()

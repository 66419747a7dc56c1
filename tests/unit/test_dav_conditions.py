"""Depth, Overwrite, Destination and If: one reading or none."""

import pytest

from proxy.dav.conditions import BadField, conditions, depth, destination, overwrite
from scopes.davpath import canonical

HOUSE = ("dav.example.org",)
BOOK = canonical("/alice/book/")


def if_field(value: str) -> str:
    return dict(conditions({"if": value}, [BOOK], HOUSE))["if"]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ('(["etag"])', '(["etag"]) '),
        ('([W/"e"])', '([W/"e"]) '),
        ("(<urn:uuid:1>)", "(<urn:uuid:1>) "),
        ('(Not <DAV:no-lock> ["e"])  (["f"])', '(Not <DAV:no-lock> ["e"]) (["f"]) '),
        ('</alice/book/a@b.vcf> (["e"])', '</alice/book/a%40b.vcf> (["e"]) '),
        ('<https://dav.example.org/alice/book/> (["e"]) (["f"])', '</alice/book/> (["e"]) (["f"]) '),
        ('(["(<)"])', '(["(<)"]) '),
    ],
)
def test_if(value: str, sent: str) -> None:
    assert if_field(value) == sent


@pytest.mark.parametrize(
    "value",
    [
        "",
        "()",
        "x",
        '["etag"]',
        "</alice/book/>",
        '</alice/book/> </alice/book/1.vcf> (["e"])',
        '</alice/cal/1.ics> (["e"])',
        '(["e"]) </alice/cal/1.ics> (["e"])',
        '</alice/book/../cal/1.ics> (["e"])',
        '</alice/book/..%2fcal/1.ics> (["e"])',
        '<https://evil.example/alice/book/> (["e"])',
        '<//evil.example/alice/book/> (["e"])',
        '<urn:uuid:1> (["e"])',
        '(["e"]',
        '(["e"]) x',
        '(["a"b"])',
        '(["e"]\n)',
        "(<a b>)",
        "(Not)",
        '(["e"]),(["f"])',
    ],
)
def test_if_that_is_none_or_speaks_of_another_path(value: str) -> None:
    with pytest.raises(BadField):
        if_field(value)


def test_what_is_passed_on() -> None:
    fields = {
        "if-match": '"e"', "if-none-match": "*", "range": "bytes=0-9", "accept": "text/vcard",
        "prefer": "return=representation", "brief": "t", "x-remote-user": "bob", "depth": "1",
        "x-script-name": "/x", "authorization": "Basic x", "cookie": "x", "destination": "/x",
    }  # fmt: skip
    assert conditions(fields, [BOOK], HOUSE) == (
        ("if-match", '"e"'),
        ("if-none-match", "*"),
        ("range", "bytes=0-9"),
        ("accept", "text/vcard"),
    )


@pytest.mark.parametrize("value", ["/alice/book/2.vcf", "https://dav.example.org/alice/book/2.vcf"])
def test_destination(value: str) -> None:
    assert destination({"destination": value}, HOUSE) == canonical("/alice/book/2.vcf")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "book/2.vcf",
        "//evil.example/alice/book/2.vcf",
        "https://evil.example/alice/book/2.vcf",
        "https://dav.example.org:1/alice/book/2.vcf",
        "/alice/book/../cal/2.ics",
        "/alice/book/..%2fcal/2.ics",
        "/alice/book/2.vcf?x",
        "/alice/book/2.vcf#x",
        "/alice/cal%3fx/2.vcf",
        "/alice/cal%23x/2.vcf",
        "/alice/book/%252e%252e%252fcal%252f2.ics",
        "/alice/book/2.vcf ",
        "/alice/book/2.vcf, /alice/cal/2.ics",
    ],
)
def test_destination_with_another_reading(value: str) -> None:
    with pytest.raises(BadField):
        destination({"destination": value}, HOUSE)
    with pytest.raises(BadField):
        destination({}, HOUSE)


def test_words() -> None:
    assert overwrite({}) == depth({}, ("0",)) == ()
    assert overwrite({"overwrite": "F"}) == (("overwrite", "F"),)
    assert depth({"depth": "0"}, ("0", "1")) == (("depth", "0"),)
    for bad in ("t", "", "T, F"):
        with pytest.raises(BadField):
            overwrite({"overwrite": bad})
    for bad in ("infinity", "", "1,noroot", "00"):
        with pytest.raises(BadField):
            depth({"depth": bad}, ("0", "1"))

"""Whose an address is, and what a header's From says, also to readers that read it in their own way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits import SMTP_FROM_OCTETS
from proxy.smtp.from_field import BadFrom, from_addresses
from proxy.smtp.sender import Own, bad_from, first_foreign, not_own
from support.imap_stage import GRANT

OWN = Own(
    email="alice@example.org", listed=frozenset({"alice@example.org", "sales@example.org", "*@example.net"})
)


@pytest.mark.parametrize(
    "address",
    ["alice@example.org", "Alice@EXAMPLE.org", "alice+lists@example.org", "alice+@example.org",
     "alice+a+b@example.org", "sales@example.org", "anybody@example.net", "any.body+x@Example.Net"],
)  # fmt: skip
def test_its_own(address):
    assert OWN.has(address)


@pytest.mark.parametrize(
    "address",
    ["bob@example.org", "alice@example.com", "sales+x@example.org", "alice+x@example.com", "alic@example.org",
     "alice@sub.example.org", "anybody@sub.example.net", "anybody@xexample.net", '"alice"@example.org',
     "alice@[192.0.2.1]", "alice", "", "@example.net", "*@example.org", "alice@example.org ", "x@y@a.org",
     "\u0430lice@example.org", "alice\u200b@example.org", "+x@example.org", "alice@example.org\0"],
)  # fmt: skip
def test_not_its_own(address):
    assert not OWN.has(address)


def test_an_email_that_is_not_the_accounts_any_more_is_nobodys():
    assert not Own(email="alice@example.org", listed=frozenset()).has("alice@example.org")
    assert not Own(email="alice@example.org", listed=frozenset()).has("alice+x@example.org")


FROM = {
    "none": (b"Subject: x", ()),
    "an empty header": (b"", ()),
    "an address": (b"Subject: x\r\nFrom: alice@example.org\r\nTo: b@c.d", ("alice@example.org",)),
    "any case": (b"fROM:alice@example.org", ("alice@example.org",)),
    "space before the colon": (b"From \t: alice@example.org", ("alice@example.org",)),
    "a name": (b'From: "Bob, the ceo@x.org" <alice@example.org>', ("alice@example.org",)),
    "a name of dots": (b"From: Alice B. C <alice@example.org>", ("alice@example.org",)),
    "a name in UTF-8": ("From: Älice <alice@example.org>".encode(), ("alice@example.org",)),
    "a name in Latin-1": (b"From: \xc4lice <alice@example.org>", ("alice@example.org",)),
    "an encoded name": (b"From: =?utf-8?q?ceo=40x=2Eorg?= <alice@example.org>", ("alice@example.org",)),
    "folded": (b"From: Alice\r\n\t<alice@example.org>\r\nTo: b@c.d", ("alice@example.org",)),
    "a comment": (b"From: (ceo@x.org) alice@example.org", ("alice@example.org",)),
    "two addresses": (b"From: alice@example.org, bob@x.org", ("alice@example.org", "bob@x.org")),
    "a group": (b"From: us: alice@example.org, bob@x.org;", ("alice@example.org", "bob@x.org")),
    "mbox's line": (b"From alice Mon Jan  1 00:00:00 2026\r\nSubject: x", ()),
    "From in another field": (b"Subject: a\r\n From: ceo@x.org\r\nX-From: b@c.d", ()),
    "two fields": (b"From: alice@example.org\r\nfrom: alice@example.org", BadFrom.SEVERAL),
    "two, one with a space": (b"From: alice@example.org\r\nFrom : ceo@x.org", BadFrom.SEVERAL),
    "two, one with NBSP": (b"From\xa0: ceo@x.org\r\nFrom: alice@example.org", BadFrom.SEVERAL),
    "the second behind a blank line": (b"From: a@b.c\r\n \r\nFrom: ceo@x.org", BadFrom.SEVERAL),
    "the second behind nonsense": (b"From: a@b.c\r\nnonsense\r\nFrom: ceo@x.org", BadFrom.SEVERAL),
    "two, one folded before its colon": (b"From\r\n : ceo@x.org\r\nFrom: alice@example.org", BadFrom.SEVERAL),
    "folded before its colon": (b"Subject: x\r\nFrom\r\n\t: ceo@x.org", ("ceo@x.org",)),
    "first and folded": (b" From: alice@example.org", BadFrom.UNREADABLE),
    "no printable name": (b"\x0bFrom: alice@example.org", BadFrom.UNREADABLE),
    "empty": (b"From:", BadFrom.UNREADABLE),
    "an empty group": (b"From: undisclosed:;", BadFrom.UNREADABLE),
    "no domain": (b"From: alice", BadFrom.UNREADABLE),
    "two angles": (b"From: <alice@example.org> <ceo@x.org>", BadFrom.UNREADABLE),
    "an address for a name": (b"From: ceo@x.org <alice@example.org>", BadFrom.UNREADABLE),
    "text behind": (b"From: <alice@example.org> ceo@x.org", BadFrom.UNREADABLE),
    "a semicolon": (b"From: alice@example.org; ceo@x.org", BadFrom.UNREADABLE),
    "no end of angle": (b"From: <alice@example.org", BadFrom.UNREADABLE),
    "a route": (b"From: <@x.org:alice@example.org>", BadFrom.UNREADABLE),
    "a decoded local part": (b"From: =?utf-8?q?alice?=@example.org", BadFrom.UNREADABLE),
    "an address put together": (b"From: alice @ example.org", BadFrom.UNREADABLE),
    "a control character": (b"From: alice\x01@example.org", BadFrom.UNREADABLE),
    "an encoded word in quotes": (b'From: "=?utf-8?q?a?=" <alice@example.org>', ("alice@example.org",)),
    "a decoded address, all": (b"From: =?utf-8?q?ceo=40x=2Eorg=3E?=@example.net", BadFrom.UNREADABLE),
    "a comment in an address": (b"From: alice(x)@example.org", BadFrom.UNREADABLE),
    "a group within a group": (b"From: a: b: alice@example.org;;", BadFrom.UNREADABLE),
    "a group without end": (b"From: a: alice@example.org", BadFrom.UNREADABLE),
    "a group and more": (b"From: a: alice@example.org;, ceo@x.org", ("alice@example.org", "ceo@x.org")),
    "nothing between commas": (b"From: alice@example.org,, ceo@x.org", BadFrom.UNREADABLE),
    "quotes that hide the end": (b'From: "\\" <alice@example.org>, " <ceo@x.org>', ("ceo@x.org",)),
    "a comment that hides the end": (b"From: (\\) <alice@example.org>) <ceo@x.org>", ("ceo@x.org",)),
    "a local part in quotes": (b'From: "ceo@x.org"@example.net', ('"ceo@x.org"@example.net',)),
    "far too deep": (b"From: " + b"(" * 3000, BadFrom.UNREADABLE),
    "far too long": (b"From: " + b"a@b.c, " * SMTP_FROM_OCTETS, BadFrom.UNREADABLE),
}


@pytest.mark.parametrize("name", FROM)
def test_what_from_says(name):
    header, found = FROM[name]
    assert from_addresses(header) == found


@pytest.mark.parametrize(
    "header",
    [b"!" * 130_000 + b":" + b"\r\n " * 44_000, b"From:" + b"\r\n " * 87_000, b"f\r\n :" * 43_000],
)  # minutes, for who looks at a field again for each of its lines
def test_a_header_that_is_nothing_but_folds_holds_up_nobody(header):
    assert from_addresses(header) in ((), BadFrom.UNREADABLE)


@pytest.mark.parametrize("unit", [b'"', b",(a)", b'"a"', b"(()", b"(\\", b"a.", b"a: ", b"<a@b", b"a@b,"])
def test_a_from_that_is_hard_to_read_is_read_in_time_that_grows_with_it(unit):
    header = b"From: " + unit * (SMTP_FROM_OCTETS // len(unit) - 3)
    for _ in range(200):  # a minute and more, where time grows with the square
        assert from_addresses(header) is BadFrom.UNREADABLE


@given(
    st.lists(st.sampled_from([b"From", b":", b" ", b"\r\n", b"a@b.c", b"<", b">", b",", b'"', b"(", b"=?"]))
)
def test_any_header_is_read_or_not_and_nothing_raises(parts):
    found = from_addresses(b"".join(parts))
    assert isinstance(found, BadFrom | tuple)


def test_the_first_that_is_not_its_own_is_named():
    assert first_foreign(["alice@example.org", "x@example.net"], OWN) is None
    assert first_foreign(["alice@example.org", "ceo@x.org", "cfo@x.org"], OWN) == "ceo@x.org"


def test_the_refusal_names_the_address_and_the_command_that_adds_it():
    assert not_own("ceo@x.org", GRANT, utf8=False) == (
        b"550-5.7.1 ceo@x.org is not an address of alice@example.org to send as\r\n"
        b"550 5.7.1 to add it: wicketgate account sender add alice@example.org ceo@x.org\r\n"
    )


@pytest.mark.parametrize("address", ["`id`@x.org", "a;b@x.org", "$(id)@x.org", "a'b@x.org"])
def test_a_command_to_copy_is_safe_to_copy(address):
    import shlex

    command = not_own(address, GRANT, utf8=False).partition(b"to add it: ")[2].decode().removesuffix("\r\n")
    assert shlex.split(command)[-1] == address


@given(st.text(max_size=600))
def test_a_refusal_is_two_lines_whatever_the_address(address):
    lines = not_own(address, GRANT, utf8=False).split(b"\r\n")
    assert (len(lines), lines[2]) == (3, b"")
    assert all(len(line) <= 510 and line.isascii() and line.decode().isprintable() for line in lines[:2])


def test_what_is_wrong_with_a_header_is_said():
    assert bad_from(BadFrom.SEVERAL) == b"550 5.7.1 the message has more than one From field\r\n"

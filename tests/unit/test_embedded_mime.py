"""Parts of messages, and what FETCH makes of them: everything comes out as it went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.embedded import mime
from proxy.embedded.arguments import Arguments, BadArgumentsError
from proxy.embedded.call import RefusedError
from proxy.embedded.fetch import Datum, Section, answers, octets_of, read_items
from proxy.embedded.messagefile import with_crlf
from proxy.embedded.wirevalues import body_structure, date_time, envelope, string

INNER = (
    b"Subject: inner\r\nContent-Type: multipart/alternative; boundary=q\r\n\r\n--q\r\n\r\none\r\n--q--\r\n"
)
NESTED = (
    b"Subject: outer\r\nReceived: a\r\nReceived: b\r\n c\r\n"
    b'Content-Type: multipart/mixed; boundary="x y"\r\n\r\n'
    b"preamble\r\n--x y\r\nContent-Type: text/html; charset=utf-8\r\nContent-ID: <1>\r\n\r\n<p>hi\r\n"
    b"--x y  \r\nContent-Type: message/rfc822\r\n\r\n" + INNER + b"\r\n"
    b'--x y\r\nContent-Disposition: attachment; filename="a \\"b\\".txt"\r\n\r\n'
    b"file\r\n--x y--\r\nepilogue\r\n"
)


def section(text: bytes, message: bytes = NESTED) -> bytes | None:
    [item] = read_items(Arguments((text,)))
    assert isinstance(item, Section)
    return octets_of(item, mime.parse(message))


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (b"BODY[]", NESTED),
        (b"RFC822", NESTED),
        (b"BODY[HEADER]", NESTED[: NESTED.index(b"preamble")]),
        (b"BODY[TEXT]", NESTED[NESTED.index(b"preamble") :]),
        (b"BODY[1]", b"<p>hi"),
        (b"BODY[1.MIME]", b"Content-Type: text/html; charset=utf-8\r\nContent-ID: <1>\r\n\r\n"),
        (b"BODY[2]", INNER),
        (b"BODY[2.MIME]", b"Content-Type: message/rfc822\r\n\r\n"),
        (b"BODY[2.HEADER]", INNER[: INNER.index(b"--q")]),
        (b"BODY[2.TEXT]", INNER[INNER.index(b"--q") :]),
        (b"BODY[2.1]", b"one"),
        (b"BODY[2.HEADER.FIELDS (SUBJECT)]", b"Subject: inner\r\n\r\n"),
        (b"BODY[3]", b"file"),
        (b"BODY[4]", None),
        (b"BODY[1.1]", None),
        (b"BODY[1.HEADER]", None),
        (b"BODY[2.2]", None),
        (b"BODY[HEADER.FIELDS (received)]", b"Received: a\r\nReceived: b\r\n c\r\n\r\n"),
        (b'BODY[HEADER.FIELDS.NOT (RECEIVED "content-type")]', b"Subject: outer\r\n\r\n"),
        (b"BODY[HEADER.FIELDS (none)]", b"\r\n"),
        (b"BODY[]<5.6>", NESTED[5:11]),
        (b"BODY[]<100000.6>", b""),
        (b"BODY.PEEK[1]<2.100>", b">hi"),
    ],
)
def test_sections(text, octets):
    assert section(text) == octets


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (b"BODY[1]", b"body"),
        (b"BODY[1.MIME]", b"Subject: x\r\n\r\n"),
        (b"BODY[1.1]", None),
        (b"BODY[2]", None),
    ],
)
def test_a_message_that_is_no_multipart_has_one_part(text, octets):
    assert section(text, b"Subject: x\r\n\r\nbody") == octets


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"()",
        b"(FLAGS",
        b"FLAGS)",
        b"FLAGS UID",
        b"(FLAGS  UID)",
        b"(ALL)",
        b"NOTHING",
        b"BODY[",
        b"BODY[1.]",
        b"BODY[0]",
        b"BODY[MIME]",
        b"BODY[HEADER.FIELDS]",
        b"BODY[HEADER.FIELDS x]",
        b"BODY[]<1>",
        b"BODY[]<0.0>",
        b"BODY[1HEADER]",
        b"BODY.PEEK",
        b"FLAGS[]",
        b"BODY[] x",
        b'BODY[HEADER.FIELDS (a"]',
    ],
)
def test_what_cannot_be_fetched(text):
    with pytest.raises(BadArgumentsError):
        read_items(Arguments((text,)))


@pytest.mark.parametrize("text", [b"BODY[]", b"BODY[HEADER]", b"BODY[TEXT]<3.9>", b"BODY[2.TEXT]", b"RFC822"])
def test_sections_are_no_copies(text):
    found = section(text)
    assert isinstance(found, memoryview)
    assert found.obj is NESTED


class Whole:
    """A message for FETCH, of which only the octets matter."""

    def __init__(self, octets):
        self.octets = octets

    def part(self):
        return mime.parse(self.octets)


def test_an_answer_has_an_end():
    items = read_items(Arguments((b"(BODY[] BODY[TEXT])",)))
    told = b"(BODY[] {7}\r\n\r\nhello BODY[TEXT] {5}\r\nhello)"
    assert b"".join(answers(items, Whole(b"\r\nhello"), most=len(told))) == told
    with pytest.raises(RefusedError, match=r"^\[LIMIT\] "):
        answers(items, Whole(b"\r\nhello"), most=len(told) - 10)


def test_fields_are_looked_for_in_a_header_of_sound_size():
    header = b"X-First: 1\r\n" + b"X: y\r\n" * 100_000
    kept = section(b"BODY[HEADER.FIELDS.NOT (X-First)]", header + b"\r\nbody")
    assert kept.startswith(b"X: y\r\n")
    assert len(kept) < 300_000


def test_macros_and_labels():
    assert read_items(Arguments((b"FAST",))) == (Datum.FLAGS, Datum.INTERNALDATE, Datum.SIZE)
    assert read_items(Arguments((b"full",)))[-2:] == (Datum.ENVELOPE, Datum.BODY)
    [item] = read_items(Arguments((b'body.peek[1.2.header.fields (subject "odd name")]<3.4>',)))
    assert item.label == b'BODY[1.2.HEADER.FIELDS (SUBJECT "ODD NAME")]<3>'


def test_structure():
    message = mime.parse(NESTED)
    assert body_structure(message, extended=False) == (
        b'(("text" "html" ("charset" "utf-8") "<1>" NIL "7bit" 5 0)'
        b'("message" "rfc822" NIL NIL NIL "7bit" %d (NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL)'
        b' (("text" "plain" NIL NIL NIL "7bit" 3 0) "alternative") 7)'
        b'("text" "plain" NIL NIL NIL "7bit" 4 0) "mixed")' % len(INNER)
    )
    extended = body_structure(message, extended=True)
    assert (
        b'NIL ("attachment" ("filename" "a \\"b\\".txt")) NIL NIL) "mixed" ("boundary" "x y") NIL NIL NIL)'
        in extended
    )


def test_envelope_of_an_ordinary_and_of_a_wild_header():
    ordinary = mime.parse(
        b'Date: now\r\nFrom: "A, B" <a@b.c>\r\nTo: x@y, Team: p@q;\r\nMessage-ID: <1@2>\r\n\r\n'
    )
    sender = b'(("A, B" NIL "a" "b.c"))'
    assert envelope(ordinary) == (
        b'("now" NIL '
        + b" ".join([sender] * 3)
        + b' ((NIL NIL "x" "y")(NIL NIL "p" "q")) NIL NIL NIL "<1@2>")'
    )
    wild = mime.parse(b'From: \xe4\xff <no domain>\r\nSubject: caf\xc3\xa9 \x00 "q" \\\r\nTo: ,,;<>\r\n\r\n')
    shown = envelope(wild)
    assert b'{13}\r\ncaf\xc3\xa9   "q" \\' in shown
    assert b"\0" not in shown


@pytest.mark.parametrize("poison", [b"(" * 9_000, b"a:" * 9_000, b"<" * 9_000, b"@" * 9_000])
def test_addresses_that_cannot_be_read_are_absent_and_the_rest_is_not(poison):
    shown = envelope(mime.parse(b"Subject: x\r\nFrom: " + poison + b"\r\nTo: a@b\r\n\r\n"))
    assert shown.startswith(b'(NIL "x" ')
    assert shown.endswith(b'((NIL NIL "a" "b")) NIL NIL NIL NIL)')


@pytest.mark.parametrize(
    ("octets", "sent"),
    [
        (None, b"NIL"),
        (b"", b'""'),
        (b'a"\\', b'"a\\"\\\\"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xff", b"{1}\r\n\xff"),
        (b"\0", b'" "'),
        (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
    ],
)
def test_strings(octets, sent):
    assert string(octets) == sent


def test_dates():
    assert date_time(0) == b'" 1-Jan-1970 00:00:00 +0000"'
    assert date_time(1_795_000_000.7) == b'"18-Nov-2026 11:06:40 +0000"'
    assert date_time(1e30) == b'"31-Dec-9999 23:59:59 +0000"'
    assert date_time(-1e30) == b'" 1-Jan-0001 00:00:00 +0000"'


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\r\n",
        b"no header at all",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=never\r\n\r\nno part",
        b"Content-Type: ; = ;;\r\n\r\nx",
        b'Content-Type: text/plain; charset="unended\r\n\r\nx',
        b"Content-Type: message/rfc822\r\n\r\n" * 40,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 3000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b",
        b": empty name\r\n\r\n",
    ],
)
def test_broken_messages_have_a_sound_structure(message):
    shown = body_structure(mime.parse(message), extended=True)
    assert shown.count(b"(") == shown.count(b")")
    assert section(b"BODY[]", message) == message


def every_part(part):
    return [part, *(below for inner in part.parts for below in every_part(inner))]


def multipart(boundary: bytes, *parts: bytes) -> bytes:
    head = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n" % boundary
    return head + b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary


def test_a_whole_message_has_one_budget_of_parts():
    """A thousand below each multipart, sixteen levels deep, were as many as its octets could hold."""
    leaves = multipart(b"inner", *[b"\r\nleaf"] * 100)
    message = multipart(b"outer", *[leaves] * 100)
    found = mime.parse(message)
    assert len(found.parts) == 100
    assert len(every_part(found)) <= 1_001
    assert len(found.parts[0].parts) == 100
    last = found.parts[-1]
    assert (last.kind, last.parts) == ((b"application", b"octet-stream"), ())
    assert section(b"BODY[100]", message) == leaves[leaves.index(b"--inner") :]


@pytest.mark.parametrize("kind", [b"multipart/mixed; boundary=b", b"message/rfc822"])
def test_what_lies_too_deep_is_one_opaque_part(kind):
    message = b"\r\nbottom"
    for level in range(40):
        message = (
            multipart(b"b%d" % level, message)
            if kind.startswith(b"multipart")
            else b"Content-Type: message/rfc822\r\n\r\n" + message
        )
    parts = every_part(mime.parse(message))
    assert len(parts) == 17
    assert parts[-1].kind == (b"application", b"octet-stream")
    assert b"bottom" in parts[-1].body_octets()


def test_headers_and_would_be_boundaries_of_a_message_are_looked_at_so_far():
    fields = b"X: y\r\n" * 40_000
    found = mime.parse(multipart(b"b", *[fields + b"\r\nbody"] * 20))
    assert sum(len(part.fields) for part in every_part(found)) < 200_000
    assert [part.body_octets() for part in found.parts] == [b"body"] * 20
    assert mime.parse(multipart(b"b", b"\r\none", b"--bx\r\n" * 20_000, b"\r\ntwo")).parts[2:] == ()


@given(
    st.lists(
        st.sampled_from([*NESTED.splitlines(keepends=True), b"\r\n", b"--x y--\r\n", b"\n", b"--q\r\n"])
    ).map(b"".join)
)
def test_any_text_has_a_structure_whose_parts_can_be_fetched(text):
    message = with_crlf(text)
    part = mime.parse(message)
    assert body_structure(part, extended=True).startswith(b"(")
    envelope(part)
    assert part.header_octets() + part.body_octets() == message
    if part.is_multipart:
        for number, inner in enumerate(part.parts, 1):
            assert section(b"BODY[%d]" % number, message) == inner.body_octets()

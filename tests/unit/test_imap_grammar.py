"""Framing and tokens of IMAP, case by case; the properties are in test_imap_grammar_properties."""

from dataclasses import replace

import pytest

from proxy.imap.grammar import (
    Atom,
    BadCommand,
    Continue,
    Frame,
    FrameLimits,
    Framer,
    Literal,
    NeedData,
    Rejected,
    SaslLine,
    String,
    Why,
    parse,
    split,
)

LIMITS = FrameLimits(line=64, sasl_line=80, literal=20, non_sync_literal=10, digits=3, literals=8, command=96)


def framer(octets: bytes = b"", **limits: int) -> Framer:
    made = Framer(replace(LIMITS, **limits))
    made.feed(octets)
    return made


def events(octets: bytes, **limits: int) -> list:
    made, found = framer(octets, **limits), []
    while not isinstance(event := made.next(), NeedData):
        found.append(event)
    return found


def frame(octets: bytes) -> Frame:
    [only] = events(octets, line=1000, non_sync_literal=1000, command=9000, digits=5)
    assert isinstance(only, Frame)
    return only


def arguments(octets: bytes, nesting: int = 3) -> tuple:
    return parse(frame(b"a X " + octets + b"\r\n"), nesting=nesting).arguments


def why(octets: bytes, nesting: int = 3) -> Why:
    with pytest.raises(BadCommand) as caught:
        parse(frame(octets), nesting=nesting)
    return caught.value.why


# --- lines -------------------------------------------------------------------------------------------------


def test_a_line_is_a_frame_once_its_crlf_has_come():
    made = framer(b"a NOOP\r")
    assert made.next() == NeedData()
    assert made.held == 7
    made.feed(b"\nb")
    assert made.next() == Frame((b"a NOOP",))
    assert made.next() == NeedData()
    assert made.unread() == b"b"
    assert made.held == 0


def test_a_cr_alone_ends_no_line():
    assert events(b"a NO\rOP\r\n") == [Frame((b"a NO\rOP",))]


def test_a_bare_lf_is_rejected_and_the_next_line_read():
    assert events(b"a NOOP\nb NOOP\r\n") == [Rejected(b"a", Why.BARE_LF, close=False), Frame((b"b NOOP",))]


def test_a_bare_lf_behind_a_literals_length_loses_the_framing():
    assert events(b"a LOGIN {3+}\nb NOOP\r\n") == [Rejected(b"a", Why.BARE_LF, close=True)]


def test_the_longest_line_is_taken_and_one_octet_more_is_not():
    assert events(b"a " + b"x" * 60 + b"\r\n") == [Frame((b"a " + b"x" * 60,))]
    assert events(b"a " + b"x" * 61 + b"\r\n") == [Rejected(b"a", Why.LINE_TOO_LONG, close=True)]


def test_a_line_without_end_is_rejected_as_soon_as_it_is_too_long():
    made = framer(b"a " + b"x" * 61)
    assert made.next() == NeedData()
    made.feed(b"x")
    assert made.next() == Rejected(b"a", Why.LINE_TOO_LONG, close=True)


def test_the_lines_of_one_command_count_together():
    assert events(b"a X {1+}\r\ny" + b"x" * 53 + b"\r\n")[0] == Rejected(b"a", Why.LINE_TOO_LONG, close=True)
    assert isinstance(events(b"a X {1+}\r\ny" + b"x" * 52 + b"\r\n")[0], Frame)


def test_nothing_is_read_once_framing_is_lost():
    made = framer(b"a X {99+}\r\n")
    assert made.next() == Rejected(b"a", Why.LITERAL_TOO_LARGE, close=True)
    made.feed(b"b NOOP\r\n")
    assert made.next() == NeedData()
    assert made.held == 0


@pytest.mark.parametrize("line", [b"(x\n", b"\n", b"+ x\n", b'"a\n', b"\x00 NOOP\n"])
def test_what_has_no_tag_is_rejected_without_one(line):
    assert events(line) == [Rejected(None, Why.BARE_LF, close=False)]


# --- literals ----------------------------------------------------------------------------------------------


def test_a_synchronising_literal_is_asked_for():
    made = framer(b"a LOGIN {5}\r\n")
    assert made.next() == Continue(Frame((b"a LOGIN ",)), 5)
    assert made.next() == NeedData()
    made.feed(b"al\r\ne {2}\r\n")
    assert made.next() == Continue(Frame((b"a LOGIN ",)), 2)
    made.feed(b"pw\r\n")
    assert made.next() == Frame((b"a LOGIN ", Literal(b"al\r\ne"), b" ", Literal(b"pw"), b""))


def test_a_refused_literal_does_not_come():
    made = framer(b"a LOGIN {5}\r\n")
    made.next()
    made.refuse()
    made.feed(b"b NOOP\r\n")
    assert made.next() == Frame((b"b NOOP",))


def test_non_synchronising_literals_are_not_asked_for():
    assert events(b"a X {3+}\r\n{1}(\r\n") == [Frame((b"a X ", Literal(b"{1}"), b"("))]


def test_an_empty_literal():
    assert events(b"a X {0+}\r\n\r\n") == [Frame((b"a X ", Literal(b""), b""))]


@pytest.mark.parametrize(
    ("marker", "close"), [(b"{21}", False), (b"{0005}", False), (b"{11+}", True), (b"{0005+}", True)]
)
def test_a_literal_that_is_too_large_is_not_asked_for_and_costs_the_connection_if_it_comes(marker, close):
    assert events(b"a X " + marker + b"\r\n") == [Rejected(b"a", Why.LITERAL_TOO_LARGE, close=close)]


def test_the_largest_literals_are_taken():
    assert events(b"a X {10+}\r\n" + b"y" * 10 + b" {20}\r\n")[0] == Continue(Frame((b"a X ",)), 20)


def test_a_command_is_bounded_with_all_its_literals():
    octets = b"a" + b" {10+}\r\n0123456789" * 5
    assert events(octets + b" {5}\r\n", command=101) == [Rejected(b"a", Why.LITERAL_TOO_LARGE, close=False)]
    assert events(octets + b" {5}\r\n", command=102)[-1] == Continue(Frame((b"a ",)), 5)


def test_the_number_of_literals_is_bounded():
    octets = b"a ID (" + b" {0}\r\n" * 3
    assert events(octets, literals=2)[-1] == Rejected(b"a", Why.TOO_MANY_LITERALS, close=False)
    assert events(octets, literals=3)[-1] == Continue(Frame((b"a ID ( ",)), 0)
    octets = b"a X" + b" {0+}\r\n" * 3
    assert events(octets, literals=2) == [Rejected(b"a", Why.TOO_MANY_LITERALS, close=True)]
    assert isinstance(events(octets + b"\r\n", literals=3)[-1], Frame)
    two = b"a X {0}\r\n {0}\r\n\r\n"
    assert [type(event) for event in events(two + two, literals=2)] == [Continue, Continue, Frame] * 2


@pytest.mark.parametrize("octet", [b"\0", b"\r", b"\xff"])
def test_behind_a_foreign_octet_no_literal_is_asked_for(octet):
    assert events(b"a X" + octet + b" {1}\r\n") == [Rejected(b"a", Why.BAD_OCTET, close=False)]
    assert events(b"a X {1}\r\ny" + octet + b" {1}\r\n")[1:] == [Rejected(b"a", Why.BAD_OCTET, close=False)]


def test_the_tag_of_a_command_is_known_to_its_end():
    assert events(b"tag X {1+}\r\ny {99}\r\n") == [Rejected(b"tag", Why.LITERAL_TOO_LARGE, close=False)]


@pytest.mark.parametrize(
    "opening", [b'a X "b ', b'a X "b\\', b'a X "\\"', b'a X "" " ', b'a X "b\\" ', b'a"b ', b'a X """ ']
)
def test_a_literal_in_an_open_quoted_string_is_rejected(opening):
    assert events(opening + b"{1}\r\n") == [
        Rejected(b"a" if opening[1:2] == b" " else None, Why.LITERAL_IN_QUOTES, close=False)
    ]
    assert events(opening + b"{1+}\r\n")[0].close


@pytest.mark.parametrize(
    "opening", [b'a X "b" ', b'a X "b\\\\" ', b'a X "\\"" ', b'a X "" ', b"a X (", b"a X \\ "]
)
def test_a_literal_behind_closed_quotes_is_asked_for(opening):
    assert isinstance(events(opening + b"{1}\r\n")[0], Continue)


def test_a_literal_glued_to_a_word_is_not_asked_for():
    assert events(b"a LOGIN{5}\r\n") == [Rejected(b"a", Why.BAD_SYNTAX, close=False)]
    assert events(b"a X {1+}\r\ny{1}\r\n") == [Rejected(b"a", Why.BAD_SYNTAX, close=False)]


@pytest.mark.parametrize(
    "text", [b"{+}", b"{-1}", b"{1 }", b"{ 1}", b"{1++}", b"{1}x", b"{\xb2}", b"1}", b"{0x1}"]
)
def test_what_only_looks_like_a_literal_is_text(text):
    assert events(b"a X " + text + b"\r\n") == [Frame((b"a X " + text,))]


def test_unread_forgets_half_a_command_and_gives_what_was_not_taken():
    made = framer(b"a LOGIN {5}\r\n")
    made.next()
    made.feed(b"al")
    assert made.unread() == b"al"
    made.feed(b"b NOOP\r\n")
    assert made.next() == Frame((b"b NOOP",))


# --- SASL lines --------------------------------------------------------------------------------------------


def test_one_line_is_read_as_sasl():
    made = framer(b"AG\xff{3+}\r\na NOOP\r\n")
    made.expect_sasl()
    assert made.next() == SaslLine(b"AG\xff{3+}")
    assert made.next() == Frame((b"a NOOP",))


def test_a_sasl_line_has_a_limit_of_its_own():
    made = framer(b"x" * 78 + b"\r\n")
    made.expect_sasl()
    assert made.next() == SaslLine(b"x" * 78)
    made.expect_sasl()
    made.feed(b"x" * 79 + b"\r\n")
    assert made.next() == Rejected(None, Why.LINE_TOO_LONG, close=True)


def test_a_sasl_line_ends_with_crlf():
    made = framer(b"AAAA\na NOOP\r\n")
    made.expect_sasl()
    assert made.next() == Rejected(None, Why.BARE_LF, close=False)
    assert made.next() == Frame((b"a NOOP",))


def test_unread_ends_the_sasl_exchange():
    made = framer(b"a NOOP")
    made.expect_sasl()
    made.unread()
    made.feed(b"a NOOP\r\n")
    assert made.next() == Frame((b"a NOOP",))


# --- tag and name ------------------------------------------------------------------------------------------


def test_split_leaves_the_rest_as_it_came():
    head = split(frame(b"a.1 uid FETCH 1:* (BODY[] {1+}\r\nx)\r\n"))
    assert (head.tag, head.name, head.rest) == (b"a.1", b"UID", (b"FETCH 1:* (BODY[] ", Literal(b"x"), b")"))


def test_split_without_arguments():
    assert split(frame(b"a noop\r\n")).rest == (b"",)


@pytest.mark.parametrize(
    ("octets", "tag", "reason"),
    [
        (b"\r\n", None, Why.NO_TAG),
        (b" NOOP\r\n", None, Why.NO_TAG),
        (b"a+b NOOP\r\n", None, Why.NO_TAG),
        (b"\xc3\xa4 NOOP\r\n", None, Why.NO_TAG),
        (b"a\r\n", b"a", Why.NO_NAME),
        (b"a  NOOP\r\n", b"a", Why.NO_NAME),
        (b"a (\r\n", b"a", Why.NO_NAME),
        (b"a NOOP(\r\n", b"a", Why.NO_NAME),
        (b"a NOOP{1+}\r\nx\r\n", b"a", Why.BAD_SYNTAX),
        (b"a X \x00\r\n", b"a", Why.BAD_OCTET),
        (b"a X \r \r\n", b"a", Why.BAD_OCTET),
        (b"a X {1+}\r\ny \xe4\r\n", b"a", Why.BAD_OCTET),
    ],
)
def test_split_says_what_is_wrong(octets, tag, reason):
    with pytest.raises(BadCommand) as caught:
        split(frame(octets))
    assert (caught.value.tag, caught.value.why) == (tag, reason)


# --- arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", ()),
        (b"a@b.c]", (Atom(b"a@b.c]"),)),
        (b'"a \\"b\\\\" ""', (String(b'a "b\\'), String(b""))),
        (b'"tab\there"', (String(b"tab\there"),)),
        (b"{3+}\r\n\xe4\r\n x", (String(b"\xe4\r\n"), Atom(b"x"))),
        (b"()", ((),)),
        (b'(a ("b" ()) {1+}\r\nc) d', ((Atom(b"a"), (String(b"b"), ()), String(b"c")), Atom(b"d"))),
        (b"({1+}\r\nx)", ((String(b"x"),),)),
        (b"a   ", (Atom(b"a"),)),
        (b"   ", ()),
    ],
)
def test_parse(octets, expected):
    assert arguments(octets) == expected


@pytest.mark.parametrize(
    "octets",
    [
        b" a",
        b"a  b",
        b"(a",
        b"(a {1+}\r\nb",
        b"a)",
        b"( a)",
        b"(a )",
        b"(a)b",
        b"a(b)",
        b"()()",
        b'"a"b',
        b'a"b"',
        b'"a',
        b'"a\\b"',
        b"a%",
        b"a*",
        b"\\Seen",
        b"a{b",
        b"a\x7f",
        b"a\tb",
        b"x{1+}\r\ny",
        b"{1+}\r\nyx",
        b"{1+}\r\ny{1+}\r\nz",
    ],
)
def test_parse_refuses(octets):
    assert why(b"a X " + octets + b"\r\n") is Why.BAD_SYNTAX


def test_parse_refuses_nul_in_a_literal():
    assert why(b"a X {1+}\r\n\x00\r\n") is Why.NUL_IN_LITERAL


def test_parse_refuses_what_split_refuses():
    assert why(b"a\r\n") is Why.NO_NAME


def test_lists_nest_so_deep_and_no_deeper():
    assert arguments(b"(((x)))") == ((((Atom(b"x"),),),),)
    assert why(b"a X ((((x))))\r\n") is Why.TOO_DEEP


def test_nothing_a_client_sent_is_in_a_repr():
    framed = frame(b"a LOGIN alice {6+}\r\nsesame\r\n")
    shown = repr(
        (framed, framed.pieces[1], split(framed), parse(framed, nesting=1), arguments(b'x "sesame"'))
    )
    assert "sesame" not in shown
    assert "alice" not in shown

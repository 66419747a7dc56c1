"""SMTP lines, addresses and parameters: what is taken, what is refused, and how it is written anew."""

import pytest

from proxy.limits import SMTP_DOMAIN_OCTETS, SMTP_PATH_OCTETS
from proxy.smtp.grammar import (
    BadCommand,
    Bdat,
    Command,
    Framer,
    Line,
    LineLimits,
    Mailbox,
    NeedData,
    Parameter,
    Rejected,
    Why,
    bdat,
    mail_from,
    rcpt_to,
    reply,
    split,
)


def framer() -> Framer:
    return Framer(LineLimits(command=20, sasl=30))


def events(octets: bytes, made: Framer | None = None) -> list:
    made = made or framer()
    made.feed(octets)
    found = []
    while not isinstance(event := made.next(), NeedData):
        found.append(event)
    return found


# --- lines ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        (b"NOOP\r\nQUIT\r\n", [Line(b"NOOP"), Line(b"QUIT")]),
        (b"\r\n", [Line(b"")]),
        (b"EHLO \xe4\r\n", [Line(b"EHLO \xe4")]),
        (b"NOOP", []),
        (b"NOOP\r", []),
        (b"NOOP\nQUIT\r\nRSET\r\n", [Rejected(Why.BARE_END, b"NOOP"), Line(b"RSET")]),
        (b"noop\n", [Rejected(Why.BARE_END, b"NOOP")]),
        (b"NOOP\rQUIT\r\nRSET\r\n", [Rejected(Why.BARE_END, b"NOOP"), Line(b"RSET")]),
        (b"NOOP\r\r\nRSET\r\n", [Rejected(Why.BARE_END, b"NOOP"), Line(b"RSET")]),
        (b"NOOP\n\r\nRSET\r\n", [Rejected(Why.BARE_END, b"NOOP"), Line(b"RSET")]),
        (b"\nRSET\r\n\r\n", [Rejected(Why.BARE_END, b""), Line(b"")]),
        (b"NO\0OP\r\nRSET\r\n", [Rejected(Why.NUL, b"NO"), Line(b"RSET")]),
        (b"GET /\nHost: x\n\n", [Rejected(Why.BARE_END, b"GET")]),
        (b"1" * 18 + b"\r\n", [Line(b"1" * 18)]),
        (b"1" * 19 + b"\r\nRSET\r\n", [Rejected(Why.LINE_TOO_LONG, b""), Line(b"RSET")]),
        (b"1" * 19 + b"\ry\r\nRSET\r\n", [Rejected(Why.LINE_TOO_LONG, b""), Line(b"RSET")]),
        (b"1" * 20, [Rejected(Why.LINE_TOO_LONG, b"")]),
        (b"1" * 19 + b"\r", [Rejected(Why.LINE_TOO_LONG, b"")]),
        (b"NOOP " + b"1" * 400 + b"\r\nRSET\r\n", [Rejected(Why.LINE_TOO_LONG, b"NOOP"), Line(b"RSET")]),
        (b"auth " + b"1" * 23 + b"\r\n", [Line(b"auth " + b"1" * 23)]),
        (b"AUTH " + b"1" * 24 + b"\r\nRSET\r\n", [Rejected(Why.LINE_TOO_LONG, b"AUTH"), Line(b"RSET")]),
        (b"AUTH_" + b"1" * 15 + b"\r\n", [Rejected(Why.LINE_TOO_LONG, b"")]),
    ],
)
def test_lines_whole_and_byte_by_byte(octets, found):
    assert events(octets) == found
    made = framer()
    assert [event for octet in octets for event in events(bytes([octet]), made)] == found


def test_a_line_of_an_exchange_may_be_longer_and_has_no_verb():
    made = framer()
    made.expect_sasl()
    assert events(b"1" * 28 + b"\r\n", made) == [Line(b"1" * 28)]
    assert events(b"1" * 28 + b"\r\n", made) == [Rejected(Why.LINE_TOO_LONG, b"")]
    made.expect_sasl()
    assert events(b"GET\nx\r\n", made) == [Rejected(Why.BARE_END, b"")]
    assert events(b"GET\nx\r\n", made) == [Rejected(Why.BARE_END, b"GET")]


def test_what_was_not_taken_is_given_back_once():
    made = framer()
    assert events(b"NOOP\r\nRS", made) == [Line(b"NOOP")]
    assert made.held == 2
    assert made.unread() == b"RS"
    assert (made.held, made.unread()) == (0, b"")
    assert events(b"NOOP\r\n", made) == [Line(b"NOOP")]


def test_a_refused_line_is_forgotten_with_the_rest():
    made = framer()
    assert events(b"1" * 40, made) == [Rejected(Why.LINE_TOO_LONG, b"")]
    assert made.held == 0
    made.unread()
    assert events(b"NOOP\r\n", made) == [Line(b"NOOP")]


def test_nothing_of_a_line_is_in_its_repr():
    assert "sesame" not in repr(Line(b"sesame")) + repr(Command(b"AUTH", b"sesame"))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"NOOP", Command(b"NOOP", b"")),
        (b"noop  \t", Command(b"NOOP", b"")),
        (b"EHLO  my host ", Command(b"EHLO", b"my host")),
        (b"X-TEST a", Command(b"X-TEST", b"a")),
        (b"MAIL FROM:<>", Command(b"MAIL", b"FROM:<>")),
    ],
)
def test_split(line, command):
    assert split(line) == command


@pytest.mark.parametrize("line", [b"", b" ", b" NOOP", b"1", b"NOOP\tx", b"\xe4", b"YWxpY2U=", b"x" * 40])
def test_no_command(line):
    with pytest.raises(BadCommand) as error:
        split(line)
    assert error.value.reply == b"500 5.5.2 no command\r\n"


@pytest.mark.parametrize("why", Why)
def test_every_reason_has_a_reply(why):
    assert reply(why)[:4] in (b"500 ", b"501 ", b"550 ", b"553 ")
    assert reply(why).endswith(f" {why}\r\n".encode())


# --- addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "local", "domain", "written"),
    [
        (b"<alice@example.org>", "alice", "example.org", "alice@example.org"),
        (b"<a.b+c=d/e@x>", "a.b+c=d/e", "x", "a.b+c=d/e@x"),
        (b"<!#$%&'*+-/=?^_`{|}~@x-y.z>", "!#$%&'*+-/=?^_`{|}~", "x-y.z", "!#$%&'*+-/=?^_`{|}~@x-y.z"),
        (b'<"alice"@x>', "alice", "x", "alice@x"),
        (b'<"a b"@x>', "a b", "x", '"a b"@x'),
        (b'<"a\\"b\\\\c"@x>', 'a"b\\c', "x", '"a\\"b\\\\c"@x'),
        (b'<"a\\b"@x>', "ab", "x", "ab@x"),
        (b'<"a..b"@x>', "a..b", "x", '"a..b"@x'),
        (b'<"a>b@c"@x>', "a>b@c", "x", '"a>b@c"@x'),
        (b'<""@x>', "", "x", '""@x'),
        (b"<@a,@b.c:alice@x>", "alice", "x", "alice@x"),
        (b"<a@[192.0.2.1]>", "a", "[192.0.2.1]", "a@[192.0.2.1]"),
        (b"<a@[IPv6:2001:db8::1]>", "a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"),
        (b"<a@my_host.x_y>", "a", "my_host.x_y", "a@my_host.x_y"),
        (b"<a@" + b"d" * SMTP_DOMAIN_OCTETS + b">", "a", "d" * 255, "a@" + "d" * 255),
    ],
)
def test_an_address_is_read_and_written_anew(path, local, domain, written):
    command = rcpt_to(b"TO:" + path)
    assert command.recipient == Mailbox(local, domain)
    assert str(command.recipient) == written
    assert command.wire == b"RCPT TO:<" + written.encode() + b">\r\n"
    assert rcpt_to(command.wire.removeprefix(b"RCPT ").rstrip()) == command
    assert mail_from(b"FROM:" + path).sender == command.recipient


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"alice@x",
        b"<alice@x",
        b"alice@x>",
        b"<alice>",
        b"<@x>",
        b"<a@>",
        b"< a@x>",
        b"<a@x >",
        b"<a b@x>",
        b"<a@b@x>",
        b"<a..b@x>",
        b"<.a@x>",
        b"<a.@x>",
        b"<a@x.>",
        b"<a@.x>",
        b"<a@-x>",
        b"<a@x->",
        b"<a@x..y>",
        b'<"a@x>',
        b'<"a"b@x>',
        b'<"a\tb"@x>',
        b'<"a\\"@x>',
        b"<@a:>",
        b"<@a alice@x>",
        b"<@a,b:alice@x>",
        b"<a@[]>",
        b"<a@[192.0.2]>",
        b"<a@[192.0.2.256]>",
        b"<a@[IPv6:192.0.2.1]>",
        b"<a@[tag:x]>",
        b"<a@[192.0.2.1>",
        b"<a@" + b"d" * (SMTP_DOMAIN_OCTETS + 1) + b">",
        b"<" + b"a" * SMTP_PATH_OCTETS + b"@x>",
    ],
)
def test_what_is_no_address(path):
    for read, word, code in ((mail_from, b"FROM:", b"501 5.1.7 "), (rcpt_to, b"TO:", b"501 5.1.3 ")):
        with pytest.raises(BadCommand) as error:
            read(word + path)
        assert error.value.reply.startswith(code)


def test_nobody_may_send_and_nobody_can_receive():
    assert mail_from(b"FROM:<>").sender is None
    assert mail_from(b"FROM:<>").wire == b"MAIL FROM:<>\r\n"
    with pytest.raises(BadCommand, match=Why.BAD_RECIPIENT):
        rcpt_to(b"TO:<>")


def test_postmaster_needs_no_domain_as_a_recipient():
    assert rcpt_to(b"TO:<PostMaster>").wire == b"RCPT TO:<PostMaster>\r\n"
    with pytest.raises(BadCommand, match=Why.BAD_SENDER):
        mail_from(b"FROM:<postmaster>")


@pytest.mark.parametrize("argument", [b"from:<a@x>", b"FROM: <a@x>", b"From:   <a@x> "])
def test_spaces_behind_the_colon_are_tolerated(argument):
    assert mail_from(argument).wire == b"MAIL FROM:<a@x>\r\n"


@pytest.mark.parametrize("argument", [b"", b"FROM", b"FROM :<a@x>", b"<a@x>", b"TO:<a@x>", b"FROM:\t<a@x>"])
def test_the_word_must_be_there(argument):
    with pytest.raises(BadCommand):
        mail_from(argument)


@pytest.mark.parametrize(
    ("argument", "chunk"),
    [
        (b"0", Bdat(0, last=False)),
        (b"007 last", Bdat(7, last=True)),
        (b"1   LAST", Bdat(1, last=True)),
        (b"9" * 18, Bdat(10**18 - 1, last=False)),
    ],
)
def test_a_chunk(argument, chunk):
    assert bdat(argument) == chunk
    assert bdat(chunk.wire.removeprefix(b"BDAT ").rstrip()) == chunk


@pytest.mark.parametrize(
    "argument", [b"", b"LAST", b"-1", b"+1", b"1.0", b"1LAST", b"1 FIRST", b"1 LAST x", b"9" * 19, b"\xb2"]
)
def test_what_is_no_chunk(argument):
    with pytest.raises(BadCommand, match=Why.BAD_ARGUMENT):
        bdat(argument)


# --- parameters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        (b"", ()),
        (b" SIZE=100", (Parameter("SIZE", "100"),)),
        (b"  size=00000000000000000001  ", (Parameter("SIZE", "00000000000000000001"),)),
        (b" BODY=8bitmime SMTPUTF8", (Parameter("BODY", "8bitmime"), Parameter("SMTPUTF8", None))),
        (b" RET=HDRS ENVID=a+2Bb", (Parameter("RET", "HDRS"), Parameter("ENVID", "a+2Bb"))),
        (b" NOTIFY=success,Failure", (Parameter("NOTIFY", "success,Failure"),)),
        (b" ORCPT=utf-8;j\\x{F6}rg@x", (Parameter("ORCPT", "utf-8;j\\x{F6}rg@x"),)),
        (b" ORCPT=rfc822;bob@x", (Parameter("ORCPT", "rfc822;bob@x"),)),
        (b" HOLDFOR=60 X-Y", (Parameter("HOLDFOR", "60"), Parameter("X-Y", None))),
    ],
)
def test_parameters(words, parameters):
    assert mail_from(b"FROM:<a@x>" + words).parameters == parameters
    assert rcpt_to(b"TO:<a@x>" + words).parameters == parameters


def test_parameters_are_written_anew():
    assert mail_from(b"FROM:<a@x>  size=9  body=7BIT").wire == b"MAIL FROM:<a@x> SIZE=9 BODY=7BIT\r\n"


@pytest.mark.parametrize("words", [b" AUTH=<>", b" auth=alice@x", b" AUTH"])
def test_auth_is_left_out(words):
    assert mail_from(b"FROM:<a@x> SIZE=1" + words).wire == b"MAIL FROM:<a@x> SIZE=1\r\n"


@pytest.mark.parametrize(
    "words",
    [
        b"SIZE=1",
        b" =1",
        b" -A=1",
        b" SIZE=",
        b" SIZE",
        b" SIZE=1x",
        b" SIZE=-1",
        b" SIZE=" + b"1" * 21,
        b" SIZE=1 SIZE=1",
        b" SIZE=1 size=2",
        b" A=b=c",
        b" A=\x01",
        b" A=b\tC=d",
        b" A_B=c",
        b" BODY=9BIT",
        b" BODY",
        b" SMTPUTF8=1",
        b" RET=ALL",
        b" ENVID=a+2b",
        b" ENVID=a+0D+0ASubject:+20x",  # the line it stands in would end there
        b" ENVID=a+00",
        b" ENVID=a+7F",
        b" ENVID=a+80",
        b" ORCPT=rfc822;a+0Ab",
        b" ENVID=" + b"a" * 101,
        b" NOTIFY=NEVER,SUCCESS",
        b" NOTIFY=",
        b" ORCPT=bob@x",
        " ORCPT=rfc822;jörg@x".encode(),
        " ORCPT=utf-8;j\x85rg@x".encode(),
        " ENVID=ö".encode(),
        " BODY=8B\u0131TMIME".encode(),
        " NOTIFY=\u017fUCCESS".encode(),
        " X=ö".encode(),
        b" ORCPT=rfc822;" + b"a" * 501,
        b"".join(b" A%d=1" % number for number in range(21)),
    ],
)
def test_what_is_no_parameter(words):
    with pytest.raises(BadCommand) as error:
        mail_from(b"FROM:<a@x>" + words)
    assert error.value.reply == b"501 5.5.4 bad parameter\r\n"

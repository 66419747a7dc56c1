"""What may be said when, and what goes upstream of it: one table, and where the session stands behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.smtp.grammar import Bdat, Line, Rejected, Why
from proxy.smtp.offer import Extra, Offer
from proxy.smtp.reply import Reply
from proxy.smtp.steps import (
    Forward,
    HangUp,
    Introduce,
    Leave,
    Say,
    SkipChunk,
    TakeChunk,
    TakeMessage,
    Verb,
)
from proxy.smtp.transaction import Transaction

ALL = {"SIZE": "", "8BITMIME": "", "PIPELINING": "", "DSN": "", "SMTPUTF8": ""}
YES, NO = Reply(250, (b"Ok",)), Reply(550, (b"no",))


def fresh(offers=ALL, *extras: Extra) -> Transaction:
    return Transaction(offers, Offer(size_octets=1000, extras=extras))


def step(where: Transaction, line: bytes):
    return where.step(Line(line))


def at(place: str) -> Transaction:
    where = fresh()
    if place != "idle":
        where.answered(Verb.MAIL, YES) if isinstance(step(where, b"MAIL FROM:<a@b.c>"), Forward) else None
    if place == "recipients":
        step(where, b"RCPT TO:<a@b.c>")
        where.answered(Verb.RCPT, YES)
    return where


def forward(verb: str, command: bytes) -> Forward:
    return Forward(Verb(verb), command + b"\r\n")


NOT_HERE = Say(b"502 5.5.1 not available here\r\n")
ANYWHERE = {
    b"RSET": forward("RSET", b"RSET"),
    b"rset ": forward("RSET", b"RSET"),
    b"RSET now": Say(b"501 5.5.4 no argument is taken here\r\n"),
    b"NOOP": forward("NOOP", b"NOOP"),
    b"NOOP what ever": forward("NOOP", b"NOOP"),
    b"VRFY bob": forward("VRFY", b"VRFY bob"),
    b"VRFY": Say(b"501 5.5.4 whom?\r\n"),
    b"VRFY b\xffb": Say(b"501 5.5.4 whom?\r\n"),
    b"VRFY b\x1bb": Say(b"501 5.5.4 whom?\r\n"),
    b"QUIT": Leave(),
    b"QUIT now": Say(b"501 5.5.4 no argument is taken here\r\n"),
    b"AUTH PLAIN AAAA": Say(b"503 5.5.1 already signed in\r\n"),
    b"STARTTLS": Say(b"503 5.5.1 TLS is there already\r\n"),
    b"XCLIENT ADDR=192.0.2.1": NOT_HERE,
    b"XFORWARD ADDR=192.0.2.1": NOT_HERE,
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2": NOT_HERE,
    b"ETRN example.org": NOT_HERE,
    b"HELP": NOT_HERE,
    b"EXPN staff": NOT_HERE,
    b"TURN": NOT_HERE,
    b"BURL imap://x": NOT_HERE,
    b"XEVIL": Say(b"500 5.5.1 unknown command\r\n"),
    b"MAIL": Say(b"501 5.5.4 bad argument\r\n"),
    b"": Say(b"500 5.5.2 no command\r\n"),
    b"BDAT 5 LAST": HangUp(
        b"503 5.5.1 CHUNKING is not offered\r\n421 4.7.0 what follows BDAT is no command, closing\r\n"
    ),
}


@pytest.mark.parametrize("place", ["idle", "sender", "recipients"])
@pytest.mark.parametrize("line", ANYWHERE)
def test_what_is_the_same_anywhere(place, line):
    assert step(at(place), line) == ANYWHERE[line]


MAIL = Forward(Verb.MAIL, b"MAIL FROM:<a@b.c>\r\n", "a@b.c")
PLACES = {
    ("idle", b"MAIL FROM:<a@b.c>"): MAIL,
    ("idle", b"mail from: <a@b.c> "): MAIL,
    ("idle", b"MAIL FROM:<>"): Forward(Verb.MAIL, b"MAIL FROM:<>\r\n", None),
    ("idle", b"RCPT TO:<a@b.c>"): Say(b"503 5.5.1 MAIL first\r\n"),
    ("idle", b"DATA"): Say(b"503 5.5.1 MAIL first\r\n"),
    ("idle", b"EHLO x"): Introduce(extended=True, reset=False),
    ("idle", b"HELO x"): Introduce(extended=False, reset=False),
    ("sender", b"MAIL FROM:<a@b.c>"): Say(b"503 5.5.1 a transaction is open, RSET first\r\n"),
    ("sender", b"RCPT TO:<a@b.c>"): forward("RCPT", b"RCPT TO:<a@b.c>"),
    ("sender", b"RCPT TO:<@x,@y:a@b.c>"): forward("RCPT", b"RCPT TO:<a@b.c>"),
    ("sender", b"DATA"): Say(b"503 5.5.1 RCPT first\r\n"),
    ("sender", b"EHLO x"): Introduce(extended=True, reset=True),
    ("recipients", b"MAIL FROM:<a@b.c>"): Say(b"503 5.5.1 a transaction is open, RSET first\r\n"),
    ("recipients", b"RCPT TO:<postmaster>"): forward("RCPT", b"RCPT TO:<postmaster>"),
    ("recipients", b"DATA"): TakeMessage(),
    ("recipients", b"DATA now"): Say(b"501 5.5.4 no argument is taken here\r\n"),
    ("recipients", b"HELO x"): Introduce(extended=False, reset=True),
}


@pytest.mark.parametrize(("place", "line"), PLACES)
def test_what_depends_on_the_place(place, line):
    assert step(at(place), line) == PLACES[place, line]


NOT_OFFERED = b"555 5.5.4 a parameter that is not offered here\r\n"
EIGHT = b"555 5.6.3 the server behind takes no BODY=8BITMIME\r\n"
PARAMETERS = {
    (b"SIZE=1000", "all"): b"MAIL FROM:<a@b.c> SIZE=1000",
    (b"size=0", "all"): b"MAIL FROM:<a@b.c> SIZE=0",
    (b"SIZE=1001", "all"): b"552 5.3.4 the message is larger than 1000 octets\r\n",
    (b"SIZE=1001", "none"): b"552 5.3.4 the message is larger than 1000 octets\r\n",
    (b"SIZE=1000", "none"): b"MAIL FROM:<a@b.c>",
    (b"SIZE=many", "all"): b"501 5.5.4 bad parameter\r\n",
    (b"BODY=8BITMIME SIZE=1", "all"): b"MAIL FROM:<a@b.c> BODY=8BITMIME SIZE=1",
    (b"body=8bitmime", "all"): b"MAIL FROM:<a@b.c> BODY=8bitmime",
    (b"BODY=8BITMIME", "none"): EIGHT,
    (b"BODY=7BIT", "all"): b"MAIL FROM:<a@b.c> BODY=7BIT",
    (b"BODY=7BIT", "none"): b"MAIL FROM:<a@b.c>",
    (b"BODY=BINARYMIME", "all"): NOT_OFFERED,
    (b"AUTH=<>", "all"): b"MAIL FROM:<a@b.c>",
    (b"AUTH=ceo@x.org", "all"): b"MAIL FROM:<a@b.c>",
    (b"SMTPUTF8", "all"): NOT_OFFERED,
    (b"RET=FULL", "all"): NOT_OFFERED,
    (b"ENVID=x", "all"): NOT_OFFERED,
    (b"NOTIFY=NEVER", "all"): NOT_OFFERED,
    (b"XEVIL=1", "all"): NOT_OFFERED,
}


@pytest.mark.parametrize(("parameters", "offers"), PARAMETERS)
def test_parameters_of_mail(parameters, offers):
    told = PARAMETERS[parameters, offers]
    where = fresh(ALL if offers == "all" else {})
    got = step(where, b"MAIL FROM:<a@b.c> " + parameters)
    if told.startswith(b"MAIL"):
        assert got == Forward(Verb.MAIL, told + b"\r\n", "a@b.c")
    else:
        assert got == Say(told)
        assert step(where, b"RCPT TO:<a@b.c>") == Say(b"503 5.5.1 MAIL first\r\n")


@pytest.mark.parametrize(
    "parameter", [b"NOTIFY=NEVER", b"ORCPT=rfc822;a@b.c", b"SIZE=1", b"BODY=7BIT", b"X=1"]
)
def test_parameters_of_rcpt(parameter):
    assert step(at("sender"), b"RCPT TO:<a@b.c> " + parameter) == Say(NOT_OFFERED)


def test_what_is_promised_passes_where_the_upstream_has_it():
    where = fresh(ALL, Extra.DSN)
    mail = b"MAIL FROM:<a@b.c> RET=HDRS ENVID=x"
    rcpt = b"RCPT TO:<a@b.c> NOTIFY=NEVER ORCPT=rfc822;a@b.c"
    assert step(where, mail) == Forward(Verb.MAIL, mail + b"\r\n", "a@b.c")
    assert step(where, rcpt) == Forward(Verb.RCPT, rcpt + b"\r\n")
    assert step(fresh({}, Extra.DSN), mail) == Say(NOT_OFFERED)


def test_no_limit_is_no_limit():
    where = Transaction(ALL, Offer(size_octets=0))
    assert isinstance(step(where, b"MAIL FROM:<a@b.c> SIZE=99999999999"), Forward)


def test_where_it_stands_follows_the_upstreams_replies():
    where = fresh()
    step(where, b"MAIL FROM:<a@b.c>")
    assert isinstance(step(where, b"RCPT TO:<a@b.c>"), Forward)  # before the reply to MAIL
    where.answered(Verb.MAIL, NO)
    where.answered(Verb.RCPT, NO)
    assert step(where, b"DATA") == Say(b"503 5.5.1 MAIL first\r\n")
    step(where, b"MAIL FROM:<a@b.c>")
    where.answered(Verb.MAIL, YES)
    step(where, b"RCPT TO:<a@b.c>")
    where.answered(Verb.RCPT, NO)
    assert step(where, b"DATA") == Say(b"554 5.5.1 no valid recipients\r\n")
    step(where, b"RCPT TO:<a@b.c>")
    where.answered(Verb.RCPT, YES)
    assert step(where, b"DATA") == TakeMessage()
    where.answered(Verb.RSET, NO)
    assert step(where, b"DATA") == TakeMessage()
    where.answered(Verb.RSET, YES)
    assert step(where, b"DATA") == Say(b"503 5.5.1 MAIL first\r\n")


@pytest.mark.parametrize("over", ["closed", "accepted"])
def test_a_message_ends_its_transaction(over):
    where = at("recipients")
    getattr(where, over)()
    assert step(where, b"DATA") == Say(b"503 5.5.1 MAIL first\r\n")


def test_too_many_bad_commands_end_the_session_and_a_message_pays_for_them():
    where = fresh()
    for _ in range(10):
        assert isinstance(step(where, b"XEVIL"), Say)
    where.accepted()
    for _ in range(10):
        assert isinstance(where.step(Rejected(Why.BARE_END, b"MAIL")), Say)
    assert step(where, b"XEVIL") == HangUp(b"421 4.7.0 too many bad commands\r\n")


UNCOUNTED = b"421 4.7.0 what follows BDAT is no command, closing\r\n"
CHUNKS = {**ALL, "CHUNKING": ""}


def chunked(offers=CHUNKS) -> Transaction:
    """A transaction with a recipient, where BDAT is offered."""
    where = fresh(offers, Extra.CHUNKING)
    step(where, b"MAIL FROM:<a@b.c>")
    step(where, b"RCPT TO:<a@b.c>")
    where.answered(Verb.RCPT, YES)
    return where


def test_bdat_ends_the_session_though_its_line_is_broken():
    broken = fresh().step(Rejected(Why.LINE_TOO_LONG, b"BDAT"))
    assert broken == HangUp(b"500 5.5.2 line too long\r\n" + UNCOUNTED)


def test_chunks_are_taken_until_the_last():
    where = chunked()
    assert step(where, b"BDAT 600") == TakeChunk(Bdat(600, last=False))
    where.chunk_answered(Bdat(600, last=False), YES)
    assert where.awaits_chunks
    assert step(where, b"BDAT 400 LAST") == TakeChunk(Bdat(400, last=True))
    where.chunk_answered(Bdat(400, last=True), YES)
    assert not where.awaits_chunks
    assert step(where, b"BDAT 0") == SkipChunk(0, b"503 5.5.1 MAIL first\r\n")


def test_the_size_counts_over_all_chunks():
    where = chunked()
    where.chunk_answered(Bdat(600, last=False), YES)
    refusal = b"552 5.3.4 the message is larger than 1000 octets\r\n"
    assert step(where, b"BDAT 401") == SkipChunk(401, refusal)
    assert step(where, b"BDAT 7 LAST") == SkipChunk(
        7, b"503 5.5.1 a chunk before this one was refused, RSET first\r\n", resets=True
    )


def test_chunks_that_are_refused_are_no_bad_commands_and_yet_bounded():
    where = fresh(CHUNKS, Extra.CHUNKING)
    most = 128 * 1_048_576
    for _ in range(100):
        assert isinstance(step(where, b"BDAT %d" % (most // 100)), SkipChunk)
    assert step(where, b"BDAT %d" % (most // 100)) == HangUp(b"503 5.5.1 MAIL first\r\n" + UNCOUNTED)


def test_a_message_pays_for_chunks_that_were_refused():
    where = fresh(CHUNKS, Extra.CHUNKING)
    for _ in range(3):
        assert isinstance(step(where, b"BDAT %d" % (100 * 1_048_576)), SkipChunk)
        where.accepted()


def test_an_upstream_without_chunking_is_told_apart():
    where = chunked(ALL)
    assert step(where, b"BDAT 5") == SkipChunk(5, b"555 5.5.4 the server behind takes no BDAT\r\n")
    assert not where.awaits_chunks


@given(st.binary(max_size=60), st.sampled_from([b"MAIL FROM:", b"RCPT TO:", b"VRFY ", b"NOOP ", b""]))
def test_whatever_goes_upstream_is_one_clean_line(octets, begin):
    line = begin + octets.translate(None, b"\r\n\0")
    got = at("sender").step(Line(line)) if begin == b"RCPT TO:" else fresh().step(Line(line))
    if isinstance(got, Forward):
        assert got.command.endswith(b"\r\n")
        assert got.command[:-2].decode("ascii").isprintable()

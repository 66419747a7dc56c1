"""Addresses beyond ASCII: where MAIL says SMTPUTF8 they pass as they came, elsewhere not at all. RFC 6531."""

from __future__ import annotations

import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits import SMTP_DOMAIN_OCTETS, SMTP_PATH_OCTETS
from proxy.smtp.grammar import BadCommand, Line, Why, mail_from, rcpt_to, vrfy
from proxy.smtp.offer import Extra, Offer
from proxy.smtp.reply import Reply
from proxy.smtp.sender import SenderRule, not_own
from proxy.smtp.steps import Forward, Say, Verb
from proxy.smtp.transaction import Transaction
from support.imap_stage import GRANT
from support.smtp_stage import EXTENSIONS, OK, Addresses, Stage, message
from support.sockets import on_both_loops

BEYOND = ["<jörg@x>", "<a@bücher.example>", '<"j ö"@x>', "<用户@例子.广告>", "<a\u0308@x>", "<\U0001f600@x>"]


@pytest.mark.parametrize("path", BEYOND)
def test_beyond_ascii_with_smtputf8_an_address_is_written_as_it_came(path):
    mail = mail_from(b"FROM:" + path.encode() + b" SMTPUTF8 BODY=8BITMIME")
    assert mail.utf8
    assert mail.wire == b"MAIL FROM:" + path.encode() + b" SMTPUTF8 BODY=8BITMIME\r\n"
    assert rcpt_to(b"TO:" + path.encode(), utf8=True).wire == b"RCPT TO:" + path.encode() + b"\r\n"


@pytest.mark.parametrize("path", BEYOND)
def test_beyond_ascii_without_smtputf8(path):
    with pytest.raises(BadCommand) as error:
        mail_from(b"FROM:" + path.encode())
    assert error.value.reply == b"550 5.6.7 a sender beyond ASCII needs SMTPUTF8\r\n"
    with pytest.raises(BadCommand) as error:
        rcpt_to(b"TO:" + path.encode())
    assert error.value.reply == b"553 5.6.7 a recipient beyond ASCII needs SMTPUTF8 at MAIL\r\n"


@pytest.mark.parametrize(
    "path",
    [
        b"<\xe4@x>",
        b"<\xc3@x>",
        b"<\xc0\xafa@x>",
        b"<\xed\xa0\x80@x>",
        "<a\x85b@x>".encode(),
        "<a\u2028b@x>".encode(),
        "<a\xa0b@x>".encode(),
        "<a@x\u3000y>".encode(),
        "<a@x\u3002y>".encode(),
        "<a@x\uff0ey>".encode(),
        "<a@x\uff61y>".encode(),
        "<a\uff20x>".encode(),
        "<@\x9f:a@x>".encode(),
        "<a@[١٢٧.0.0.1]>".encode(),
        "<{}@x>".format("ä" * (SMTP_PATH_OCTETS // 2)).encode(),
        "<a@{}>".format("ä" * (SMTP_DOMAIN_OCTETS // 2 + 1)).encode(),
    ],
)
def test_what_is_no_address_beyond_ascii_either(path):
    with pytest.raises(BadCommand, match=Why.BAD_SENDER):
        mail_from(b"FROM:" + path + b" SMTPUTF8")
    with pytest.raises(BadCommand, match=Why.BAD_RECIPIENT):
        rcpt_to(b"TO:" + path, utf8=True)


@pytest.mark.parametrize(
    ("argument", "wire"),
    [
        (b"bob", b"VRFY bob\r\n"),
        (b"Bob <bob@x>", b"VRFY Bob <bob@x>\r\n"),
        (b"bob  smtputf8", b"VRFY bob SMTPUTF8\r\n"),
        (b"smtputf8", b"VRFY smtputf8\r\n"),
        ("jörg".encode(), "VRFY jörg\r\n".encode()),
        ("jörg SMTPUTF8".encode(), "VRFY jörg SMTPUTF8\r\n".encode()),
        ("jörg \u017fMTPUTF8".encode(), "VRFY jörg \u017fMTPUTF8\r\n".encode()),
    ],
)
def test_whom_to_verify(argument, wire):
    assert vrfy(argument).wire == wire
    assert vrfy(argument).utf8 == wire.endswith(b" SMTPUTF8\r\n")


@pytest.mark.parametrize("argument", [b"", b"b\xffb", b"b\x1bb", b"b\tb", b"b\x7f", "b\x85".encode()])
def test_nobody_to_verify(argument):
    with pytest.raises(BadCommand) as error:
        vrfy(argument)
    assert error.value.reply == b"501 5.5.4 whom?\r\n"


def test_the_original_recipient_may_be_utf8_where_addresses_may():
    line = "TO:<a@x> ORCPT=utf-8;jörg@bücher.example".encode()
    assert rcpt_to(line, utf8=True).wire == b"RCPT " + line + b"\r\n"
    with pytest.raises(BadCommand, match=Why.RECIPIENT_NOT_ASCII):
        rcpt_to(line)


octets = st.lists(
    st.sampled_from([b"FROM:<", b"@", b">", b" SMTPUTF8", b'"', b"\\", b".", b"a", b"ORCPT=utf-8;", b" X="])
    | st.text(max_size=3).map(str.encode)
    | st.sampled_from([b"\xff", b"\xc2\x85", b"\xe2\x80\xa8", b"\xed\xa0\x80"]),
    max_size=12,
).map(b"".join)


@given(octets)
def test_what_is_taken_is_one_line_of_text_and_is_read_again(octets):
    argument = b"FROM:<" + octets.translate(None, b"\r\n\0")
    with suppress(BadCommand):
        mail = mail_from(argument)
        line = mail.wire.removeprefix(b"MAIL ").removesuffix(b"\r\n")
        categories = {unicodedata.category(each) for each in line.decode().replace(" ", "")}
        assert categories.isdisjoint({"Cc", "Zs", "Zl", "Zp"})
        assert mail.utf8 or line.isascii()
        assert mail_from(line) == mail


# --- in a transaction -------------------------------------------------------------------------------------

JOERG = "jörg@bücher.example"
MAIL = f"MAIL FROM:<{JOERG}> SMTPUTF8".encode()
RCPT = "RCPT TO:<用户@例子.广告>".encode()
ALL = {**EXTENSIONS, "SMTPUTF8": ""}
NOT_OFFERED = Say(b"555 5.5.4 a parameter that is not offered here\r\n")
NOT_BEHIND = Say(b"555 5.6.7 the server behind takes no SMTPUTF8\r\n")


def fresh(offers=ALL, *extras: Extra) -> Transaction:
    return Transaction(offers, Offer(size_octets=0, extras=extras))


def step(where: Transaction, line: bytes):
    return where.step(Line(line))


def test_smtputf8_opens_a_transaction_for_addresses_beyond_ascii():
    where = fresh(ALL, Extra.SMTPUTF8)
    assert step(where, MAIL) == Forward(Verb.MAIL, MAIL + b"\r\n", JOERG, utf8=True)
    assert step(where, RCPT) == Forward(Verb.RCPT, RCPT + b"\r\n", utf8=True)


def test_without_it_the_next_transaction_is_ascii_again():
    where = fresh(ALL, Extra.SMTPUTF8)
    step(where, MAIL)
    where.closed()
    assert step(where, b"MAIL FROM:<a@b.c>") == Forward(Verb.MAIL, b"MAIL FROM:<a@b.c>\r\n", "a@b.c")
    assert step(where, RCPT) == Say(b"553 5.6.7 a recipient beyond ASCII needs SMTPUTF8 at MAIL\r\n")
    assert step(where, b"RCPT TO:<a@b.c>") == Forward(Verb.RCPT, b"RCPT TO:<a@b.c>\r\n")


@pytest.mark.parametrize(
    "line", [MAIL, b"MAIL FROM:<a@b.c> SMTPUTF8", b"VRFY bob SMTPUTF8", "VRFY ö".encode()]
)
def test_it_is_refused_where_it_is_not_offered_or_not_there(line):
    assert step(fresh(), line) == NOT_OFFERED
    assert step(fresh(EXTENSIONS, Extra.SMTPUTF8), line) == NOT_BEHIND


@pytest.mark.parametrize(
    ("line", "utf8"),
    [(b"VRFY bob", False), ("VRFY jörg".encode(), False), ("VRFY jörg SMTPUTF8".encode(), True)],
)
def test_vrfy_may_ask_for_utf8_in_the_reply(line, utf8):
    assert step(fresh(ALL, Extra.SMTPUTF8), line) == Forward(Verb.VRFY, line + b"\r\n", utf8=utf8)


# --- replies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("2.1.5 <jörg@x>".encode(), "250 2.1.5 <jörg@x>\r\n"),
        (b"2.1.5 <j\xf6rg@x>", "250 2.1.5 <j?rg@x>\r\n"),
        ("2.1.5 a\x85b\u2028c\u202ed\x1b[e".encode(), "250 2.1.5 a?b?c?d?[e\r\n"),
    ],
)
def test_a_reply_in_utf8_is_text(said, heard):
    assert Reply(250, (said,)).wire_utf8 == heard.encode()


@given(st.binary(max_size=1200) | st.text(max_size=600).map(str.encode))
def test_a_reply_in_utf8_is_a_line_of_whole_characters(text):
    line = Reply(250, (text,)).wire_utf8
    assert len(line) <= 512
    assert line.decode().removesuffix("\r\n").isprintable()


@pytest.mark.parametrize(("utf8", "shown"), [(True, "jörg@bücher.example"), (False, "j?rg@b?cher.example")])
def test_the_refusal_of_a_sender_shows_it_where_it_may(utf8, shown):
    first, last, end = not_own(JOERG, GRANT, utf8=utf8).decode().split("\r\n")
    assert first == f"550-5.7.1 {shown} is not an address of alice@example.org to send as"
    assert shown in last
    assert end == ""


@pytest.mark.parametrize("char", ["x", "ö", "\U0001f600"])
def test_the_refusal_of_a_long_sender_is_two_lines_of_whole_characters(char):
    lines = not_own(char * 1000 + "@x", GRANT, utf8=True).split(b"\r\n")
    assert [len(line.decode().encode()) > 500 for line in lines] == [True, True, False]
    assert all(len(line) <= 510 for line in lines)


# --- a session --------------------------------------------------------------------------------------------


def utf8_stage(**changes) -> Stage:
    stage = Stage(extensions=dict(ALL))
    return stage.set(offer=Offer(size_octets=1_000_000, extras=(Extra.SMTPUTF8,)), **changes)


@on_both_loops
async def test_a_message_of_and_for_people_beyond_ascii():
    stage = utf8_stage()
    moved = "551 5.1.6 try <用户@x>\r\n".encode()
    stage.sink_options["answers"] = {"RCPT": [moved, OK], "VRFY": ["252 2.1.5 jörg\r\n".encode()]}
    async with stage.session() as client:
        assert await client.ask(MAIL + b"\r\n" + RCPT + b"\r\n" + RCPT + b"\r\n", 3) == OK + moved + OK
        assert await client.ask(b"DATA\r\n") == b"354 go on\r\n"
        assert await client.ask(message(1, "grüß".encode())) == b"250 2.0.0 Ok: queued as 1\r\n"
        assert await client.ask("VRFY jörg\r\n".encode()) == b"252 2.1.5 j??rg\r\n"
        assert await client.ask("VRFY jörg SMTPUTF8\r\n".encode()) == "252 2.1.5 jörg\r\n".encode()
    assert stage.sink.commands[:3] == [MAIL, RCPT, RCPT]
    assert stage.sink.delivered == {"<1>": 1}


@pytest.mark.parametrize(
    ("sender", "its_own"),
    [
        (JOERG, True),
        ("JÖRG@BÜCHER.example", True),
        ("jo\u0308rg@bücher.example", True),
        ("jörg+shop@bücher.example", False),
        ("jöry@bücher.example", False),
        ("jörg\u200d@bücher.example", False),
        ("\uff4aörg@bücher.example", False),
    ],
)
@on_both_loops
async def test_the_rule_for_senders_knows_addresses_beyond_ascii(sender, its_own):
    stage = utf8_stage(rule=SenderRule.OWN, senders=Addresses(("alice@example.org", JOERG)))
    async with stage.session() as client:
        said = await client.ask(f"MAIL FROM:<{sender}> SMTPUTF8\r\n".encode(), 1 if its_own else 2)
        assert said == OK if its_own else said.startswith(b"550-5.7.1 ")


@pytest.mark.parametrize("utf8", [True, False])
@on_both_loops
async def test_the_rule_shows_a_from_beyond_ascii_where_the_client_takes_it(utf8):
    stage = utf8_stage(rule=SenderRule.OWN, senders=Addresses())
    async with stage.session() as client:
        await client.ask(b"MAIL FROM:<>%b\r\nRCPT TO:<a@b.c>\r\n" % (b" SMTPUTF8" if utf8 else b""), 2)
        await client.ask(b"DATA\r\n")
        said = (await client.ask(f"From: {JOERG}\r\n\r\n.\r\n".encode(), 2)).decode()
        assert said.startswith(f"550-5.7.1 {JOERG if utf8 else 'j?rg@b?cher.example'} is not")
    assert stage.sink.messages == []

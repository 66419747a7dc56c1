"""The sender rule in a session: the envelope at MAIL, the header before the upstream hears of a message."""

from __future__ import annotations

import asyncio
import logging

import pytest

from proxy.limits import SMTP_HEADER_OCTETS
from proxy.smtp.sender import SenderRule
from support.imap_stage import soon
from support.smtp_sink import CLOSE
from support.smtp_stage import CLOSING, FAILED, OK, OPEN, Addresses, Stage, message
from support.sockets import on_both_loops

OURS = b"354 end with <CR><LF>.<CR><LF>\r\n"
QUEUED = b"250 2.0.0 Ok: queued as 1\r\n"
REFUSED = (
    b"550-5.7.1 ceo@x.org is not an address of alice@example.org to send as\r\n"
    b"550 5.7.1 to add it: wicketgate account sender add alice@example.org ceo@x.org\r\n"
)
FOREIGN = message(1).replace(b"alice@example.org", b"ceo@x.org")
SEVERAL = b"From: alice@example.org\r\n" + message(1)


def stage(rule: SenderRule = SenderRule.OWN, listed: Addresses | None = None) -> Stage:
    return Stage().set(rule=rule, senders=listed or Addresses())


@pytest.mark.parametrize(
    "sender", [b"alice@example.org", b"Alice+x@Example.org", b"sales@example.org", b"who@example.net", b""]
)
@on_both_loops
async def test_an_envelope_of_its_own(sender):
    play = stage()
    async with play.session() as client:
        assert await client.ask(b"MAIL FROM:<" + sender + b">\r\n") == OK
    assert play.sink.commands == [b"MAIL FROM:<" + sender + b">"]
    assert play.settings.senders.asked == (["ac_1"] if sender else [])


@on_both_loops
async def test_an_envelope_that_is_not_its_own():
    play = stage()
    async with play.session() as client:
        assert await client.ask(b"MAIL FROM:<ceo@x.org>\r\nRCPT TO:<a@b.c>\r\n", 3) == (
            REFUSED + b"503 5.5.1 MAIL first\r\n"
        )
        assert await client.ask(b"MAIL FROM:<alice@example.org>\r\n") == OK
    assert play.sink.commands == [b"MAIL FROM:<alice@example.org>"]


@on_both_loops
async def test_who_may_send_as_what_is_asked_anew_for_each_message():
    play = stage()
    async with play.session() as client:
        assert (await client.ask(b"MAIL FROM:<ceo@x.org>\r\n", 2)) == REFUSED
        play.settings.senders.listed = ("ceo@x.org",)
        assert await client.ask(b"MAIL FROM:<ceo@x.org>\r\n") == OK


@pytest.mark.parametrize("rule", [SenderRule.OWN, SenderRule.REPORT])
@on_both_loops
async def test_a_store_that_cannot_answer_is_an_outage(rule):
    play = stage(rule, Addresses(None))
    async with play.session() as client:
        said = await client.ask(b"MAIL FROM:<alice@example.org>\r\n")
    assert said.startswith(b"451 4.3.0 whose" if rule is SenderRule.OWN else OK)


@on_both_loops
async def test_a_header_of_its_own_goes_upstream_whole():
    play = stage()
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        assert play.sink.commands[-1] == b"RCPT TO:<bob@example.net>"
        assert await client.ask(message(1, b"..\r\n...x")) == QUEUED
        assert await client.ask(b"QUIT\r\n") == b"221 2.0.0 bye\r\n"
    assert play.sink.messages[0] + b".\r\n" == message(1, b"..\r\n...x")


HEADERS = {
    "foreign": (FOREIGN, REFUSED),
    "several": (SEVERAL, b"550 5.7.1 the message has more than one From field\r\n"),
    "unreadable": (
        FOREIGN.replace(b"ceo@x.org", b"<ceo@x.org"),
        b"550 5.7.1 the message has a From field that cannot be read\r\n",
    ),
    "foreign in a folded line": (FOREIGN.replace(b"From: ", b"From:\r\n "), REFUSED),
    "a header alone": (b"From: ceo@x.org\r\n.\r\n", REFUSED),
}


@pytest.mark.parametrize("name", HEADERS)
@on_both_loops
async def test_a_header_that_is_refused_never_reaches_the_upstream_and_the_session_goes_on(name):
    wire, said = HEADERS[name]
    play = stage()
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        assert await client.ask(wire + OPEN, said.count(b"\n") + 3) == said + OK + OK + OURS
        assert await client.ask(message(2)) == QUEUED
    assert play.sink.commands[2] == b"RSET"
    assert play.sink.commands.count(b"DATA") == 1
    assert play.sink.delivered == {"<2>": 1}


@pytest.mark.parametrize(
    "wire", [b".\r\n", b"\r\nFrom: ceo@x.org\r\n.\r\n", b"Subject: x\r\n\r\nhi\r\n.\r\n"]
)
@on_both_loops
async def test_a_message_without_from_passes(wire):
    play = stage()
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        assert await client.ask(wire) == QUEUED
    assert play.sink.messages == [wire[:-3]]


@on_both_loops
async def test_what_is_only_reported_passes(caplog):
    caplog.set_level(logging.WARNING)
    play = stage(SenderRule.REPORT)
    async with play.session() as client:
        assert await client.ask(b"MAIL FROM:<ceo@x.org>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n", 3) == OK + OK + OURS
        assert await client.ask(FOREIGN) == QUEUED
    told = [record.getMessage() for record in caplog.records if "not its own" in record.getMessage()]
    assert [line.partition("account=")[2] for line in told] == [
        "ac_1 rule=report where=MAIL what='ceo@x.org'",
        "ac_1 rule=report where=From what='ceo@x.org'",
    ]


@on_both_loops
async def test_data_that_the_upstream_refuses_is_told_at_the_end_of_the_message():
    play = stage()
    play.sink_options["answers"] = {"DATA": [b"451 4.7.1 not now\r\n", b"354 go\r\n"]}
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        await client.send(message(1, b"x" * 200_000))
        assert await client.lines() == b"451 4.7.1 not now\r\n"
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        assert await client.ask(message(2)) == QUEUED
    assert play.sink.delivered == {"<2>": 1}


@on_both_loops
async def test_an_upstream_that_dies_before_the_message_is_begun_there():
    play = stage()
    play.sink_options["answers"] = {"DATA": [CLOSE]}
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        assert await client.ask(message(1), 2) == FAILED + CLOSING
    assert play.sink.messages == []


@on_both_loops
async def test_an_upstream_that_dies_behind_a_refusal():
    play = stage()
    play.sink_options["answers"] = {"RSET": [CLOSE]}
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        await client.send(FOREIGN)
        assert await client.rest() == REFUSED + CLOSING


@on_both_loops
async def test_a_header_without_an_end_is_refused():
    play = stage()
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        sending = asyncio.create_task(client.send(b"X-Long: x\r\n" * (SMTP_HEADER_OCTETS // 8) + b".\r\n"))
        assert await client.rest() == b"554 5.6.0 the header is longer than 262144 octets\r\n" + CLOSING
        await sending
    assert play.sink.commands[-1] == b"RCPT TO:<bob@example.net>"


@on_both_loops
async def test_a_header_too_long_to_be_read_passes_where_the_rule_only_reports(caplog):
    play = stage(rule=SenderRule.REPORT)
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        long = b"Message-ID: <long>\r\n" + b"X-Long: x\r\n" * (SMTP_HEADER_OCTETS // 8) + b"\r\nhi\r\n.\r\n"
        assert await client.ask(long) == QUEUED
    [received] = play.sink.messages
    assert received.count(b"X-Long: x\r\n") == SMTP_HEADER_OCTETS // 8
    assert "the header is too long" in caplog.text


@pytest.mark.parametrize(
    "wire", [b"From: alice@example.org\n\r\n\r\nhi\r\n.\r\n", b"X: y\r\n.\nFrom: a\r\n.\r\n"]
)
@on_both_loops
async def test_a_fault_in_the_header(wire):
    play = stage()
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        assert (await client.ask(wire)).startswith(b"554 5.6.0 bare LF")
        assert await client.rest() == CLOSING
    assert play.sink.commands[-1] == b"RCPT TO:<bob@example.net>"


@on_both_loops
async def test_a_cut_while_a_header_is_held():
    play = stage()
    async with play.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        await client.send(b"From: alice@example.org\r\n")
        play.registry.cut_all()
        await soon(play.sink.ended.wait())
        assert (await client.rest()).startswith(b"421 4.7.0")
    assert play.sink.messages == []


def test_a_rule_without_a_list_of_addresses_is_no_setting():
    with pytest.raises(ValueError, match="own"):
        Stage().set(rule=SenderRule.OWN)

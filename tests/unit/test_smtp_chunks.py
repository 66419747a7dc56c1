"""Messages by BDAT: counted and never looked at, streamed, refused without losing count. RFC 3030 §2."""

from __future__ import annotations

import asyncio
import os

import pytest

from proxy.smtp.sender import SenderRule
from proxy.smtp.sides import Times
from support.imap_stage import soon
from support.smtp_chunks import LIMIT, QUEUED, RCPTS, Addresses, bdat, chunk_stage, open_chunks
from support.smtp_sink import CLOSE, RESET
from support.smtp_stage import CLOSING, FAILED, OK, message
from support.sockets import Tls, on_both_loops, turns

MAIL_FIRST = b"503 5.5.1 MAIL first\r\n"
FAILED_BEFORE = b"503 5.5.1 a chunk before this one was refused, RSET first\r\n"
BEGUN = b"503 5.5.1 the message has begun with BDAT\r\n"
TOO_LARGE = b"552 5.3.4 the message is larger than %d octets\r\n" % LIMIT
UNCOUNTED = b"421 4.7.0 what follows BDAT is no command, closing\r\n"
BINARY = bytes(range(256)) + b"\r\n.\r\nMAIL FROM:<ceo@example.com>\r\n\n.\n\r.\r\0"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def got(octets: bytes) -> bytes:
    """What the upstream says to a chunk of these."""
    return b"250 2.0.0 Ok: %d octets\r\n" % len(octets)


@pytest.mark.parametrize("secure", [False, True])
@on_both_loops
async def test_chunks_arrive_as_they_were_sent_and_each_has_the_upstreams_own_reply(tls, secure):
    stage = chunk_stage(tls if secure else None)
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(bdat(BINARY)) == got(BINARY)
        assert await client.ask(b"NOOP\r\n") == OK
        assert await client.ask(b"bdat 00  last \r\n") == QUEUED
        assert await client.ask(b"QUIT\r\n") == b"221 2.0.0 bye\r\n"
    assert stage.sink.messages == [BINARY]
    assert stage.sink.commands[2:] == [b"BDAT %d" % len(BINARY), b"NOOP", b"BDAT 0 LAST", b"QUIT"]


@pytest.mark.parametrize("cut", [1, 2, 7, 64, 10_000])
@on_both_loops
async def test_everything_in_one_packet_and_however_it_is_cut(cut):
    stage = chunk_stage()
    texts = [b"", b"x", BINARY, b"\r\n", b"BDAT 5 LAST\r\nQUIT\r\n"]
    said = RCPTS + b"".join(map(bdat, texts)) + bdat(b"end", last=True) + RCPTS + bdat(b"2", last=True)
    async with stage.session() as client:
        for at in range(0, len(said), cut):
            await client.send(said[at : at + cut])
            await asyncio.sleep(0)
        first = OK + OK + b"".join(map(got, texts)) + QUEUED
        assert await client.lines(first.count(b"\n") + 3) == first + OK + OK + QUEUED.replace(b"1", b"2")
    assert stage.sink.messages == [b"".join(texts) + b"end", b"2"]


@on_both_loops
async def test_what_came_with_the_sign_in_is_counted_too():
    stage = chunk_stage()
    async with stage.session(RCPTS + bdat(BINARY, last=True) + b"QUIT\r\n") as client:
        assert await client.rest() == OK + OK + QUEUED + b"221 2.0.0 bye\r\n"
    assert stage.sink.messages == [BINARY]


@on_both_loops
async def test_a_client_that_sends_all_before_it_reads_is_served():
    stage = chunk_stage(size=0)
    text = os.urandom(200_000)
    async with stage.session() as client:
        sending = asyncio.create_task(client.send(RCPTS + bdat(text) * 20 + bdat(text, last=True)))
        assert await client.lines(2 + 20 + 1) == OK + OK + got(text) * 20 + QUEUED
        await sending
    assert stage.sink.messages == [text * 21]


@on_both_loops
async def test_the_next_chunk_waits_here_for_the_reply_to_the_one_before():
    stage = chunk_stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {"BDAT": [held, got(b"one")]}
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(bdat(b"one") + bdat(b"two", last=True))
        await soon(lambda: len(stage.sink.commands) > 2)
        await turns(50)
        assert stage.sink.commands[2:] == [b"BDAT 3"]
        held.set()
        assert await client.lines(2) == got(b"one") + QUEUED
    assert stage.sink.messages == [b"onetwo"]


# --- what is refused, its octets read all the same -------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "refusal"),
    [
        (b"", MAIL_FIRST),
        (b"MAIL FROM:<a@b.c>\r\n", b"503 5.5.1 RCPT first\r\n"),
        (b"MAIL FROM:<a@b.c>\r\nRCPT TO:<nobody@b.c>\r\n", b"554 5.5.1 no valid recipients\r\n"),
    ],
)
@on_both_loops
async def test_a_chunk_without_whom_it_is_for(commands, refusal):
    stage = chunk_stage()
    stage.sink_options["answers"] = {"RCPT": [b"550 5.1.1 no\r\n"]}
    async with stage.session() as client:
        await client.send(commands + bdat(b"QUIT\r\n") + bdat(b"QUIT\r\n", last=True) + b"NOOP\r\n")
        lines = commands.count(b"\n")
        assert (await client.lines(lines + 3)).endswith(refusal * 2 + OK)
    assert not any(line.startswith(b"BDAT") for line in stage.sink.commands)


@pytest.mark.parametrize("said", [b"452 4.3.1 disk full\r\n", b"550 5.7.1 no\r\n"])
@on_both_loops
async def test_behind_a_refused_chunk_every_other_is_read_and_refused(said):
    stage = chunk_stage()
    stage.sink_options["answers"] = {"BDAT": [got(b"1"), said, got(b"1")]}
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(bdat(b"1") + bdat(b"QUIT\r\n") + bdat(b"QUIT\r\n") * 30 + b"MAIL FROM:<a@b.c>\r\n")
        nested = b"503 5.5.1 a transaction is open, RSET first\r\n"
        assert await client.lines(33) == got(b"1") + said + FAILED_BEFORE * 30 + nested
        assert await client.ask(b"RSET\r\n") == OK
        await open_chunks(client)
        assert await client.ask(bdat(b"2", last=True)) == QUEUED
    assert stage.sink.messages == [b"2"]


@on_both_loops
async def test_the_last_of_a_refused_message_ends_it_upstream_too():
    stage = chunk_stage()
    stage.sink_options["answers"] = {"BDAT": [b"452 4.3.1 disk full\r\n"]}
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(bdat(b"1") + bdat(b"2", last=True))
        assert await client.lines(2) == b"452 4.3.1 disk full\r\n" + FAILED_BEFORE
        await open_chunks(client)
        assert stage.sink.commands[2:] == [b"BDAT 1", b"RSET", b"MAIL FROM:<a@b.c>", b"RCPT TO:<d@e.f>"]
        assert await client.ask(bdat(b"3", last=True)) == QUEUED
    assert stage.sink.messages == [b"3"]


@on_both_loops
async def test_behind_a_last_chunk_that_the_upstream_refuses_a_transaction_may_begin():
    stage = chunk_stage()
    stage.sink_options["answers"] = {".": [b"550 5.7.1 spam\r\n", QUEUED]}
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(bdat(b"1", last=True) + bdat(b"2") + RCPTS + bdat(b"3", last=True))
        assert await client.lines(5) == b"550 5.7.1 spam\r\n" + MAIL_FIRST + OK + OK + QUEUED
    assert stage.sink.commands[2:4] == [b"BDAT 1 LAST", b"RSET"]


@pytest.mark.parametrize("before", [0, 1, LIMIT])
@on_both_loops
async def test_more_than_the_largest_size_is_read_and_refused(before):
    stage = chunk_stage()
    rest = b"x" * (LIMIT + 1 - before)
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(bdat(b"x" * before)) == got(b"x" * before)
        assert await client.ask(bdat(rest) + bdat(rest, last=True), 2) == TOO_LARGE + FAILED_BEFORE
        await open_chunks(client)
        assert await client.ask(bdat(b"y" * LIMIT, last=True)) == QUEUED
    assert stage.sink.messages == [b"y" * LIMIT]


@on_both_loops
async def test_an_upstream_without_chunking_is_no_reason_to_lose_count():
    stage = chunk_stage()
    del stage.extensions["CHUNKING"]
    async with stage.session() as client:
        await open_chunks(client)
        no = b"555 5.5.4 the server behind takes no BDAT\r\n"
        assert await client.ask(bdat(b"QUIT\r\n")) == no
        assert await client.ask(b"RSET\r\n") == OK
        await client.open_data()
        assert await client.ask(message(1)) == QUEUED
    assert b"BDAT" not in b"".join(stage.sink.commands)


@pytest.mark.parametrize(
    "line",
    [b"BDAT", b"BDAT x", b"BDAT -1", b"BDAT 5 FIRST", b"BDAT 5LAST", b"BDAT 0x5", b"BDAT\t5", b" BDAT 5"],
)
@on_both_loops
async def test_a_chunk_that_cannot_be_counted_ends_the_session(line):
    stage = chunk_stage()
    async with stage.session(RCPTS + line + b"\r\nRSET\r\n") as client:
        rest = await client.rest()
    assert rest.removeprefix(OK + OK)[:5] in (b"500 5", b"501 5")
    assert rest.endswith(UNCOUNTED)
    assert stage.sink.commands[2:] == []


@pytest.mark.parametrize("line", [b"BDAT " + b"9" * 19, b"BDAT 5\0", b"BDAT 5\n", b"BDAT " + b"9" * 9000])
@on_both_loops
async def test_a_chunk_in_an_absurd_line_ends_the_session(line):
    stage = chunk_stage()
    async with stage.session(line + b"\r\nNOOP\r\n") as client:
        assert (await client.rest()).endswith(UNCOUNTED)
    assert stage.sink.commands == []


@on_both_loops
async def test_more_than_is_worth_reading_ends_the_session():
    stage = chunk_stage()
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(b"BDAT 999999999999999999 LAST\r\n", 2) == TOO_LARGE + UNCOUNTED
        assert await client.rest() == b""
    assert stage.sink.messages == []


@pytest.mark.parametrize("command", [b"DATA", b"RCPT TO:<x@y.z>"])
@on_both_loops
async def test_a_message_that_has_begun_in_chunks_goes_on_so(command):
    stage = chunk_stage()
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(bdat(b"1") + command + b"\r\n" + bdat(b"2", last=True), 3) == (
            got(b"1") + BEGUN + QUEUED
        )
    assert stage.sink.messages == [b"12"]


@pytest.mark.parametrize("command", [b"RSET", b"HELO x"])
@on_both_loops
async def test_a_reset_between_chunks_forgets_them(command):
    stage = chunk_stage()
    async with stage.session() as client:
        await open_chunks(client)
        await client.ask(bdat(b"1"))
        await client.ask(command + b"\r\n")
        assert await client.ask(bdat(b"QUIT\r\n", last=True)) == MAIL_FIRST
        await open_chunks(client)
        assert await client.ask(bdat(b"2", last=True)) == QUEUED
    assert stage.sink.messages == [b"2"]


@pytest.mark.parametrize("rule", [SenderRule.OWN, SenderRule.REPORT])
def test_a_rule_that_looks_at_the_header_takes_no_chunks(rule):
    with pytest.raises(ValueError, match="looks at the header"):
        chunk_stage().set(rule=rule, senders=Addresses())


# --- nothing is lost, nothing doubled ---------------------------------------------------------------------


@pytest.mark.parametrize("death", [CLOSE, RESET])
@pytest.mark.parametrize("last", [False, True])
@on_both_loops
async def test_an_upstream_that_dies_within_a_chunk(death, last):
    stage = chunk_stage()
    stage.sink_options.update(at_octet=100_000, early=death)
    async with stage.session() as client:
        await open_chunks(client)
        sending = asyncio.create_task(client.send(bdat(b"x" * 900_000, last=last)))
        assert await client.rest() == FAILED + CLOSING
        await sending
    assert stage.sink.messages == []


@pytest.mark.parametrize("death", [CLOSE, RESET, b"354 more\r\n", b"421 4.3.2 bye\r\n", b"nonsense\r\n"])
@pytest.mark.parametrize(("verb", "last"), [("BDAT", False), (".", True)])
@on_both_loops
async def test_an_upstream_that_has_the_chunk_and_gives_no_outcome(death, verb, last):
    stage = chunk_stage()
    stage.sink_options["answers"] = {verb: [death]}
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(bdat(b"1", last=last), 2) == FAILED + CLOSING
    assert len(stage.sink.messages) == last


@pytest.mark.parametrize(
    ("early", "said"),
    [(b"452 4.3.1 disk full\r\n", b"452 4.3.1 disk full\r\n"), (b"250 2.0.0 thanks\r\n", FAILED)],
)
@on_both_loops
async def test_an_upstream_that_answers_before_the_chunk_is_whole_is_not_sent_the_rest(early, said):
    stage = chunk_stage()
    stage.sink_options.update(at_octet=100_000, early=early)
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(b"BDAT 200000 LAST\r\n" + b"x" * 100_001)
        await soon(lambda: stage.sink.partial)
        await client.send(b"x" * 99_999)
        assert await client.rest() == said + CLOSING
    assert stage.sink.messages == []


@pytest.mark.parametrize(("last", "times"), [(False, Times(reply=0.05)), (True, Times(data_end=0.05))])
@on_both_loops
async def test_an_upstream_that_does_not_answer_a_chunk(last, times):
    stage = chunk_stage().set(times=times)
    held = asyncio.Event()
    stage.sink_options["answers"] = {"BDAT": [held], ".": [held]}
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(bdat(b"1", last=last), 2) == FAILED + CLOSING
        held.set()


@on_both_loops
async def test_a_client_that_falls_silent_within_a_chunk():
    stage = chunk_stage().set(times=Times(data_block=0.05))
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(b"BDAT 10 LAST\r\n123456789")
        assert await client.rest() == b"421 4.4.2 idle for too long\r\n"
    assert stage.sink.messages == []


@on_both_loops
async def test_of_a_broken_message_no_more_is_awaited_than_is_worth_it():
    stage = chunk_stage(size=0).set(times=Times(drain_quiet=0.05))
    stage.sink_options.update(at_octet=1, early=CLOSE)
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(b"BDAT 1000 LAST\r\n12")
        assert await client.rest() == FAILED + CLOSING


@on_both_loops
async def test_a_message_of_more_than_anybody_drains_ends_with_its_upstream():
    stage = chunk_stage(size=0)
    stage.sink_options.update(at_octet=1, early=CLOSE)
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(b"BDAT 9999999999 LAST\r\n12")
        assert await client.rest() == FAILED + CLOSING

"""Nothing is lost and nothing doubled: whoever dies, and when, the client's last word agrees with the count.

Messages have ids of their own and are counted where they arrive. "Accepted" is a 250 at the client.
"""

from __future__ import annotations

import asyncio

import pytest

from proxy.smtp.offer import Offer
from proxy.smtp.sides import Times
from support.imap_stage import soon
from support.smtp_sink import CLOSE, RESET
from support.smtp_stage import CLOSING, FAILED, OK, Stage, message
from support.sockets import Tls, on_both_loops, reset, turns

LONG = b"x" * 70 + b"\r\n"
DEATHS = pytest.mark.parametrize("death", [CLOSE, RESET])
QUEUED = b"250 2.0.0 Ok: queued as 1\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@DEATHS
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@on_both_loops
async def test_an_upstream_that_dies_before_the_message(verb, death):
    stage = Stage()
    stage.sink_options["answers"] = {verb: [death]}
    commands = [b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<a@b.c>\r\n", b"DATA\r\n"]
    async with stage.session() as client:
        for command in commands:
            if command.startswith(verb.encode()):
                assert await client.ask(command, 2) == FAILED + CLOSING
                break
            assert await client.ask(command) == OK
        assert await client.rest() == b""
    assert stage.sink.messages == []


@DEATHS
@on_both_loops
async def test_an_upstream_that_dies_between_two_messages(death):
    stage = Stage()
    stage.sink_options["answers"] = {"MAIL": [OK, death]}
    async with stage.session() as client:
        await client.open_data()
        assert await client.ask(message(1)) == QUEUED
        assert await client.ask(b"MAIL FROM:<a@b.c>\r\n", 2) == FAILED + CLOSING
    assert stage.sink.delivered == {"<1>": 1}


@DEATHS
@pytest.mark.parametrize("secure", [False, True])
@on_both_loops
async def test_an_upstream_that_dies_within_the_message(tls, death, secure):
    stage = Stage(tls if secure else None)
    stage.sink_options.update(at_octet=100_000, early=death)
    async with stage.session() as client:
        await client.open_data()
        sending = asyncio.create_task(client.send(message(1, LONG * 10_000)))
        assert await client.rest() == FAILED + CLOSING
        await sending
    assert stage.sink.messages == []


@pytest.mark.parametrize(
    ("early", "said"),
    [
        (b"452 4.3.1 disk full\r\n", b"452 4.3.1 disk full\r\n"),
        (b"552-5.3.4 too\r\n552 5.3.4 large\r\n", b"552-5.3.4 too\r\n552 5.3.4 large\r\n"),
        (b"250 2.0.0 queued already\r\n", FAILED),
        (b"421 4.3.2 going down\r\n", FAILED),
        (b"nonsense\r\n", FAILED),
    ],
)
@on_both_loops
async def test_an_upstream_that_answers_before_the_message_is_whole(early, said):
    stage = Stage()
    stage.sink_options.update(at_octet=100_000, early=early)
    async with stage.session() as client:
        await client.open_data()
        await client.send(b"x" * 100_000)
        await soon(lambda: stage.sink.partial)
        await client.send(b"\r\nand so on\r\n.\r\n")
        assert await client.rest() == said + CLOSING
    assert stage.sink.messages == []
    assert b".\r\n" not in stage.sink.partial


@DEATHS
@on_both_loops
async def test_an_upstream_that_dies_after_the_message_may_have_it_and_the_client_is_told_to_try_again(death):
    stage = Stage()
    stage.sink_options["answers"] = {".": [death]}
    async with stage.session() as client:
        await client.open_data()
        assert await client.ask(message(1), 2) == FAILED + CLOSING
    assert stage.sink.delivered == {"<1>": 1}


@on_both_loops
async def test_an_upstream_that_never_answers_the_message():
    stage = Stage().set(times=Times(data_end=0.1))
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held]}
    async with stage.session() as client:
        await client.open_data()
        assert await client.ask(message(1), 2) == FAILED + CLOSING
        held.set()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"250 2.0.0 queued\r\n", b"250 2.0.0 queued\r\n"),
        (b"451 4.3.0 later\r\n", b"451 4.3.0 later\r\n"),
        (b"550-5.7.1 no\r\n550 spam\r\n", b"550-5.7.1 no\r\n550 5.0.0 spam\r\n"),
    ],
)
@on_both_loops
async def test_the_last_word_is_the_upstreams_and_the_session_goes_on(said, heard):
    stage = Stage()
    stage.sink_options["answers"] = {".": [said, QUEUED]}
    async with stage.session() as client:
        await client.open_data()
        assert await client.ask(message(1), heard.count(b"\n")) == heard
        await client.open_data()
        assert await client.ask(message(2)) == QUEUED


@pytest.mark.parametrize("said", [b"354 more\r\n", b"421 4.3.2 bye\r\n", b"nonsense\r\n"])
@on_both_loops
async def test_a_last_word_that_says_nothing_of_the_message(said):
    stage = Stage()
    stage.sink_options["answers"] = {".": [said]}
    async with stage.session() as client:
        await client.open_data()
        assert await client.ask(message(1), 2) == FAILED + CLOSING


ENDS = pytest.mark.parametrize("end", ["goodbye", "close", "reset"])


async def leave(client, end: str) -> None:
    if end == "goodbye":
        closing = asyncio.create_task(client.connection.close())
        await soon(asyncio.wait({client.task}))
        await closing
    elif end == "reset":
        sock = client.connection.channel.sock.dup()
        client.connection.abort()
        reset(sock)
    else:
        client.connection.abort()


@ENDS
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("body", [b"", message(1)[:-3], message(1)[:-2], message(1)[:-1]])
@on_both_loops
async def test_a_client_that_vanishes_before_the_final_dot_leaves_nothing_behind(tls, body, secure, end):
    stage = Stage(tls if secure else None)
    async with stage.session() as client:
        await client.open_data()
        await client.send(body)
        await leave(client, end)
        await soon(asyncio.wait({client.task}))
        await soon(stage.sink.ended.wait())
    assert stage.sink.messages == []


@ENDS
@on_both_loops
async def test_a_client_that_vanishes_after_the_final_dot_has_sent_its_message_once(end):
    stage = Stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held, QUEUED]}
    async with stage.session() as client:
        await client.open_data()
        await client.send(message(1))
        await soon(stage.sink.dotted.wait())
        leaving = asyncio.create_task(leave(client, end))
        if end != "goodbye":
            await leaving
        held.set()
        await soon(asyncio.wait({client.task}))
        await leaving
    assert stage.sink.delivered == {"<1>": 1}


@on_both_loops
async def test_for_a_client_that_has_vanished_the_last_word_is_awaited_shortly():
    stage = Stage().set(times=Times(data_end_gone=0.05))
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held]}
    async with stage.session() as client:
        await client.open_data()
        await client.send(message(1))
        await soon(stage.sink.dotted.wait())
        await client.vanish()
        held.set()


@on_both_loops
async def test_a_message_that_is_too_large_is_told_so_at_its_end():
    stage = Stage()
    async with stage.session() as client:
        await client.open_data()
        sending = asyncio.create_task(client.send(message(1, LONG * 20_000) + b"QUIT\r\n"))
        assert await client.rest() == b"552 5.3.4 the message is larger than 1000000 octets\r\n" + CLOSING
        await sending
    assert stage.sink.messages == []
    assert len(stage.sink.partial) <= 1_000_000


@on_both_loops
async def test_a_message_of_just_the_largest_size_passes():
    stage = Stage()
    head = message(1, b"")[:-5]
    body = b"." * (1_000_000 - len(head) - 2)
    async with stage.session() as client:
        await client.open_data()
        sending = asyncio.create_task(client.send(head + b"." + body + b"\r\n.\r\n"))
        assert await client.lines() == QUEUED
        await sending
    assert stage.sink.delivered == {"<1>": 1}


async def filled(client, text: bytes) -> int:
    """Send until nothing more is taken; give how much was."""
    sent, still = 0, 0
    while still < 50:
        if client.connection.channel.flush():
            client.connection.channel.send(memoryview(text))
            sent, still = sent + len(text), 0
        still += 1
        await asyncio.sleep(0)
    return sent


@pytest.mark.parametrize("secure", [False, True])
@on_both_loops
async def test_while_the_upstream_does_not_read_the_client_is_not_read(tls, secure):
    stage = Stage(tls if secure else None)
    stage.set(offer=Offer(size_octets=0))
    async with stage.session() as client:
        stage.sink.reads.clear()
        await client.open_data()
        taken = await filled(client, LONG * 100)
        assert taken < 800_000  # what four kernel buffers and one piece hold
        assert await filled(client, LONG) <= 2 * len(LONG)
        stage.sink.reads.set()
        finishing = asyncio.create_task(client.send(b".\r\n"))
        assert await client.lines() == QUEUED
        await finishing


@on_both_loops
async def test_while_the_client_does_not_read_its_replies_it_is_not_read():
    stage = Stage()
    async with stage.session() as client:
        taken = await filled(client, b"EHLO x\r\n" * 100)
        assert taken < 2_000_000
        client.connection.abort()


@on_both_loops
async def test_no_final_dot_follows_half_a_reply():
    stage = Stage().set(times=Times(data_end_gone=0.05))
    stage.sink_options.update(at_octet=10, early=b"452 4.3.1 disk is f")
    async with stage.session() as client:
        await client.open_data()
        await client.send(b"x" * 10)
        await soon(lambda: stage.sink.partial)
        await turns()
        await client.send(b"\r\n.\r\n")
        assert await client.rest() == FAILED + CLOSING
    assert stage.sink.messages == []

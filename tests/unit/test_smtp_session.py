"""A session after sign-in: commands in line, replies in their order, what is refused here, how it ends."""

from __future__ import annotations

import asyncio

import pytest

from proxy.smtp.sides import Times
from support.imap_stage import soon
from support.smtp_sink import CLOSE
from support.smtp_stage import CLOSING, EHLO, FAILED, GO_ON, HELO, OK, OPEN, Stage, message
from support.sockets import Tls, on_both_loops, turns


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("secure", [False, True])
@on_both_loops
async def test_a_message_and_the_upstreams_own_words_about_it(tls, secure):
    stage = Stage(tls if secure else None)
    stage.sink_options["answers"] = {"RCPT": [b"250 2.1.5 bob is welcome\r\n", b"550 5.1.1 no carol\r\n"]}
    async with stage.session() as client:
        assert await client.ask(b"MAIL FROM:<alice@example.org>\r\n") == OK
        assert await client.ask(b"RCPT TO:<bob@example.net>\r\n") == b"250 2.1.5 bob is welcome\r\n"
        assert await client.ask(b"RCPT TO:<carol@example.net>\r\n") == b"550 5.1.1 no carol\r\n"
        assert await client.ask(b"DATA\r\n") == GO_ON
        assert await client.ask(message(1)) == b"250 2.0.0 Ok: queued as 1\r\n"
        assert await client.ask(b"QUIT\r\n") == b"221 2.0.0 bye\r\n"
        assert await client.rest() == b""
    assert stage.sink.delivered == {"<1>": 1}
    assert stage.sink.messages[0] + b".\r\n" == message(1)


@pytest.mark.parametrize("pipelines", [False, True])
@on_both_loops
async def test_pipelined_commands_keep_their_order(pipelines):
    stage = Stage()
    if not pipelines:
        del stage.extensions["PIPELINING"]
    stage.sink_options["answers"] = {
        "RCPT": [b"250 2.1.5 one\r\n", b"550 5.1.1 two\r\n", b"250 2.1.5 three\r\n"]
    }
    said = (
        b"RSET\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<1@b.c>\r\nRCPT TO:<2@b.c>\r\nRCPT TO:oops\r\n"
        b"RCPT TO:<3@b.c>\r\nNOOP\r\nDATA\r\n"
    )
    async with stage.session() as client:
        assert await client.ask(said, 8) == (
            OK + OK + b"250 2.1.5 one\r\n550 5.1.1 two\r\n501 5.1.3 bad syntax of the recipient address\r\n"
            b"250 2.1.5 three\r\n" + OK + GO_ON
        )
        again = message(1) + OPEN
        assert await client.ask(again, 4) == (
            b"250 2.0.0 Ok: queued as 1\r\n" + OK + b"250 2.1.5 three\r\n" + GO_ON
        )
        assert await client.ask(message(2) + b"QUIT\r\n", 2) == (
            b"250 2.0.0 Ok: queued as 2\r\n221 2.0.0 bye\r\n"
        )
    assert stage.sink.delivered == {"<1>": 1, "<2>": 1}


@on_both_loops
async def test_what_came_behind_the_sign_in_is_served():
    stage = Stage()
    async with stage.session(OPEN + message(1) + b"QUIT\r\n") as client:
        assert await client.rest() == OK + OK + GO_ON + b"250 2.0.0 Ok: queued as 1\r\n221 2.0.0 bye\r\n"
    assert stage.sink.commands == [
        b"MAIL FROM:<alice@example.org>", b"RCPT TO:<bob@example.net>", b"DATA", b"QUIT",
    ]  # fmt: skip


@on_both_loops
async def test_rcpts_go_upstream_together_and_no_more_than_are_good_for_it():
    stage = Stage()
    rcpts = b"".join(b"RCPT TO:<%d@b.c>\r\n" % number for number in range(130))
    async with stage.session() as client:
        assert await client.ask(b"MAIL FROM:<a@b.c>\r\n" + rcpts + b"DATA\r\n", 132) == OK * 131 + GO_ON
    assert len(stage.sink.commands) == 132


@on_both_loops
async def test_commands_that_came_while_the_upstream_was_asked_are_not_waited_for():
    stage = Stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {"RSET": [held, OK]}
    async with stage.session() as client:
        await client.send(b"RSET\r\n")
        await soon(lambda: stage.sink.commands)
        await client.send(b"NOOP\r\n")
        await soon(lambda: stage.submission._client.framer.held)
        held.set()
        assert await client.lines(2) == OK + OK


@pytest.mark.parametrize(("pipelines", "together"), [(False, 1), (True, 50)])
@on_both_loops
async def test_how_many_commands_go_upstream_before_a_reply(pipelines, together):
    stage = Stage()
    if not pipelines:
        del stage.extensions["PIPELINING"]
    held = asyncio.Event()
    stage.sink_options["answers"] = {"MAIL": [held, OK]}
    async with stage.session() as client:
        await client.send(b"MAIL FROM:<a@b.c>\r\n" + b"RCPT TO:<a@b.c>\r\n" * 130)
        await soon(lambda: stage.sink.commands)
        await turns(50)
        assert len(stage.sink.commands + stage.sink._input.splitlines()) == together
        held.set()
        assert await client.lines(131) == OK * 131


@on_both_loops
async def test_ehlo_again_is_answered_here_and_resets():
    stage = Stage()
    async with stage.session() as client:
        assert await client.ask(b"EHLO again\r\n", EHLO.count(b"\n")) == EHLO
        assert stage.sink.commands == []
        assert await client.ask(OPEN[:31] + b"HELO again\r\n", 2) == OK + HELO
        assert stage.sink.commands[-1] == b"RSET"
        assert await client.ask(b"RCPT TO:<bob@example.net>\r\n") == b"503 5.5.1 MAIL first\r\n"


@on_both_loops
async def test_data_that_the_upstream_refuses_leaves_the_session_where_it_was():
    stage = Stage()
    stage.sink_options["answers"] = {"DATA": [b"451 4.7.1 not now\r\n", GO_ON]}
    async with stage.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + b"451 4.7.1 not now\r\n"
        assert await client.ask(b"DATA\r\n") == GO_ON
        assert await client.ask(message(1)) == b"250 2.0.0 Ok: queued as 1\r\n"
    assert stage.sink.delivered == {"<1>": 1}


@on_both_loops
async def test_nothing_is_taken_for_nobody():
    stage = Stage()
    stage.sink_options["answers"] = {"RCPT": [b"550 5.1.1 no\r\n"]}
    async with stage.session() as client:
        assert await client.ask(OPEN, 3) == OK + b"550 5.1.1 no\r\n554 5.5.1 no valid recipients\r\n"
    assert b"DATA" not in stage.sink.commands


@on_both_loops
async def test_quit_is_answered_though_the_upstream_is_gone():
    stage = Stage()
    stage.sink_options["answers"] = {"QUIT": [CLOSE]}
    async with stage.session() as client:
        assert await client.ask(b"QUIT\r\n") == b"221 2.0.0 goodbye\r\n"
        assert await client.rest() == b""


@pytest.mark.parametrize("said", [b"421 4.4.2 idle\r\n", b"250 2.0.0 hello?\r\n", b"220"])
@on_both_loops
async def test_an_upstream_that_speaks_unasked_is_lost(said):
    stage = Stage(rest=said)
    async with stage.session() as client:
        assert await client.ask(b"MAIL FROM:<a@b.c>\r\n", 2) == FAILED + CLOSING
        assert await client.rest() == b""
    assert stage.sink.commands == []


@pytest.mark.parametrize(
    "said", [b"354 what?\r\n", b"hello\r\n", b"421 4.3.2 bye\r\n", b"250-a\r\n550 b\r\n"]
)
@on_both_loops
async def test_a_reply_that_is_none_ends_the_session(said):
    stage = Stage()
    stage.sink_options["answers"] = {"RCPT": [OK, said]}
    async with stage.session() as client:
        two = b"RCPT TO:<a@b.c>\r\n" * 2
        assert await client.ask(b"MAIL FROM:<a@b.c>\r\n" + two, 3) in (OK + OK + FAILED, FAILED + CLOSING)
        await client.rest()


@on_both_loops
async def test_bdat_ends_the_session_before_its_octets_are_read_as_commands():
    stage = Stage()
    async with stage.session(b"BDAT 20 LAST\r\nMAIL FROM:<a@b.c>\r\n") as client:
        assert await client.rest() == (
            b"503 5.5.1 CHUNKING is not offered\r\n421 4.7.0 what follows BDAT is no command, closing\r\n"
        )
    assert stage.sink.commands == []


@on_both_loops
async def test_a_client_that_is_idle_is_told_so():
    stage = Stage()
    stage.set(times=Times(command=0.05))
    async with stage.session() as client:
        assert await client.rest() == b"421 4.4.2 idle for too long\r\n"


@on_both_loops
async def test_an_upstream_that_does_not_answer_is_lost():
    stage = Stage()
    stage.sink_options["answers"] = {"MAIL": [asyncio.Event()]}
    stage.set(times=Times(reply=0.05))
    async with stage.session() as client:
        assert await client.ask(b"MAIL FROM:<a@b.c>\r\n", 2) == FAILED + CLOSING
        stage.sink.answers["MAIL"][0].set()


@on_both_loops
async def test_a_client_that_vanishes_while_the_upstream_is_asked_ends_the_session():
    stage = Stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {"MAIL": [held, OK]}
    async with stage.session() as client:
        await client.send(b"MAIL FROM:<a@b.c>\r\n")
        await soon(lambda: stage.sink.commands)
        await client.vanish()
        held.set()
        await soon(stage.sink.ended.wait())


@on_both_loops
async def test_a_cancelled_session_closes_its_upstream():
    stage = Stage()
    async with stage.session() as client:
        assert await client.ask(b"NOOP\r\n") == OK
        client.task.cancel()
        await asyncio.wait({client.task})
        assert client.task.cancelled()
        await soon(stage.sink.ended.wait())

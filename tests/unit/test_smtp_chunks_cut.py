"""A message in chunks that is cut, stopped or left: nothing is behind before the reply to its last one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.smtp.sides import Times
from support.imap_stage import GRANT, soon
from support.smtp_chunks import QUEUED, RCPTS, bdat, chunk_stage, open_chunks
from support.smtp_stage import OK, Stage
from support.sockets import Tls, on_both_loops, turns

REVOKED = b"421 4.7.0 this app-specific password was revoked\r\n"
STOPPED = b"421 4.3.2 the server is stopping, try again later\r\n"
ONE = b"250 2.0.0 Ok: 1 octets\r\n"
WHERE = {
    "between two chunks": b"",
    "behind the command": b"BDAT 10 LAST\r\n",
    "before the last octet": b"BDAT 10 LAST\r\n123456789",
    "within a large one": b"BDAT 900000 LAST\r\n" + b"x" * 300_000,
    "within one that is refused": b"RSET\r\nBDAT 10\r\n12345",
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def revoke(stage: Stage) -> None:
    assert stage.registry.cut(["ap_1"]) == 1


async def wait_for_all(stage: Stage, sent: bytes) -> None:
    """Until the upstream has what there is of the chunk, but for its last octet."""
    octets = sent.partition(b"\r\n")[2]
    if not sent.startswith(b"RSET"):
        await soon(lambda: len(stage.sink._input) >= len(octets) - 1)
    await turns()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("where", WHERE)
@on_both_loops
async def test_a_cut_closes_the_upstream_at_once(tls, where, secure):
    stage = chunk_stage(tls if secure else None)
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(bdat(b"1")) == ONE
        await client.send(WHERE[where])
        await wait_for_all(stage, WHERE[where])
        revoke(stage)
        await soon(stage.sink.ended.wait())
        assert (await client.rest()).removeprefix(OK) == REVOKED
    assert stage.sink.messages == []


@on_both_loops
async def test_a_cut_waits_for_no_reply_to_a_chunk_that_is_not_the_last():
    stage = chunk_stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {"BDAT": [held, ONE]}
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(bdat(b"1"))
        await soon(lambda: stage.sink.chunks)
        revoke(stage)
        assert await client.rest() == REVOKED
        held.set()
    assert stage.sink.messages == []


@on_both_loops
async def test_behind_the_last_octet_the_last_word_is_awaited():
    stage = chunk_stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held, QUEUED]}
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(bdat(b"1", last=True) + b"NOOP\r\n")
        await soon(stage.sink.dotted.wait())
        revoke(stage)
        await turns()
        held.set()
        assert await client.rest() == QUEUED + REVOKED
    assert stage.sink.messages == [b"1"]
    assert stage.sink.commands[-1] == b"BDAT 1 LAST"


@on_both_loops
async def test_behind_the_last_octet_the_last_word_is_awaited_shortly():
    stage = chunk_stage().set(times=Times(data_end_gone=0.05))
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held]}
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(bdat(b"", last=True))
        await soon(stage.sink.dotted.wait())
        revoke(stage)
        assert (await client.rest()).startswith(b"451 4.3.0 ")
        held.set()


@pytest.mark.parametrize("sent", [b"", b"BDAT 2 LAST\r\n3"])
@on_both_loops
async def test_a_stop_waits_for_a_message_that_has_begun(sent):
    stage = chunk_stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held, QUEUED]}
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(bdat(b"1")) == ONE
        await client.send(sent)
        assert stage.registry.stop() == 0
        assert stage.attempt.under_way
        await client.send(b"4" if sent else bdat(b"34", last=True))
        await soon(stage.sink.dotted.wait())
        await client.send(b"NOOP\r\n")
        held.set()
        assert await client.rest() == QUEUED + STOPPED
    assert stage.sink.messages == [b"134"]
    assert not stage.attempt.under_way
    assert stage.sink.commands[-1] == b"BDAT 2 LAST"


@pytest.mark.parametrize("command", [b"RSET\r\n", b"HELO x\r\n"])
@on_both_loops
async def test_a_stop_does_not_wait_for_a_message_that_was_given_up(command):
    stage = chunk_stage()
    async with stage.session() as client:
        await open_chunks(client)
        await client.ask(bdat(b"1"))
        await client.ask(command)
        await soon(lambda: not stage.attempt.under_way)
        assert stage.registry.stop() == 1
        assert await client.rest() == STOPPED


@on_both_loops
async def test_a_stop_does_not_wait_for_a_message_that_was_refused():
    stage = chunk_stage()
    stage.sink_options["answers"] = {"BDAT": [ONE, b"452 4.3.1 disk full\r\n"]}
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(bdat(b"1")) == ONE
        assert stage.registry.stop() == 0
        assert await client.ask(bdat(b"2")) == b"452 4.3.1 disk full\r\n"
        assert await client.rest() == STOPPED
    assert stage.sink.messages == []


@on_both_loops
async def test_the_app_password_expires_between_two_chunks():
    stage = chunk_stage()
    stage.grant = replace(GRANT, expires_at=1_800_000_001)  # a tenth of a second after the stage's now
    async with stage.session(RCPTS + bdat(b"1")) as client:
        expired = b"421 4.7.0 this app-specific password has expired\r\n"
        assert await client.rest() == OK + OK + ONE + expired
    assert stage.sink.messages == []


@pytest.mark.parametrize("where", WHERE)
@on_both_loops
async def test_a_client_that_vanishes_before_the_last_octet_leaves_nothing_behind(where):
    stage = chunk_stage()
    async with stage.session() as client:
        await open_chunks(client)
        assert await client.ask(bdat(b"1")) == ONE
        await client.send(WHERE[where])
        await wait_for_all(stage, WHERE[where])
        await client.vanish()
        await soon(stage.sink.ended.wait())
    assert stage.sink.messages == []


@on_both_loops
async def test_a_client_that_vanishes_while_a_chunk_is_answered_leaves_nothing_behind():
    stage = chunk_stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {"BDAT": [held, ONE]}
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(bdat(b"1"))
        await soon(lambda: stage.sink.chunks)
        await client.vanish()
        held.set()
    assert stage.sink.messages == []


@on_both_loops
async def test_a_client_that_vanishes_behind_the_last_octet_has_sent_its_message_once():
    stage = chunk_stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held, QUEUED]}
    async with stage.session() as client:
        await open_chunks(client)
        await client.send(bdat(b"1", last=True))
        await soon(stage.sink.dotted.wait())
        client.connection.abort()
        held.set()
        await soon(asyncio.wait({client.task}))
    assert stage.sink.messages == [b"1"]


@on_both_loops
async def test_while_the_upstream_does_not_read_the_client_is_not_read():
    stage = chunk_stage(size=0)
    async with stage.session() as client:
        stage.sink.reads.clear()
        await open_chunks(client)
        channel, text, taken, still = client.connection.channel, b"x" * 10_000, 0, 0
        channel.send(memoryview(b"BDAT 5000000 LAST\r\n"))
        while still < 50:
            if channel.flush():
                channel.send(memoryview(text))
                taken, still = taken + len(text), 0
            still += 1
            await asyncio.sleep(0)
        assert taken < 800_000  # what four kernel buffers and one piece hold
        stage.sink.reads.set()
        finishing = asyncio.create_task(client.send(b"x" * (5_000_000 - taken)))
        assert await client.lines() == QUEUED
        await finishing
    assert len(stage.sink.messages[0]) == 5_000_000

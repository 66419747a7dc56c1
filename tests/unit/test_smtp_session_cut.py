"""Revocation, expiry and a stopping server at every moment of a session: an order of events, not times."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.smtp.sides import Times
from support.imap_stage import GRANT, soon
from support.smtp_stage import OK, OPEN, Stage, message
from support.sockets import Tls, on_both_loops, turns

REVOKED = b"421 4.7.0 this app-specific password was revoked\r\n"
EXPIRED = b"421 4.7.0 this app-specific password has expired\r\n"
STOPPED = b"421 4.3.2 the server is stopping, try again later\r\n"
QUEUED = b"250 2.0.0 Ok: queued as 1\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def revoke(stage: Stage) -> None:
    assert stage.registry.cut(["ap_1"]) == 1


@pytest.mark.parametrize("secure", [False, True])
@on_both_loops
async def test_a_cut_ends_an_idle_session(tls, secure):
    stage = Stage(tls if secure else None)
    async with stage.session() as client:
        assert await client.ask(b"NOOP\r\n") == OK
        revoke(stage)
        assert await client.rest() == REVOKED
        assert stage.sink.commands == [b"NOOP"]


@on_both_loops
async def test_a_cut_before_the_session_runs_reaches_no_upstream():
    stage = Stage(cut_first=True)
    async with stage.session(OPEN + message(1)) as client:
        assert await client.rest() == REVOKED
    assert stage.sink.commands == []


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("body", [b"", message(1)[:-3], message(1)[:-1], b"x" * 3_000_000])
@on_both_loops
async def test_a_cut_breaks_a_message_and_leaves_nothing_behind(tls, body, secure):
    stage = Stage(tls if secure else None)
    async with stage.session() as client:
        await client.open_data()
        sending = asyncio.create_task(client.send(body))
        await soon(stage.sink.in_message.wait())
        await turns()
        revoke(stage)
        await soon(stage.sink.ended.wait())
        if len(body) < 100_000:
            assert await client.rest() == REVOKED
        client.connection.abort()
        await asyncio.wait({sending})
        sending.exception()
    assert stage.sink.messages == []


@on_both_loops
async def test_a_cut_while_the_upstream_does_not_read_closes_it_at_once():
    stage = Stage()
    async with stage.session() as client:
        stage.sink.reads.clear()
        await client.open_data()
        sending = asyncio.create_task(client.send(b"x" * 900_000))
        await turns(50)
        revoke(stage)
        stage.sink.reads.set()
        await soon(stage.sink.ended.wait())
        assert stage.sink.messages == []
        client.connection.abort()
        await asyncio.wait({sending})
        sending.exception()


@on_both_loops
async def test_behind_the_final_dot_the_last_word_is_awaited():
    stage = Stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held, QUEUED]}
    async with stage.session() as client:
        await client.open_data()
        await client.send(message(1) + b"NOOP\r\n")
        await soon(stage.sink.dotted.wait())
        revoke(stage)
        await turns()
        held.set()
        assert await client.rest() == QUEUED + REVOKED
    assert stage.sink.delivered == {"<1>": 1}
    assert stage.sink.commands[-1] == b"DATA"


@on_both_loops
async def test_behind_the_final_dot_the_last_word_is_awaited_shortly():
    stage = Stage().set(times=Times(data_end_gone=0.05))
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held]}
    async with stage.session() as client:
        await client.open_data()
        await client.send(message(1))
        await soon(stage.sink.dotted.wait())
        revoke(stage)
        assert (await client.rest()).startswith(b"451 4.3.0 ")
        held.set()


@on_both_loops
async def test_a_cut_while_the_upstream_is_asked():
    stage = Stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {"MAIL": [held, OK]}
    async with stage.session() as client:
        await client.send(b"MAIL FROM:<a@b.c>\r\n")
        await soon(lambda: stage.sink.commands)
        revoke(stage)
        assert await client.rest() == REVOKED
        held.set()


@on_both_loops
async def test_a_cut_while_the_rest_of_a_refused_message_is_drained():
    stage = Stage()
    async with stage.session() as client:
        await client.open_data()
        await client.send(b"a\nb")
        await soon(stage.sink.ended.wait())
        revoke(stage)
        assert await client.rest() == REVOKED


@on_both_loops
async def test_a_client_that_reads_nothing_does_not_hold_up_a_cut():
    stage = Stage()
    async with stage.session() as client:
        for _ in range(50):
            client.connection.channel.send(memoryview(b"EHLO x\r\n" * 4_000))
            await turns(5)
        revoke(stage)
        await soon(stage.sink.ended.wait())
        client.connection.abort()


@on_both_loops
async def test_a_session_ends_when_its_app_password_expires():
    stage = Stage(grant=replace(GRANT, expires_at=1_800_000_001))  # a tenth of a second after the stage's now
    async with stage.session() as client:
        assert await client.rest() == EXPIRED


@on_both_loops
async def test_a_message_under_way_breaks_when_the_app_password_expires():
    stage = Stage(grant=replace(GRANT, expires_at=1_800_000_001))
    async with stage.session(OPEN) as client:
        assert await client.rest() == OK + OK + b"354 go on\r\n" + EXPIRED
    assert stage.sink.messages == []


@on_both_loops
async def test_a_stop_ends_what_is_idle_and_waits_for_a_message():
    stage = Stage()
    held = asyncio.Event()
    stage.sink_options["answers"] = {".": [held, QUEUED]}
    async with stage.session() as client:
        await client.open_data()
        assert stage.attempt.under_way
        assert stage.registry.stop() == 0
        await client.send(message(1) + b"NOOP\r\n")
        await soon(stage.sink.dotted.wait())
        held.set()
        assert await client.rest() == QUEUED + STOPPED
    assert stage.sink.delivered == {"<1>": 1}
    assert not stage.attempt.under_way


@pytest.mark.parametrize("commands", [b"NOOP\r\n", b"MAIL FROM:<a@b.c>\r\n"])
@on_both_loops
async def test_a_stop_ends_a_session_that_takes_no_message(commands):
    stage = Stage()
    async with stage.session() as client:
        assert await client.ask(commands) == OK
        assert stage.registry.stop() == 1
        assert await client.rest() == STOPPED


@on_both_loops
async def test_a_cut_spares_no_message_though_the_server_stops():
    stage = Stage()
    async with stage.session() as client:
        await client.open_data()
        stage.registry.stop()
        revoke(stage)
        assert await client.rest() == STOPPED
    assert stage.sink.messages == []


@on_both_loops
async def test_a_session_that_is_cancelled_in_a_message_leaves_nothing_behind():
    stage = Stage()
    async with stage.session() as client:
        await client.open_data()
        await client.send(message(1)[:-1])
        client.task.cancel()
        await soon(stage.sink.ended.wait())
        await asyncio.wait({client.task})
        assert client.task.cancelled()
    assert stage.sink.messages == []

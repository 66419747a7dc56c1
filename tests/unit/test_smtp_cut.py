"""Revocation and vanishing at every moment of a submission sign-in: it ends at once, and nothing is left."""

from __future__ import annotations

import asyncio

import pytest

from auth.refusal import Reason, Refusal
from support.imap_stage import closed, line, soon
from support.smtp_front_stage import AUTH, SIGNED_IN, UNAVAILABLE, Stage, hello
from support.sockets import Tls, on_both_loops, reset

REVOKED = Refusal(reason=Reason.REVOKED, account_id="ac_1", app_password_id="ap_1", label="phone")
WORDS = b'535 5.7.8 the app-specific password "phone" was revoked\r\n'
DONE = b"250 2.0.0 done\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def held_at(stage: Stage, where: str) -> asyncio.Event:
    """Hold a sign-in for good; gives what tells that it has come there."""
    held, reached = {
        "gate": (stage.gate.admits, stage.gate.entered),
        "upstream": (stage.upstream.holds, stage.upstream.asked),
        "confirm": (stage.gate.confirms, stage.gate.confirming),
    }[where]
    held.clear()
    return reached


@pytest.mark.parametrize(("confirmation", "words"), [(REVOKED, WORDS), (None, UNAVAILABLE)])
@on_both_loops
async def test_a_cut_ends_a_sign_in_that_waits_for_the_upstream(tls, confirmation, words):
    stage = Stage(tls)
    reached = held_at(stage, "upstream")
    async with stage.client() as client:
        await hello(client)
        await client.send(AUTH)
        await soon(reached.wait())
        stage.gate.confirmation = confirmation
        assert stage.registry.cut(["ap_1"]) == 1
        assert await client.line() == words
        assert stage.upstream.cancelled == 1
        assert await client.ask(b"NOOP\r\n") == DONE


@on_both_loops
async def test_a_cut_while_the_gate_is_asked_never_reaches_the_upstream(tls):
    stage = Stage(tls)
    reached = held_at(stage, "gate")
    async with stage.client() as client:
        await hello(client)
        await client.send(AUTH)
        await soon(reached.wait())
        stage.gate.confirmation = REVOKED
        stage.registry.cut(["ap_1"])
        stage.gate.admits.set()
        assert await client.line() == WORDS
    assert not stage.upstream.asked.is_set()


@pytest.mark.parametrize(("confirmation", "words"), [(REVOKED, WORDS), (None, UNAVAILABLE)])
@on_both_loops
async def test_a_cut_in_the_last_moment_never_becomes_a_session(tls, confirmation, words):
    stage = Stage(tls)
    reached = held_at(stage, "confirm")
    stage.gate.confirmation = confirmation
    async with stage.client() as client:
        await hello(client)
        await client.send(AUTH)
        await soon(reached.wait())
        stage.registry.cut(["ap_1"])
        stage.gate.confirms.set()
        assert await client.line() == words
        assert await line(stage.upstream.far) == b""
    assert not stage.sessions


@on_both_loops
async def test_a_cut_ends_a_session_even_with_a_message_under_way(tls):
    stage = Stage(tls)
    async with stage.client() as client:
        await hello(client)
        assert await client.ask(AUTH) == SIGNED_IN
        stage.session.attempt.under_way = True
        assert stage.registry.cut(["ap_1"]) == 1
        assert stage.session.cuts == 1
        await closed(client.connection)
        await soon(client.task)


@pytest.mark.parametrize("end", ["goodbye", "close", "reset"])
@pytest.mark.parametrize("where", ["exchange", "gate", "upstream"])
@on_both_loops
async def test_a_client_that_vanishes_frees_everything(tls, where, end):
    stage = Stage(tls)
    async with stage.client() as client:
        await hello(client)
        if where == "exchange":
            assert await client.ask(b"AUTH LOGIN\r\n") == b"334 VXNlcm5hbWU6\r\n"
        else:
            reached = held_at(stage, where)
            await client.send(AUTH)
            await soon(reached.wait())
        if end == "goodbye":
            closing = asyncio.create_task(client.connection.close())
            await soon(client.task)
            await closing
        elif end == "reset":
            sock = client.connection.channel.sock.dup()
            client.connection.abort()
            reset(sock)
        else:
            client.connection.abort()
        await soon(client.task)
        assert stage.gate.cancelled + stage.upstream.cancelled == (where != "exchange")
    assert stage.records == []


@on_both_loops
async def test_a_client_that_vanishes_in_the_last_moment_leaves_no_upstream_behind(tls):
    stage = Stage(tls)
    reached = held_at(stage, "confirm")
    async with stage.client() as client:
        await hello(client)
        await client.send(AUTH)
        await soon(reached.wait())
        client.connection.abort()
        stage.gate.confirms.set()
        await soon(client.task)
        assert await line(stage.upstream.far) == b""
        stage.upstream.far.abort()


@pytest.mark.parametrize("where", ["gate", "upstream", "confirm"])
@on_both_loops
async def test_a_server_that_stops_leaves_nothing_of_a_sign_in(tls, where):
    stage = Stage(tls)
    reached = held_at(stage, where)
    async with stage.client() as client:
        await hello(client)
        await client.send(AUTH)
        await soon(reached.wait())
        client.task.cancel()
        await closed(client.connection)
        await asyncio.wait({client.task})
        assert client.task.cancelled()
